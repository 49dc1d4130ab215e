//! AWS' secret sidecar injector: a secret of Secrets Manager as a file on a RAM disk, put there by an init container.
//!
//! The annotation `secrets.k8s.aws/secret-arn` asks for it, in one of two forms:
//!
//! - *One ARN* (the injector's main line). The volume is mounted at `secrets.k8s.aws/mount-path` (`/tmp/`), and the
//!   file is `secrets.k8s.aws/secret-filename` in it (`secret`). The init container gets `SECRET_ARN` and, where the
//!   annotation is there, `SECRET_FILENAME`.
//! - *Several*, with commas between, or one with a path: `ARN[:/PATH],…` (the injector's branch `multi-secret`). Each
//!   secret is one file that is mounted read-only at its path, `/secrets/NAME` where none is given. The init container
//!   gets `SECRET_ARNS`.
//!
//! `secrets.k8s.aws/sidecarInjectorWebhook` says nothing, as in the main line.
//!
//! # What the applet is handed
//! The init container runs `/strongroom-init aws-secrets-manager-secret-sidecar`, with a volume of its own at
//! [`FOLDER`] (everything else is read-only), as any user but root, with umask and owner as they come:
//!
//! - `SECRET_ARNS`, where it is set, is a list `ARN:/PATH` with commas between, without spaces. An ARN has exactly six
//!   colons, so the seventh begins the path. Each path is absolute, has neither `.` nor `..` nor empty parts, and is
//!   written below [`FOLDER`]: `/var/a` is the file `/tmp/var/a`. No path is another's, nor inside of another.
//! - Otherwise `SECRET_ARN` is one ARN. `SECRET_FILENAME` names its file below [`FOLDER`], with or without a slash
//!   before it; one that ends in a slash, or is missing or empty, is a folder with the file `secret` in it. It has no
//!   `..` part.
//!
//! Both are checked here, but whoever writes a pod by hand sets them too: the applet must check again, write each file
//! whole and byte for byte, readable by everybody, and end with a failure where a secret cannot be had (AI-05).

use serde_json::{Value, json};
use strongroom_failure::outside_words;
use strongroom_reference::ProviderKind;

use crate::annotations::Inject;
use crate::draft::Draft;
use crate::explanation::Outcome;
use crate::injected::{Life, resources, security_context};
use crate::pod::{List, Pod, is_path, is_within, trimmed, unexpanded};
use crate::refusal::{Reason, Refusal};
use crate::settings::Settings;
use crate::survey::Survey;
use crate::{role, tokens};

/// The init container. A pod that has one is left alone (AI-03), and it is never wrapped: its `SECRET_ARN` looks like a
/// reference and is none.
pub const CONTAINER: &str = "secrets-init-container";

/// What the init container runs.
pub const COMMAND: [&str; 2] = ["/strongroom-init", "aws-secrets-manager-secret-sidecar"];

/// Where the init container writes.
pub const FOLDER: &str = "/tmp";

const VOLUME: &str = "secret-vol";

const SECRET_ARN: &str = "secrets.k8s.aws/secret-arn";
const MOUNT_PATH: &str = "secrets.k8s.aws/mount-path";
const FILENAME: &str = "secrets.k8s.aws/secret-filename";

/// The ARN of a secret has so many colons; none can be in a secret's name.
const COLONS_OF_ARN: usize = 6;

/// The most secrets that a pod may have as files: five calls of twenty, and as many mounts for each container.
const SECRETS_LIMIT: usize = 100;

/// What the annotations ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'pod> {
    One { mount: &'pod str, filename: Option<&'pod str> },
    Several(Vec<(&'pod str, String)>),
}

/// Drafts the files that the annotations ask for.
pub(crate) fn draft(survey: &Survey<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let candidates = &survey.candidates;
    let settings = candidates.settings;
    let is_there = candidates.containers.iter().any(|(it, _)| it.list == List::Init && it.name == CONTAINER);
    if is_there || candidates.wishes.inject == Inject::Never {
        return Ok(());
    }
    let Some(asked) = Asked::of(&candidates.pod)? else { return Ok(()) };
    if let Some((taken, _)) = candidates.containers.iter().find(|(it, _)| it.name == CONTAINER) {
        return Err(Refusal::of_container(taken, "name", Reason::NameTaken));
    }
    let with_init = candidates.wishes.init_containers;
    let volume = draft.free_volume(VOLUME);
    for (place, (container, outcome)) in candidates.containers.iter().enumerate() {
        if *outcome == Some(Outcome::Ours) || container.list == List::Init && !with_init {
            continue;
        }
        for (path, more) in asked.mounts() {
            draft.mount(place, container, &volume, path, more)?;
        }
        draft.note_files(place, asked.files(), true);
    }
    let mut container = init_container(&asked, &volume, settings, &draft.pod);
    if let Some(role) = candidates.wishes.aws_role {
        let volume = role::volume(settings, draft);
        let mount = json!({"name": volume, "mountPath": tokens::AWS.mount, "readOnly": true});
        extend(&mut container["env"], role::variables(role));
        extend(&mut container["volumeMounts"], [mount]);
    }
    // The branch put it behind all others, of which none can have waited for it.
    match &asked {
        Asked::Several(_) if !with_init => draft.back.push(container),
        Asked::One { .. } | Asked::Several(_) => draft.front.push(container),
    }
    draft.volumes.push(json!({"name": volume, "emptyDir": {"medium": "Memory"}}));
    Ok(())
}

impl<'pod> Asked<'pod> {
    fn of(pod: &Pod<'pod>) -> Result<Option<Self>, Refusal> {
        let Some(text) = pod.annotation(SECRET_ARN) else { return Ok(None) };
        if text.contains(',') || split(text).1.is_some() {
            return several(text).map(|files| Some(Self::Several(files)));
        }
        check_arn(text)?;
        let mount = pod.annotation(MOUNT_PATH).filter(|path| !path.is_empty()).unwrap_or("/tmp/");
        let filename = pod.annotation(FILENAME);
        if !is_path(trimmed(mount)) {
            return Err(bad_path(MOUNT_PATH, mount));
        }
        let parts = filename.unwrap_or_default().trim_matches('/');
        if !parts.is_empty() && !is_path(&format!("/{parts}")) {
            return Err(bad_path(FILENAME, parts));
        }
        Ok(Some(Self::One { mount, filename }))
    }

    /// The paths of mounts, with the members that they have besides.
    fn mounts(&self) -> Vec<(&str, Value)> {
        match self {
            Self::One { mount, .. } => vec![(mount, json!({}))],
            Self::Several(files) => {
                let more = |path: &str| json!({"readOnly": true, "subPath": path.trim_start_matches('/')});
                files.iter().map(|(_, path)| (path.as_str(), more(path))).collect()
            }
        }
    }

    /// The paths of the files as containers see them.
    fn files(&self) -> Vec<String> {
        match self {
            Self::One { mount, filename } => {
                let name = filename.unwrap_or_default().trim_start_matches('/');
                let default = if name.is_empty() || name.ends_with('/') { "secret" } else { "" };
                vec![format!("{}/{name}{default}", trimmed(mount))]
            }
            Self::Several(files) => files.iter().map(|(_, path)| path.clone()).collect(),
        }
    }

    fn environment(&self) -> Value {
        match self {
            Self::One { filename, .. } => {
                let field = format!("metadata.annotations['{SECRET_ARN}']");
                let arn = json!({"name": "SECRET_ARN", "valueFrom": {"fieldRef": {"fieldPath": field}}});
                let filename = filename.map(|name| json!({"name": "SECRET_FILENAME", "value": unexpanded(name)}));
                std::iter::once(arn).chain(filename).collect()
            }
            Self::Several(files) => {
                let files: Vec<_> = files.iter().map(|(arn, path)| format!("{arn}:{path}")).collect();
                json!([{"name": "SECRET_ARNS", "value": unexpanded(&files.join(","))}])
            }
        }
    }
}

fn extend(list: &mut Value, more: impl IntoIterator<Item = Value>) {
    if let Value::Array(list) = list {
        list.extend(more);
    }
}

fn init_container(asked: &Asked<'_>, volume: &str, settings: &Settings, pod: &Pod<'_>) -> Value {
    json!({
        "name": CONTAINER,
        "image": settings.aws_image,
        "imagePullPolicy": settings.aws_pull_policy,
        "command": COMMAND,
        "env": asked.environment(),
        "volumeMounts": [{"name": volume, "mountPath": FOLDER}],
        "resources": resources(&settings.aws_resources, pod, Life::Ends),
        "securityContext": security_context(pod, None),
    })
}

fn several(text: &str) -> Result<Vec<(&str, String)>, Refusal> {
    let mut files = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (arn, path) = split(entry);
        // Fields behind the name, as Amazon ECS has them, are no path.
        if path.is_some_and(|path| !path.is_empty() && !path.starts_with('/')) {
            return Err(not_an_arn(entry));
        }
        check_arn(arn)?;
        let name = arn.splitn(COLONS_OF_ARN + 1, ':').last().unwrap_or_default();
        let path = path.map(trimmed).filter(|path| !path.is_empty());
        let path = path.map_or_else(|| format!("/secrets/{name}"), str::to_owned);
        if files.len() == SECRETS_LIMIT {
            return Err(Refusal::of_annotation(SECRET_ARN, Reason::TooMany(SECRETS_LIMIT)));
        }
        if !is_path(&path) {
            return Err(bad_path(SECRET_ARN, &path));
        }
        files.push((arn, path));
    }
    if files.is_empty() {
        return Err(not_an_arn(text));
    }
    check_distinct(files.iter().map(|(_, path)| path.as_str()).collect())?;
    Ok(files)
}

/// An entry's ARN, and the path behind it.
fn split(entry: &str) -> (&str, Option<&str>) {
    match entry.match_indices(':').nth(COLONS_OF_ARN) {
        Some((at, _)) => (&entry[..at], Some(&entry[at + 1..])),
        None => (entry, None),
    }
}

fn check_arn(text: &str) -> Result<(), Refusal> {
    if is_secret_arn(text) { Ok(()) } else { Err(not_an_arn(text)) }
}

/// Whether `text` is the ARN of a secret of AWS Secrets Manager and nothing else.
pub(crate) fn is_secret_arn(text: &str) -> bool {
    strongroom_reference::parse(text)
        .is_ok_and(|reference| reference.provider == ProviderKind::AwsSecretsManager && reference.key.name == text)
}

fn not_an_arn(text: &str) -> Refusal {
    Refusal::of_annotation(SECRET_ARN, Reason::NotAnArn(outside_words(text, &[])))
}

fn bad_path(annotation: &str, path: &str) -> Refusal {
    Refusal::of_annotation(annotation, Reason::BadPath(outside_words(path, &[])))
}

/// Neither twice the same path, nor one inside of another.
fn check_distinct(mut paths: Vec<&str>) -> Result<(), Refusal> {
    // A slash sorts before what could stand between a folder and what lies in it.
    paths.sort_unstable_by(|one, other| one.split('/').cmp(other.split('/')));
    let clash = paths.windows(2).find(|pair| is_within(pair[1], pair[0]));
    match clash {
        Some(pair) => Err(Refusal::of_annotation(SECRET_ARN, Reason::SamePath(pair[1].to_owned()))),
        None => Ok(()),
    }
}
