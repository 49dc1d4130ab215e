//! The kinds as the API server and people see them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;
mod crds;
mod generators;
mod kamus;
mod kes;
mod problems;
mod reading;
mod secret_operator;
mod surface;
