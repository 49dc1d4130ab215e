//! The server as its clients meet it: a process of its own, which tests kill, and clients that nobody changed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test's own files have one reader")]

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: strongroom_process::WipingAllocator = strongroom_process::WipingAllocator;

mod clients;
mod cluster;
mod crashes;
mod document;
mod faults;
mod hostile;
mod kv;
mod logins;
mod policies;
mod sealing;
mod serving;
mod tokens;
mod trail;
mod traps;
mod upkeep;
mod usage;
