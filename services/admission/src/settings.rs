//! Flags: our own, those of kube-secrets-init and those of AWS' sidecar injector.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use serde_json::Value;
use strongroom_api::GoDuration;
use strongroom_kamus_services::KeyOptions;
use strongroom_telemetry::{LogFormat, LogLevel};

const OURS: &str = "Strongroom";
const CERTIFICATE: &str = "Certificate";
const REGISTRY: &str = "Registries";
const SECRETS_INIT: &str = "As in kube-secrets-init";
const AGENT: &str = "The agent that renders files";
const INJECTOR: &str = "As in AWS' secret sidecar injector";
const NO_EFFECT: &str = "Accepted for others' sake, without effect";

/// Flags of `strongroom admission`.
#[derive(Args, Clone, Debug)]
pub struct AdmissionSettings {
    /// What kube-secrets-init's command line has here; means nothing
    #[arg(value_name = "server", value_parser = ["server"], hide = true)]
    pub command: Option<String>,

    /// kubeconfig file; when absent KUBECONFIG, the pod's own service account, or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = OURS)]
    pub kubeconfig: Option<PathBuf>,

    /// The address of the API server's calls
    #[arg(long, value_name = "ADDRESS", default_value = ":8443", help_heading = SECRETS_INIT)]
    pub listen_address: String,

    /// Serve /metrics on this address, by plain HTTP, and not beside the reviews
    #[arg(long, value_name = "ADDRESS", default_value = "", help_heading = SECRETS_INIT)]
    pub telemetry_listen_address: String,

    /// PEM: the certificate, then those that signed it; read anew when it changes
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file", help_heading = SECRETS_INIT)]
    pub tls_cert_file: Option<PathBuf>,

    /// PEM: the certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = SECRETS_INIT)]
    pub tls_private_key_file: Option<PathBuf>,

    /// The image that wrapped containers get the small program from [default: ours, of this version]
    #[arg(long, value_name = "IMAGE", help_heading = SECRETS_INIT)]
    pub image: Option<String>,

    /// Its imagePullPolicy, and that of --sidecar-image
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"], help_heading = SECRETS_INIT)]
    pub pull_policy: String,

    /// Handed to the small program; which store a reference is in says the reference
    #[arg(long, short, value_name = "NAME", default_value = "aws", value_parser = ["aws", "google"], help_heading = SECRETS_INIT)]
    pub provider: String,

    /// The volume of the small program
    #[arg(long, value_name = "NAME", default_value = "secrets-init-bin", help_heading = SECRETS_INIT)]
    pub volume_name: String,

    /// Where it is mounted
    #[arg(long, value_name = "PATH", default_value = "/helper/bin", help_heading = SECRETS_INIT)]
    pub volume_path: String,

    /// A pull secret for looking up images of pods whose own do not open them
    #[arg(long, alias = "default_image_pull_secret", value_name = "NAME", default_value = "", help_heading = SECRETS_INIT)]
    pub default_image_pull_secret: String,

    /// Its namespace [default: that of this pod]
    #[arg(long, alias = "default_image_pull_secret_namespace", value_name = "NAME", default_value = "", help_heading = SECRETS_INIT)]
    pub default_image_pull_secret_namespace: String,

    /// Do not check certificates of registries
    #[arg(long, value_name = "BOOLEAN", num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, help_heading = SECRETS_INIT)]
    pub registry_skip_verify: bool,

    /// Log as JSON [env: LOG_JSON]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOLEAN", help_heading = SECRETS_INIT)]
    pub json: Option<bool>,

    /// The least important lines that are logged: debug, info, warning, error [default: info] [env: LOG_LEVEL]
    #[arg(long, value_name = "LEVEL", help_heading = SECRETS_INIT)]
    pub log_level: Option<String>,

    /// How log lines are written [default: logfmt]
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = OURS)]
    pub log_format: Option<LogFormat>,

    /// The port on all addresses, in place of --listen-address
    #[arg(long, value_name = "PORT", help_heading = INJECTOR)]
    pub port: Option<u16>,

    /// The image of the init container that writes files [default: ours, of this version]
    #[arg(long, value_name = "IMAGE", help_heading = INJECTOR)]
    pub sidecar_image: Option<String>,

    /// Keep an authority and certificates of our own, for this Service in the pod's namespace, in place of files
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert_file", requires_all = ["certificate_secret", "certificate_lease"], help_heading = CERTIFICATE)]
    pub certificate_service: Option<String>,

    /// The Secret that they are kept in; made where there is none
    #[arg(long, value_name = "NAME", help_heading = CERTIFICATE)]
    pub certificate_secret: Option<String>,

    /// The Lease of the replica that renews them
    #[arg(long, value_name = "NAME", help_heading = CERTIFICATE)]
    pub certificate_lease: Option<String>,

    /// A MutatingWebhookConfiguration whose caBundle is kept; repeatable
    #[arg(long, value_name = "NAME", requires = "certificate_service", help_heading = CERTIFICATE)]
    pub mutating_configuration: Vec<String>,

    /// A ValidatingWebhookConfiguration whose caBundle is kept; repeatable
    #[arg(long, value_name = "NAME", requires = "certificate_service", help_heading = CERTIFICATE)]
    pub validating_configuration: Vec<String>,

    /// How long an authority of our own holds
    #[arg(long, value_name = "TIME", default_value = "8760h", value_parser = duration, help_heading = CERTIFICATE)]
    pub authority_life: Duration,

    /// How long a certificate of our own holds, at most a third of that
    #[arg(long, value_name = "TIME", default_value = "720h", value_parser = duration, help_heading = CERTIFICATE)]
    pub certificate_life: Duration,

    /// Serve by plain HTTP on an address that others reach: something before this must do TLS
    #[arg(long, help_heading = CERTIFICATE)]
    pub allow_plain_http: bool,

    /// VAULT_ADDR of containers that need Vault and do not say where it is
    #[arg(long, value_name = "ADDRESS", help_heading = OURS)]
    pub vault_address: Option<String>,

    /// The audience of the token that pods log in to Vault with [default: their ordinary token]
    #[arg(long, value_name = "NAME", help_heading = OURS)]
    pub vault_audience: Option<String>,

    /// The image of the agents of pods with files [default: that of --image]
    #[arg(long, value_name = "IMAGE", help_heading = AGENT)]
    pub agent_image: Option<String>,

    /// Its imagePullPolicy [default: that of --pull-policy]
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"], help_heading = AGENT)]
    pub agent_pull_policy: Option<String>,

    /// Resources of each agent, as JSON: {"requests":{"memory":"16Mi"},"limits":{"memory":"64Mi"}}; the files count as its
    /// memory [default: requests of 10m and 16Mi, limits of 200m and 64Mi]
    #[arg(long, value_name = "JSON", value_parser = resources, help_heading = AGENT)]
    pub agent_resources: Option<Value>,

    /// The most that the files of a pod may take; while they change there are two sets of them
    #[arg(long, value_name = "QUANTITY", default_value = "32Mi", value_parser = size, help_heading = AGENT)]
    pub agent_files_size: String,

    /// The shortest time between two looks for changes that a pod may ask for
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = AGENT)]
    pub agent_least_refresh: Duration,

    /// Registries (hosts, with a port where they have one) that are asked by plain HTTP; repeatable
    #[arg(long, value_name = "HOST", value_delimiter = ',', help_heading = REGISTRY)]
    pub registry_plain_http: Vec<String>,

    /// Registries that may have loopback or link-local addresses; repeatable
    #[arg(long, value_name = "HOST", value_delimiter = ',', help_heading = REGISTRY)]
    pub registry_local: Vec<String>,

    /// Ask another address first: docker.io=https://mirror.example.com; repeatable
    #[arg(long, value_name = "HOST=URL", value_delimiter = ',', help_heading = REGISTRY)]
    pub registry_mirror: Vec<String>,

    /// PEM: authorities of registries, beside the system's
    #[arg(long, value_name = "FILE", help_heading = REGISTRY)]
    pub registry_authorities: Option<PathBuf>,

    /// How long reviews that are under way may take at the end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = OURS)]
    pub drain_seconds: u64,

    /// How long new connections are taken after a signal, in seconds: until the API server hears that this replica ends
    #[arg(long, value_name = "SECONDS", default_value_t = 5, help_heading = OURS)]
    pub linger_seconds: u64,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the flags' common help")]
    pub keys: KeyOptions,

    /// Which key of a pull secret is read: both are
    #[arg(long, value_name = "KEY", help_heading = NO_EFFECT)]
    pub docker_config_json_key: Option<String>,
}

impl AdmissionSettings {
    /// kube-secrets-init's levels, of which those that it does not know mean `warning`.
    pub(crate) fn level(&self, lookup: &dyn Fn(&str) -> Option<String>) -> LogLevel {
        let level = self.log_level.clone().or_else(|| lookup("LOG_LEVEL")).filter(|level| !level.is_empty());
        match level.as_deref().unwrap_or("info").to_lowercase().as_str() {
            "trace" | "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            "error" | "fatal" | "panic" => LogLevel::Error,
            _ => LogLevel::Warn,
        }
    }

    pub(crate) fn format(&self, lookup: &dyn Fn(&str) -> Option<String>) -> LogFormat {
        let is_json = self.json.unwrap_or_else(|| lookup("LOG_JSON").is_some_and(|value| value == "true"));
        self.log_format.unwrap_or(if is_json { LogFormat::Json } else { LogFormat::default() })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    GoDuration::from(text).duration().map_err(|_| "use a time such as 720h or 30m".to_owned())
}

/// What a container may say under `resources`.
fn resources(text: &str) -> Result<Value, String> {
    let read = serde_json::from_str(text).ok().filter(is_resources);
    read.ok_or_else(|| r#"use JSON such as {"requests":{"memory":"16Mi"},"limits":{"memory":"64Mi"}}"#.to_owned())
}

fn is_resources(value: &Value) -> bool {
    let is_amount = |amount: &Value| amount.is_string() || amount.is_number();
    let Some(parts) = value.as_object() else { return false };
    parts.iter().all(|(name, part)| {
        let amounts = part.as_object();
        matches!(name.as_str(), "requests" | "limits") && amounts.is_some_and(|all| all.values().all(is_amount))
    })
}

fn size(text: &str) -> Result<String, String> {
    let number = ["Ki", "Mi", "Gi"].into_iter().find_map(|unit| text.strip_suffix(unit));
    let is_size = number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 0);
    if is_size { Ok(text.to_owned()) } else { Err("use a size such as 32Mi".to_owned()) }
}

/// Command lines as Go's `flag` reads them have one dash before long names: `-tls-cert-file`. For `strongroom admission`
/// they get their second.
pub fn with_two_dashes(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    if arguments.get(1).is_none_or(|role| role != "admission") {
        return arguments;
    }
    for argument in arguments.iter_mut().skip(2) {
        let long = argument.to_str().and_then(|text| text.strip_prefix('-')).filter(|rest| {
            let name = rest.split('=').next().unwrap_or_default();
            name.len() > 1 && !name.starts_with('-')
        });
        if let Some(long) = long {
            *argument = format!("--{long}").into();
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_and_sizes_are_what_a_pod_can_have() {
        for good in [r#"{"requests":{"cpu":"10m"},"limits":{"memory":1000}}"#, "{}"] {
            assert!(resources(good).is_ok(), "{good}");
        }
        for wrong in ["", "[]", r#"{"request":{}}"#, r#"{"limits":{"cpu":{}}}"#, r#"{"limits":"1"}"#] {
            assert!(resources(wrong).is_err(), "{wrong}");
        }
        for (text, is_good) in [("32Mi", true), ("1Gi", true), ("0Mi", false), ("32", false), ("-1Mi", false)] {
            assert_eq!(size(text).is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn long_names_may_have_one_dash() {
        let check = |given: &[&str], expected: &[&str]| {
            let given = ["strongroom"].iter().chain(given).map(Into::into);
            let got = with_two_dashes(given);
            let got: Vec<_> = got.iter().skip(1).map(|argument| argument.to_str().unwrap()).collect();
            assert_eq!(got, expected);
        };
        check(
            &["admission", "-tls-cert-file=/a", "-port", "443", "--image", "x", "-p", "aws", "-p=google"],
            &["admission", "--tls-cert-file=/a", "--port", "443", "--image", "x", "-p", "aws", "-p=google"],
        );
        check(&["operator", "-port", "443"], &["operator", "-port", "443"]);
    }
}
