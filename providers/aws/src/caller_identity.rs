use std::time::SystemTime;

use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::session::Session;

/// What STS is asked.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// The region whose STS is also the whole world's, under a name without region.
const GLOBAL: &str = "us-east-1";

/// A question to STS, "who am I?", that is signed and not sent. Who gets it can have STS answer it: that is how Vault
/// lets AWS say who logs in. It is good for a quarter of an hour and for nothing else.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// `POST`.
    pub method: &'static str,
    /// Where it would be sent, in the form that has no region where it need not have one: what servers expect.
    pub url: String,
    /// Names and values, the signature among them; `Host` apart, which is the URL's.
    pub headers: Vec<(String, SecretBytes)>,
    /// What would be sent.
    pub body: &'static str,
}

impl Session {
    /// Signs `sts:GetCallerIdentity` for the STS of `region` with this session's credentials, and `headers` with it.
    ///
    /// # Errors
    /// Why there are no credentials, and `Invalid` for a region or a header that cannot be one.
    pub async fn sign_caller_identity(&self, region: &str, headers: &[(&str, &str)]) -> Result<SignedRequest, Failure> {
        let url = format!("{}/", endpoint(region).await?);
        let identity = self.credentials().await?.into();
        let unfit = |what: &str| Failure::new(Class::Invalid, format!("{what} cannot be signed"));
        let params = SigningParams::builder().identity(&identity).region(region).name("sts").time(SystemTime::now());
        let params = params.settings(SigningSettings::default()).build().map_err(|_| unfit("the request"))?.into();
        let kind = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
        let given: Vec<_> = std::iter::once(kind).chain(headers.iter().copied()).collect();
        let body = SignableBody::Bytes(BODY.as_bytes());
        let request = SignableRequest::new("POST", url.as_str(), given.iter().copied(), body);
        let signed = sign(request.map_err(|_| unfit("the request"))?, &params).map_err(|_| unfit("a header"))?;
        let (instructions, _) = signed.into_parts();
        let headers = given.iter().copied().chain(instructions.headers());
        let headers = headers.map(|(name, value)| (name.to_owned(), SecretBytes::from(value.to_owned()))).collect();
        Ok(SignedRequest { method: "POST", url, headers, body: BODY })
    }
}

/// The address of a region's STS, without a slash at the end.
async fn endpoint(region: &str) -> Result<String, Failure> {
    resolved(region, region == GLOBAL).await
}

/// The address of another service in `region`: the SDK's STS knows what hosts end with in which part of AWS.
#[cfg(any(feature = "tokens", feature = "key-management"))]
pub(crate) async fn regional_endpoint(service: &str, region: &str) -> Result<String, Failure> {
    Ok(resolved(region, false).await?.replacen("://sts.", &format!("://{service}."), 1))
}

async fn resolved(region: &str, is_global: bool) -> Result<String, Failure> {
    let unknown = |_| Failure::new(Class::Invalid, "this is not the name of a region, such as eu-west-1");
    let params = Params::builder().region(region).use_global_endpoint(is_global).build();
    let params = params.map_err(|_| unknown(()))?;
    let resolver = DefaultResolver::new();
    let endpoint = resolver.resolve_endpoint(&params).await.map_err(|_| unknown(()))?;
    Ok(endpoint.url().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_provider::Meter;

    use super::*;
    use crate::{AccessKey, Settings};

    fn session(token: Option<&str>) -> Session {
        let text = |text: &str| SecretBytes::from(text.to_owned());
        let key = AccessKey { id: "AKIA1".to_owned(), secret: text("canary-1"), session_token: token.map(text) };
        Session::new(Settings { access_key: Some(key), ..Settings::default() }, Arc::new(Meter::default())).unwrap()
    }

    fn header<'a>(request: &'a SignedRequest, wanted: &str) -> Option<&'a str> {
        let found = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.expose_text())
    }

    #[tokio::test]
    async fn the_address_is_the_regions_own_or_the_worlds() {
        let check = async |region: &str, expected: Option<&str>| {
            assert_eq!(endpoint(region).await.ok().as_deref(), expected, "{region}");
        };
        check("us-east-1", Some("https://sts.amazonaws.com")).await;
        check("eu-west-1", Some("https://sts.eu-west-1.amazonaws.com")).await;
        check("cn-north-1", Some("https://sts.cn-north-1.amazonaws.com.cn")).await;
        check("not a region", None).await;
    }

    #[cfg(any(feature = "tokens", feature = "key-management"))]
    #[tokio::test]
    async fn other_services_are_beside_the_regions_sts() {
        let check = async |service: &str, region: &str, expected: Option<&str>| {
            assert_eq!(regional_endpoint(service, region).await.ok().as_deref(), expected, "{region}");
        };
        check("api.ecr", "us-east-1", Some("https://api.ecr.us-east-1.amazonaws.com")).await;
        check("api.ecr", "cn-north-1", Some("https://api.ecr.cn-north-1.amazonaws.com.cn")).await;
        check("api.ecr-public", "us-east-1", Some("https://api.ecr-public.us-east-1.amazonaws.com")).await;
        check("api.ecr", "not a region", None).await;
    }

    #[tokio::test]
    async fn every_header_is_signed_and_none_is_shown() {
        let signed =
            session(Some("canary-2")).sign_caller_identity("eu-west-1", &[("X-Server", "vault")]).await.unwrap();
        assert_eq!((signed.method, signed.url.as_str()), ("POST", "https://sts.eu-west-1.amazonaws.com/"));
        let authorization = header(&signed, "authorization").unwrap();
        assert!(authorization.contains("/eu-west-1/sts/aws4_request"), "{authorization}");
        let names = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-server,";
        assert!(authorization.contains(names), "{authorization}");
        assert_eq!(header(&signed, "x-amz-security-token"), Some("canary-2"));
        assert!(!format!("{signed:?}").contains("canary"));
        let without = session(None).sign_caller_identity("us-east-1", &[]).await.unwrap();
        assert_eq!(header(&without, "x-amz-security-token"), None);
        let broken = session(None).sign_caller_identity("us-east-1", &[("X-Server", "a\nb")]).await.unwrap_err();
        assert_eq!(broken.class, Class::Invalid);
    }
}
