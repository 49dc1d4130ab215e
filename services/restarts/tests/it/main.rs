//! Against a real API server with its controllers. Nothing runs pods there, so that rollouts end where there are none
//! to wait for, or when a test says so in the status.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "nobody reads the files that it writes meanwhile")]

mod keys;
mod kinds;
mod storm;
mod support;
mod triggers;
mod waiting;
