//! The audit trail of the built-in store: what an entry says, how it is kept from telling values, and how anybody who
//! holds the key can tell that lines were changed.
//!
//! In the order in which an entry is made: [`hash`] turns what is secret into keyed hashes; [`data`] does so for whole
//! JSON documents; [`headers`] picks the headers that are told; [`entry`] is a request or a response in the format of
//! Vault's and OpenBao's audit devices (governance.md §4.4) and becomes a [`Body`]; [`chain`] gives bodies their place
//! behind the lines before them and, now and then, a [`checkpoint`]; [`verify`] reads lines again and says which is the
//! first that is wrong, with [`fault`] for why.
//!
//! # What is told in clear
//! Who (display name, policies, metadata of the login), what (operation, path, mount), from where, and with which
//! outcome. Every scalar of request and response data, tokens and accessors are HMAC-SHA-256 under the device's key,
//! numbers and booleans too (Vault tells those in clear); keys of objects, `null`, the shape and the lengths of lists are
//! told. Equal values have equal hashes, so whoever may make requests and read the trail can confirm a guess: that is
//! what `sys/audit-hash` is for, and why the trail is not for everybody's eyes.
//!
//! # What the chain proves
//! Each line holds its number and the SHA-256 of the line before. Whoever edits, removes, adds or moves lines must make
//! all later lines anew, which the next checkpoint (a MAC under a key that the barrier derives) and the [`Head`] that
//! the store keeps give away. Lines behind the last checkpoint *and* behind the kept head can be replaced unnoticed by
//! whoever may write the file, and so can everything by whoever puts back an old file *and* the old store beside it.
//!
//! Pure: times, keys and trail names come in, lines go out; files, rotation and `fsync` are the sinks'.

#![forbid(unsafe_code)]

pub mod chain;
pub mod checkpoint;
pub mod data;
pub mod entry;
pub mod fault;
pub mod hash;
pub mod headers;
mod suspicion;
pub mod verify;

pub use chain::{Batch, Chain, Digest, Head};
pub use checkpoint::{CheckpointKey, Trail};
pub use data::{ClearKeys, Document, Limits};
pub use entry::{Body, Entry, EntryError, Half};
pub use fault::{Fault, Kind};
pub use hash::{Hashed, Hasher};
pub use headers::{AuditedHeaders, Headers};
pub use verify::{Start, Tail, Verified, Verifier};
