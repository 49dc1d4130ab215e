//! A thin touch with a Kubernetes API server: one client with limits, guarded watches, writes of Secrets, events, and a
//! Lease that says who leads.
//!
//! - Who stands on it asks for things and decides nothing here: what to write is planned above.
//! - Secret values travel in buffers that are wiped ([`SecretObject`]); no failure quotes an object's body, nor an API
//!   server's message that could ([`failure`]).
//! - The client's own retries (429, 503, 504) are the only ones. A watch goes on for ever, with growing pauses.
//! - Names that others wrote become part of an address only when they are names ([`failure::checked_name`]).
//!
//! In the order in which an operator uses it: [`Connection`] opens, [`watch_all`] and [`watch_namespaces`] tell what is
//! there, [`Election`] says whether to act, [`Secrets`] writes, [`Recorder`] tells people.

#![forbid(unsafe_code)]

mod connection;
mod election;
mod exchange;
pub mod failure;
mod foreign;
mod readiness;
mod reads;
mod recorder;
mod reviews;
mod secrets;
mod traffic;
mod watch;

pub use crate::connection::{Access, Connection, Settings};
pub use crate::election::{Election, ElectionSettings, Leadership};
pub use crate::failure::WriteFailure;
pub use crate::foreign::{Presence, deployments_available, lease_held};
pub use crate::readiness::{Initialized, ReadyHandle};
pub use crate::reads::{Token, read_config_map, read_service_account, request_token, server_time};
pub use crate::recorder::{EventKind, Recorder, RecorderSettings};
pub use crate::reviews::{Action, Asker, TokenOwner, may, may_i, review_token};
pub use crate::secrets::{Preconditions, SecretObject, Secrets, merge_patch, merge_patch_status, replace_finalizers};
pub use crate::traffic::{Request, Traffic};
pub use crate::watch::{
    ObjectName, Observed, Scope, Selection, watch_all, watch_all_until_disturbed, watch_namespaces,
};
