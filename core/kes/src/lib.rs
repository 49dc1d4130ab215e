//! All that is decided about an ExternalSecret of kubernetes-external-secrets ("KES", `kubernetes-client.io/v1`), in the
//! order of one synchronisation: whether it is ours and due ([`schedule`]), whether its namespace allows it
//! ([`permission`]), what to read ([`wants`]), what the answers come to ([`values`]), the Secret that is wanted
//! ([`secret`]), and the words of its status ([`status`]).
//!
//! Pure: stores, templates and the clock come in. Where KES 8.5.5 harms its users, this does not do as it did; the
//! differences are in `docs/compatibility/kes.md`.

#![forbid(unsafe_code)]

pub mod permission;
pub mod property;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod status;
pub mod store;
pub mod values;
pub mod wants;

use std::collections::BTreeMap;

use strongroom_secret::SecretBytes;

pub use settings::Settings;
pub use store::Store;

/// Secret values by key.
pub type Values = BTreeMap<String, SecretBytes>;
