//! Clients that nobody changed.

pub(crate) mod bao;
mod hvac;
mod node_vault;
mod provider;
mod vaultrs;
