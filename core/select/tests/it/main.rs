//! Selection as its users see it.

#![forbid(unsafe_code)]
// Helpers of tests are tests: they may fail.
#![allow(clippy::unwrap_used)]

mod answers;
mod decoding;
mod languages;
mod limits;
mod properties;
