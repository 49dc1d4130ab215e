//! Files of secrets by our own annotations: an agent renders them into a RAM disk, and containers mount that.
//!
//! [`FILES`] lists them, as `core/files` has it. The agent is an init container that comes first: a native sidecar, which
//! renews them while the pod runs and keeps no Job from completing, or a plain one that writes them once
//! ([`FILES_REFRESH`]` = never`). It logs in as the pod; everything about that is in `agent`.

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_files::{File, Owner};

use crate::agent::{self, Agent};
use crate::annotations::{
    FILES, FILES_CONTAINERS, FILES_FOLDER, FILES_OWNER, FILES_REFRESH, FILES_SIGNAL, FILES_URL, Inject, unknown_value,
};
use crate::draft::Draft;
use crate::explanation::Outcome;
use crate::injected::NOBODY;
use crate::pod::{Container, List, Pod, is_path, is_within, list, text, trimmed};
use crate::refusal::{Reason, Refusal};
use crate::settings::Settings;
use crate::survey::{Injected, Survey};

/// Where containers find the files, and where the agent writes them whatever containers call it: links between them are
/// relative.
pub(crate) const FOLDER: &str = "/run/strongroom/files";

const VOLUME: &str = "strongroom-files";

/// The longest list, in bytes: Linux takes a variable of 128 KiB, name and end included.
const TEXT_LIMIT: usize = 120 << 10;

/// Folders of the kernel, in which nothing can be mounted.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Volumes that are read-only however they are mounted: no folder can be made in them.
const READ_ONLY: [&str; 4] = ["configMap", "secret", "projected", "downwardAPI"];

/// Signals that tell a process to look again.
const SIGNALS: [&str; 7] = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"];

/// The longest name of a process, in bytes: Linux keeps no more of it.
const PROCESS_LIMIT: usize = 15;

const NEVER: &str = "never";
const REFRESH: &str = "5m";
const LONGEST_REFRESH: u64 = 24 * 60 * 60;

/// What the annotations ask for.
pub(crate) struct Asked<'pod> {
    /// The list as it is written.
    pub(crate) text: &'pod str,
    pub(crate) files: Vec<File>,
    folder: &'pod str,
    /// The containers that are named; `None`: all but init containers.
    containers: Option<Vec<&'pod str>>,
    /// How often the agent looks; `None`: once.
    pub(crate) refresh: Option<&'pod str>,
    /// `SIGNAL:PROCESS`.
    pub(crate) signal: Option<&'pod str>,
    pub(crate) url: Option<&'pod str>,
    pub(crate) owner: Option<Owner>,
}

/// Drafts the agent and its volume, and mounts it. Where an earlier plan did that, containers that came since get it too.
pub(crate) fn draft(survey: &Survey<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let candidates = &survey.candidates;
    if candidates.wishes.inject == Inject::Never {
        return Ok(());
    }
    let Some(asked) = Asked::of(&candidates.pod, candidates.settings)? else { return Ok(()) };
    let with_init = candidates.wishes.init_containers;
    let serves = |container: &Container<'_>, outcome: Option<&Outcome>| {
        outcome != Some(&Outcome::Ours) && asked.serves(container, with_init)
    };
    let all = candidates.containers.iter().enumerate();
    let served = all.filter(|(_, (container, outcome))| serves(container, outcome.as_ref()));
    let served: Vec<_> = served.map(|(place, (container, _))| (place, container)).collect();
    let volume = match candidates.agent {
        Some(agent) => agent.volume.to_owned(),
        None => draft.free_volume(VOLUME),
    };
    let mut is_late = false;
    for (place, container) in &served {
        check_around(container, &candidates.pod, asked.folder, &volume)?;
        let is_new = draft.mount(*place, container, &volume, asked.folder, json!({"readOnly": true}))?;
        draft.note_files(*place, asked.paths(), is_new);
        let is_before = |agent: Injected<'_>| container.index < agent.index;
        is_late |= is_new && container.list == List::Init && candidates.agent.is_some_and(is_before);
    }
    match candidates.agent {
        Some(agent) => draft.first.extend(is_late.then_some(agent.index)),
        None => {
            let first = asked.first(served.iter().map(|(_, container)| *container));
            let agent = Agent { asked: &asked, of: first, volume: &volume };
            let container = agent.container(survey, draft)?;
            draft.front.push(container);
            let memory = json!({"medium": "Memory", "sizeLimit": candidates.settings.files_size});
            draft.volumes.push(json!({"name": volume, "emptyDir": memory}));
        }
    }
    Ok(())
}

impl<'pod> Asked<'pod> {
    fn of(pod: &Pod<'pod>, settings: &Settings) -> Result<Option<Self>, Refusal> {
        let said = |name: &str| pod.annotation(name).map(str::trim).filter(|value| !value.is_empty());
        let Some(text) = pod.annotation(FILES) else {
            let others = [FILES_FOLDER, FILES_CONTAINERS, FILES_REFRESH, FILES_SIGNAL, FILES_OWNER, FILES_URL];
            return match others.into_iter().find(|name| pod.annotation(name).is_some()) {
                Some(lonely) => Err(unknown_value(lonely, &format!("only beside {FILES}"))),
                None => Ok(None),
            };
        };
        let refresh = said(FILES_REFRESH).unwrap_or(REFRESH);
        let asked = Self {
            text,
            files: files(text)?,
            folder: said(FILES_FOLDER).unwrap_or(FOLDER),
            containers: said(FILES_CONTAINERS).map(|names| names.split(',').map(str::trim).collect()),
            refresh: (refresh != NEVER).then_some(refresh),
            signal: said(FILES_SIGNAL),
            url: said(FILES_URL),
            owner: said(FILES_OWNER).map(owner).transpose()?,
        };
        asked.check(pod, settings).map(|()| Some(asked))
    }

    fn check(&self, pod: &Pod<'_>, settings: &Settings) -> Result<(), Refusal> {
        if pod.spec.get("os").and_then(|system| text(system, "name")) == Some("windows") {
            let cure = "take it away: files are for pods of Linux";
            return Err(Refusal::of_annotation(FILES, Reason::NotServed { cure }));
        }
        let folder = trimmed(self.folder);
        if !is_path(folder) || KERNEL.iter().any(|kernel| is_within(folder, kernel)) {
            let reason = Reason::BadPath(outside_words(self.folder, &[]));
            return Err(Refusal::of_annotation(FILES_FOLDER, reason));
        }
        let unknown = |name: &&&str| !pod.containers().any(|container| container.name == **name);
        if let Some(name) = self.containers.iter().flatten().find(|name| unknown(name)) {
            return Err(Refusal::of_annotation(FILES_CONTAINERS, Reason::NoSuchContainer((*name).to_owned())));
        }
        let least = settings.files_least_refresh;
        let is_time = |text| seconds(text).is_some_and(|seconds| (least..=LONGEST_REFRESH).contains(&seconds));
        if self.refresh.is_some_and(|text| !is_time(text)) {
            let known = format!("{NEVER}, or a time such as 30s, {REFRESH} or 1h, of {least}s to 24h");
            return Err(unknown_value(FILES_REFRESH, &known));
        }
        if self.owner.is_some_and(|owner| owner.user == 0) && demands_no_root(pod) {
            return Err(Refusal::of_annotation(FILES_OWNER, Reason::NoRoot));
        }
        self.check_hooks(pod)
    }

    /// Whom the agent tells of a change.
    fn check_hooks(&self, pod: &Pod<'_>) -> Result<(), Refusal> {
        for (name, value) in [(FILES_SIGNAL, self.signal), (FILES_URL, self.url)] {
            if value.is_some() && self.refresh.is_none() {
                return Err(unknown_value(name, &format!("only without {FILES_REFRESH} = {NEVER}")));
            }
        }
        if self.url.is_some_and(|url| !is_url(url)) {
            return Err(unknown_value(FILES_URL, "an address such as http://127.0.0.1:8080/reload"));
        }
        let Some(signal) = self.signal else { return Ok(()) };
        if !is_signal(signal) {
            let known = format!(
                "SIGNAL:PROCESS such as HUP:nginx, with one of {}, and at most {PROCESS_LIMIT} letters of the process's name",
                SIGNALS.join(", ")
            );
            return Err(unknown_value(FILES_SIGNAL, &known));
        }
        if pod.spec.get("shareProcessNamespace").and_then(Value::as_bool) != Some(true) {
            return Err(Refusal::of_annotation(FILES_SIGNAL, Reason::ProcessesUnseen));
        }
        // Without rights of its own the agent signals processes of its own user alone.
        let users: Option<Vec<_>> = pod.containers().map(|container| user(&container, pod)).collect();
        let may_signal = |agent: i64| users.is_none_or(|users| users.contains(&agent));
        if self.user(pod).is_some_and(may_signal) {
            return Ok(());
        }
        Err(Refusal::of_annotation(FILES_SIGNAL, Reason::NobodyToSignal))
    }

    /// The user that the agent runs as; `None`: its image's.
    fn user(&self, pod: &Pod<'_>) -> Option<i64> {
        let of_pod = || user_of(pod.spec).map(|user| if user == 0 { NOBODY.into() } else { user });
        self.owner.map(|owner| owner.user.into()).or_else(of_pod)
    }

    fn serves(&self, container: &Container<'_>, with_init: bool) -> bool {
        let is_named = |names: &Vec<&str>| names.contains(&container.name);
        match container.list {
            List::Init => with_init || self.containers.as_ref().is_some_and(is_named),
            List::Main => self.containers.as_ref().is_none_or(is_named),
        }
    }

    /// The container whose login the agent has: the first that is named, or the first that is no init container.
    fn first<'a, 'b: 'a>(&self, served: impl Iterator<Item = &'a Container<'b>> + Clone) -> Option<&'a Container<'b>> {
        let named = self.containers.as_ref().and_then(|names| names.first());
        let by_name = named.and_then(|name| served.clone().find(|container| container.name == *name));
        let main = || served.clone().find(|container| container.list == List::Main);
        by_name.or_else(main).or_else(|| served.clone().next())
    }

    /// The files as containers see them.
    fn paths(&self) -> Vec<String> {
        let folder = trimmed(self.folder);
        self.files.iter().map(|file| format!("{folder}/{}", file.path)).collect()
    }
}

/// The list, which is checked as the agent does it.
fn files(text: &str) -> Result<Vec<File>, Refusal> {
    if text.len() > TEXT_LIMIT {
        return Err(Refusal::of_annotation(FILES, Reason::TooLong(TEXT_LIMIT)));
    }
    let malformed = |failure: Failure| {
        let cure = failure.hint.clone().unwrap_or_else(|| "docs/annotations.md has examples".to_owned());
        Refusal::of_annotation(FILES, Reason::Malformed { words: failure.to_string(), cure })
    };
    let files = strongroom_files::parse(text).map_err(malformed)?;
    if files.is_empty() {
        return Err(malformed(Failure::new(Class::Invalid, "it names no file")));
    }
    match files.iter().position(|file| file.owner.is_some()) {
        Some(place) => Err(Refusal::of_annotation(FILES, Reason::OwnOwner(format!("files[{place}].owner")))),
        None => Ok(files),
    }
}

fn owner(text: &str) -> Result<Owner, Refusal> {
    // Kubernetes takes no higher number.
    let fits = |number: u32| i32::try_from(number).is_ok();
    let read = text.parse::<Owner>().ok().filter(|owner| fits(owner.user) && owner.group.is_none_or(fits));
    read.ok_or_else(|| unknown_value(FILES_OWNER, "UID or UID:GID, in numbers such as 101:101"))
}

/// Whole seconds, minutes or hours.
fn seconds(text: &str) -> Option<u64> {
    let unit = [("s", 1), ("m", 60), ("h", 60 * 60)];
    let (number, scale) = unit.into_iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    number.bytes().all(|digit| digit.is_ascii_digit()).then(|| number.parse::<u64>().ok()?.checked_mul(scale))?
}

fn is_signal(text: &str) -> bool {
    let is_process = |name: &str| {
        (1..=PROCESS_LIMIT).contains(&name.len()) && !name.contains(|letter: char| letter == '/' || !is_plain(letter))
    };
    text.split_once(':').is_some_and(|(signal, process)| SIGNALS.contains(&signal) && is_process(process))
}

fn is_url(text: &str) -> bool {
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    // A password in an address would be seen by whoever sees the pod.
    host.is_some_and(|host| !host.is_empty() && !host.contains('@')) && text.len() <= 2048 && text.chars().all(is_plain)
}

fn is_plain(letter: char) -> bool {
    !letter.is_control() && !letter.is_whitespace()
}

fn demands_no_root(pod: &Pod<'_>) -> bool {
    pod.spec.get("securityContext").and_then(|context| context.get("runAsNonRoot")?.as_bool()) == Some(true)
}

fn user_of(with_context: &Value) -> Option<i64> {
    with_context.get("securityContext")?.get("runAsUser")?.as_i64()
}

/// The user that a container runs as, where the pod says it.
fn user(container: &Container<'_>, pod: &Pod<'_>) -> Option<i64> {
    user_of(container.value).or_else(|| user_of(pod.spec))
}

/// Refuses what a container mounts inside of our folder, and a folder of ours where none can be made.
fn check_around(container: &Container<'_>, pod: &Pod<'_>, folder: &str, volume: &str) -> Result<(), Refusal> {
    let folder = trimmed(folder);
    let is_read_only = |mount: &Value| {
        let of_volume = pod.volumes().iter().find(|it| text(it, "name") == text(mount, "name"));
        mount.get("readOnly").and_then(Value::as_bool) == Some(true)
            || of_volume.is_some_and(|it| READ_ONLY.iter().any(|kind| it.get(kind).is_some()))
    };
    for mount in list(container.value, "volumeMounts") {
        let Some(path) = text(mount, "mountPath").map(trimmed) else { continue };
        let is_other = path != folder && text(mount, "name") != Some(volume);
        if is_other && (is_within(path, folder) || is_within(folder, path) && is_read_only(mount)) {
            return Err(Refusal::of_container(container, "volumeMounts", Reason::PathTaken(path.to_owned())));
        }
    }
    Ok(())
}

/// Whether an init container is an agent that we made.
pub(crate) fn is_agent(container: &Container<'_>) -> bool {
    container.list == List::Init && container.name.starts_with(agent::CONTAINER) && agent::is_command(container)
}
