//! `strongroom operator`: keeps the Secrets that custom resources ask for.

#![forbid(unsafe_code)]

pub mod eso;
