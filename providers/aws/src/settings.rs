use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use strongroom_failure::{Class, Failure};
use strongroom_provider::TokenSource;
use strongroom_secret::SecretBytes;

/// How to reach AWS and as whom. Everything left out is found as AWS's own tools find it: `AWS_*` variables, profile
/// files, web identity, the container's or the machine's credentials.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Settings {
    /// The region of secrets whose reference names none, and of STS.
    pub region: Option<String>,
    /// A profile of the shared configuration files, instead of the default chain.
    pub profile: Option<String>,
    /// An access key, instead of the default chain.
    pub access_key: Option<AccessKey>,
    /// A role that is taken with a token that somebody else issued, instead of the default chain.
    pub web_identity: Option<WebIdentity>,
    /// Roles to assume one after the other; the last one reads the secrets.
    pub roles: Vec<Role>,
    /// Other addresses than AWS's own.
    pub endpoints: Endpoints,
    /// A PEM file of the authorities to trust *instead of* the system's; else `AWS_CA_BUNDLE`, `SSL_CERT_FILE` and the
    /// system's own, in this order.
    pub ca_file: Option<PathBuf>,
    /// Proxies; the ambient `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` when absent.
    pub proxy: Option<ProxySettings>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// A long-lived or temporary access key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AccessKey {
    /// The key's id, `AKIA…` or `ASIA…`: a name, not a secret.
    pub id: String,
    /// The key itself.
    #[serde(deserialize_with = "secret")]
    pub secret: SecretBytes,
    /// The session's token, for temporary keys.
    #[serde(default, deserialize_with = "optional_secret")]
    pub session_token: Option<SecretBytes>,
}

/// A role that is taken with a token that somebody else issued, as on EKS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WebIdentity {
    /// Where the token comes from; asked again whenever credentials are renewed.
    #[serde(rename = "tokenFile")]
    pub token: WebToken,
    /// The role's ARN.
    pub role_arn: String,
    /// What the session is called in CloudTrail; `AWS_ROLE_SESSION_NAME` or `strongroom` when absent.
    #[serde(default)]
    pub session_name: Option<String>,
}

/// Where a web identity's token comes from. A configuration file can only name a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "PathBuf")]
pub enum WebToken {
    /// A file that something else keeps fresh.
    File(PathBuf),
    /// Whoever issues tokens, such as the API server for service accounts.
    Source(Arc<dyn TokenSource>),
}

impl From<PathBuf> for WebToken {
    fn from(file: PathBuf) -> Self {
        Self::File(file)
    }
}

/// A role to assume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Role {
    /// The role's ARN.
    pub arn: String,
    /// The id that the role's owner asks for.
    pub external_id: Option<String>,
    /// What the session is called in CloudTrail; `AWS_ROLE_SESSION_NAME` or `strongroom` when absent.
    pub session_name: Option<String>,
    /// Tags of the session, at most 50.
    pub session_tags: BTreeMap<String, String>,
    /// Keys of `session_tags` that later roles of the chain inherit.
    pub transitive_tag_keys: Vec<String>,
    /// Seconds that the session lasts, 900 to 43,200; AWS allows at most 3,600 for a role assumed by a role. One hour
    /// when absent.
    pub duration_seconds: Option<u32>,
}

/// Addresses of the services, for emulators and private endpoints. They win over `AWS_ENDPOINT_URL*`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Endpoints {
    /// Of Secrets Manager.
    pub secrets_manager: Option<String>,
    /// Of Systems Manager.
    pub parameter_store: Option<String>,
    /// Of Certificate Manager. No reference reads from it, so no configuration file names it.
    #[cfg(feature = "certificates")]
    #[serde(skip)]
    pub certificate_manager: Option<String>,
    /// Of the Resource Groups Tagging API, by which certificates are found.
    #[cfg(feature = "certificates")]
    #[serde(skip)]
    pub resource_tags: Option<String>,
    /// Of the Security Token Service, for `roles` and `web_identity`.
    pub sts: Option<String>,
    /// Of the private registries' service, for logins.
    pub ecr: Option<String>,
    /// Of the public registry's service, for logins.
    pub ecr_public: Option<String>,
    /// Of the Key Management Service. No reference reads from it, so no configuration file names it.
    #[serde(skip)]
    pub kms: Option<String>,
}

/// Proxies by the scheme of what is asked for; none at all when empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ProxySettings {
    /// For `https://`, which is all that AWS itself speaks. May carry a user and password.
    #[serde(deserialize_with = "optional_secret")]
    pub https: Option<SecretBytes>,
    /// For `http://`.
    #[serde(deserialize_with = "optional_secret")]
    pub http: Option<SecretBytes>,
    /// Hosts to reach directly, comma-separated, as in `NO_PROXY`.
    pub no_proxy: String,
}

/// How long to wait, in seconds (fractions allowed).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Timeouts {
    /// For a connection, TLS included.
    #[serde(deserialize_with = "seconds")]
    pub connect: Duration,
    /// For one whole call, connection and answer included.
    #[serde(deserialize_with = "seconds")]
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // A connection within a region takes milliseconds; a lost first packet is sent again after 1 s and 3 s.
        // AWS answers in well under a second; 10 s leaves room for a full batch over a slow line.
        Self { connect: Duration::from_secs(4), call: Duration::from_secs(10) }
    }
}

impl Settings {
    /// Refuses what AWS would refuse later, in words that name the field.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        let sources = [self.profile.is_some(), self.access_key.is_some(), self.web_identity.is_some()];
        if sources.into_iter().filter(|given| *given).count() > 1 {
            return Err(invalid("accessKey", "give one of profile, accessKey and webIdentity, not several"));
        }
        if let Some(identity) = &self.web_identity {
            check_role(&identity.role_arn).map_err(|words| invalid("webIdentity.roleArn", words))?;
            check_session_name(identity.session_name.as_deref())
                .map_err(|words| invalid("webIdentity.sessionName", words))?;
        }
        for (place, role) in self.roles.iter().enumerate() {
            role.validate(place)?;
        }
        if self.region.as_deref().is_some_and(|region| !is_region(region)) {
            return Err(invalid("region", "this is not the name of a region, such as eu-west-1"));
        }
        self.endpoints.validate()?;
        if self.timeouts.connect.is_zero() || self.timeouts.call.is_zero() {
            return Err(invalid("timeouts", "a timeout must be longer than 0 seconds"));
        }
        Ok(())
    }
}

impl Role {
    fn validate(&self, place: usize) -> Result<(), Failure> {
        let field = |name: &str| format!("roles[{place}].{name}");
        check_role(&self.arn).map_err(|words| invalid(field("arn"), words))?;
        check_session_name(self.session_name.as_deref()).map_err(|words| invalid(field("sessionName"), words))?;
        if self.session_tags.len() > 50 {
            return Err(invalid(field("sessionTags"), "AWS takes at most 50 session tags"));
        }
        if let Some(stray) = self.transitive_tag_keys.iter().find(|key| !self.session_tags.contains_key(*key)) {
            return Err(invalid(field("transitiveTagKeys"), format!("\"{stray}\" is not one of sessionTags")));
        }
        match self.duration_seconds {
            Some(seconds) if !(900..=43_200).contains(&seconds) => {
                Err(invalid(field("durationSeconds"), "a session lasts 900 to 43200 seconds"))
            }
            Some(seconds) if seconds > 3_600 && place > 0 => {
                Err(invalid(field("durationSeconds"), "a role assumed by a role lasts at most 3600 seconds"))
            }
            _ => Ok(()),
        }
    }
}

impl Endpoints {
    fn validate(&self) -> Result<(), Failure> {
        let all = [
            ("endpoints.secretsManager", &self.secrets_manager),
            ("endpoints.parameterStore", &self.parameter_store),
            #[cfg(feature = "certificates")]
            ("endpoints.certificateManager", &self.certificate_manager),
            #[cfg(feature = "certificates")]
            ("endpoints.resourceTags", &self.resource_tags),
            ("endpoints.sts", &self.sts),
            ("endpoints.ecr", &self.ecr),
            ("endpoints.ecrPublic", &self.ecr_public),
            ("endpoints.kms", &self.kms),
        ];
        for (field, address) in all {
            let Some(address) = address else { continue };
            let uri: Option<http::Uri> = address.parse().ok();
            let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
            if !matches!(scheme, Some("http" | "https")) {
                return Err(invalid(field, "an endpoint is an http:// or https:// address"));
            }
        }
        Ok(())
    }
}

/// Whether `name` can be a region; AWS's own names are lower case with digits and hyphens.
pub(crate) fn is_region(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn check_role(arn: &str) -> Result<(), &'static str> {
    let mut parts = arn.split(':');
    let is_role = parts.next() == Some("arn") && parts.nth(1) == Some("iam") && arn.contains(":role/");
    if is_role { Ok(()) } else { Err("a role is named by its ARN, such as arn:aws:iam::111122223333:role/app") }
}

fn check_session_name(name: Option<&str>) -> Result<(), &'static str> {
    let is_fit = |name: &str| {
        (2..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
    };
    if name.is_none_or(is_fit) { Ok(()) } else { Err("a session's name has 2 to 64 letters, digits or _+=,.@-") }
}

fn invalid(field: impl Into<String>, words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
    String::deserialize(deserializer).map(SecretBytes::from)
}

fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretBytes>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretBytes::from))
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| serde::de::Error::custom("this is not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Settings, String> {
        let settings: Settings = serde_json::from_str(json).map_err(|error| error.to_string())?;
        settings.validate().map_err(|failure| failure.to_string())?;
        Ok(settings)
    }

    #[test]
    fn settings_are_checked_before_anything_starts() {
        let check = |json: &str, expected: &str| match parsed(json) {
            Ok(_) => assert_eq!("", expected, "{json}"),
            Err(words) => assert!(!expected.is_empty() && words.contains(expected), "{json}: {words}"),
        };
        check("{}", "");
        check(r#"{"region": "eu-west-1", "timeouts": {"connect": 0.5, "call": 3}}"#, "");
        check(r#"{"region": "Ireland"}"#, "region: this is not the name");
        check(r#"{"regoin": "eu-west-1"}"#, "unknown field `regoin`");
        check(r#"{"timeouts": {"connect": -1}}"#, "not a number of seconds");
        check(r#"{"timeouts": {"call": 0}}"#, "longer than 0");
        check(r#"{"endpoints": {"sts": "localhost:5000"}}"#, "endpoints.sts: an endpoint is");
        check(r#"{"profile": "a", "accessKey": {"id": "AKIA", "secret": "s"}}"#, "not several");
        check(r#"{"roles": [{"arn": "app"}]}"#, "roles[0].arn: a role is named by its ARN");
        check(r#"{"roles": [{"arn": "arn:aws-cn:iam::1:role/a", "sessionName": "a b"}]}"#, "roles[0].sessionName");
        check(r#"{"roles": [{"arn": "arn:aws:iam::1:role/a", "durationSeconds": 60}]}"#, "900 to 43200");
        check(
            r#"{"roles": [{"arn": "arn:aws:iam::1:role/a"}, {"arn": "arn:aws:iam::1:role/b", "durationSeconds": 7200}]}"#,
            "roles[1].durationSeconds: a role assumed by a role",
        );
        check(
            r#"{"roles": [{"arn": "arn:aws:iam::1:role/a", "transitiveTagKeys": ["team"]}]}"#,
            "\"team\" is not one of sessionTags",
        );
    }

    #[test]
    fn secrets_in_settings_are_never_shown() {
        let json = r#"{"accessKey": {"id": "AKIA1", "secret": "canary-1", "sessionToken": "canary-2"},
                       "proxy": {"https": "http://user:canary-3@proxy:3128"}}"#;
        let shown = format!("{:#?}", parsed(json).unwrap());
        assert!(shown.contains("AKIA1") && !shown.contains("canary"), "{shown}");
    }
}
