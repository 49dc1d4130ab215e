//! The provider against a real OpenBao, with faults put between them where the server will not make any.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod faults;
mod kubernetes;
mod logins;
mod reads;
mod server;
mod transport;
