//! What sources say, whom it concerns, and who is believed: tables.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod aws;
mod google;
mod matching;
mod secret_operator;
mod webhook;
