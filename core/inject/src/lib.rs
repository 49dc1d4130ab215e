//! How a pod is changed as it is created, so that secrets reach its processes and no Kubernetes Secret holds them.
//!
//! Three steps, since two things lie outside of the pod: [`Candidates::lookups`] says which ConfigMaps and Secrets its
//! variables come from, [`Survey::images`] which images' ENTRYPOINT and CMD must be known, and [`Survey::plan`] makes of
//! the answers an RFC 6902 patch and an [`Explanation`]. A caller that reads nothing for a pod without such variables
//! asks nobody.
//!
//! One module a system: `wrap` (kube-secrets-init, our own annotations), `vault` (bank-vaults' annotations), [`aws`]
//! (AWS' secret sidecar injector), `files` and `agent` (files by our own annotations), [`nase`] (native secrets, which are no matter of pods).
//!
//! Pure: no network, no clock, no files, and a dry run is the same plan. It works on raw JSON and patches only what it
//! changes, so that a field it does not know is never dropped. What a plan made is left alone by the next plan.

#![forbid(unsafe_code)]

mod agent;
pub mod annotations;
pub mod aws;
mod draft;
mod explanation;
mod files;
mod found;
mod image;
mod injected;
pub mod nase;
mod patch;
mod plan;
mod pod;
mod refusal;
mod role;
mod settings;
mod survey;
mod tokens;
mod vault;
mod wrap;

pub use explanation::{ANNOTATION_LIMIT, CAUSES_LIMIT, Cause, EVENT_LIMIT, Explanation, Note, Outcome};
pub use found::{Found, Keys, Lookup, Source, SourceKind};
pub use image::{ImageConfig, ImageNeeded, Images};
pub use patch::Operation;
pub use plan::Plan;
pub use refusal::{Reason, Refusal};
pub use settings::{LabelRule, Settings};
pub use survey::{Candidates, Survey};
