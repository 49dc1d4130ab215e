//! When a workload is restarted because a Secret that it consumes has changed: all that is decided about it.
//!
//! The modules stand in the order of one decision: [`workload`] reads an object and what it consumes ([`consumption`])
//! and asks for ([`demand`]); [`secret`] is what a Secret's metadata say; [`track`] joins the two; [`fingerprint`] makes
//! of a Secret's values what can be compared and tells nothing; [`baseline`] is what was seen before, as it lies in an
//! annotation; [`plan`](mod@plan) compares and says what to do and what to write.
//!
//! Pure: objects, values, times and the key come in. Never holds a value, and no annotation that is written lets anybody
//! guess one without the key. What tenants wrote (patterns, lists, annotations) is bounded.

#![forbid(unsafe_code)]

pub mod annotations;
pub mod baseline;
pub mod consumption;
pub mod demand;
pub mod fingerprint;
pub mod plan;
pub mod secret;
pub mod track;
pub mod workload;

pub use baseline::Baseline;
pub use consumption::{Consumption, EVERY_KEY, Form, Use};
pub use demand::{Demand, Wish};
pub use fingerprint::{Fingerprint, Fingerprints, Key};
pub use plan::{Action, Effect, Hold, plan};
pub use secret::{Scope, SecretFacts};
pub use track::{Secrets, Tracked, Tracking, track};
pub use workload::{Kind, Workload};
