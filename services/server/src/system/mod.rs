//! `sys/`: what the store says of itself, and what changes it (governance.md §10.3).

mod capabilities;
mod keys;
mod mounting;
mod policies;
mod tools;

use async_trait::async_trait;
use serde_json::json;
use strongroom_policy::acl::Operation;
use strongroom_telemetry::METRICS_CONTENT_TYPE;

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::mounts::MountClass;

/// The engine of `sys/`.
pub(crate) struct System;

/// Paths that are for whoever has `sudo` there.
const SUDO: &[&str] = &[
    "audit",
    "audit/*",
    "audit-verify",
    "auth/*",
    "config/auditing/*",
    "leases/lookup",
    "leases/lookup/*",
    "leases/revoke-force/*",
    "leases/revoke-prefix/*",
    "raw",
    "raw/*",
    "remount",
    "revoke-force/*",
    "revoke-prefix/*",
    "rotate",
    "rotate/*",
    "seal",
    "step-down",
    "storage/raft/snapshot",
];

#[async_trait]
impl Engine for System {
    fn is_for_everybody(&self, path: &str, _operation: Operation) -> bool {
        // A wrapping token is the right to look it up and to unwrap it; the handlers see to that.
        // What a UI may show depends on the token, which its handler looks at.
        matches!(path, "wrapping/lookup" | "wrapping/unwrap" | "internal/ui/mounts")
            || path.starts_with("internal/ui/mounts/")
    }

    fn needs_sudo(&self, path: &str, operation: Operation) -> bool {
        // Names of policies for logins: looking is no change.
        let is_look = path == "auth" || (path.starts_with("auth/") && operation == Operation::Read);
        // `leases/lookup` by id is everybody's with the right; a listing is not.
        let is_lookup = path == "leases/lookup" && operation == Operation::Update;
        !is_look && !is_lookup && SUDO.iter().any(|known| matches(known, path))
    }

    fn absent(&self, call: &Call<'_>) -> Fault {
        Fault::unsupported_path(call)
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let (first, rest) = call.path.split_once('/').unwrap_or((call.path, ""));
        match first {
            "mounts" => mounting::mounts(call, MountClass::Secret, rest).await,
            "auth" => mounting::mounts(call, MountClass::Auth, rest).await,
            "remount" => mounting::remount(call, rest).await,
            "policies" => match rest.strip_prefix("acl").map(|rest| rest.trim_start_matches('/')) {
                Some(name) => policies::acl(call, name).await,
                None => Err(Fault::unsupported_path(call)),
            },
            "policy" => policies::legacy(call, rest).await,
            "capabilities" | "capabilities-self" | "capabilities-accessor" if rest.is_empty() => {
                capabilities::asked(call, first).await
            }
            "internal" => tools::internal(call, rest),
            "tools" => tools::tools(call, rest),
            "audit-hash" | "audit" => tools::own(call, first, rest),
            "metrics" if rest.is_empty() => Ok(Response::text(METRICS_CONTENT_TYPE, call.open.meters.text())),
            "audit-verify" if rest.is_empty() => tools::verify_trail(call).await,
            "seal" if rest.is_empty() => match call.operation {
                // Whoever asked is answered first.
                Operation::Create | Operation::Update => Ok(Response::empty()),
                _ => Err(Fault::unsupported()),
            },
            "leases" | "renew" | "revoke" | "revoke-prefix" | "revoke-force" => {
                crate::leasing::handle(call, first, rest).await
            }
            "rotate" if matches!(rest, "" | "keyring") => keys::rotate(call).await,
            "key-status" if rest.is_empty() => keys::status(call).await,
            "storage" if rest == "raft/snapshot" => keys::snapshot(call).await,
            "wrapping" => crate::wrapping::handle(call, rest).await,
            _ => Err(Fault::unsupported_path(call)),
        }
    }
}

impl Fault {
    /// 404: the system serves no such path.
    fn unsupported_path(call: &Call<'_>) -> Self {
        Self::no_handler(&call.request.path)
    }
}

fn matches(known: &str, path: &str) -> bool {
    match known.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == known,
    }
}

/// Data that the oldest clients look for at the top as well.
fn repeated(data: Members) -> Response {
    Response { repeats_data: true, ..Response::of(data) }
}

/// A list of names in two members, as `sys/policy` answers it.
fn names(keys: Vec<String>) -> Members {
    Members::default().with("keys", json!(keys)).with("policies", json!(keys))
}
