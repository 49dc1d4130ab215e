//! What whoever runs the webhook decides about injection.

use serde_json::{Value, json};

/// How pods are changed. [`Settings::default`] is what kube-secrets-init does without flags, but with our own image.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Handed to the wrapped program as `--provider=`; `aws` or `google`, which for our own program decides nothing.
    /// Default `aws`.
    pub provider: String,
    /// The image that the program is copied from. Default: ours, of this version.
    pub image: String,
    /// Its imagePullPolicy. Default `IfNotPresent`.
    pub pull_policy: String,
    /// The command of the container that copies, where the image is one that knows `copy`: its last part is the name of
    /// the copy, so it must end in `secrets-init`. Default `/secrets-init`, where both projects' images have it.
    pub copy_command: Vec<String>,
    /// The volume of the program. Default `secrets-init-bin`.
    pub volume_name: String,
    /// Where that volume is mounted. Default `/helper/bin`.
    pub volume_path: String,
    /// Resources of the container that copies, as in a pod. Default: requests of 10m and 10Mi, limits of 10m and 50Mi.
    pub resources: Value,
    /// The image of `secrets-init-container`. Default: ours, of this version.
    pub aws_image: String,
    /// Its imagePullPolicy. Default `Always`, as the injector's.
    pub aws_pull_policy: String,
    /// Resources of `secrets-init-container`, as in a pod. Default: requests of 10m and 16Mi, limits of 200m and 64Mi;
    /// the injector gave none, which namespaces with a quota refuse. The file system of the secrets counts as memory.
    pub aws_resources: Value,
    /// The image of the agent that renders files. Default: ours, of this version.
    pub agent_image: String,
    /// Its imagePullPolicy. Default `IfNotPresent`.
    pub agent_pull_policy: String,
    /// Resources of the agent, as in a pod. Default: requests of 10m and 16Mi, limits of 200m and 64Mi. The files count
    /// as its memory.
    pub agent_resources: Value,
    /// The most that the files of a pod may take, as a quantity; while they change there are two sets of them. Default
    /// `32Mi`.
    pub files_size: String,
    /// The shortest time between two looks for changes that a pod may ask for, in seconds. Default 10.
    pub files_least_refresh: u64,
    /// `VAULT_ADDR` of containers that need Vault where neither they nor an annotation say it. Default none.
    pub vault_address: Option<String>,
    /// The audience of the token that logs in to Vault; without one the pod's ordinary token does. Default none.
    pub vault_audience: Option<String>,
    /// How long that token is good for, in seconds; held between 600, the least that Kubernetes takes, and 3600.
    /// Default 600.
    pub vault_token_seconds: u32,
    /// Whether containers are wrapped at all; without, variables of every pod are left alone, whatever they hold. Default
    /// yes.
    pub wraps: bool,
    /// Labels of a pod that keep its environment alone.
    pub pod_opt_outs: Vec<LabelRule>,
    /// Labels of a namespace that keep all its pods alone ([`Settings::namespace_opt_out`]).
    pub namespace_opt_outs: Vec<LabelRule>,
}

/// A label that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// Its name.
    pub label: String,
    /// Its value; any where absent.
    pub value: Option<String>,
}

impl LabelRule {
    /// The label `label` with this value.
    pub fn is(label: &str, value: &str) -> Self {
        Self { label: label.to_owned(), value: Some(value.to_owned()) }
    }

    /// The label `label`, whatever its value.
    pub fn exists(label: &str) -> Self {
        Self { label: label.to_owned(), value: None }
    }

    /// The first of `rules` that fits the labels of an object's `metadata`, in words.
    pub(crate) fn first(rules: &[Self], metadata: &Value) -> Option<String> {
        let labels = metadata.get("labels")?.as_object()?;
        rules.iter().find_map(|rule| {
            let value = labels.get(&rule.label)?.as_str()?;
            let fits = rule.value.as_deref().is_none_or(|wanted| wanted == value);
            fits.then(|| format!("the label {} is \"{value}\"", rule.label))
        })
    }
}

/// The least life of a projected token that Kubernetes takes, in seconds.
const TOKEN_LEAST: u32 = 600;

/// The longest that we ask for, in seconds: a login happens as the process starts, and a token that is stolen later
/// should be of no use.
const TOKEN_MOST: u32 = 3600;

impl Settings {
    /// The label that keeps pods of this Namespace object alone, in words; `None` where there is none.
    pub fn namespace_opt_out(&self, namespace: &Value) -> Option<String> {
        LabelRule::first(&self.namespace_opt_outs, namespace.get("metadata")?)
    }

    /// Where the volume is mounted, without a slash at the end.
    pub(crate) fn mount(&self) -> &str {
        self.volume_path.trim_end_matches('/')
    }

    /// The program in wrapped containers.
    pub(crate) fn program(&self) -> String {
        format!("{}/secrets-init", self.mount())
    }

    pub(crate) fn token_seconds(&self) -> u32 {
        self.vault_token_seconds.clamp(TOKEN_LEAST, TOKEN_MOST)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let image = concat!("docker.io/strongroom/strongroom-init:", env!("CARGO_PKG_VERSION")).to_owned();
        let disabled = LabelRule::is("kube-secrets-init.doit-intl.com/disable-mutation", "true");
        Self {
            provider: "aws".to_owned(),
            image: image.clone(),
            pull_policy: "IfNotPresent".to_owned(),
            copy_command: vec!["/secrets-init".to_owned()],
            volume_name: "secrets-init-bin".to_owned(),
            volume_path: "/helper/bin".to_owned(),
            resources: json!({
                "requests": {"cpu": "10m", "memory": "10Mi"},
                "limits": {"cpu": "10m", "memory": "50Mi"},
            }),
            aws_image: image.clone(),
            aws_pull_policy: "Always".to_owned(),
            aws_resources: json!({
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"cpu": "200m", "memory": "64Mi"},
            }),
            agent_image: image,
            agent_pull_policy: "IfNotPresent".to_owned(),
            agent_resources: json!({
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"cpu": "200m", "memory": "64Mi"},
            }),
            files_size: "32Mi".to_owned(),
            files_least_refresh: 10,
            vault_address: None,
            vault_audience: None,
            vault_token_seconds: TOKEN_LEAST,
            wraps: true,
            pod_opt_outs: vec![disabled.clone(), LabelRule::is("kube-secrets-init.doit-intl.com/mutate", "skip")],
            namespace_opt_outs: vec![LabelRule::exists("admission.secrets-init/ignore"), disabled],
        }
    }
}
