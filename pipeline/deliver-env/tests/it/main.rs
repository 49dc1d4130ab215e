//! What becomes of an environment, as tables.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bank_vaults;
mod delivery;
mod env_file;
