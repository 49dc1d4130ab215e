//! The launching program and its supervisor as they behave from outside: as the first process of a real PID
//! namespace (root), and as an ordinary process.

#![allow(clippy::expect_used, reason = "a test that cannot be set up must fail loudly")]

mod support;

mod clean;
mod ending;
mod keeping;
mod launching;
mod reaping;
mod resolving;
mod signals;
mod terminal;
