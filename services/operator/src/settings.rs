//! The operator's flags: our own, and those of External Secrets Operator that people set.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use strongroom_api::GoDuration;
use strongroom_failure::{Class, Failure};
use strongroom_kamus_services::KeyOptions;
use strongroom_restarts::RestartSettings;
use strongroom_sync::status;
use strongroom_telemetry::{LogFormat, LogLevel};

const OURS: &str = "Strongroom";
const CLUSTER: &str = "Cluster";
const ESO: &str = "As in External Secrets Operator";
const EVENTS: &str = "Following changes";
const KAMUS: &str = "Kamus";
const ADMISSION: &str = "Admission";
const NO_EFFECT: &str = "Accepted for External Secrets Operator's sake, without effect";

/// Flags of `strongroom operator`.
#[derive(Args, Clone, Debug)]
pub struct OperatorSettings {
    /// kubeconfig file; when absent KUBECONFIG, the pod's own service account, or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = CLUSTER)]
    pub kubeconfig: Option<PathBuf>,

    /// Serve only these namespaces (comma-separated, repeatable); cluster kinds are then left alone
    #[arg(long = "namespace", value_name = "NAMES", value_delimiter = ',', help_heading = CLUSTER)]
    pub namespaces: Vec<String>,

    /// Serve only namespaces with these labels: team=a,env!=dev
    #[arg(long, value_name = "SELECTOR", conflicts_with = "namespaces", help_heading = CLUSTER)]
    pub namespace_selector: Option<String>,

    /// Requests a second to the API server
    #[arg(long, value_name = "N", default_value_t = 500.0, help_heading = CLUSTER)]
    pub client_qps: f32,

    /// Requests to the API server at once after a pause
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = CLUSTER)]
    pub client_burst: u32,

    /// eso: the hash that External Secrets Operator writes; keyed: one that nobody can guess values from
    #[arg(long, value_name = "KIND", default_value = "eso", value_parser = ["eso", "keyed"], help_heading = OURS)]
    pub data_hash: String,

    /// The key of --data-hash=keyed: a file of 32 bytes or more, the same for all replicas
    #[arg(long, value_name = "FILE", required_if_eq("data_hash", "keyed"), help_heading = OURS)]
    pub data_hash_key_file: Option<PathBuf>,

    /// When status.refreshTime moves: on-change, always (a write for every refresh, as External Secrets Operator), or a
    /// time such as 1h for a heartbeat
    #[arg(long, value_name = "WHEN", default_value = "on-change", help_heading = OURS)]
    pub refresh_time: RefreshTime,

    /// Who may use the operator's own cloud identity by naming no credentials: cluster-stores, or all (also
    /// SecretStores)
    #[arg(long, value_name = "WHO", default_value = "cluster-stores", value_parser = ["cluster-stores", "all"], help_heading = OURS)]
    pub ambient_credentials: String,

    /// Let SecretStores name loopback, link-local and metadata addresses
    #[arg(long, help_heading = OURS)]
    pub allow_local_addresses: bool,

    /// Rules for ClusterSecretStores: auto enforces StorePolicies where their CRD is installed; required is not ready
    /// without it; off ignores them
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = ["auto", "required", "off"], help_heading = OURS)]
    pub store_policies: String,

    /// ExternalSecrets of kubernetes-external-secrets (kubernetes-client.io): auto serves them where their CRD is
    /// installed, by the variables that it is set by; off leaves them alone
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = ["auto", "off"], help_heading = OURS)]
    pub kes: String,

    /// Patterns in its namespaces' annotations: anchored ones match a whole key or role; unanchored ones any part of
    /// it, as kubernetes-external-secrets has it
    #[arg(long, value_name = "MODE", default_value = "anchored", value_parser = ["anchored", "unanchored"], help_heading = OURS)]
    pub kes_patterns: String,

    /// Secrets with annotations of cmattoon/aws-ssm: auto serves them; off leaves them alone
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = ["auto", "off"], help_heading = OURS)]
    pub aws_ssm: String,

    /// What these Secrets may read: enforce asks for a StorePolicy that allows it; off lets every namespace read
    /// whatever the operator can, as aws-ssm has it
    #[arg(long, value_name = "MODE", default_value = "enforce", value_parser = ["enforce", "off"], help_heading = OURS)]
    pub aws_ssm_policy: String,

    /// How often their parameters are read; SCAN_INTERVAL (seconds) when absent, else 30s
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = OURS)]
    pub aws_ssm_interval: Option<Duration>,

    /// Write to objects although another controller seems to serve them
    #[arg(long, help_heading = OURS)]
    pub take_over: bool,

    /// Kinds that spec.target.manifest may name, as ConfigMap or argoproj.io/Application (comma-separated)
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_value = "ConfigMap", help_heading = OURS)]
    pub target_kinds: Vec<String>,

    /// How long work under way may take to end after a signal, in seconds or as 20s
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration, help_heading = OURS)]
    pub grace: Duration,

    /// Spread refreshes that are overdue at the start over this long
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration, help_heading = OURS)]
    pub spread: Duration,

    /// text or json, on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = OURS)]
    pub log_format: LogFormat,

    /// error, warn, info or debug; values are never logged
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = ESO)]
    pub loglevel: LogLevel,

    /// Restarts of workloads.
    #[command(flatten)]
    pub restarts: RestartSettings,

    /// Tell of pods that ask for secrets and were created without admission: by an event, a metric and the log (watches
    /// all Pods and Namespaces)
    #[arg(long, help_heading = ADMISSION)]
    pub report_pods: bool,

    /// Namespaces whose pods are not told of, besides the operator's own (comma-separated)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "kube-system", help_heading = ADMISSION)]
    pub report_pods_except: Vec<String>,

    /// Where metrics are served
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", help_heading = ESO)]
    pub metrics_addr: String,

    /// Where /livez and /readyz (also /healthz) are served
    #[arg(long, value_name = "ADDRESS", default_value = ":8082", help_heading = ESO)]
    pub live_addr: String,

    /// Serve only stores whose spec.controller is empty or this
    #[arg(long, value_name = "CLASS", default_value = "default", help_heading = ESO)]
    pub controller_class: String,

    /// Elect a leader, for more than one replica
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "false", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_leader_election: bool,

    /// The Lease's name
    #[arg(long, value_name = "NAME", default_value = "strongroom-operator", help_heading = ESO)]
    pub leader_election_id: String,

    /// The Lease's namespace; the pod's own when absent
    #[arg(long, value_name = "NAME", help_heading = ESO)]
    pub leader_election_namespace: Option<String>,

    /// How long a leader's claim lasts
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration, help_heading = ESO)]
    pub leader_election_lease_duration: Duration,

    /// How long a leader tries to renew before it gives up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = ESO)]
    pub leader_election_renew_deadline: Duration,

    /// How often the claim is renewed or tried
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration, help_heading = ESO)]
    pub leader_election_retry_period: Duration,

    /// Serve ClusterSecretStores
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_cluster_store_reconciler: bool,

    /// Validate SecretStores
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_secret_store_reconciler: bool,

    /// Serve ClusterExternalSecrets
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_cluster_external_secret_reconciler: bool,

    /// Serve PushSecrets, where their kind is installed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_push_secret_reconciler: bool,

    /// Serve ClusterPushSecrets, where their kind is installed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_cluster_push_secret_reconciler: bool,

    /// How often stores are validated
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration, help_heading = ESO)]
    pub store_requeue_interval: Duration,

    /// Ask no store whose Ready condition is not True
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_flood_gate: bool,

    /// Label metrics with the object's app.kubernetes.io labels
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "false", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub enable_extended_metric_labels: bool,

    /// Let spec.target.manifest make other kinds than Secret, of those that --target-kinds lists
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "false", default_missing_value = "true", action = ArgAction::Set, help_heading = ESO)]
    pub unsafe_allow_generic_targets: bool,

    /// How long what a generator made lives on after it is used no more
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration, help_heading = ESO)]
    pub generator_gc_grace_period: Duration,

    /// What opens a template's action
    #[arg(long, value_name = "TEXT", default_value = "{{", help_heading = ESO)]
    pub template_left_delimiter: String,

    /// What closes a template's action
    #[arg(long, value_name = "TEXT", default_value = "}}", help_heading = ESO)]
    pub template_right_delimiter: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the flags' common help")]
    pub events: EventSettings,

    /// Serve KamusSecrets (soluto.com), with the installation's keys: --keys-secret, or --keys-file
    #[arg(long, help_heading = KAMUS)]
    pub kamus: bool,

    /// Serve those too that admission did not mark: whoever may make KamusSecrets then reads what is encrypted for any
    /// service account of the namespace
    #[arg(long, requires = "kamus", help_heading = KAMUS)]
    pub kamus_allow_unverified: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the flags' common help")]
    pub keys: KeyOptions,

    #[command(flatten)]
    ignored: Ignored,
}

/// Where changes are told of: docs/guides/events.md.
#[derive(Args, Clone, Debug)]
pub struct EventSettings {
    /// Follow changes that EventBridge sends to this queue of SQS, as the operator's own identity (repeatable)
    #[arg(long = "events-sqs-queue-url", value_name = "URL", help_heading = EVENTS)]
    pub sqs_queue_urls: Vec<String>,

    /// Follow changes that Google Secret Manager publishes, by this subscription: projects/P/subscriptions/S
    /// (repeatable)
    #[arg(long = "events-pubsub-subscription", value_name = "NAME", help_heading = EVENTS)]
    pub pubsub_subscriptions: Vec<String>,

    /// Take signed requests at POST /events; the file holds the shared key, 32 bytes or more
    #[arg(long = "events-webhook-secret-file", value_name = "FILE", help_heading = EVENTS)]
    pub webhook_secret_file: Option<PathBuf>,

    /// Roll the workloads that SecretsRotationMappings of secret-operator map, by this queue of SQS; when absent
    /// SECRETS_SQS_QUEUE_URL
    #[arg(long = "secret-operator-queue-url", value_name = "URL", help_heading = EVENTS)]
    pub secret_operator_queue_url: Option<String>,

    /// Where POST /events is served
    #[arg(long = "events-webhook-addr", value_name = "ADDRESS", default_value = ":8085", help_heading = EVENTS)]
    pub webhook_addr: String,
}

/// Flags of External Secrets Operator that tune what is built otherwise here: a Deployment that sets them still starts.
#[derive(Args, Clone, Debug)]
struct Ignored {
    /// Slots follow each store's own limits
    #[arg(long, value_name = "N", help_heading = NO_EFFECT)]
    concurrent: Option<u32>,

    /// Secrets are watched as metadata only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_secrets_caching: Option<bool>,

    /// ConfigMaps are read when needed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_configmaps_caching: Option<bool>,

    /// Secrets are watched as metadata only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_managed_secrets_caching: Option<bool>,

    /// A Secret is read before it is replaced
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_secret_api_read_on_cache_mismatch: Option<bool>,

    /// Tokens are always kept and shared
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_vault_token_cache: Option<bool>,

    /// One token for each store and identity is kept
    #[arg(long, value_name = "N", help_heading = NO_EFFECT)]
    vault_token_cache_size: Option<u32>,

    /// States of generators are always kept
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_generator_state: Option<bool>,

    /// HTTP/1.1 is spoken everywhere
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = NO_EFFECT)]
    enable_http2: Option<bool>,

    /// Times in logs are in RFC 3339
    #[arg(long, value_name = "KIND", help_heading = NO_EFFECT)]
    zap_time_encoding: Option<String>,
}

/// When `status.refreshTime` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTime {
    /// With whatever else changes.
    OnChange,
    /// At every refresh.
    Always,
    /// When it is older than this.
    Heartbeat(Duration),
}

impl RefreshTime {
    /// The same in the words of who plans statuses.
    pub(crate) fn policy(self) -> status::RefreshTime {
        match self {
            Self::OnChange => status::RefreshTime::OnChange,
            Self::Always => status::RefreshTime::Always,
            Self::Heartbeat(limit) => status::RefreshTime::Heartbeat(limit),
        }
    }
}

impl std::str::FromStr for RefreshTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on-change" => Ok(Self::OnChange),
            "always" => Ok(Self::Always),
            other => duration(other)
                .map(Self::Heartbeat)
                .map_err(|_| "use on-change, always, or a time such as 1h".to_owned()),
        }
    }
}

impl OperatorSettings {
    /// Refuses what cannot work together, before anything starts.
    ///
    /// # Errors
    /// `Invalid`, naming the flag.
    pub fn check(&self) -> Result<(), Failure> {
        let invalid = |flag: &str, words: &str| Err(Failure::new(Class::Invalid, words).in_field(flag));
        if self.leader_election_renew_deadline >= self.leader_election_lease_duration {
            return invalid("--leader-election-renew-deadline", "must be shorter than the lease's duration");
        }
        if self.leader_election_retry_period >= self.leader_election_renew_deadline {
            return invalid("--leader-election-retry-period", "must be shorter than the renew deadline");
        }
        if self.client_qps.is_nan() || self.client_qps <= 0.0 || self.client_burst == 0 {
            return invalid("--client-qps", "requests a second and burst must be more than 0");
        }
        if self.aws_ssm_interval.is_some_and(|interval| interval.is_zero()) {
            return invalid("--aws-ssm-interval", "must be more than 0");
        }
        if self.template_left_delimiter.is_empty() || self.template_right_delimiter.is_empty() {
            return invalid("--template-left-delimiter", "a delimiter must not be empty");
        }
        Ok(())
    }

    /// Whether cluster kinds are served: not when the operator is told to keep to some namespaces.
    pub fn serves_cluster_kinds(&self) -> bool {
        self.namespaces.is_empty() && self.namespace_selector.is_none()
    }

    /// The flags that were given and do nothing here, for one line in the log.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let ignored = &self.ignored;
        let given = [
            ("--concurrent", ignored.concurrent.is_some()),
            ("--enable-secrets-caching", ignored.enable_secrets_caching.is_some()),
            ("--enable-configmaps-caching", ignored.enable_configmaps_caching.is_some()),
            ("--enable-managed-secrets-caching", ignored.enable_managed_secrets_caching.is_some()),
            ("--enable-secret-api-read-on-cache-mismatch", ignored.enable_secret_api_read_on_cache_mismatch.is_some()),
            ("--enable-vault-token-cache", ignored.enable_vault_token_cache.is_some()),
            ("--vault-token-cache-size", ignored.vault_token_cache_size.is_some()),
            ("--enable-generator-state", ignored.enable_generator_state.is_some()),
            ("--enable-http2", ignored.enable_http2.is_some()),
            ("--zap-time-encoding", ignored.zap_time_encoding.is_some()),
        ];
        given.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect()
    }
}

/// A time as Go writes it (`1h30m`, `500ms`), or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    GoDuration::from(text).duration().map_err(|_| "use a time such as 30s, 5m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        settings: OperatorSettings,
    }

    fn parsed(arguments: &[&str]) -> Result<OperatorSettings, String> {
        let program = Program::try_parse_from([&["strongroom"], arguments].concat());
        let settings = program.map_err(|error| error.to_string())?.settings;
        settings.check().map_err(|failure| failure.to_string())?;
        Ok(settings)
    }

    #[test]
    fn the_flags_of_external_secrets_operator_are_understood() {
        let settings = parsed(&[
            "--concurrent=100",
            "--enable-leader-election",
            "--enable-flood-gate=false",
            "--store-requeue-interval=1m30s",
            "--metrics-addr=:9000",
            "--loglevel=debug",
            "--zap-time-encoding=epoch",
            "--generator-gc-grace-period=30s",
            "--enable-push-secret-reconciler=false",
        ])
        .unwrap();
        assert!(settings.enable_leader_election && !settings.enable_flood_gate);
        assert!(!settings.enable_push_secret_reconciler && settings.enable_cluster_push_secret_reconciler);
        assert_eq!(settings.store_requeue_interval, Duration::from_secs(90));
        assert_eq!(settings.generator_gc_grace_period, Duration::from_secs(30));
        let expected = ["--concurrent", "--zap-time-encoding"];
        assert_eq!(settings.without_effect(), expected);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let check = |arguments: &[&str], expected: &str| {
            let words = parsed(arguments).map(|_| ()).unwrap_err();
            assert!(words.contains(expected), "{words}");
        };
        check(&["--leader-election-renew-deadline=20s"], "--leader-election-renew-deadline: must be shorter");
        check(&["--refresh-time=often"], "on-change, always");
        check(&["--data-hash=keyed"], "--data-hash-key-file");
        check(&["--namespace=a", "--namespace-selector=b"], "cannot be used with");
        check(&["--client-qps=0"], "--client-qps");
        check(&["--aws-ssm-interval=0"], "--aws-ssm-interval");
    }
}
