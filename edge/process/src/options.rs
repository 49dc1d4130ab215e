//! How a child is supervised: settings that the launching program validates and the supervisor obeys.

use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

/// How the child is supervised. The default is what a container's first process wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The process group that the child starts in.
    pub group: Group,
    /// Who gets a forwarded signal.
    pub forward: Forward,
    /// Hands the terminal to the child's group, where standard input is the controlling terminal and is inherited.
    /// Only meaningful with [`Group::Own`].
    pub foreground: bool,
    /// How long processes that outlive the child may take after `SIGTERM`, until `SIGKILL`.
    /// Zero leaves them alone (as the first process of a PID namespace the kernel still kills them at the end).
    pub grace: Duration,
    /// Exit codes to replace, first match wins; applied to `128+n` of a killed child as well.
    pub exit_remap: Vec<ExitRemap>,
    /// The signal that the kernel sends us, and we forward, when the process that started us ends.
    pub parent_death_signal: Option<Signal>,
}

impl Options {
    /// Five seconds for what remains: well within the 30 seconds that Kubernetes gives a pod to end, of which the
    /// child may have used most.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group: Group::default(),
            forward: Forward::default(),
            foreground: false,
            grace: Self::DEFAULT_GRACE,
            exit_remap: Vec::new(),
            parent_death_signal: None,
        }
    }
}

/// The process group that a child starts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// A group of its own, so that a signal reaches the child with all that it started.
    #[default]
    Own,
    /// The launching program's group: right for a person's shell, where `… | less` and job control expect the whole
    /// pipeline in one group. Signals go to the child alone, since the group is not ours to signal; keys that the
    /// terminal sends to the whole group are not sent twice.
    Inherited,
    /// A session of its own, without a terminal.
    Session,
}

/// Who gets a signal that the supervisor receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forward {
    /// The child's whole process group.
    #[default]
    Group,
    /// The child alone.
    Child,
}

/// One exit code that stands for another, written `FROM:TO`, or `FROM` alone for `FROM:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitRemap {
    /// The code that the child gives.
    pub from: u8,
    /// The code that the program gives instead.
    pub to: u8,
}

impl ExitRemap {
    /// What the program exits with where the child gave `code`.
    pub fn apply(remaps: &[Self], code: u8) -> u8 {
        remaps.iter().find(|remap| remap.from == code).map_or(code, |remap| remap.to)
    }
}

/// An exit remap that is not `FROM:TO` or `FROM` with numbers from 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not FROM:TO or FROM with exit codes from 0 to 255")]
pub struct InvalidExitRemap(String);

impl FromStr for ExitRemap {
    type Err = InvalidExitRemap;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once(':').unwrap_or((text, "0"));
        match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => Ok(Self { from, to }),
            _ => Err(InvalidExitRemap(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_remaps_are_written_from_to_or_from_alone() {
        let check = |text: &str, want: Option<(u8, u8)>| {
            assert_eq!(text.parse::<ExitRemap>().ok().map(|remap| (remap.from, remap.to)), want, "{text}");
        };
        check("143:0", Some((143, 0)));
        check("143", Some((143, 0)));
        check("1:2", Some((1, 2)));
        check("256:0", None);
        check("1:", None);
        check("", None);
        check("1:2:3", None);
        check("-1", None);
    }

    #[test]
    fn the_first_matching_remap_wins_once() {
        let remaps = [ExitRemap { from: 1, to: 2 }, ExitRemap { from: 2, to: 3 }, ExitRemap { from: 1, to: 9 }];
        let check = |code: u8, want: u8| assert_eq!(ExitRemap::apply(&remaps, code), want);
        check(0, 0);
        check(1, 2);
        check(2, 3);
    }
}
