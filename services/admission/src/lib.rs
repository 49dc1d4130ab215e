//! `strongroom admission`: changes pods as they are created, so that secrets reach their processes and no Kubernetes
//! Secret holds them; and judges the operator's objects before they are written.
//!
//! An API server's call goes through [`serve`](self) by its path: `review` reads it, `pods` asks `core/inject` what to do
//! and fetches what that needs to know (`sources`: ConfigMaps and Secrets; `pulling`, `node` and `edge/registry`: images),
//! `native` moves values of Secrets (NASE), `kamus` asks whether a KamusSecret's author may act as its account,
//! `validation` asks `core/api` what is wrong with an object. What is served
//! under another project's name is told by the path: `/pods` (kube-secrets-init, and Deployments as NASE had them),
//! `/mutating-pods` (files alone, as AWS' sidecar injector), `/secrets` (NASE), `/kamus-secrets`, `/validate` and
//! `/injected-pods` (ours).
//!
//! - What cannot be done is refused, by an answer and not by an error: a webhook that fails open does not open on it.
//! - No body is logged or quoted; of what ConfigMaps and Secrets hold only references are kept.
//! - Everything is bounded: bodies, connections, and the time of a review by what the API server waits.

#![forbid(unsafe_code)]

mod command;
mod kamus;
mod metrics;
mod native;
mod node;
mod pods;
mod pulling;
mod review;
mod run;
mod serve;
mod settings;
mod sources;
mod validation;

pub use command::AdmissionCommand;
pub use native::OPT_IN;
pub use settings::{AdmissionSettings, with_two_dashes};

/// In whose name Secrets are asked for, in the API server's logs.
const FIELD_MANAGER: &str = "strongroom-admission";
