//! Values as the rules and published vectors want them, and as other programs read them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod one_time;
mod password;
mod ssh;
