//! `strongroom operator` with the objects of kubernetes-external-secrets, in a cluster that has its kind.

mod events;
mod examples;
mod login;
mod migrate;
mod objects;
pub(crate) mod support;
