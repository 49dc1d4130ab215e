//! All that is decided about a Secret with annotations of cmattoon/aws-ssm, in the order of one synchronisation: what it
//! asks for ([`annotations`]), whether anybody allowed that ([`permission`]), the keys that the answers come to
//! ([`values`]), and what must be written ([`secret`]).
//!
//! Pure: the store, the policies and the clock come in. Where aws-ssm harms its users, this does not do as it did; the
//! differences are in `docs/compatibility/aws-ssm.md`.

#![forbid(unsafe_code)]

pub mod annotations;
pub mod permission;
pub mod secret;
pub mod selector;
pub mod values;

pub use annotations::{Asked, Kind, Request};
pub use strongroom_sync::Values;
