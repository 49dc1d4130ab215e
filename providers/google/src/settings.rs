//! How to reach Google and as whom.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
use strongroom_provider::TokenSource;
use strongroom_secret::SecretBytes;

use crate::name::{is_location, is_project};

/// Where the metadata server answers unless `GCE_METADATA_HOST` says otherwise.
pub(crate) const METADATA_HOST: &str = "metadata.google.internal";

/// How to reach Google and as whom. What is left out is found as Google's own tools find it, once
/// [`Settings::completed`] was called.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The project of keys that name none: its id or number.
    pub project: Option<String>,
    /// The region of keys that name neither project nor region; global secrets when absent.
    pub location: Option<String>,
    /// Another address than Google's own, `https://HOST[:PORT]`, for global and regional secrets alike: a private
    /// endpoint, an emulator.
    pub endpoint: Option<String>,
    /// As whom; Application Default Credentials when absent.
    pub credentials: Option<Credentials>,
    /// The metadata server, `HOST[:PORT]`.
    pub metadata_host: Option<String>,
    /// The project that is charged for the calls and whose quota counts, where it is not the secret's own.
    pub quota_project: Option<String>,
    /// Google's domain, for clouds other than the public one; `googleapis.com` when absent.
    pub universe_domain: Option<String>,
    /// Where the latest version is disabled or destroyed, takes the newest one that is enabled.
    pub latest_enabled: bool,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// Proxies, never asked for the metadata server; the ambient ones when absent.
    pub proxy: Option<ProxySettings>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Where `gcloud auth application-default login` leaves a person's credentials; not for settings files.
    #[serde(skip)]
    pub well_known_file: Option<PathBuf>,
    /// The proxies that the environment names; not for settings files.
    #[serde(skip)]
    pub ambient_proxy: Proxy,
    /// Where requests may lead, the metadata server's apart; not for settings files.
    #[serde(skip)]
    pub addresses: AddressPolicy,
    /// Whether keys are names of secrets in the project and region of these settings, and of no others; not for
    /// settings files.
    #[serde(skip)]
    pub is_confined: bool,
}

/// As whom to ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Credentials {
    /// A file of type `service_account`, `authorized_user`, `external_account` or `impersonated_service_account`.
    File(PathBuf),
    /// The text of such a file.
    #[serde(deserialize_with = "secret")]
    Json(SecretBytes),
    /// The service account of the machine or pod, from the metadata server.
    Metadata,
    /// An outside identity whose tokens this process is given; not for settings files.
    #[serde(skip)]
    Federated(Federation),
}

/// An outside identity that Google was told to trust.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Where its tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// Who was told to trust it: a provider of a pool (`//iam.googleapis.com/projects/…/providers/…`), or a cluster
    /// ([`crate::Cluster::audience`]).
    pub audience: String,
    /// Who exchanges its tokens.
    pub exchange: Exchange,
    /// The e-mail address of a service account to act as.
    pub service_account: Option<String>,
}

/// Who exchanges an outside identity's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The security token service, for pools.
    SecurityTokenService,
    /// The service behind the workload identity of GKE, for clusters.
    IdentityBinding,
}

/// Proxies by the scheme of what is asked for; none at all when empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ProxySettings {
    /// For `https://`, which is all that Google itself speaks. May carry a user and password.
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
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection, proxy and TLS included.
    #[serde(deserialize_with = "seconds")]
    pub connect: Duration,
    /// For one whole call, connection and answer included.
    #[serde(deserialize_with = "seconds")]
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // A connection takes milliseconds; a lost first packet is sent again after 1 s and 3 s. Google answers in well
        // under a second.
        Self { connect: Duration::from_secs(4), call: Duration::from_secs(10) }
    }
}

impl Settings {
    /// The ambient settings.
    ///
    /// # Errors
    /// As [`Settings::completed`].
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        Self::default().completed(lookup)
    }

    /// These settings with what they leave out filled from the variables that Google's tools read:
    /// `GOOGLE_PROJECT`, `GOOGLE_CLOUD_PROJECT`, `GOOGLE_APPLICATION_CREDENTIALS`, `CLOUDSDK_CONFIG`, `HOME`,
    /// `GCE_METADATA_HOST`, `GOOGLE_CLOUD_QUOTA_PROJECT`, `GOOGLE_CLOUD_UNIVERSE_DOMAIN`,
    /// `CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER`, `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR` ...
    ///
    /// # Errors
    /// Where a proxy variable holds no proxy's address.
    pub fn completed(mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let find = |name: &str| lookup(name).filter(|value| !value.is_empty());
        self.project = self.project.or_else(|| find("GOOGLE_PROJECT")).or_else(|| find("GOOGLE_CLOUD_PROJECT"));
        self.endpoint = self.endpoint.or_else(|| find("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"));
        self.metadata_host = self.metadata_host.or_else(|| find("GCE_METADATA_HOST"));
        self.quota_project = self.quota_project.or_else(|| find("GOOGLE_CLOUD_QUOTA_PROJECT"));
        self.universe_domain = self.universe_domain.or_else(|| find("GOOGLE_CLOUD_UNIVERSE_DOMAIN"));
        let named = || find("GOOGLE_APPLICATION_CREDENTIALS").map(|path| Credentials::File(path.into()));
        self.credentials = self.credentials.or_else(named);
        let directory = find("CLOUDSDK_CONFIG").map(PathBuf::from);
        let directory = directory.or_else(|| find("HOME").map(|home| PathBuf::from(home).join(".config/gcloud")));
        let well_known = directory.map(|directory| directory.join("application_default_credentials.json"));
        self.well_known_file = self.well_known_file.or(well_known);
        let TlsSettings { system_file, system_directory, .. } = TlsSettings::from_environment(lookup);
        self.tls.system_file = self.tls.system_file.or(system_file);
        self.tls.system_directory = self.tls.system_directory.or(system_directory);
        self.ambient_proxy = Proxy::from_environment(lookup)?;
        Ok(self)
    }

    /// Refuses what cannot work, in words that name the field.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        let invalid = |field: &str, words: &str| Err(Failure::new(Class::Invalid, words).in_field(field));
        if self.project.as_deref().is_some_and(|project| !is_project(project)) {
            return invalid("project", "this is neither a project's id nor its number");
        }
        if self.location.as_deref().is_some_and(|location| !is_location(location)) {
            return invalid("location", "this is not a region such as europe-west3");
        }
        let is_address = |text: &str| text.starts_with("https://") || text.starts_with("http://");
        if self.endpoint.as_deref().is_some_and(|endpoint| !is_address(endpoint)) {
            return invalid("endpoint", "the address must begin with https:// or http://");
        }
        Ok(())
    }

    /// `HOST[:PORT]` of the metadata server.
    pub(crate) fn metadata_host(&self) -> &str {
        self.metadata_host.as_deref().unwrap_or(METADATA_HOST)
    }

    /// What the client for everything but the metadata server is built from.
    pub(crate) fn client(&self, body_limit: usize) -> Result<strongroom_http::Settings, Failure> {
        let proxy = match &self.proxy {
            Some(proxy) => proxy.rules()?,
            None => self.ambient_proxy.clone(),
        };
        let Timeouts { connect, call } = self.timeouts;
        Ok(strongroom_http::Settings {
            tls: self.tls.clone(),
            proxy,
            timeouts: strongroom_http::Timeouts { connect, wait: call, total: call },
            body_limit,
            addresses: self.addresses,
            ..strongroom_http::Settings::default()
        })
    }
}

impl ProxySettings {
    fn rules(&self) -> Result<Proxy, Failure> {
        let text =
            |address: &Option<SecretBytes>| address.as_ref().and_then(SecretBytes::expose_text).map(ToOwned::to_owned);
        let rules = Proxy::new(text(&self.http).as_deref(), text(&self.https).as_deref(), &self.no_proxy);
        rules.map_err(|error| Failure::from(error).in_field("proxy"))
    }
}

/// Text that is a secret.
pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
    String::deserialize(deserializer).map(SecretBytes::from)
}

/// Text that is a secret, where it is given.
pub(crate) fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretBytes>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretBytes::from))
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    // An hour: no call that takes longer is of use to anyone.
    let wait =
        Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero() && *wait <= Duration::from_secs(3600));
    wait.ok_or_else(|| serde::de::Error::custom("a time must be more than 0 and at most 3600 seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(settings: Settings, pairs: &[(&str, &str)]) -> Result<Settings, Failure> {
        settings.completed(&|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn si_17_the_environment_fills_what_is_left_out() {
        let ambient = completed(
            Settings::default(),
            &[
                ("GOOGLE_CLOUD_PROJECT", "q"),
                ("GOOGLE_PROJECT", "p"),
                ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
                ("HOME", "/home/bob"),
                ("GCE_METADATA_HOST", "127.0.0.1:1"),
                ("https_proxy", "http://user:canary@proxy:3128"),
            ],
        )
        .unwrap();
        assert_eq!(ambient.project.as_deref(), Some("p"));
        assert_eq!(ambient.metadata_host(), "127.0.0.1:1");
        assert!(matches!(&ambient.credentials, Some(Credentials::File(path)) if path.to_str() == Some("/key.json")));
        let well_known = "/home/bob/.config/gcloud/application_default_credentials.json";
        assert_eq!(ambient.well_known_file, Some(PathBuf::from(well_known)));
        assert!(!format!("{ambient:?}").contains("canary"));
        assert!(ambient.ambient_proxy.hop(&"https://a".parse().unwrap()).is_some());

        let own = Settings {
            project: Some("own".to_owned()),
            credentials: Some(Credentials::Metadata),
            ..Settings::default()
        };
        let own = completed(own, &[("GOOGLE_PROJECT", "p"), ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")]).unwrap();
        assert_eq!(own.project.as_deref(), Some("own"));
        assert!(matches!(own.credentials, Some(Credentials::Metadata)));

        let empty = completed(Settings::default(), &[("GOOGLE_PROJECT", ""), ("GOOGLE_CLOUD_PROJECT", "q")]).unwrap();
        assert_eq!((empty.project.as_deref(), empty.metadata_host()), (Some("q"), METADATA_HOST));
        let failure = completed(Settings::default(), &[("HTTPS_PROXY", "socks5://p")]).unwrap_err();
        assert!(failure.to_string().contains("HTTPS_PROXY"), "{failure}");
    }

    #[test]
    fn settings_refuse_what_they_do_not_know() {
        let check = |text: &str, good: bool| {
            let parsed = serde_json::from_str::<Settings>(text);
            assert_eq!(parsed.is_ok_and(|settings| settings.validate().is_ok()), good, "{text}");
        };
        check("{}", true);
        check(r#"{"project":"p","location":"us-east1","endpoint":"https://x","timeouts":{"connect":0.5}}"#, true);
        check(r#"{"credentials":{"file":"/key.json"}}"#, true);
        check(r#"{"credentials":{"json":"{}"}}"#, true);
        check(r#"{"credentials":"metadata"}"#, true);
        check(r#"{"credentials":"gcloud"}"#, false);
        check(r#"{"projcet":"p"}"#, false);
        check(r#"{"project":"a/b"}"#, false);
        check(r#"{"location":"evil.example/"}"#, false);
        check(r#"{"endpoint":"secretmanager"}"#, false);
        check(r#"{"timeouts":{"call":0}}"#, false);
        check(r#"{"wellKnownFile":"/x"}"#, false);
    }
}
