//! Both stores against a real emulator, with faults made between them and the provider.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod ambient;
#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "certificates")]
mod certificates;
mod common;
mod faults;
mod identities;
#[cfg(feature = "key-management")]
mod keys;
mod parameter_store;
#[cfg(feature = "push")]
mod push;
#[cfg(feature = "queue")]
mod queue;
mod secrets_manager;
#[cfg(feature = "tokens")]
mod tokens;
mod ways;
