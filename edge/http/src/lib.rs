//! One HTTP client stack for everything that speaks to the outside: hyper (HTTP/1.1) over rustls with aws-lc-rs.
//!
//! - Nothing is read from the process's environment and nothing global is installed: whoever builds a [`Client`] passes
//!   everything in ([`Settings`]); functions named `from_environment` take a look-up closure.
//! - Everything is bounded: connecting, waiting, the whole exchange, the answer's size, the connections kept.
//! - Answers are [`SecretBytes`](strongroom_secret::SecretBytes): wiped when dropped, never printed. (hyper's own read
//!   buffer, at most 400 KiB a connection, is freed with its connection but not wiped.)
//! - Redirects are not followed unless asked for, and then only to the same scheme, host and port, so that credentials
//!   never travel to another host.
//! - Addresses that a tenant chose are checked after name resolution ([`AddressPolicy::NoLocal`]).
//! - With the feature `server` there is also a small server for probes, metrics and news (`Server`), and one that hands
//!   whole requests to a handler (`RequestServer`); programs that are copied into pods leave them out.
//! - It never retries; an [`Error`] says what went wrong and becomes a `Failure` with its class.

#![forbid(unsafe_code)]

mod address;
mod client;
mod connect;
mod error;
mod form;
mod headers;
mod json;
mod proxy;
mod response;
#[cfg(feature = "server")]
mod server;
mod tls;

pub use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

pub use crate::address::AddressPolicy;
pub use crate::client::{Client, Redirects, Settings, Timeouts};
pub use crate::error::{Cause, Error};
pub use crate::form::form_body;
pub use crate::headers::{secret_header, shown_headers};
pub use crate::json::json_body;
pub use crate::proxy::{Hop, Proxy};
pub use crate::response::Response;
#[cfg(feature = "server")]
pub use crate::server::{
    Answer, Limits, Peer, Posted, Received, Reply, ReplyBody, ReplyPart, RequestServer, Route, Server,
    ServerCertificate, ServerTls, stop_signal,
};
pub use crate::tls::{ClientCertificate, Pem, Roots, TlsSettings};
