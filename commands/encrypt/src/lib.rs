//! `strongroom encrypt`: values for Git, by an encryptor or, with the public key alone, without one.
//!
//! One value at a time it is `kamus-cli encrypt`: its options, the order of its checks, its transcript and exit codes
//! (seed-interfaces.md §7.6, §7.10, KA-06). Beyond that it encrypts the plain values of manifests where they stand
//! (`in_place`), and finds those that nobody encrypted (`check`).
//!
//! Where values stand in a file, and how others come into their places, is `core/kamus`' part (`manifest`).

#![forbid(unsafe_code)]

mod check;
mod in_place;
mod options;
mod sealer;
mod textconv;
mod transcript;
mod value;

pub use crate::options::EncryptCommand;
