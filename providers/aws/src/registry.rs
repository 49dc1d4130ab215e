//! Logins for the registries of AWS (ECR).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::caller_identity::regional_endpoint;
use crate::json_service::Operation;
use crate::session::Session;

/// The public registry is logged in to in one region, for all of them.
const PUBLIC_REGION: &str = "us-east-1";

/// Which registries are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registries {
    /// Those of the account, in the session's region.
    Private,
    /// The public one of all accounts, `public.ecr.aws`.
    Public,
}

/// A login for a registry, as `docker login` takes it. AWS gives it for twelve hours.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// The user: `AWS`.
    pub user: String,
    /// The password.
    pub password: SecretBytes,
    /// The registry's address, `https://ACCOUNT.dkr.ecr.REGION.amazonaws.com`; none of the public one.
    pub address: Option<String>,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

impl Session {
    /// A new login for `registries`.
    ///
    /// # Errors
    /// What AWS answers, or that it does not; `Unavailable` where the answer is no login.
    pub async fn registry_login(&self, registries: Registries) -> Result<RegistryLogin, Failure> {
        let operation = match registries {
            Registries::Private => self.private_registries().await?,
            Registries::Public => self.public_registry().await?,
        };
        let store = format!("Amazon ECR ({})", operation.region);
        let answer = operation.call(self).await.map_err(|refusal| {
            let hint = format!("allow {} to {}", operation.needed(), self.identity());
            let failure = refusal.failure;
            let failure = if failure.class == Class::Denied { failure.with_hint(hint) } else { failure };
            failure.from_store(store.as_str())
        })?;
        let login = match registries {
            Registries::Private => private(&answer),
            Registries::Public => public(&answer),
        };
        login.ok_or_else(|| Failure::new(Class::Unavailable, "the answer is no login").from_store(store))
    }

    async fn private_registries(&self) -> Result<Operation, Failure> {
        let region = self.region().await?.to_string();
        let endpoint = match &self.settings().endpoints.ecr {
            Some(endpoint) => endpoint.clone(),
            None => regional_endpoint("api.ecr", &region).await?,
        };
        let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
        Ok(Operation { name: "ecr:GetAuthorizationToken", service: "ecr", target, region, endpoint, body: nothing() })
    }

    async fn public_registry(&self) -> Result<Operation, Failure> {
        let endpoint = match &self.settings().endpoints.ecr_public {
            Some(endpoint) => endpoint.clone(),
            None => regional_endpoint("api.ecr-public", PUBLIC_REGION).await?,
        };
        let (target, region) = ("SpencerFrontendService.GetAuthorizationToken", PUBLIC_REGION.to_owned());
        Ok(Operation {
            name: "ecr-public:GetAuthorizationToken",
            service: "ecr-public",
            target,
            region,
            endpoint,
            body: nothing(),
        })
    }
}

/// A call without settings.
fn nothing() -> SecretBytes {
    SecretBytes::from("{}".to_owned())
}

impl Operation {
    /// What a policy must allow for it.
    fn needed(&self) -> String {
        match self.service {
            "ecr-public" => format!("{} and sts:GetServiceBearerToken", self.name),
            _ => self.name.to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    /// `USER:PASSWORD` in base64.
    #[serde(deserialize_with = "secret")]
    authorization_token: SecretBytes,
    /// Seconds since 1970, with a fraction.
    expires_at: f64,
    proxy_endpoint: Option<String>,
}

/// The login for the account's registries: they have one together, though the answer is a list.
fn private(answer: &SecretBytes) -> Option<RegistryLogin> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        authorization_data: Vec<Authorization>,
    }
    let Answer { authorization_data } = serde_json::from_slice(answer.expose()).ok()?;
    let [authorization] = <[Authorization; 1]>::try_from(authorization_data).ok()?;
    authorization.login()
}

fn public(answer: &SecretBytes) -> Option<RegistryLogin> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        authorization_data: Authorization,
    }
    let Answer { authorization_data } = serde_json::from_slice(answer.expose()).ok()?;
    authorization_data.login()
}

impl Authorization {
    fn login(self) -> Option<RegistryLogin> {
        let decoded = SecretBytes::new(STANDARD.decode(self.authorization_token.expose()).ok()?);
        let (user, password) = decoded.expose_text()?.split_once(':')?;
        // Seconds since 1970; the fraction is not wanted.
        let expires_at = self.expires_at as i64;
        let password = SecretBytes::from(password.to_owned());
        Some(RegistryLogin { user: user.to_owned(), password, address: self.proxy_endpoint, expires_at })
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
    String::deserialize(deserializer).map(SecretBytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_login_or_none() {
        let check = |token: &str, expected: Option<(&str, &str)>| {
            let token = STANDARD.encode(token);
            let one = format!(
                r#"{{"authorizationToken": "{token}", "expiresAt": 1767225600.9, "proxyEndpoint": "https://r"}}"#
            );
            let answer = |text: String| SecretBytes::from(text);
            let in_list = private(&answer(format!(r#"{{"authorizationData": [{one}]}}"#)));
            let alone = public(&answer(format!(r#"{{"authorizationData": {one}}}"#)));
            for login in [in_list, alone] {
                let got = login.as_ref().map(|login| (login.user.as_str(), login.password.expose_text().unwrap()));
                assert!(got == expected, "another login of {} letters", token.len());
                let around = login.map(|login| (login.address, login.expires_at));
                assert_eq!(around, expected.map(|_| (Some("https://r".to_owned()), 1_767_225_600)));
            }
            assert!(private(&answer(format!(r#"{{"authorizationData": [{one}, {one}]}}"#))).is_none());
        };
        check("AWS:canary", Some(("AWS", "canary")));
        check("AWS:canary:more", Some(("AWS", "canary:more")));
        check("canary", None);
        for broken in ["", "{}", r#"{"authorizationData": []}"#, r#"{"authorizationData": [{"expiresAt": 1}]}"#] {
            let broken = SecretBytes::from(broken.to_owned());
            assert!(private(&broken).is_none() && public(&broken).is_none());
        }
    }
}
