//! What an image starts, read from its registry: ENTRYPOINT and CMD for pods whose containers name no command.
//!
//! In the order in which a look-up runs: a name becomes an [`Image`]; the credentials of the pod that are for it are
//! found ([`Credential`]); an endpoint (mirrors first) is asked for the manifest, from it the platform is chosen
//! ([`Platform`]), and the image's config is read ([`ImageConfig`]).
//!
//! - A tenant chooses the registry, so that nothing of it is trusted: every body is checked against the digest and size
//!   by which it was asked for, bounded in bytes and depth, and no request, redirected ones included, reaches a local
//!   address unless the settings name its host (design invariant 9).
//! - Credentials are sent to the registry that they are for and to the token service that it names, as Docker does;
//!   never along a redirect to another host.
//! - What one pod's credentials opened is given to no pod that has others or none, until the registry has said to that
//!   pod too that it may read the image.
//! - While a registry cannot be reached, what it last said to the same credentials holds for an hour; a refusal ends
//!   that.
//! - Nothing is tried again. The caller waits no longer than its deadline; what it waited for goes on for a while, so
//!   that the next who asks finds it.

#![forbid(unsafe_code)]

mod bytes;
mod challenge;
mod cloud;
mod credential;
mod docker_config;
mod endpoint;
mod flights;
mod image;
mod lru;
mod manifest;
mod platform;
mod reading;
mod registry;
mod session;
mod transport;

pub use crate::cloud::{Cloud, NodeCredentials};
pub use crate::credential::Credential;
pub use crate::docker_config::{docker_config_json, legacy_docker_config};
pub use crate::image::Image;
pub use crate::manifest::ImageConfig;
pub use crate::platform::Platform;
pub use crate::registry::{Asked, CacheSettings, Lookups, Registry, Settings};
