//! What sources tell about changes, as tables named after the behaviours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aws;
mod google;
mod matching;
mod secret_operator;
mod webhook;
