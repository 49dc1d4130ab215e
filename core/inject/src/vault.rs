//! bank-vaults' annotations: they become the `VAULT_*` variables with which the program in a wrapped container logs in.
//!
//! Only containers that need Vault get them, and only those that they do not set themselves, also by `envFrom` as far
//! as that can be looked into; `BAO_*` counts as well. Unlike in the original, no login is added to a container that
//! brings its own (`VAULT_TOKEN`, `VAULT_ROLE_ID`, …).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Value, json};
use strongroom_reference::parse_paths;

use crate::draft::Draft;
use crate::found::{Feed, Found, Source, feeds};
use crate::pod::{Container, Pod, list, text, unexpanded};
use crate::refusal::{Reason, Refusal, unreadable};
use crate::settings::Settings;
use crate::survey::Survey;
use crate::tokens;

/// What bank-vaults' annotations begin with.
pub(crate) const PREFIX: &str = "vault.security.banzaicloud.io/";

/// The annotation and the label that keep bank-vaults out, with the value `skip`.
pub(crate) const MUTATE: &str = "vault.security.banzaicloud.io/mutate";
const MUTATE_LABEL: &str = "security.banzaicloud.io/mutate";

/// Secrets whose keys all become variables.
pub(crate) const FROM_PATH: &str = "vault.security.banzaicloud.io/vault-env-from-path";

/// Annotations, behind [`PREFIX`], and the variables behind `VAULT_` that say the same.
const VARIABLES: [(&str, &str); 10] = [
    ("vault-addr", "ADDR"),
    ("vault-role", "ROLE"),
    ("vault-path", "PATH"),
    ("vault-auth-method", "AUTH_METHOD"),
    ("vault-namespace", "NAMESPACE"),
    ("vault-skip-verify", "SKIP_VERIFY"),
    ("vault-ignore-missing-secrets", "IGNORE_MISSING_SECRETS"),
    ("vault-client-timeout", "CLIENT_TIMEOUT"),
    ("vault-env-from-path", "FROM_PATH"),
    ("vault-env-passthrough", "PASSTHROUGH"),
];

/// What says which variables a process gets.
const ENVIRONMENT: [&str; 5] =
    ["FROM_PATH", "ENV_FROM_PATH", "PASSTHROUGH", "ENV_PASSTHROUGH", "IGNORE_MISSING_SECRETS"];

/// The variables that name secrets whose keys all become variables.
const PATH_VARIABLES: [&str; 4] = ["VAULT_FROM_PATH", "VAULT_ENV_FROM_PATH", "BAO_FROM_PATH", "BAO_ENV_FROM_PATH"];

/// Annotations, behind [`PREFIX`], by which another container would write files of secrets: the pod would start without.
const AGENTS: [&str; 3] = ["vault-agent", "vault-agent-configmap", "vault-ct-configmap"];

/// What says whom to trust.
const TRUST: [&str; 4] = ["CACERT", "CACERT_BYTES", "CAPATH", "SKIP_VERIFY"];

/// The probes of a container.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// What a container that logs in by itself sets.
const LOGINS: [&str; 4] = ["TOKEN", "TOKEN_FILE", "ROLE_ID", "ROLE_ID_FILE"];

/// What says where the token of a service account lies.
const TOKENS: [&str; 2] = ["JWT", "JWT_FILE"];

/// The older variable for the same.
const OLD_TOKEN: &str = "KUBERNETES_SERVICE_ACCOUNT_TOKEN";

/// Asks the original to log in, and says nothing about how.
const ASKS_FOR_LOGIN: [&str; 2] = ["vault:login", "bao:login"];

/// Whether bank-vaults is told to keep out: its references are ordinary values then, and those of others are not.
pub(crate) fn keeps_out(pod: &Pod<'_>) -> bool {
    let labels = pod.object.get("metadata").and_then(|metadata| metadata.get("labels"));
    let label = labels.and_then(|labels| text(labels, MUTATE_LABEL));
    pod.annotation(MUTATE).into_iter().chain(label).any(|value| value == "skip")
}

/// Whether a variable says which variables a process gets, and nothing about the way to a store.
pub(crate) fn is_for_variables(name: &str) -> bool {
    let name = name.strip_prefix("VAULT_").or_else(|| name.strip_prefix("BAO_")).unwrap_or_default();
    ENVIRONMENT.contains(&name)
}

/// Whether the value of a variable of this name is a list of paths.
pub(crate) fn is_path_variable(name: &str) -> bool {
    PATH_VARIABLES.contains(&name)
}

/// The names of such variables that are `there`.
pub(crate) fn path_variables(is_there: impl Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
    PATH_VARIABLES.into_iter().filter(move |name| is_there(name))
}

/// Refuses what bank-vaults would do for this pod and we do not.
pub(crate) fn check(pod: &Pod<'_>) -> Result<(), Refusal> {
    for name in AGENTS {
        if annotation(pod, name).is_some_and(|value| !matches!(value, "" | "false" | "0")) {
            let cure = "write references into variables, or list the files in strongroom.dev/files";
            return Err(Refusal::of_annotation(&format!("{PREFIX}{name}"), Reason::NotServed { cure }));
        }
    }
    let paths = pod.annotation(FROM_PATH).map(parse_paths).unwrap_or(Ok(Vec::new()));
    paths.map(drop).map_err(|failure| Refusal::of_annotation(FROM_PATH, unreadable("VAULT_FROM_PATH", failure)))
}

/// Refuses what bank-vaults would do for this container, which logs in, and we do not.
fn check_container(pod: &Pod<'_>, container: &Container<'_>, own: &Own) -> Result<(), Refusal> {
    let has = |name: &str| annotation(pod, name).is_some_and(|value| !value.is_empty());
    let skips_verify = annotation(pod, "vault-skip-verify") == Some("true");
    let trusts = skips_verify || TRUST.iter().any(|name| own.sets(name));
    let unserved = [
        (
            has("vault-tls-secret") && !trusts,
            "vault-tls-secret",
            "mount that Secret and set VAULT_CACERT to its ca.crt",
        ),
        (
            has("token-auth-mount") && !own.logs_in(),
            "token-auth-mount",
            "mount that volume and set VAULT_TOKEN_FILE to the token in it",
        ),
    ];
    match unserved.into_iter().find(|(is_asked_for, ..)| *is_asked_for) {
        None => Ok(()),
        Some((_, name, cure)) => Err(not_served(container, name, cure)),
    }
}

/// The same for its probes, whose commands are not wrapped.
fn check_probes(pod: &Pod<'_>, container: &Container<'_>) -> Result<(), Refusal> {
    let has_exec = |probe: &&str| container.value.get(probe).is_some_and(|probe| probe.get("exec").is_some());
    if annotation(pod, "mutate-probes") == Some("true") && PROBES.iter().any(has_exec) {
        let cure = "start the probe's command by strongroom-init, or let it do without secrets";
        return Err(not_served(container, "mutate-probes", cure));
    }
    Ok(())
}

fn not_served(container: &Container<'_>, name: &str, cure: &'static str) -> Refusal {
    let refusal = Refusal::of_annotation(&format!("{PREFIX}{name}"), Reason::NotServed { cure });
    Refusal { container: Some(container.name.to_owned()), ..refusal }
}

/// Drafts variables and token of the wrapped containers that need Vault.
pub(crate) fn draft(survey: &Survey<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    for (place, container, _) in survey.wrapped().filter(|(_, _, verdict)| verdict.needs.vault) {
        let own = Own::of(container, survey.found);
        check_container(&draft.pod, container, &own)?;
        check_probes(&draft.pod, container)?;
        let mut variables = variables(&draft.pod, &own, survey.candidates.settings);
        if let Some(volume) = token(survey, &own, draft) {
            draft.mount(place, container, &volume, tokens::VAULT.mount, json!({"readOnly": true}))?;
            variables.push(("JWT_FILE", tokens::VAULT.file()));
        }
        draft.edits[place].env.extend(entries(variables));
    }
    Ok(())
}

/// How somebody logs in to Vault who is no container of the pod.
pub(crate) struct Login {
    /// What its variables do not say themselves.
    pub(crate) variables: Vec<Value>,
    /// The volume of the token, where it needs one of ours.
    pub(crate) volume: Option<String>,
}

/// How the agent logs in with what `own` says already.
///
/// # Errors
/// What the annotations ask for and is not served.
pub(crate) fn login(container: &Container<'_>, survey: &Survey<'_>, draft: &mut Draft<'_>) -> Result<Login, Refusal> {
    let own = Own::of(container, &Found::default());
    check_container(&draft.pod, container, &own)?;
    let mut variables = variables(&draft.pod, &own, survey.candidates.settings);
    variables.retain(|(name, _)| !ENVIRONMENT.contains(name));
    let volume = token(survey, &own, draft);
    variables.extend(volume.as_ref().map(|_| ("JWT_FILE", tokens::VAULT.file())));
    Ok(Login { variables: entries(variables).collect(), volume })
}

/// The volume with the token by which a container that says so much itself logs in; `None` where it needs none of ours.
fn token(survey: &Survey<'_>, own: &Own, draft: &mut Draft<'_>) -> Option<String> {
    let settings = survey.candidates.settings;
    let audience = survey.candidates.wishes.token_audience.or(settings.vault_audience.as_deref())?;
    takes_token(&draft.pod, own).then(|| tokens::VAULT.volume(audience, settings, draft))
}

fn entries(variables: Vec<(&'static str, String)>) -> impl Iterator<Item = Value> {
    variables.into_iter().map(|(name, value)| json!({"name": format!("VAULT_{name}"), "value": value}))
}

/// The variables of a container that say something about Vault, by their names behind `VAULT_` and `BAO_`.
struct Own(BTreeSet<&'static str>);

impl Own {
    fn of(container: &Container<'_>, found: &Found) -> Self {
        let mut names = BTreeSet::new();
        // An empty variable counts as none.
        let is_set = |entry: &&Value| {
            let value = text(entry, "value");
            value.is_some_and(|value| !ASKS_FOR_LOGIN.contains(&value)) || entry.get("valueFrom").is_some()
        };
        let entries = list(container.value, "env").iter().filter(is_set);
        names.extend(entries.filter_map(|entry| KNOWN.get(text(entry, "name")?)));
        for feed in feeds(container) {
            if let Feed::All { prefix, origin, .. } = feed
                && let Source::Values(values) = found.get(origin.kind, origin.name)
            {
                // Asking for each of a few names costs the same however large the source is.
                let is_there = |full: &str| full.strip_prefix(prefix).is_some_and(|key| values.contains_key(key));
                names.extend(KNOWN.iter().filter(|(full, _)| is_there(full)).map(|(_, name)| name));
            }
        }
        Self(names)
    }

    fn sets(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn logs_in(&self) -> bool {
        LOGINS.iter().any(|name| self.sets(name))
    }
}

/// The variables that matter, each with its name behind `VAULT_` and `BAO_`.
static KNOWN: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let names = VARIABLES.into_iter().map(|(_, name)| name).chain(LOGINS).chain(TOKENS).chain(TRUST);
    let families = names.flat_map(|name| ["VAULT_", "BAO_"].map(|family| (format!("{family}{name}"), name)));
    families.chain([(OLD_TOKEN.to_owned(), "JWT_FILE")]).collect()
});

fn annotation<'pod>(pod: &Pod<'pod>, name: &str) -> Option<&'pod str> {
    pod.annotation(&format!("{PREFIX}{name}"))
}

/// Whether the container logs in with a service account's token that we may choose.
fn takes_token(pod: &Pod<'_>, own: &Own) -> bool {
    let method = annotation(pod, "vault-auth-method");
    let is_by_token = method.is_none_or(|method| matches!(method, "jwt" | "kubernetes"));
    is_by_token && !own.logs_in() && !TOKENS.iter().any(|name| own.sets(name))
}

/// What the annotations, the settings and the defaults of bank-vaults add.
fn variables(pod: &Pod<'_>, own: &Own, settings: &Settings) -> Vec<(&'static str, String)> {
    let method = annotation(pod, "vault-auth-method").or_else(|| own.sets("AUTH_METHOD").then_some(""));
    let is_by_token = method.is_none_or(|method| matches!(method, "jwt" | "kubernetes"));
    let account = || text(pod.spec, "serviceAccountName").or_else(|| text(pod.spec, "serviceAccount"));
    let default = |variable: &str| match variable {
        "ADDR" => settings.vault_address.clone(),
        _ if own.logs_in() || !is_by_token => None,
        "ROLE" => Some(account().unwrap_or("default").to_owned()),
        "PATH" => Some("kubernetes".to_owned()),
        "AUTH_METHOD" => Some("jwt".to_owned()),
        _ => None,
    };
    let wanted = VARIABLES.into_iter().filter(|(_, variable)| !own.sets(variable));
    let with_value = wanted.filter_map(|(name, variable)| {
        // An annotation's text is meant as it stands.
        Some((variable, annotation(pod, name).map(unexpanded).or_else(|| default(variable))?))
    });
    with_value.collect()
}
