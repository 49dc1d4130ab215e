//! Key-value secrets of the built-in store, with and without versions, exactly as Vault's and OpenBao's clients know them
//! (governance.md §9, §10.2, §10.8).
//!
//! [`metadata`] decides, without storage and without a clock: what a write, a deletion or a tidying makes of the versions
//! of one secret. [`v2`] reads, decides and commits on the condition that nothing came between; [`v1`] is the same
//! without versions. Data are JSON text in [`SecretBytes`](strongroom_secret::SecretBytes) from end to end, so that
//! numbers stay as they were written.
//!
//! # Records
//! A mount's view holds `config`; for each secret `meta/PATH`, which knows all its versions; and for each version that is
//! not destroyed `versions/PATH/NUMBER`. So a read costs two records and a write three, however many secrets and
//! versions there are, and what is destroyed is gone with the commit that destroys it.

#![forbid(unsafe_code)]

pub mod error;
pub mod json;
pub mod metadata;
pub mod path;
pub mod v1;
pub mod v2;

pub use error::KvError;
pub use metadata::{Cas, Config, Metadata, Version, VersionInfo};
pub use v1::V1;
pub use v2::{MetadataChange, Read, V2};
