//! Registries of clouds, whose nodes log in by themselves.

use async_trait::async_trait;
use strongroom_failure::Failure;

use crate::credential::Credential;

/// Logs in where a node would, without any Secret: to ECR, Artifact Registry and Azure's registries, by the identity of
/// the program that asks. Implementations keep what they got until it runs out: they are asked for every image.
#[async_trait]
pub trait NodeCredentials: Send + Sync {
    /// A login to the registry `host` (with its port where the image's name has one); `None` where the node has none
    /// for it.
    ///
    /// # Errors
    /// Where there should be one and it could not be had. The image is then asked for without it.
    async fn credential(&self, host: &str) -> Result<Option<Credential>, Failure>;
}

/// Whose registry a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// A private registry of AWS (ECR).
    Aws {
        /// The account that owns it.
        account: String,
        /// Its region.
        region: String,
    },
    /// Google's: Container Registry and Artifact Registry.
    Google,
    /// Azure Container Registry, in any of its clouds.
    Azure,
}

/// What a host of ECR ends with, in every partition of AWS.
const ECR_ENDS: [&str; 8] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// What a host of Azure's registries ends with.
const ACR_ENDS: [&str; 4] = [".azurecr.io", ".azurecr.cn", ".azurecr.de", ".azurecr.us"];

impl Cloud {
    /// The cloud whose registry `host` is; `None` for any other.
    pub fn of_host(host: &str) -> Option<Self> {
        let is_google = ["gcr.io", "container.cloud.google.com"].contains(&host)
            || [".gcr.io", ".pkg.dev"].iter().any(|end| host.len() > end.len() && host.ends_with(end));
        let is_azure = ACR_ENDS.iter().any(|end| host.strip_suffix(end).is_some_and(is_label));
        match (is_google, is_azure) {
            (true, _) => Some(Self::Google),
            (_, true) => Some(Self::Azure),
            _ => ecr(host),
        }
    }
}

/// `ACCOUNT.dkr.ecr[-fips].REGION.END`, or `ACCOUNT.dkr-ecr.REGION.END` of hosts that speak IPv6 as well.
fn ecr(host: &str) -> Option<Cloud> {
    let (account, rest) = host.split_once('.')?;
    let rest = rest.strip_prefix("dkr.ecr").or_else(|| rest.strip_prefix("dkr-ecr"))?;
    let rest = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?;
    let (region, end) = rest.split_once('.')?;
    let is_ecr = ECR_ENDS.contains(&end) && is_label(account) && is_label(region);
    is_ecr.then(|| Cloud::Aws { account: account.to_owned(), region: region.to_owned() })
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_clouds_are_known_by_their_hosts() {
        let aws =
            |account: &str, region: &str| Some(Cloud::Aws { account: account.to_owned(), region: region.to_owned() });
        let check = |host: &str, expected: Option<Cloud>| assert_eq!(Cloud::of_host(host), expected, "{host}");
        check("111122223333.dkr.ecr.eu-west-1.amazonaws.com", aws("111122223333", "eu-west-1"));
        check("111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com", aws("111122223333", "us-gov-west-1"));
        check("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn", aws("111122223333", "cn-north-1"));
        check("111122223333.dkr-ecr.eu-west-1.on.aws", aws("111122223333", "eu-west-1"));
        check("gcr.io", Some(Cloud::Google));
        check("eu.gcr.io", Some(Cloud::Google));
        check("europe-docker.pkg.dev", Some(Cloud::Google));
        check("team.azurecr.io", Some(Cloud::Azure));
        check("team.azurecr.cn", Some(Cloud::Azure));
        for host in [
            "docker.io",
            "public.ecr.aws",
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com.evil.com",
            "111122223333.dkr.ecr.eu-west-1.evil.com",
            "x.111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            "evilgcr.io",
            "gcr.io.evil.com",
            ".pkg.dev",
            "azurecr.io",
            ".azurecr.io",
            "a.b.azurecr.io",
            "team.azurecr.io:443",
        ] {
            check(host, None);
        }
    }
}
