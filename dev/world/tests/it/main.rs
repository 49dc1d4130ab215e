//! Each part, started and asked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod google;
mod moto;
mod open_bao;
mod proxy;
mod switchboard;
