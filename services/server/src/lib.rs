//! The built-in store as a server: secrets with versions, tokens and policies, behind the HTTP API that Vault's and
//! OpenBao's clients speak.
//!
//! A request flows through the modules in this order: [`wire`] makes a [`exchange::Request`] of HTTP; [`store`] answers
//! what is asked of a sealed store, and hands the rest to the [`open`] one; [`handle`] finds out who asks ([`identity`])
//! and whether they may ([`policies`]), has the audit trail take it ([`trail`]), and gives it to the [`engines`] of the
//! mount ([`mounts`]) or to the [`system`]; and back.
//!
//! Nothing is answered that the trail does not hold, and a request that it does not take has no effect.

#![forbid(unsafe_code)]

mod clock;
mod command;
mod dev;
mod engine;
mod engines;
mod exchange;
mod handle;
mod identifiers;
mod identity;
#[cfg(feature = "in-process")]
pub mod in_process;
mod keepers;
mod keys;
mod leading;
mod leasing;
mod login;
mod members;
mod meters;
mod mounts;
pub mod offline;
mod open;
mod outside;
mod policies;
mod recorder;
mod records;
mod rotation;
mod routes;
mod run;
mod seal;
mod store;
mod system;
mod telling;
mod trail;
mod trouble;
mod usage;
mod wire;
mod wrapping;

pub use command::{SealChoice, ServerCommand, StorageOptions};
pub use dev::DevCommand;
