//! `sys/policies/acl` and, for old clients, `sys/policy`.

use strongroom_policy::acl::Operation;

use super::{names, repeated};
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;

/// `sys/policies/acl[/NAME]`.
pub(super) async fn acl(call: &Call<'_>, name: &str) -> Result<Response, Fault> {
    let name = name.to_lowercase();
    let policies = &call.open.policies;
    match (call.operation, name.as_str()) {
        (Operation::List | Operation::Read, "") => Response::of_names(policies.names()),
        (Operation::Read, _) => {
            let text = policies.text(&name).ok_or_else(Fault::absent)?;
            Ok(Response::of(Members::default().with("name", name).with("policy", text.as_ref())))
        }
        (Operation::Create | Operation::Update, _) if !name.is_empty() => written(call, &name).await,
        (Operation::Delete, _) if !name.is_empty() => {
            policies.delete(&name).await?;
            Ok(Response::empty())
        }
        _ => Err(Fault::unsupported()),
    }
}

/// `sys/policy[/NAME]`, whose members are `rules` and `policies`, and stand at the top, too.
pub(super) async fn legacy(call: &Call<'_>, name: &str) -> Result<Response, Fault> {
    let name = name.to_lowercase();
    let policies = &call.open.policies;
    match (call.operation, name.as_str()) {
        (Operation::List | Operation::Read, "") => Ok(repeated(names(policies.names()))),
        (Operation::Read, _) => {
            let text = policies.text(&name).ok_or_else(Fault::absent)?;
            Ok(repeated(Members::default().with("name", name).with("rules", text.as_ref())))
        }
        _ => acl(call, &name).await,
    }
}

/// The text is in `policy`, or in `rules` from old clients; in base64 where somebody wanted to be safe.
async fn written(call: &Call<'_>, name: &str) -> Result<Response, Fault> {
    use base64::Engine as _;
    let data = &call.request.data;
    let given = match data.text("policy")? {
        Some(text) => Some(text),
        None => data.text("rules")?,
    };
    let given = given
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Fault::invalid("'policy' parameter not supplied or empty"))?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(given.trim()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(given);
    call.open.policies.write(name, &text).await?;
    Ok(Response::empty())
}
