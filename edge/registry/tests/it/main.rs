//! Look-ups in a real registry, and in one that lies.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
mod hostile;
mod real;
