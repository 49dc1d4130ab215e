//! Reviews as API servers send them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
