//! What a target should be and what must change: pure planning for everything that writes a Secret.
//!
//! Times, keys and answers come in; this crate has no clock, no client and no runtime, and never formats a value. The
//! modules stand in the order in which one synchronisation goes through them: [`refresh`] says whether it is time,
//! [`wants`] what to ask the stores, [`assemble`] makes one map of their answers (with [`json`], [`keys`] and
//! [`rewrite`]), [`render`] applies the template, [`target`] says what to write, comparing with [`current`] (which is
//! read off an [`outline`]), and [`status`] what to tell about it. What is written is what External Secrets Operator
//! writes, to the byte ([`hash`]). [`push`] and
//! [`push_status`] are for the other way: what of a Secret goes into which stores.

#![forbid(unsafe_code)]

pub mod assemble;
pub mod current;
pub mod hash;
pub mod json;
pub mod keys;
pub mod manifest;
pub mod object;
pub mod outline;
pub mod owned;
pub mod push;
pub mod push_status;
pub mod refresh;
pub mod render;
pub mod rewrite;
pub mod schedule;
pub mod status;
pub mod target;
pub mod wants;
pub mod windows;

use std::collections::BTreeMap;

use strongroom_secret::SecretBytes;

/// Secret values by key: what a store gave, what a template made, what a Secret holds.
pub type Values = BTreeMap<String, SecretBytes>;

/// Labels or annotations.
pub type Texts = BTreeMap<String, String>;

/// The prefix of our own annotations on other people's kinds.
pub const OWN_PREFIX: &str = "strongroom.dev/";

/// The annotation on an ExternalSecret, `true`, by which a value that cannot be had does not keep the others back.
pub const PARTIAL_ANNOTATION: &str = "strongroom.dev/partial";

/// Whether an ExternalSecret with these annotations takes what can be had.
pub fn is_partial(annotations: &Texts) -> bool {
    annotations.get(PARTIAL_ANNOTATION).is_some_and(|text| text == "true")
}
