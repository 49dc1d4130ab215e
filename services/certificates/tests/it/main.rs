//! Against a real API server; certificates are judged by OpenSSL, and by the API server when it calls a webhook.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "nobody reads the files that it writes meanwhile")]

mod bundles;
mod files;
mod rotation;
mod secret;
mod support;
