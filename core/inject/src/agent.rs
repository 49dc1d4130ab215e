//! The agent's container: what it runs, as whom, and how it logs in.
//!
//! It logs in as the first container that it serves: it has that one's variables for stores, with the files that they
//! name, and what bank-vaults' annotations, the settings and [`crate::annotations::AWS_ROLE`] give to a wrapped container.
//! A variable that is a reference itself stays behind: nobody resolves it for the agent.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use strongroom_reference::Syntax;

use crate::draft::Draft;
use crate::files::{Asked, FOLDER};
use crate::found::{Feed, Found, Source, SourceKind, feeds};
use crate::injected::{Life, resources, security_context};
use crate::pod::{Container, is_within, list, text, trimmed, unexpanded};
use crate::refusal::Refusal;
use crate::survey::{Needs, Survey};
use crate::{role, tokens, vault};

/// The init container.
pub(crate) const CONTAINER: &str = "strongroom-files";

/// What it runs, before its flags.
const COMMAND: [&str; 2] = ["/strongroom-init", "agent"];

/// Its list of files.
const LIST: &str = "STRONGROOM_FILES";

/// What variables for stores begin with.
const FAMILIES: [&str; 6] = ["AWS_", "BAO_", "CLOUDSDK_", "GCE_", "GOOGLE_", "VAULT_"];

/// Other variables that decide how stores are reached.
const OTHERS: [&str; 16] = [
    "STRONGROOM_CONFIG",
    "STRONGROOM_DEADLINE",
    "STRONGROOM_GOOGLE_PROJECT",
    "STRONGROOM_LOG_FORMAT",
    "STRONGROOM_LOG_LEVEL",
    "KUBERNETES_SERVICE_ACCOUNT_TOKEN",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "https_proxy",
    "http_proxy",
    "no_proxy",
];

/// How long one question whether the files are there takes, at most.
const WAIT: &str = "8s";

/// kubelet's patience with one question, and how often it asks until it starts the agent anew: nine minutes.
const PROBE_SECONDS: u32 = 10;
const PROBES: u32 = 60;

/// An agent that is to be made.
pub(crate) struct Agent<'a, 'pod> {
    pub(crate) asked: &'a Asked<'pod>,
    /// The container whose login it has; `None` where it serves none.
    pub(crate) of: Option<&'a Container<'pod>>,
    /// The volume of the files.
    pub(crate) volume: &'a str,
}

impl Agent<'_, '_> {
    /// # Errors
    /// What bank-vaults' annotations ask for and is not served.
    pub(crate) fn container(&self, survey: &Survey<'_>, draft: &mut Draft<'_>) -> Result<Value, Refusal> {
        let settings = survey.candidates.settings;
        let mut mounts = vec![json!({"name": self.volume, "mountPath": FOLDER})];
        let mut env = self.of.map(|container| variables(container, survey.found)).unwrap_or_default();
        if let Some(container) = self.of {
            add_login(self, container, survey, draft, &mut env, &mut mounts)?;
            add_mounts(container, &env, &mut mounts);
        }
        env.push(json!({"name": LIST, "value": unexpanded(self.asked.text)}));
        let life = if self.asked.refresh.is_some() { Life::Stays } else { Life::Ends };
        let mut container = json!({
            "name": draft.free_container(CONTAINER),
            "image": settings.agent_image,
            "imagePullPolicy": settings.agent_pull_policy,
            "command": command(self.asked),
            "env": env,
            "volumeMounts": mounts,
            "resources": resources(&settings.agent_resources, &draft.pod, life),
            "securityContext": security_context(&draft.pod, self.asked.owner),
        });
        if self.asked.refresh.is_some() {
            container["restartPolicy"] = json!("Always");
            let ready = [COMMAND[0], COMMAND[1], "--folder", FOLDER, "--ready", "--wait", WAIT];
            container["startupProbe"] = json!({
                "exec": {"command": ready},
                "timeoutSeconds": PROBE_SECONDS,
                "periodSeconds": 1,
                "failureThreshold": PROBES,
            });
        }
        Ok(container)
    }
}

/// Whether the container runs what ours does.
pub(crate) fn is_command(container: &Container<'_>) -> bool {
    container.words("command").take(COMMAND.len()).eq(COMMAND)
}

fn command(asked: &Asked<'_>) -> Vec<String> {
    let mut words = [COMMAND[0], COMMAND[1], "--folder", FOLDER].map(str::to_owned).to_vec();
    let mut flag = |name: &str, value: Option<&str>| {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), unexpanded(value)]));
    };
    flag("--refresh", asked.refresh);
    flag("--signal", asked.signal);
    flag("--url", asked.url);
    if asked.refresh.is_none() {
        words.push("--once".to_owned());
    }
    words
}

/// Adds the logins that the files need and the variables do not say.
fn add_login(
    agent: &Agent<'_, '_>,
    of: &Container<'_>,
    survey: &Survey<'_>,
    draft: &mut Draft<'_>,
    env: &mut Vec<Value>,
    mounts: &mut Vec<Value>,
) -> Result<(), Refusal> {
    let mut needs = Needs::default();
    for reference in agent.asked.files.iter().flat_map(strongroom_files::File::references) {
        needs |= Needs::of(reference.provider);
    }
    // What counts is what the agent gets, and not what the container it is taken from resolves later.
    let value = json!({ "env": env });
    let own = Container { value: &value, ..*of };
    let mut mount = |volume: String, path: &str| {
        mounts.push(json!({"name": volume, "mountPath": path, "readOnly": true}));
    };
    let mut more = Vec::new();
    if needs.vault && !vault::keeps_out(&draft.pod) {
        let login = vault::login(&own, survey, draft)?;
        more.extend(login.variables);
        if let Some(volume) = login.volume {
            mount(volume, tokens::VAULT.mount);
        }
    }
    let role = survey.candidates.wishes.aws_role.filter(|_| needs.aws && !role::has_its_own(&own, &Found::default()));
    if let Some(role) = role {
        mount(role::volume(survey.candidates.settings, draft), tokens::AWS.mount);
        more.extend(role::variables(role));
    }
    env.extend(more);
    Ok(())
}

/// The variables for stores of a container, with those that their values name, in their order.
fn variables(container: &Container<'_>, found: &Found) -> Vec<Value> {
    let entries = list(container.value, "env");
    let mut kept = Vec::new();
    let mut named = BTreeSet::new();
    // kubelet expands what stands before a variable, so that one look from the end finds all that is named.
    for entry in entries.iter().rev() {
        let Some(name) = text(entry, "name") else { continue };
        let is_wanted = (is_for_stores(name) || named.contains(name)) && !is_reference(entry, found);
        if is_wanted {
            named.extend(text(entry, "value").into_iter().flat_map(names_in));
            kept.push(entry.clone());
        }
    }
    let mut variables = of_sources(container, found);
    variables.extend(kept.into_iter().rev());
    variables
}

fn is_for_stores(name: &str) -> bool {
    let is_of_family = FAMILIES.iter().any(|family| name.starts_with(family));
    (is_of_family || OTHERS.contains(&name)) && !vault::is_for_variables(name)
}

/// Whether the value of a variable is a reference, or asks for a login that the agent must do itself.
fn is_reference(entry: &Value, found: &Found) -> bool {
    if let Some(value) = text(entry, "value") {
        return Syntax::of(value).is_some();
    }
    let members = [("secretKeyRef", SourceKind::Secret), ("configMapKeyRef", SourceKind::ConfigMap)];
    members.into_iter().any(|(member, kind)| {
        let reference = entry.get("valueFrom").and_then(|from| from.get(member));
        let named = reference.and_then(|reference| Some((text(reference, "name")?, text(reference, "key")?)));
        named.is_some_and(|(name, key)| is_reference_in(found.get(kind, name), key))
    })
}

fn is_reference_in(source: &Source, key: &str) -> bool {
    match source {
        Source::Values(values) => {
            values.get(key).and_then(|value| value.expose_text()).is_some_and(|text| Syntax::of(text).is_some())
        }
        Source::Absent | Source::Unreadable => false,
    }
}

/// The variables for stores that come with whole ConfigMaps and Secrets, each by its key: what else is in there is no
/// matter of the agent's.
fn of_sources(container: &Container<'_>, found: &Found) -> Vec<Value> {
    let mut variables = Vec::new();
    for feed in feeds(container) {
        let Feed::All { prefix, origin, .. } = feed else { continue };
        let source = found.get(origin.kind, origin.name);
        let Source::Values(values) = source else { continue };
        let member = match origin.kind {
            SourceKind::ConfigMap => "configMapKeyRef",
            SourceKind::Secret => "secretKeyRef",
        };
        for key in values.keys().filter(|key| !is_reference_in(source, key)) {
            let name = format!("{prefix}{key}");
            if is_for_stores(&name) {
                let reference = json!({"name": origin.name, "key": key, "optional": true});
                variables.push(json!({"name": name, "valueFrom": {member: reference}}));
            }
        }
    }
    variables
}

/// The variables that kubelet puts into a value: `$(NAME)`, but not `$$(NAME)`.
fn names_in(value: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let behind = &rest[at + 1..];
        rest = behind;
        if let Some(next) = behind.strip_prefix('$') {
            rest = next;
        } else if let Some((name, next)) = behind.strip_prefix('(').and_then(|behind| behind.split_once(')')) {
            names.push(name);
            rest = next;
        }
    }
    names
}

/// Adds what the container mounts where its variables name a file: certificates, tokens, settings.
fn add_mounts(container: &Container<'_>, env: &[Value], mounts: &mut Vec<Value>) {
    let values = env.iter().filter_map(|entry| text(entry, "value"));
    let files = values.filter(|value| value.starts_with('/')).flat_map(|value| value.split(':'));
    for file in files {
        let holds = |mount: &&Value| {
            let path = text(mount, "mountPath").map(trimmed);
            path.is_some_and(|path| is_within(file, path))
        };
        // Of two that hold the file, the inner one is what the container sees.
        let holding = list(container.value, "volumeMounts").iter().filter(holds);
        let mount = holding.max_by_key(|mount| text(mount, "mountPath").map(|path| trimmed(path).len()));
        // What such a path becomes is known with all variables of the container alone.
        let mount = mount.filter(|mount| text(mount, "subPathExpr").is_none());
        let Some((mount, path)) = mount.and_then(|mount| Some((mount, text(mount, "mountPath")?))) else { continue };
        if mounts.iter().any(|ours| text(ours, "mountPath").map(trimmed) == Some(trimmed(path))) {
            continue;
        }
        // Read-only, unless something of ours is mounted inside of it.
        let is_around = |ours: &Value| text(ours, "mountPath").is_some_and(|ours| is_within(ours, trimmed(path)));
        let is_read_only = !mounts.iter().any(is_around);
        let mut copy = json!({"name": mount["name"], "mountPath": path, "readOnly": is_read_only});
        if let Some(inner) = text(mount, "subPath") {
            copy["subPath"] = json!(inner);
        }
        mounts.push(copy);
    }
}
