//! How an agent stands, in its folder: whether it has delivered, and why not.

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_files::File;

use crate::telling::kinds;

/// The file's name: hidden, and none that a secret's file may have.
const NAME: &str = "..status";

/// What it is written as before it takes its place.
const NEXT: &str = "..status.next";

/// The longest text of failures that is kept, in bytes: kubelet shows as much of a probe's output in an event.
const LONGEST_FAILURE: usize = 1024;

/// The largest status that is read, in bytes; ours are smaller.
const LARGEST: u64 = 16 * 1024;

/// How often a probe that waits looks.
const GLANCE: Duration = Duration::from_millis(50);

/// How an agent stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Status {
    /// Whether the files are there, from whichever agent of this list.
    pub(crate) delivered: bool,
    /// Which list of files that was.
    list: String,
    /// Since when the last round went wrong (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Why, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// An agent's own status, and what of it lies in the folder.
#[derive(Debug)]
pub(crate) struct StatusFile {
    folder: PathBuf,
    written: Status,
}

impl StatusFile {
    /// Takes over what an earlier agent of the same list left in `folder`: files that it delivered are still there.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub(crate) fn open(folder: PathBuf, files: &[File], has_set: bool) -> Result<Self, Failure> {
        let list = mark(files);
        let earlier = read(&folder).filter(|status| status.delivered && status.list == list && has_set);
        let written = Status { delivered: earlier.is_some(), list, ..Status::default() };
        write(&folder, &written)?;
        Ok(Self { folder, written })
    }

    pub(crate) fn is_delivered(&self) -> bool {
        self.written.delivered
    }

    /// # Errors
    /// A folder that cannot be written to any more.
    pub(crate) fn delivered(&mut self) -> Result<(), Failure> {
        self.replace(Status { delivered: true, since: None, failure: None, ..self.written.clone() })
    }

    /// What was delivered before stays so.
    ///
    /// # Errors
    /// A folder that cannot be written to any more.
    pub(crate) fn failed(&mut self, failures: &[Failure], since: Option<Timestamp>) -> Result<(), Failure> {
        let since = since.map(|since| since.to_string());
        self.replace(Status { since, failure: Some(in_a_line(failures)), ..self.written.clone() })
    }

    fn replace(&mut self, status: Status) -> Result<(), Failure> {
        if status != self.written {
            write(&self.folder, &status)?;
            self.written = status;
        }
        Ok(())
    }
}

/// Tells lists of files apart. Not secret, and not the list: a reference may say more than those should know who may
/// see that a file is there.
fn mark(files: &[File]) -> String {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.path.hash(&mut hasher);
        file.references().for_each(|reference| reference.to_string().hash(&mut hasher));
    }
    format!("{:016x}", hasher.finish())
}

fn in_a_line(failures: &[Failure]) -> String {
    let shown = kinds(failures).into_iter().map(|kind| match (kind.others, &kind.first.hint) {
        (0, None) => kind.first.to_string(),
        (0, Some(hint)) => format!("{} ({hint})", kind.first),
        (others, _) => format!("{} (and {others} more like it)", kind.first),
    });
    let mut line = shown.collect::<Vec<_>>().join("; ").replace(char::is_control, " ");
    line.truncate(line.floor_char_boundary(LONGEST_FAILURE));
    line
}

/// Whole or not at all, as the files.
fn write(folder: &Path, status: &Status) -> Result<(), Failure> {
    let place = folder.join(NAME);
    let next = folder.join(NEXT);
    let written = serde_json::to_vec(status).map_err(io::Error::other).and_then(|mut text| {
        text.push(b'\n');
        // An agent that was killed in the middle may have left one.
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&next)?;
        file.write_all(&text)?;
        fs::rename(&next, &place)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&next);
        let words = format!("the agent's status cannot be written: {}", error.kind());
        Failure::new(Class::Invalid, words).in_field(place.display().to_string())
    })
}

fn read(folder: &Path) -> Option<Status> {
    let place = folder.join(NAME);
    let metadata = fs::symlink_metadata(&place).ok().filter(|metadata| metadata.is_file())?;
    (metadata.len() <= LARGEST).then_some(())?;
    serde_json::from_slice(&fs::read(place).ok()?).ok()
}

/// Whether the agent of a folder has delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It has: its files are there.
    Yes,
    /// Not yet, for this reason, in one line without any value.
    No(String),
}

/// Looks whether the agent of `folder` has delivered, for at most as long as `patience`; blocks.
pub fn ready(folder: &Path, patience: Duration) -> Ready {
    let begin = Instant::now();
    loop {
        let status = read(folder);
        if status.as_ref().is_some_and(|status| status.delivered) {
            return Ready::Yes;
        }
        let remaining = patience.saturating_sub(begin.elapsed());
        if remaining.is_zero() {
            return Ready::No(reason(folder, status));
        }
        std::thread::sleep(GLANCE.min(remaining));
    }
}

fn reason(folder: &Path, status: Option<Status>) -> String {
    match status {
        None => format!("no agent has begun to deliver to {}", folder.display()),
        Some(Status { failure: Some(failure), .. }) => failure,
        Some(_) => "the secrets are being read for the first time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<File> {
        strongroom_files::parse(text).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn not_ready(folder: &Path) -> String {
        match ready(folder, Duration::ZERO) {
            Ready::No(reason) => reason,
            Ready::Yes => panic!("it is ready"),
        }
    }

    const ONE: &str = "[{path: a, from: 'sr://env/A'}]";

    #[test]
    fn it_is_ready_after_a_delivery_and_says_why_not_before_it() {
        let folder = folder();
        assert!(not_ready(folder.path()).starts_with("no agent has begun"));
        let mut status = StatusFile::open(folder.path().to_owned(), &files(ONE), false).unwrap();
        assert_eq!(not_ready(folder.path()), "the secrets are being read for the first time");
        let down = Failure::new(Class::Unavailable, "no answer\nat all").in_field("a").with_hint("wait");
        status.failed(std::slice::from_ref(&down), Some(Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(not_ready(folder.path()), "a: no answer at all (wait)");
        status.failed(&[down.clone(), down.clone(), down.clone()], None).unwrap();
        assert_eq!(not_ready(folder.path()), "a: no answer at all (and 2 more like it)");
        status.delivered().unwrap();
        assert_eq!(ready(folder.path(), Duration::ZERO), Ready::Yes);
        status.failed(&[down], None).unwrap();
        assert_eq!(ready(folder.path(), Duration::ZERO), Ready::Yes, "what was delivered is still there");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["..status"]);
    }

    #[test]
    fn a_new_agent_of_the_same_list_is_ready_while_the_files_are_there() {
        let folder = folder();
        let open = |text: &str, has_set: bool| {
            StatusFile::open(folder.path().to_owned(), &files(text), has_set).unwrap().is_delivered()
        };
        let deliver = || StatusFile::open(folder.path().to_owned(), &files(ONE), true).unwrap().delivered().unwrap();
        deliver();
        assert!(open(ONE, true));
        assert!(!open(ONE, false), "the files are gone");
        deliver();
        assert!(!open("[{path: a, from: 'sr://env/B'}]", true), "another secret is wanted");
        assert!(!open(ONE, true), "nothing was delivered for that one");
    }

    #[test]
    fn what_is_no_status_is_nobodys() {
        let folder = folder();
        for text in ["", "{}", "{\"delivered\":true}", "[]", "\0"] {
            fs::remove_file(folder.path().join(NAME)).ok();
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(folder.path().join(NAME))
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            assert!(not_ready(folder.path()).starts_with("no agent has begun"), "{text}");
        }
        assert!(matches!(ready(Path::new("/no/such"), Duration::from_millis(60)), Ready::No(_)));
    }

    #[test]
    fn a_line_is_bounded() {
        let failure = Failure::new(Class::Invalid, "é".repeat(2000));
        let line = in_a_line(&[failure]);
        assert!((1000..=LONGEST_FAILURE).contains(&line.len()), "{}", line.len());
    }
}
