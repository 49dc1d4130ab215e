//! The commands as people meet them: processes that ask a real server, at a terminal and without one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test's own files have one reader")]

mod help;
mod keeping;
mod kv;
mod login;
mod mounts;
mod moving;
mod policy;
mod store;
mod token;
