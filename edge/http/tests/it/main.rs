//! The client against servers with faults: a switchboard that answers by itself, and a TLS server that wants to know
//! who asks; the admin server against clients with faults.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod exchange;
mod mutual_tls;
#[cfg(feature = "server")]
mod server;
