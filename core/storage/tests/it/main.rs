//! The storage in memory has what every storage has.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_util::FutureExt as _;
use strongroom_storage::memory::Memory;
use strongroom_storage::suite;

#[test]
fn memory_passes_the_suite() {
    suite::check(|| Arc::new(Memory::default()), |behaviour| behaviour.now_or_never().expect("it never waits"));
}
