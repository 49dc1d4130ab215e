//! What people type to use a store that speaks Vault's API: `strongroom kv`, and to read its audit trail:
//! `strongroom audit`.
//!
//! Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such secret or version.

#![forbid(unsafe_code)]

mod api;
mod audit;
mod input;
mod kv;

pub use audit::AuditCommand;
pub use kv::KvCommand;
