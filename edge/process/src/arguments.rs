//! What the launching program tells the supervisor that it turns into, through its arguments: no secret among them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::options::{ExitRemap, Forward, Group, Options};

/// The first argument of a supervisor, with the version of the words that follow. It looks like an option so that a
/// program that does not know it refuses it instead of running it as a command.
const MARKER: &str = "--strongroom-supervisor=1";

/// A running child and how to supervise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// The child, which is our own and not yet waited for, so that its number cannot have been given away.
    pub(crate) child: i32,
    pub(crate) group: Group,
    pub(crate) forward: Forward,
    /// Whether the terminal on standard input is handed to the child's group.
    pub(crate) terminal: bool,
    pub(crate) grace: Duration,
    pub(crate) exit_remap: Vec<ExitRemap>,
    /// The program's name in the process table: after executing `/proc/self/exe` the kernel calls it `exe`.
    pub(crate) name: OsString,
}

impl Supervision {
    pub(crate) fn new(child: i32, terminal: bool, options: &Options) -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        Self {
            child,
            group: options.group,
            forward: options.forward,
            terminal,
            grace: options.grace,
            exit_remap: options.exit_remap.clone(),
            name: program,
        }
    }

    /// The supervision that this process was re-executed for, if it was: ask in the first line of `main`, before
    /// anything reads the environment, starts a thread or takes memory.
    pub fn from_arguments() -> Option<Self> {
        let mut arguments = std::env::args_os();
        let name = arguments.next()?;
        if arguments.next()? != MARKER {
            return None;
        }
        Self::parse(name, arguments)
    }

    /// The arguments of the supervisor, the program's name first.
    pub(crate) fn to_arguments(&self) -> Vec<OsString> {
        let mut words = vec![self.name.clone(), MARKER.into(), format!("child={}", self.child).into()];
        words.push(format!("group={}", group_word(self.group)).into());
        words.push(format!("forward={}", forward_word(self.forward)).into());
        words.push(format!("grace={}", self.grace.as_millis()).into());
        words.push(format!("terminal={}", self.terminal).into());
        for remap in &self.exit_remap {
            words.push(format!("exit={}:{}", remap.from, remap.to).into());
        }
        words
    }

    fn parse(name: OsString, words: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut supervision = Self { name, ..Self::new(0, false, &Options::default()) };
        for word in words {
            let (key, value) = word.to_str()?.split_once('=')?;
            match key {
                "child" => supervision.child = value.parse().ok()?,
                "group" => supervision.group = GROUPS.into_iter().find(|&group| group_word(group) == value)?,
                "forward" => supervision.forward = FORWARDS.into_iter().find(|&to| forward_word(to) == value)?,
                "grace" => supervision.grace = Duration::from_millis(value.parse().ok()?),
                "terminal" => supervision.terminal = value.parse().ok()?,
                "exit" => supervision.exit_remap.push(value.parse().ok()?),
                _ => return None,
            }
        }
        // 0, 1 and negative numbers would address groups, everything, or ourselves.
        (supervision.child > 1).then_some(supervision)
    }

    /// The last part of the program's name, for the process table.
    pub(crate) fn short_name(&self) -> &OsStr {
        OsStr::from_bytes(self.name.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default())
    }
}

const GROUPS: [Group; 3] = [Group::Own, Group::Inherited, Group::Session];
const FORWARDS: [Forward; 2] = [Forward::Group, Forward::Child];

fn group_word(group: Group) -> &'static str {
    match group {
        Group::Own => "own",
        Group::Inherited => "inherited",
        Group::Session => "session",
    }
}

fn forward_word(forward: Forward) -> &'static str {
    match forward {
        Forward::Group => "group",
        Forward::Child => "child",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_into_the_arguments_is_read_back() {
        for group in GROUPS {
            for forward in FORWARDS {
                let supervision = Supervision {
                    child: 17,
                    group,
                    forward,
                    terminal: true,
                    grace: Duration::from_millis(1500),
                    exit_remap: vec![ExitRemap { from: 143, to: 0 }, ExitRemap { from: 1, to: 2 }],
                    name: "/opt/strongroom-init".into(),
                };
                let mut words = supervision.to_arguments().into_iter();
                let name = words.next().unwrap();
                assert_eq!(words.next().unwrap(), MARKER);
                assert_eq!(Supervision::parse(name, words), Some(supervision));
            }
        }
    }

    #[test]
    fn words_that_make_no_sense_supervise_nothing() {
        let check = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            assert_eq!(Supervision::parse("init".into(), words), None);
        };
        check(&[]);
        check(&["child=1"]);
        check(&["child=-5"]);
        check(&["child=x"]);
        check(&["child=17", "group=none"]);
        check(&["child=17", "unknown=1"]);
        check(&["child=17", "exit=a:b"]);
    }

    #[test]
    fn the_name_in_the_process_table_has_no_directories() {
        let check = |name: &str, want: &str| {
            let supervision = Supervision { name: name.into(), ..Supervision::new(2, false, &Options::default()) };
            assert_eq!(supervision.short_name(), want);
        };
        check("/usr/bin/strongroom-init", "strongroom-init");
        check("secrets-init", "secrets-init");
        check("", "");
    }
}
