//! The child of every measured start: it says when its `main` began and how many values reached it.
//!
//! Small on purpose, so that what is measured is the program that started it.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use nix::time::{ClockId, clock_gettime};

/// How values of the stand-in begin.
const DELIVERED: &[u8] = b"delivered:";

fn main() -> ExitCode {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    let Ok(now) = now else { return ExitCode::FAILURE };
    let is_delivered = |value: &std::ffi::OsString| value.as_encoded_bytes().starts_with(DELIVERED);
    let delivered = std::env::vars_os().filter(|(_, value)| is_delivered(value)).count();
    let line = format!("{} {} {delivered}\n", now.tv_sec(), now.tv_nsec());
    if std::io::stdout().write_all(line.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "--stay") {
        loop {
            // Until a signal ends it.
            std::thread::park();
        }
    }
    ExitCode::SUCCESS
}
