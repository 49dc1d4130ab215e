use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use strongroom_failure::{Class, Failure};
use strongroom_files::{Owner, parse_mode};

/// Where a file is wanted and how, written `PATH[@MODE[,USER[:GROUP]]]`: `/run/db/password@0440,1000:1000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The file's absolute path.
    pub path: PathBuf,
    /// Permission bits, at most `0o777`.
    pub mode: u32,
    /// Who owns it; the process that writes it when absent.
    pub owner: Option<Owner>,
}

/// Only the owner reads, nobody writes.
const DEFAULT_MODE: u32 = 0o400;

impl Target {
    /// Directory and file name.
    pub(crate) fn split(&self) -> Result<(&Path, &OsStr), Failure> {
        let parts = self.path.parent().zip(self.path.file_name()).filter(|_| self.path.is_absolute());
        parts.ok_or_else(|| invalid("is not an absolute path of a file"))
    }
}

impl FromStr for Target {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        // Paths may hold an '@'; only one that is followed by digits starts a mode.
        let marked = text.rsplit_once('@').filter(|(_, mode)| mode.starts_with(|first: char| first.is_ascii_digit()));
        let (path, mode) = marked.map_or((text, None), |(path, mode)| (path, Some(mode)));
        let (mode, owner) =
            match mode.map(|mode| mode.split_once(',').map_or((mode, None), |(mode, owner)| (mode, Some(owner)))) {
                Some((mode, owner)) => (parse_mode(mode)?, owner.map(str::parse).transpose()?),
                None => (DEFAULT_MODE, None),
            };
        let target = Self { path: PathBuf::from(path), mode, owner };
        target.split().map_err(|failure| failure.in_field(text))?;
        Ok(target)
    }
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_path_mode_and_owner() {
        let check = |text: &str, path: &str, mode, owner: Option<(u32, Option<u32>)>| {
            let owner = owner.map(|(user, group)| Owner { user, group });
            assert_eq!(text.parse(), Ok(Target { path: PathBuf::from(path), mode, owner }), "{text}");
        };
        check("/run/a", "/run/a", 0o400, None);
        check("/run/a@0440", "/run/a", 0o440, None);
        check("/run/a@600,1000", "/run/a", 0o600, Some((1000, None)));
        check("/run/a@0640,1000:2000", "/run/a", 0o640, Some((1000, Some(2000))));
        check("/run/user@host", "/run/user@host", 0o400, None);
        for wrong in ["run/a", "/", "/run/a@0999", "/run/a@7777", "/run/a@0400,root", "/run/..", ""] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
