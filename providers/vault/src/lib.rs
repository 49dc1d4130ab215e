//! HashiCorp Vault and OpenBao as a store: KV version 1 and 2, and whatever else answers a read or a write with data.
//!
//! One read for each path, however many properties of it are wanted: the value is the JSON object at that path, as
//! the server wrote it. In the order of one read: [`Settings`] say which server and how to log in, the session keeps
//! one token (one login however many reads wait for it, renewed on use, replaced once when it is refused), the mounts
//! say which version of KV a path belongs to, the path becomes the API's, the answer becomes bytes and a version.
//!
//! What a read was lent is renewed by [`Provider::renew`](strongroom_provider::Provider::renew); who leases for others
//! asks, renews and revokes by [`Vault::ask`], [`Vault::renew`] and [`Vault::revoke`].
//!
//! A search lists metadata folder by folder, many at once, and gives names; what is found is read like any other key.
//!
//! Never retries, except the one read after a fresh login; never shows a token, a value or a body.

#![forbid(unsafe_code)]

mod answer;
mod api;
mod aws;
mod credential;
mod environment;
mod find;
mod leases;
mod login;
mod metadata;
mod mounts;
mod path;
#[cfg(feature = "push")]
mod push;
mod search;
mod session;
mod settings;
mod transit;
mod vault;

pub use crate::aws::{AwsCaller, SignedRequest};
pub use crate::credential::Credential;
pub use crate::leases::{Action, Answered, Handle, Lease, Login};
pub use crate::settings::{
    AppRole, Auth, Aws, Certificate, Consistency, HeaderText, Jwt, KvVersion, Password, Settings, Token,
};
pub use crate::transit::TransitKey;
pub use crate::vault::Vault;
