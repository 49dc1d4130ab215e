//! What people type to use a store that speaks Vault's API: `strongroom kv`, to read its audit trail:
//! `strongroom audit`, and to keep it: `strongroom store`.
//!
//! Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such secret or version.

#![forbid(unsafe_code)]

mod api;
mod audit;
mod input;
mod kv;
mod store;

pub use audit::AuditCommand;
pub use kv::KvCommand;
pub use store::StoreCommand;
