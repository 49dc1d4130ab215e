//! Kubernetes kinds: the custom resources of External Secrets Operator and our own. Types only; no client.
//!
//! A type says what the API server's schema says (from it the CRDs are made) and nothing about behaviour. What others
//! wrote into an object and we do not know is kept where the CRD keeps it and otherwise ignored. What a schema cannot
//! say stands in `problems`, which whoever acts on an object asks first.

#![forbid(unsafe_code)]

pub mod external_secrets;
pub mod generators;
pub mod kamus;
pub mod kes;
pub mod secret_operator;

mod crds;
mod duration;
mod lenient;
mod names;
mod selection;
mod store_policy;

pub use crds::{crds, crds_yaml};
pub use duration::GoDuration;
pub use selection::label_selector;
pub use store_policy::{PolicyNamespaces, PolicyRule, PolicyStore, StorePolicy, StorePolicySpec, StorePolicyStatus};
