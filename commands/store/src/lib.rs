//! What people type to use a store that speaks Vault's API: its secrets (`kv`), its policies, tokens, logins and mounts; and
//! to read its audit trail.
//!
//! Invariants: no secret comes from the command line, and none is shown on a terminal that did not ask for it; of what is
//! not to be lost, nothing is written over or taken away that was not seen or consented to.
//!
//! Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such thing, 5 two versions differ, 6 an
//! assertion about policies fails.

#![forbid(unsafe_code)]

mod api;
mod audit;
mod input;
mod kept;
mod kv;
mod login;
mod mounts;
mod policy;
mod store;
mod table;
mod terminal;
mod token;

pub use audit::AuditCommand;
pub use kv::KvCommand;
pub use login::{LoginCommand, LogoutCommand};
pub use mounts::{AuthCommand, SecretsCommand};
pub use policy::PolicyCommand;
pub use store::StoreCommand;
pub use token::TokenCommand;
