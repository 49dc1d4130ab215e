//! `sys/leases/…`: nothing that is served makes leases of its own yet, so that what logins made is what can be revoked by
//! its path.

use strongroom_policy::acl::Operation;

use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::trouble::of_token;

/// Serves `sys/leases/…` and its old forms.
pub(crate) async fn handle(call: &Call<'_>, first: &str, rest: &str) -> Result<Response, Fault> {
    let (verb, rest) = match first {
        "leases" => rest.split_once('/').unwrap_or((rest, "")),
        old => (old, rest),
    };
    match (verb, call.operation) {
        ("lookup", Operation::List) => Err(Fault::absent()),
        ("lookup" | "renew" | "revoke", Operation::Create | Operation::Update) => {
            let named = call.request.data.text("lease_id")?.unwrap_or_else(|| rest.to_owned());
            match (named.is_empty(), verb) {
                (true, _) => Err(Fault::invalid("lease_id must be specified")),
                (_, "lookup") => Err(Fault::invalid("invalid lease")),
                (_, "renew") => Err(Fault::invalid("lease not found")),
                // What is not there has ended.
                _ => Ok(Response::empty()),
            }
        }
        ("revoke-prefix" | "revoke-force", Operation::Create | Operation::Update) => {
            if rest.is_empty() {
                return Err(Fault::invalid("a prefix is needed: sys/leases/revoke-prefix/auth/userpass"));
            }
            call.open.tokens.revoke_made_by(rest).await.map_err(of_token)?;
            Ok(Response::empty())
        }
        ("tidy" | "count" | "", _) | (_, _) => Err(Fault::no_handler(&call.request.path)),
    }
}
