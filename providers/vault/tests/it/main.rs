//! The provider against a real OpenBao, with faults put between them where the server will not make any.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod aws;
mod engines;
mod faults;
mod identities;
mod jwt;
mod kubernetes;
mod leases;
mod lent;
mod logins;
mod push;
mod reads;
mod running;
mod search;
mod server;
mod transport;
