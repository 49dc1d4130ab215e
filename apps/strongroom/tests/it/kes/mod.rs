//! `strongroom operator` with the objects of kubernetes-external-secrets, in a cluster that has its kind.

mod migrate;
mod objects;
mod support;
