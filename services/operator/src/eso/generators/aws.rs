//! What AWS makes: logins for registries, credentials that end.

use strongroom_api::external_secrets::provider::{AwsAuth, AwsProvider};
use strongroom_api::generators::{EcrAuthorizationTokenSpec, StsSessionTokenSpec};
use strongroom_aws::{Registries, Session, TemporaryRequest};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;

use super::of_spec;
use crate::eso::stores::{Scope, aws_session};

/// A login for a registry, under the keys that External Secrets Operator gives it.
pub(super) async fn registry_login(spec: &EcrAuthorizationTokenSpec, scope: &Scope) -> Result<Values, Failure> {
    let identity = AwsProvider {
        region: spec.region.clone(),
        role: spec.role.clone(),
        auth: spec.auth.clone(),
        ..AwsProvider::default()
    };
    let session = session(&identity, scope).await?;
    let registries = if spec.is_public() { Registries::Public } else { Registries::Private };
    let login = session.registry_login(registries).await?;
    let mut values = Values::from([
        ("username".to_owned(), SecretBytes::from(login.user)),
        ("password".to_owned(), login.password),
        ("expires_at".to_owned(), SecretBytes::from(login.expires_at.to_string())),
    ]);
    if let Some(address) = login.address {
        values.insert("proxy_endpoint".to_owned(), SecretBytes::from(address));
    }
    Ok(values)
}

/// Credentials that end, under the keys that External Secrets Operator gives them.
pub(super) async fn session_token(spec: &StsSessionTokenSpec, scope: &Scope) -> Result<Values, Failure> {
    // The role is not assumed before: AWS makes nothing more of a role's credentials.
    let identity = AwsProvider { region: spec.region.clone(), auth: spec.auth.clone(), ..AwsProvider::default() };
    let session = session(&identity, scope).await?;
    let more = spec.request_parameters.clone().unwrap_or_default();
    let asked = TemporaryRequest {
        role: spec.role.clone(),
        duration_seconds: more.session_duration.and_then(|seconds| i32::try_from(seconds).ok()),
        serial_number: more.serial_number,
        token_code: more.token_code.map(SecretBytes::from),
    };
    let made = session.temporary_credentials(&asked).await?;
    Ok(Values::from([
        ("access_key_id".to_owned(), SecretBytes::from(made.access_key_id)),
        ("secret_access_key".to_owned(), made.secret_access_key),
        ("session_token".to_owned(), made.session_token),
        ("expiration".to_owned(), SecretBytes::from(made.expires_at.to_string())),
    ]))
}

/// The identity that a generator's spec names, as a store's spec would name it.
async fn session(identity: &AwsProvider, scope: &Scope) -> Result<Session, Failure> {
    if is_nobody(identity.auth.as_ref()) {
        scope.ambient("spec.auth").map_err(|failure| {
            let words = "the generator names no credentials, and may not use the operator's own identity";
            Failure { words: words.to_owned(), ..failure }.with_hint(
                "name credentials in auth, use a ClusterGenerator, or start the operator with --ambient-credentials=all",
            )
        })?;
    }
    aws_session(identity, scope).await.map_err(|failure| of_spec(failure, "spec.provider.aws"))
}

fn is_nobody(auth: Option<&AwsAuth>) -> bool {
    auth.is_none_or(|auth| auth.jwt.is_none() && auth.secret_ref.is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::eso::stores::table::{Cluster, scope_with};

    fn cluster(endpoint: &str) -> Cluster {
        let mut cluster = Cluster::default();
        cluster.secret("team-a", "login", &[("id", "AKIATEST"), ("key", "canary-key")]);
        cluster.secret("team-a", "swapped", &[("id", "canary7wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMP"), ("key", "a")]);
        for variable in ["AWS_STS_ENDPOINT", "AWS_ECR_ENDPOINT", "AWS_ECR_PUBLIC_ENDPOINT"] {
            cluster.variable(variable, endpoint);
        }
        cluster
    }

    fn spec(more: Value, login: &str) -> Value {
        let key = |key: &str| json!({"name": login, "key": key});
        let auth = json!({"secretRef": {"accessKeyIDSecretRef": key("id"), "secretAccessKeySecretRef": key("key")}});
        let mut spec = json!({"region": "eu-west-1", "auth": auth});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    }

    fn text<'a>(values: &'a Values, key: &str) -> &'a str {
        values[key].expose_text().unwrap()
    }

    #[tokio::test]
    async fn values_have_the_keys_and_the_forms_of_external_secrets() {
        let moto = world::moto::Moto::start().unwrap();
        let scope = || scope_with(cluster(moto.endpoint()), Some("team-a"), false);
        let ecr: EcrAuthorizationTokenSpec = serde_json::from_value(spec(json!({}), "login")).unwrap();
        let login = registry_login(&ecr, &scope()).await.unwrap();
        let keys: Vec<&str> = login.keys().map(String::as_str).collect();
        assert_eq!(keys, ["expires_at", "password", "proxy_endpoint", "username"]);
        assert_eq!(text(&login, "username"), "AWS");
        assert_eq!(text(&login, "proxy_endpoint"), "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com");
        assert!(text(&login, "expires_at").parse::<i64>().is_ok());

        let role = "arn:aws:iam::123456789012:role/app";
        for more in [json!({}), json!({"role": role, "requestParameters": {"sessionDuration": 900}})] {
            let sts: StsSessionTokenSpec = serde_json::from_value(spec(more, "login")).unwrap();
            let made = session_token(&sts, &scope()).await.unwrap();
            let keys: Vec<&str> = made.keys().map(String::as_str).collect();
            assert_eq!(keys, ["access_key_id", "expiration", "secret_access_key", "session_token"]);
            assert!(text(&made, "expiration").parse::<i64>().is_ok());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_used_names_the_generators_field() {
        let check = async |spec: Value, expected: &str| {
            let spec: EcrAuthorizationTokenSpec = serde_json::from_value(spec).unwrap();
            let refused =
                registry_login(&spec, &scope_with(cluster("http://127.0.0.1:1"), Some("team-a"), false)).await;
            let failure = refused.err().unwrap();
            let shown = format!("{:?} {failure}", failure.class);
            assert!(shown.starts_with(expected), "{shown}");
            assert!(!format!("{failure:?}").contains("canary"), "a secret is shown");
        };
        let nobody = "Denied spec.auth: the generator names no credentials";
        check(json!({"region": "eu-west-1"}), nobody).await;
        check(json!({"region": "eu-west-1", "auth": {}, "role": "arn:aws:iam::1:role/a"}), nobody).await;
        check(spec(json!({"region": "Ireland"}), "login"), "Invalid spec.region: ").await;
        check(spec(json!({"role": "app"}), "login"), "Invalid spec.role: ").await;
        check(spec(json!({}), "swapped"), "Invalid spec.auth.secretRef.accessKeyIDSecretRef: ").await;
        check(spec(json!({}), "absent"), "NotFound spec.auth.secretRef.accessKeyIDSecretRef: ").await;
        check(spec(json!({}), "login"), "Unavailable Amazon ECR (eu-west-1): ").await;
    }
}
