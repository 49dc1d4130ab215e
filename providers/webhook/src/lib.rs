//! Any HTTP endpoint as a store: address, headers, body and the place of the value in the answer are Go templates over
//! the key and over Secrets that the store's owner may use.
//!
//! One request a key. Follows redirects on the same host only, so that no credential travels to another; where requests
//! may go is the address rules' of `edge/http`. Never retries; no failure holds a value, a rendered template or a body.

#![forbid(unsafe_code)]

mod answer;
mod data;
mod request;
mod webhook;

pub use crate::webhook::{Settings, Webhook};
