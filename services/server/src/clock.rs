//! The time that the store goes by.

use jiff::Timestamp;

/// Now.
#[cfg(not(feature = "shifted-clock"))]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Now, and as many seconds later as the file says that STRONGROOM_TEST_CLOCK names: a machine whose clock jumps.
#[cfg(feature = "shifted-clock")]
pub(crate) fn now() -> Timestamp {
    let read = std::env::var_os("STRONGROOM_TEST_CLOCK").and_then(|path| std::fs::read_to_string(path).ok());
    let seconds: i64 = read.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    Timestamp::now() + jiff::SignedDuration::from_secs(seconds)
}
