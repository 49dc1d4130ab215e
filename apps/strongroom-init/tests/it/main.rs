//! `strongroom-init` and `secrets-init` as their users meet them: real programs, real stores, a real PID namespace.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agent;
mod bank_vaults;
mod canary;
mod delivery;
mod kamus;
mod node;
mod program;
mod secret_sidecar;
mod secrets_init;
mod stores;
mod watch;
