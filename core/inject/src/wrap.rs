//! kube-secrets-init: the command of a container becomes the argument of a program that resolves the references in its
//! variables and then starts it. The program is copied into a volume by an init container that comes first.
//!
//! Beyond the original: the volume is read-only for the containers that are wrapped, the one that copies passes Pod
//! Security `restricted`, names that are taken are not taken twice, and words of an image survive kubelet's expansion.

use serde_json::json;

use crate::draft::Draft;
use crate::image::{Images, copies_itself};
use crate::injected::{Life, resources, security_context};
use crate::pod::{Container, List, unexpanded};
use crate::refusal::{Reason, Refusal};
use crate::settings::Settings;
use crate::survey::Survey;

/// The init container that copies.
pub(crate) const COPY: &str = "copy-secrets-init";

/// Where the program lies in images that do not copy themselves.
const OLD_PROGRAM: &str = "/usr/local/bin/secrets-init";

/// What the program takes for a command of its own, as the first word.
const OWN_WORDS: [&str; 4] = ["copy", "cp", "help", "h"];

/// Drafts the wrapping of what `survey` says is wrapped.
pub(crate) fn draft(survey: &Survey<'_>, images: &Images, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let settings = survey.candidates.settings;
    if survey.wrapped().next().is_none() {
        return Ok(());
    }
    let volume = match survey.candidates.copy {
        Some(copy) => copy.volume.to_owned(),
        None => draft.free_volume(&settings.volume_name),
    };
    for (place, container, _) in survey.wrapped() {
        draft.edits[place].command = Some((settings.program(), arguments(container, images, settings)?));
        draft.mount(place, container, &volume, settings.mount(), json!({"readOnly": true}))?;
    }
    match survey.candidates.copy {
        Some(copy) => {
            let mut needing = survey.wrapped().filter(|(_, container, _)| container.list == List::Init);
            let is_late = needing.any(|(_, container, _)| container.index < copy.index);
            draft.first.extend(is_late.then_some(copy.index));
        }
        None => add_copy(&volume, settings, draft),
    }
    Ok(())
}

fn add_copy(volume: &str, settings: &Settings, draft: &mut Draft<'_>) {
    let path = settings.mount();
    let mut container = json!({
        "name": draft.free_container(COPY),
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": ["copy", path],
        "volumeMounts": [{"name": volume, "mountPath": path}],
        "resources": resources(&settings.resources, &draft.pod, Life::Ends),
        "securityContext": security_context(&draft.pod, None),
    });
    if !copies_itself(&settings.image) {
        container["args"] = json!(["cp", OLD_PROGRAM, path]);
    } else if !settings.copy_command.is_empty() {
        container["command"] = json!(settings.copy_command);
    }
    draft.front.push(container);
    draft.volumes.push(json!({"name": volume, "emptyDir": {"medium": "Memory"}}));
}

/// The program's arguments: its provider, and what the container started until now (KI-01, KI-02).
fn arguments(container: &Container<'_>, images: &Images, settings: &Settings) -> Result<Vec<String>, Refusal> {
    let refused = |reason| Refusal::of_container(container, "command", reason);
    let mut started: Vec<String> = container.words("command").map(str::to_owned).collect();
    if started.is_empty() {
        let image = images.get(container.name).ok_or_else(|| refused(Reason::ImageUnknown))?;
        let defaults = image.command.iter().filter(|_| container.words("args").next().is_none());
        // kubelet expands the words of a pod, and not those of an image.
        started = image.entrypoint.iter().chain(defaults).map(|word| unexpanded(word)).collect();
    }
    started.extend(container.words("args").map(str::to_owned));
    let first = started.first().ok_or_else(|| refused(Reason::NoCommand))?;
    let is_taken = OWN_WORDS.contains(&first.as_str()) || first.starts_with('-');
    let mut arguments = vec![format!("--provider={}", settings.provider)];
    arguments.extend(is_taken.then(|| "--".to_owned()));
    arguments.append(&mut started);
    Ok(arguments)
}
