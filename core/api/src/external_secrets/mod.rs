//! `external-secrets.io/v1`: the kinds of External Secrets Operator 2.x, field by field.

pub mod provider;
mod selector;

pub use selector::{CaProvider, CaProviderKind, SecretKeySelector, ServiceAccountSelector};
