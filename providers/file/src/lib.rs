//! Files on this machine as a store: a key is a path, a value is the file's bytes.
//!
//! For secrets that something else already mounted: a Kubernetes Secret volume, a Docker secret, a CSI volume. Opens
//! regular files only, so that a pipe or a device never hangs the program; with a root set, no key leads out of it.

#![forbid(unsafe_code)]

mod open;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Limits, Provider, RemoteKey, RemoteValue, one_by_one};

/// The largest file that is read, in bytes. Stores outside hold at most 1 MiB and key stores a few MiB; this bounds
/// the memory that one mistyped path (a log, an image) can take.
pub const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// What can be said about a store of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// An absolute directory that keys may not leave, by `..` or by symbolic links; keys may then be relative to it.
    /// Without it every key is an absolute path.
    #[serde(default)]
    pub root: Option<PathBuf>,
}

/// Reads files.
#[derive(Clone, Debug)]
pub struct Files {
    root: Option<PathBuf>,
}

impl Files {
    /// A store of the files that `settings` allow. Touches nothing yet.
    ///
    /// # Errors
    /// `Invalid` when the root is not an absolute path.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        match &settings.root {
            Some(root) if !root.is_absolute() => {
                let words = format!("\"{}\" must be an absolute path", root.display());
                Err(Failure::new(Class::Invalid, words).in_field("root"))
            }
            _ => Ok(Self { root: settings.root }),
        }
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let read = if key.version.is_some() {
            Err(Failure::new(Class::Invalid, "files have no versions"))
        } else if key.request.is_some() {
            Err(Failure::new(Class::Invalid, "a file takes no request"))
        } else {
            open::read(self.root.as_deref(), Path::new(&key.name))
        };
        read.map(|value| RemoteValue::new(value, None))
            .map_err(|failure| failure.on_key(&key.name).from_store(self.describe()))
    }
}

#[async_trait]
impl Provider for Files {
    fn describe(&self) -> String {
        match &self.root {
            Some(root) => format!("files (under {})", root.display()),
            None => "files".to_owned(),
        }
    }

    fn identity(&self) -> String {
        format!("user {} of this machine", nix::unistd::geteuid())
    }

    /// No quota: a disk answers at once. The figures only keep one plan from opening a file a key at the same time.
    fn limits(&self) -> Limits {
        Limits { concurrency: 8, rate: 100_000.0, burst: 100_000 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |_| "read".to_owned())
    }

    /// Reads on a thread of its own: a network file system that hangs holds up these keys, not the program.
    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let (files, asked) = (self.clone(), keys.to_vec());
        let reading = tokio::task::spawn_blocking(move || asked.iter().map(|key| files.answer(key)).collect());
        reading.await.unwrap_or_else(|_| {
            let stopped = |key: &RemoteKey| {
                Failure::new(Class::Unavailable, "the reading thread was stopped")
                    .on_key(&key.name)
                    .from_store(self.describe())
            };
            keys.iter().map(|key| Err(stopped(key))).collect()
        })
    }
}
