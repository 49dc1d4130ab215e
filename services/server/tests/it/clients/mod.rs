//! Clients that nobody changed.

mod bao;
mod hvac;
mod node_vault;
mod provider;
mod vaultrs;
