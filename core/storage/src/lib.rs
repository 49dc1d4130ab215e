//! What the built-in store keeps its records in: one trait, behind which redb and etcd behave alike.
//!
//! A storage is an ordered map from keys to bytes. It knows nothing of secrets: what reaches it went through the barrier,
//! names too. Keys are texts of segments with `/` between them; order is that of their bytes. All changes go through
//! [`Storage::commit`], which is atomic, durable before it answers, and happens only if its conditions hold. Whoever
//! reads, decides and commits on the condition that what was read is still there needs no lock.
//!
//! No async runtime: the futures are those of the standard library, boxed so that a storage can be chosen at start.

#![forbid(unsafe_code)]

mod common;
pub mod memory;
#[cfg(feature = "suite")]
pub mod suite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub use common::{behind, child_of, children_of, page_of};

/// What an operation of a storage answers, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// Conditions, puts and deletes of one commit, together. etcd takes 128 operations in a transaction.
pub const MOST_OPERATIONS: usize = 120;

/// Bytes of the keys and values of one commit, together. etcd takes requests of 1.5 MiB.
pub const MOST_BYTES: usize = 1 << 20;

/// Bytes of a key.
pub const LONGEST_KEY: usize = 4096;

/// The commit that wrote something: later commits have greater numbers; 1 is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What is kept under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// As it was put.
    pub bytes: Vec<u8>,
    /// The commit that put it.
    pub revision: Revision,
}

/// A part of what a scan finds, in order of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and what is kept under them.
    pub entries: Vec<(String, Stored)>,
    /// Whether there are more behind the last one.
    pub has_more: bool,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Child {
    /// The segment, without the folder and without a slash.
    pub name: String,
    /// Whether it is a folder. A name that is a key and a folder is listed as both, each in its place by bytes, where a
    /// folder's name ends with its slash.
    pub is_folder: bool,
}

/// A part of a folder, in order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// The names.
    pub names: Vec<Child>,
    /// Whether there are more behind the last one.
    pub has_more: bool,
}

/// What has to be true for a commit to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key that it is about.
    pub key: String,
    /// The commit that wrote what is there; `None` where nothing may be there.
    pub expected: Option<Revision>,
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// All of these have to hold.
    pub conditions: Vec<Condition>,
    /// Keys and what is kept under them from now on.
    pub puts: Vec<(String, Vec<u8>)>,
    /// Keys under which nothing is kept any more; those that are absent already do no harm. No key is put and deleted.
    pub deletes: Vec<String>,
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, and survives the end of the process and the machine.
    Committed(Revision),
    /// A condition does not hold. Nothing changed: read again and decide again.
    Conflict,
}

/// Why a storage did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// It cannot be reached or does not work now. Nothing was changed. Try again later.
    Unavailable(Box<str>),
    /// It ended while a commit was under way: it happened, or will happen, or never will.
    Unknown(Box<str>),
    /// There is no room left. Nothing was changed.
    Full,
    /// What it holds was damaged outside. Restore a snapshot.
    Damaged(Box<str>),
    /// What was asked exceeds [`MOST_OPERATIONS`], [`MOST_BYTES`] or [`LONGEST_KEY`], or contradicts itself.
    Refused(&'static str),
}

impl fmt::Display for StorageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(words) => write!(formatter, "the storage is not available: {words}"),
            Self::Unknown(words) => {
                write!(formatter, "the storage ended while it wrote, and it is not known whether it did: {words}")
            }
            Self::Full => formatter.write_str("the storage has no room left: make room on its disk"),
            Self::Damaged(words) => {
                write!(formatter, "the storage is damaged: {words}; restore a snapshot")
            }
            Self::Refused(words) => write!(formatter, "the storage does not take this: {words}"),
        }
    }
}

impl std::error::Error for StorageError {}

/// Where records are kept. Everything is seen as of one moment within a call, and calls see all earlier commits.
pub trait Storage: Send + Sync {
    /// What is kept under each of `keys`, in their order, all as of one moment.
    fn read<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Vec<Option<Stored>>>;

    /// Up to `limit` entries whose keys begin with `prefix` and stand behind `after`.
    fn scan<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Pending<'a, Page>;

    /// Up to `limit` names in `folder` (empty, or with a slash at its end) that stand behind `after`. The cost is that of
    /// the names, not of what lies in folders among them.
    fn children<'a>(&'a self, folder: &'a str, after: Option<&'a Child>, limit: usize) -> Pending<'a, Children>;

    /// Changes what `commit` says if its conditions hold; durable before the answer.
    fn commit(&self, commit: Commit) -> Pending<'_, Outcome>;

    /// All that is kept as of one moment, to be read while others write.
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>>;
}

/// A storage as it was at one moment.
pub trait Snapshot: Send + Sync {
    /// The last commit that it contains.
    fn revision(&self) -> Revision;

    /// Up to `limit` entries behind `after`, in order of keys.
    fn scan<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Pending<'a, Page>;
}

/// Agrees among servers that share a storage on the one that uses it. While another one may be active, commits of this one
/// are not taken.
pub trait Election: Send + Sync {
    /// Waits until this server is the active one, which the others find at `address` from then on.
    fn win<'a>(&'a self, address: &'a str) -> Pending<'a, ()>;

    /// Waits until this server is no longer the active one, and answers why.
    fn lost(&self) -> Pending<'_, Box<str>>;

    /// Lets another server be the active one. One that is not active has nothing to do.
    fn resign(&self) -> Pending<'_, ()>;

    /// Where the active server is found, if there is one.
    fn leader(&self) -> Pending<'_, Option<String>>;
}
