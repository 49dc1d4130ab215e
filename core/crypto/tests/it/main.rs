//! The primitives against published vectors, and against what other programs made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "nobody reads the files that it writes meanwhile")]

mod authority;
mod digests;
mod hostile;
mod locked;
mod signatures;
mod verifying;
