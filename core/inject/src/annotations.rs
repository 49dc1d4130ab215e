//! The annotations and labels that ask for injection, and what they may say.

use crate::pod::Pod;
use crate::refusal::{Reason, Refusal};
use crate::role;

/// `env` wraps containers though no reference is seen in their variables; `false` leaves the pod alone.
pub const INJECT: &str = "strongroom.dev/inject";

/// With [`INJECT`]` = env`: the containers that are wrapped, by their names with commas between; otherwise all are.
pub const INJECT_CONTAINERS: &str = "strongroom.dev/inject-containers";

/// Written on a pod that was changed: what was done to each container and why ([`crate::Explanation`]).
pub const INJECTION: &str = "strongroom.dev/injection";

/// The files of secrets that containers get, as a list that `core/files` reads.
pub const FILES: &str = "strongroom.dev/files";

/// Where containers find them, if not in `/run/strongroom/files`.
pub const FILES_FOLDER: &str = "strongroom.dev/files-folder";

/// The containers that get them, by their names with commas between; otherwise all but init containers do.
pub const FILES_CONTAINERS: &str = "strongroom.dev/files-containers";

/// How often they are looked at for changes: a time such as `5m`, or `never`.
pub const FILES_REFRESH: &str = "strongroom.dev/files-refresh";

/// Which process gets which signal after a change: `HUP:nginx`.
pub const FILES_SIGNAL: &str = "strongroom.dev/files-signal";

/// Whom they belong to: `UID` or `UID:GID`. The agent runs as that user.
pub const FILES_OWNER: &str = "strongroom.dev/files-owner";

/// Where a POST goes after a change.
pub const FILES_URL: &str = "strongroom.dev/files-url";

/// `true` puts files of secrets into the other init containers as well.
pub const INIT_CONTAINERS: &str = "strongroom.dev/init-containers";

/// The audience of the token with which wrapped containers log in to Vault; wins over the settings'.
pub const TOKEN_AUDIENCE: &str = "strongroom.dev/token-audience";

/// The ARN of a role of AWS that is taken with a token of the pod's account, by what reads AWS and names no role itself.
pub const AWS_ROLE: &str = "strongroom.dev/aws-role";

/// Each family of annotations: what all begin with that ask for its deed, those that people write, and those that we do.
///
/// Whoever misspells one must not get a pod without its secrets.
const FAMILIES: [(&str, &[&str], &[&str]); 2] = [
    ("strongroom.dev/inject", &[INJECT, INJECT_CONTAINERS], &[INJECTION]),
    (
        "strongroom.dev/file",
        &[FILES, FILES_FOLDER, FILES_CONTAINERS, FILES_REFRESH, FILES_SIGNAL, FILES_OWNER, FILES_URL],
        &[],
    ),
];

/// Whether the environment is injected, as far as our own annotations say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inject<'pod> {
    /// Where a reference is seen.
    Seen,
    /// Where a reference is seen and in these containers; `None`: in all.
    Forced(Option<Vec<&'pod str>>),
    /// Nowhere.
    Never,
}

impl Inject<'_> {
    /// Whether a container is wrapped for the annotations alone.
    pub(crate) fn forces(&self, container: &str) -> bool {
        match self {
            Self::Forced(names) => names.as_ref().is_none_or(|names| names.contains(&container)),
            Self::Seen | Self::Never => false,
        }
    }
}

/// What our own annotations wish.
#[derive(Clone, Debug)]
pub(crate) struct Wishes<'pod> {
    pub(crate) inject: Inject<'pod>,
    /// Whether other init containers get the files as well.
    pub(crate) init_containers: bool,
    pub(crate) token_audience: Option<&'pod str>,
    pub(crate) aws_role: Option<&'pod str>,
}

impl<'pod> Wishes<'pod> {
    /// # Errors
    /// An annotation or a value that is not known: whoever misspells one must not get a pod without secrets.
    pub(crate) fn of(pod: &Pod<'pod>) -> Result<Self, Refusal> {
        for name in pod.annotation_names() {
            let family = FAMILIES.iter().find(|(beginning, ..)| name.starts_with(beginning));
            let unknown = family.filter(|(_, written, ours)| !written.contains(&name) && !ours.contains(&name));
            if let Some((_, written, _)) = unknown {
                return Err(Refusal::of_annotation(name, Reason::UnknownAnnotation { known: written.join(", ") }));
            }
        }
        let aws_role = pod.annotation(AWS_ROLE).filter(|role| !role.is_empty());
        aws_role.map(role::check).transpose()?;
        Ok(Self {
            inject: inject(pod)?,
            init_containers: truth(pod, INIT_CONTAINERS)?,
            token_audience: pod.annotation(TOKEN_AUDIENCE).filter(|audience| !audience.is_empty()),
            aws_role,
        })
    }
}

fn inject<'pod>(pod: &Pod<'pod>) -> Result<Inject<'pod>, Refusal> {
    let named = pod.annotation(INJECT_CONTAINERS);
    let inject = match pod.annotation(INJECT) {
        None => Inject::Seen,
        Some("false") => Inject::Never,
        Some("env") => Inject::Forced(named.map(|text| text.split(',').map(str::trim).collect())),
        Some(_) => return Err(unknown_value(INJECT, "env, false")),
    };
    match &inject {
        Inject::Forced(Some(names)) => {
            let unknown = names.iter().find(|name| !pod.containers().any(|container| container.name == **name));
            match unknown {
                Some(name) => {
                    Err(Refusal::of_annotation(INJECT_CONTAINERS, Reason::NoSuchContainer((*name).to_owned())))
                }
                None => Ok(inject),
            }
        }
        Inject::Seen if named.is_some() => {
            let known = format!("only beside {INJECT} = env");
            Err(Refusal::of_annotation(INJECT_CONTAINERS, Reason::UnknownValue { known }))
        }
        _ => Ok(inject),
    }
}

fn truth(pod: &Pod<'_>, name: &str) -> Result<bool, Refusal> {
    match pod.annotation(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(unknown_value(name, "true, false")),
    }
}

/// An annotation that says something else than `known`.
pub(crate) fn unknown_value(name: &str, known: &str) -> Refusal {
    Refusal::of_annotation(name, Reason::UnknownValue { known: known.to_owned() })
}
