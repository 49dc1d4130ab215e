//! AWS Secrets Manager and Systems Manager Parameter Store, read in batches through the official SDK.
//!
//! A [`Session`] is one identity: settings, credentials, roles and one HTTP client, all made when first needed. It
//! opens [`SecretsManager`] and [`ParameterStore`] for any region; both implement
//! [`Provider`](strongroom_provider::Provider).
//!
//! - Credentials are loaded once at a time, kept until shortly before they expire and shared by every call. A token
//!   that AWS refuses is dropped and loaded afresh once; apart from that nothing is retried here.
//! - A batch never lets one bad key spoil the others: where AWS refuses a whole call because of one key, or because
//!   batch calls are not allowed, the keys are asked one by one, together, and what was learnt is remembered for ten
//!   minutes per identity.
//! - A store can have a prefix: it stands before every key that is read, and a search goes no further than it reaches.
//! - `CertificateManager` gives certificates with their keys, and takes them (feature `certificates`). An export costs
//!   money, so what was exported is kept for a day as long as AWS shows the same certificate: the one value that is
//!   cached here.
//! - A [`Queue`] of SQS is read under the same identity (feature `queue`), and what ends is made: logins for registries,
//!   temporary credentials (feature `tokens`).
//! - A key of KMS wraps and unwraps other keys (feature `key-management`).
//! - Searching and reading tags are left out of small programs, which never do either (feature `catalog`).
//! - Nothing is read from the environment except where the settings leave something to it (`AWS_*`, proxies,
//!   `SSL_CERT_FILE`), and no network is touched before the first read.

#![forbid(unsafe_code)]

mod ambient;
mod caller_identity;
#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "certificates")]
mod certificate_manager;
mod credentials;
mod failure;
#[cfg(any(feature = "tokens", feature = "key-management"))]
mod json_service;
mod kept;
#[cfg(feature = "key-management")]
mod key_management;
mod memory;
mod parameter_store;
mod prefix;
#[cfg(feature = "push")]
mod push;
#[cfg(feature = "queue")]
mod queue;
#[cfg(feature = "tokens")]
mod registry;
mod secrets_manager;
mod session;
mod settings;
mod sts;
#[cfg(feature = "tokens")]
mod temporary;
mod transport;

pub use crate::caller_identity::SignedRequest;
#[cfg(feature = "certificates")]
pub use crate::certificate_manager::CertificateManager;
pub use crate::parameter_store::ParameterStore;
#[cfg(feature = "queue")]
pub use crate::queue::{Queue, QueueMessage};
#[cfg(feature = "tokens")]
pub use crate::registry::{Registries, RegistryLogin};
#[cfg(feature = "push")]
pub use crate::secrets_manager::Deletion;
pub use crate::secrets_manager::SecretsManager;
pub use crate::session::Session;
pub use crate::settings::{AccessKey, Endpoints, ProxySettings, Role, Settings, Timeouts, WebIdentity, WebToken};
#[cfg(feature = "tokens")]
pub use crate::temporary::{TemporaryCredentials, TemporaryRequest};
