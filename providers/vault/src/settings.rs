use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use strongroom_http::{AddressPolicy, ClientCertificate, Proxy, TlsSettings};
use strongroom_provider::SecretBytes;

use crate::{AwsCaller, Credential};

/// One server (or cluster of them), one identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The server's address, `https://vault.example:8200`, with a path where a gateway wants one.
    pub address: String,
    /// How to get a token.
    pub auth: Auth,
    /// The namespace for every read, and for the login where that has none of its own.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The namespace for the login, where it is another one.
    #[serde(default)]
    pub login_namespace: Option<String>,
    /// The one mount that keys belong to, such as `secret` or `team/kv`: a key that does not begin with it is taken to
    /// be below it. Without it, keys begin with their mount.
    #[serde(default)]
    pub mount: Option<String>,
    /// The version of KV behind every key. Without it, the server is asked once for each mount. With version 2 and no
    /// `mount`, a key with `/data/` in it is in the API's form, and of any other the first segment is the mount.
    #[serde(default)]
    pub kv_version: Option<KvVersion>,
    /// Further headers for every request, such as what a gateway wants. Their values are taken for secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderText>,
    /// What to do about nodes that are behind the active one.
    #[serde(default)]
    pub consistency: Consistency,
    /// Whom to trust and who we are.
    #[serde(default)]
    pub tls: TlsSettings,
    /// The most seconds that one request may take; 60 without it, as the official clients have it.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// Which proxy to take; from the environment, not from the file.
    #[serde(skip)]
    pub proxy: Proxy,
    /// Where requests may go; stricter where a tenant chose the address.
    #[serde(skip)]
    pub addresses: AddressPolicy,
}

impl Settings {
    /// Everything at its default.
    pub fn new(address: impl Into<String>, auth: Auth) -> Self {
        Self {
            address: address.into(),
            auth,
            namespace: None,
            login_namespace: None,
            mount: None,
            kv_version: None,
            headers: BTreeMap::new(),
            consistency: Consistency::Eventual,
            tls: TlsSettings::default(),
            timeout_seconds: None,
            proxy: Proxy::none(),
            addresses: AddressPolicy::Any,
        }
    }

    /// Whom to trust, and the certificate that a login by certificate shows.
    pub(crate) fn tls_with_login(&self) -> TlsSettings {
        let mut tls = self.tls.clone();
        if let Auth::Certificate(Certificate { certificate: Some(certificate), .. }) = &self.auth {
            tls.client = Some(certificate.clone());
        }
        tls
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unwrap_or(60))
    }
}

/// A header's value, which is never shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub struct HeaderText(pub(crate) SecretBytes);

impl From<String> for HeaderText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// What to do about nodes that answer reads and are behind the active one, as in clusters of Vault Enterprise and OpenBao:
/// a token that was given a moment ago may be unknown there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Consistency {
    /// Nothing: such a read is refused, and tried again later.
    #[default]
    Eventual,
    /// Say with every request how new its node must be (`X-Vault-Index`); one that is not answers that it is behind, and
    /// the read is tried again later.
    ReadYourWrites,
    /// The same, and ask a node that is behind to pass the request on to the active one (`X-Vault-Inconsistent`), which
    /// its administrators must have allowed.
    Forward,
}

/// A version of the KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum KvVersion {
    /// Without versions.
    One,
    /// With versions.
    Two,
}

impl fmt::Display for KvVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::One => "1",
            Self::Two => "2",
        })
    }
}

impl TryFrom<u8> for KvVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(format!("there is no version {other} of KV, only 1 and 2")),
        }
    }
}

/// How to get a token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Auth {
    /// One that is given.
    Token(Token),
    /// By a Kubernetes service account's token (`auth/kubernetes`).
    Kubernetes(Jwt),
    /// By any other JWT (`auth/jwt`).
    Jwt(Jwt),
    /// By a role id and mostly a secret id (`auth/approle`).
    AppRole(AppRole),
    /// By a name and password of a directory (`auth/ldap`).
    Ldap(Password),
    /// By a name and password that the server itself keeps (`auth/userpass`).
    UserPass(Password),
    /// By a TLS client certificate (`auth/cert`).
    Certificate(Certificate),
    /// By who we are on AWS (`auth/aws`, of Vault alone); not from the settings' text.
    #[serde(skip)]
    Aws(Aws),
    /// By no login: at the address is a Vault agent or proxy that adds a token of its own.
    Agent,
}

/// A token that is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Token(pub Credential);

/// A login with a JWT, of Kubernetes or of others: both kinds of mount take the same request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Jwt {
    /// Where the method is mounted below `auth/`; `kubernetes` and `jwt` without it.
    #[serde(default)]
    pub mount: Option<String>,
    /// The role to take; a JWT mount may have a default role.
    #[serde(default)]
    pub role: Option<String>,
    /// The JWT; without it, the pod's own service account token.
    #[serde(default = "Credential::own_token")]
    pub jwt: Credential,
}

/// A login by AppRole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AppRole {
    /// Where the method is mounted below `auth/`; `approle` without it.
    #[serde(default)]
    pub mount: Option<String>,
    /// Which role.
    pub role_id: Credential,
    /// The secret id; a role may be made to do without.
    #[serde(default)]
    pub secret_id: Option<Credential>,
    /// Whether `secret_id` is a wrapping token, which holds the secret id and works once.
    #[serde(default)]
    pub wrapped: bool,
}

/// A login with a name and password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Password {
    /// Where the method is mounted below `auth/`; `ldap` and `userpass` without it.
    #[serde(default)]
    pub mount: Option<String>,
    /// Who.
    pub username: String,
    /// The password.
    pub password: Credential,
}

/// A login with a TLS client certificate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Certificate {
    /// Where the method is mounted below `auth/`; `cert` without it.
    pub mount: Option<String>,
    /// The role to take; without it, the server takes the first that the certificate fits.
    pub role: Option<String>,
    /// The certificate; without it, that of the settings' `tls`.
    pub certificate: Option<ClientCertificate>,
}

/// A login as somebody on AWS.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Where the method is mounted below `auth/`; `aws` without it.
    pub mount: Option<String>,
    /// The role to take.
    pub role: String,
    /// What the server calls itself (`X-Vault-AWS-IAM-Server-ID`), so that a login for it is good for no other one.
    pub server_id: Option<String>,
    /// Who signs.
    pub caller: Arc<dyn AwsCaller>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(settings: &str) -> Result<String, String> {
        let settings: Settings = serde_json::from_str(settings).map_err(|error| error.to_string())?;
        assert!(!format!("{settings:?}").contains("canary"));
        Ok(settings.auth.to_string())
    }

    #[test]
    fn settings_are_written_as_a_store_in_the_configuration() {
        let check = |auth: &str, expected: &str| {
            let settings = format!(r#"{{"address": "https://v", "auth": {auth}}}"#);
            assert_eq!(identity(&settings).as_deref(), Ok(expected));
        };
        check(r#"{"token": {"file": "/t"}}"#, "token from /t");
        check(r#"{"token": {"value": "canary"}}"#, "token from the settings");
        check(
            r#"{"kubernetes": {"role": "app", "mount": "prod"}}"#,
            "role app by auth/prod with the token in /var/run/secrets/kubernetes.io/serviceaccount/token",
        );
        check(
            r#"{"jwt": {"jwt": {"value": "canary"}}}"#,
            "the default role by auth/jwt with the token from the settings",
        );
        check(
            r#"{"ldap": {"username": "app", "password": {"file": "/p"}}}"#,
            "user app by auth/ldap with the password in /p",
        );
        check(
            r#"{"userPass": {"username": "app", "password": {"value": "canary"}, "mount": "people"}}"#,
            "user app by auth/people with the password from the settings",
        );
        check(r#"{"certificate": {}}"#, "the client certificate by auth/cert");
        check(
            r#"{"certificate": {"role": "web", "certificate": {"certificate": {"file": "/c"}, "key": {"text": "canary"}}}}"#,
            "the client certificate by auth/cert in role web",
        );
        check(r#""agent""#, "the token of the agent at the address");
        check(
            r#"{"appRole": {"roleId": {"value": "canary"}, "secretId": {"file": "/s"}, "wrapped": true}}"#,
            "the AppRole of the settings by auth/approle with the secret id in /s",
        );
        let full = r#"{
            "address": "https://v", "auth": {"token": {"file": "/t"}}, "namespace": "team",
            "loginNamespace": "", "consistency": "readYourWrites", "mount": "kv", "kvVersion": 2,
            "headers": {"X-Gateway": "canary"}, "timeoutSeconds": 5,
            "tls": {
                "roots": {"only": [{"file": "/ca.pem"}]}, "serverName": "v", "insecureSkipVerify": false,
                "client": {"certificate": {"file": "/c.pem"}, "key": {"text": "canary"}}
            }
        }"#;
        assert_eq!(identity(full).as_deref(), Ok("token from /t"));
    }

    #[test]
    fn mistakes_in_settings_are_named() {
        for (settings, words) in [
            (r#"{"address": "https://v"}"#, "missing field `auth`"),
            (r#"{"address": "v", "auth": {"token": {"file": "/t"}}, "kvVersion": 3}"#, "no version 3 of KV"),
            (r#"{"address": "v", "auth": {"token": {"file": "/t"}}, "adress": 1}"#, "unknown field `adress`"),
            (r#"{"address": "v", "auth": {"okta": {}}}"#, "unknown variant `okta`"),
        ] {
            let error = identity(settings).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
