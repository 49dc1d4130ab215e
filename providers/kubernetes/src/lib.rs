//! Secrets ([`Secrets`]) and any other objects ([`CustomResources`]) of a Kubernetes API server as a store.
//!
//! Plain REST over the one client stack of `edge/http`, with its address rules: a server's address may be a tenant's
//! choice. One GET an object answers all of its properties; a search is one paged LIST, and its values come along.
//!
//! Never retries, except the one request after a fresh token; never shows a token, a value or a body; only a
//! `Status` that says so makes an object absent, so that a wrong address is never mistaken for a deletion.

#![forbid(unsafe_code)]

mod answer;
mod connection;
mod custom_resources;
mod discovery;
mod kubeconfig;
mod list;
mod object;
#[cfg(feature = "push")]
mod push;
mod secrets;
mod tokens;
mod whitelist;

pub use crate::connection::{ConnectionSettings, Token};
pub use crate::custom_resources::{CustomResourceSettings, CustomResources, Namespaces};
pub use crate::discovery::Kind;
pub use crate::kubeconfig::from_kubeconfig;
pub use crate::secrets::Secrets;
pub use crate::whitelist::{Rule, Whitelist};
