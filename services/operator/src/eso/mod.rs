//! External Secrets Operator's interface: its kinds, its stores, its metadata, its conditions, its metrics. Everything
//! here only translates between them and our own types.

pub(crate) mod cluster_external_secret;
pub(crate) mod external_secret;
pub(crate) mod generators;
pub(crate) mod store;
pub mod stores;
