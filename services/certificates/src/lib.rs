//! Keeps the certificate of a webhook, and the `caBundle` of the configurations that call it, so that no request fails
//! while certificates, authorities and replicas come and go.
//!
//! [`keep`] runs in every replica. All follow one Secret, which whoever comes first makes, and hand its certificate to
//! their server ([`serve`]); whoever holds a Lease replaces what is due, mends what is damaged and puts bundles back in
//! place. Modules in the order of a round: `settings`; `contents` (what the Secret holds), [`steps`] (what to do next, a
//! pure function), `configurations` (the bundles), `keeper` (the round); `files` where somebody else renews.
//!
//! - What to do next follows from the Secret and the configurations alone: any step may be cut off by a kill, and the
//!   next leader goes on.
//! - An authority is in all bundles for [`Times::settle`] before anybody serves what it signed, and leaves them
//!   [`Times::linger`] after the last certificate that it signed was replaced.
//! - Certificates are judged by the API server's time, since API servers judge them too, and waited for by a clock that
//!   only goes forward: no clock of ours that jumps changes anything.
//! - Writes are guarded: of the Secret and of the configurations by the version that was seen. A replica that led, slept
//!   and wakes changes nothing.
//! - Only `caBundle` is written, by server-side apply as [`FIELD_MANAGER`], and only of webhooks that call our Service or
//!   one of our hosts.
//! - Private keys are [`SecretBytes`](strongroom_secret::SecretBytes). In steady state nothing is written; each replica
//!   reads the Secret once a minute.
//!
//! # Rights
//! In the namespace of the Service, as a Role (`SECRET` and `LEASE` as in [`Settings`]):
//! ```yaml
//! - {apiGroups: [""], resources: [secrets], resourceNames: [SECRET], verbs: [get, list, watch, update]}
//! - {apiGroups: [""], resources: [secrets], verbs: [create]}             # creation has no name to allow
//! - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [LEASE], verbs: [get, update]}
//! - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
//! - {apiGroups: [""], resources: [events], verbs: [create, patch]}
//! ```
//! For the configurations, as a ClusterRole, each kind where one is named:
//! ```yaml
//! - apiGroups: [admissionregistration.k8s.io]
//!   resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations]
//!   resourceNames: [NAME, ...]
//!   verbs: [list, watch, patch]
//! - apiGroups: [apiextensions.k8s.io]
//!   resources: [customresourcedefinitions]
//!   resourceNames: [NAME, ...]
//!   verbs: [list, watch, patch]
//! ```
//! With files as the source the rights on Secrets are not needed, and without a bundle none is.

#![forbid(unsafe_code)]

mod configurations;
mod contents;
mod files;
mod keeper;
#[cfg(test)]
mod schedule;
mod settings;
pub mod steps;
mod tls;

pub use crate::contents::{ServingCertificate, ends};
pub use crate::keeper::keep;
pub use crate::settings::{Configuration, Kind, Settings, Source, Times};
pub use crate::steps::next;
pub use crate::tls::serve;

/// The field manager of bundles and of the Secret.
pub const FIELD_MANAGER: &str = "strongroom-certificates";
