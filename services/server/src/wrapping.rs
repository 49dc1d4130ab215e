//! Answers that wait behind a token that can be used once (governance.md §10.3, §10.8).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_http::StatusCode;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use strongroom_token::{NewToken, TokenError, Ttl};

use crate::engine::Call;
use crate::exchange::{Fault, Response, Wrapped};
use crate::members::Members;
use crate::trouble::of_token;

/// The policy that wrapping tokens bear, for people who look at one. The store itself sees to what they may.
const POLICY: &str = "response-wrapping";

/// What waits.
#[derive(Serialize, Deserialize)]
struct Waiting {
    /// The JSON text of the answer's `data`, or of its `auth`.
    body: Value,
    path: String,
    created: i64,
    ttl: u64,
}

/// Puts an answer behind a token.
///
/// # Errors
/// The storage's; 400 for a time that is longer than anything stands.
pub(crate) async fn wrap(call: &Call<'_>, response: Response, time: Duration) -> Result<Response, Fault> {
    if response.is_bare {
        return Ok(response);
    }
    let data = response.data.as_ref().map_or(Value::Null, |data| Value::Object(data.expose().clone()));
    let auth = response.auth.as_ref().map_or(Value::Null, |auth| Value::Object(auth.members()));
    let body = json!({"data": data, "auth": auth, "warnings": response.warnings});
    let accessor = response.auth.as_ref().map(|auth| auth.accessor.clone());
    let wrapped = keep(call, body, time.as_secs().max(1), &call.request.path).await?;
    Ok(Response { wrapped: Some(Wrapped { wrapped_accessor: accessor, ..wrapped }), ..Response::default() })
}

async fn keep(call: &Call<'_>, body: Value, ttl: u64, path: &str) -> Result<Wrapped, Fault> {
    let now = call.request.now;
    let new = NewToken {
        policies: vec![POLICY.to_owned()],
        path: path.to_owned(),
        ttl: Ttl { first: ttl, longest: ttl, period: 0 },
        ..NewToken::default()
    };
    let waiting = Waiting { body, path: path.to_owned(), created: now.as_second(), ttl };
    let record = serde_json::to_vec(&waiting).map_err(|error| Fault::internal(error.to_string()))?;
    let created = call.open.tokens.wrap(new, SecretBytes::new(record), now.as_second()).await.map_err(of_token)?;
    Ok(Wrapped {
        token: created.token,
        accessor: created.record.accessor.clone(),
        ttl,
        creation_time: now,
        creation_path: path.to_owned(),
        wrapped_accessor: None,
    })
}

/// Serves `sys/wrapping/…`.
pub(crate) async fn handle(call: &Call<'_>, verb: &str) -> Result<Response, Fault> {
    let is_write = matches!(call.operation, Operation::Create | Operation::Update);
    match verb {
        "wrap" if is_write => {
            if call.request.wrap_time.is_none() {
                return Err(Fault::invalid("endpoint requires response wrapping to be used"));
            }
            // The answer of a request that asks for wrapping is wrapped by whoever handles it.
            Ok(Response::of(Members::from(call.request.data.expose().clone())))
        }
        "lookup" if is_write || call.operation == Operation::Read => lookup(call).await,
        "unwrap" if is_write => unwrap(call).await,
        "rewrap" if is_write => rewrap(call).await,
        _ => Err(Fault::no_handler(&call.request.path)),
    }
}

fn invalid() -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "wrapping token is not valid or does not exist")
}

/// The id of the wrapping token: in the body, or the request's own.
fn named(call: &Call<'_>) -> Result<String, Fault> {
    let given = call.request.data.text("token")?.filter(|token| !token.is_empty()).map(SecretBytes::from);
    let token = given.as_ref().or(call.request.token.as_ref()).ok_or_else(Fault::bad_token)?;
    Ok(call.open.tokens.id(token))
}

/// What waited, of which one commit makes sure that nobody has it twice.
fn read(held: Result<SecretBytes, TokenError>) -> Result<Waiting, Fault> {
    let held = match held {
        Err(TokenError::Unknown) => return Err(invalid()),
        held => held.map_err(of_token)?,
    };
    serde_json::from_slice(held.expose()).map_err(|_| Fault::internal("a wrapped answer is a newer version's"))
}

async fn taken(call: &Call<'_>, id: &str) -> Result<Waiting, Fault> {
    read(call.open.tokens.unwrap(id, call.request.now.as_second()).await)
}

async fn lookup(call: &Call<'_>) -> Result<Response, Fault> {
    let waiting = read(call.open.tokens.held(&named(call)?, call.request.now.as_second()).await)?;
    let created = jiff::Timestamp::from_second(waiting.created).unwrap_or_default();
    let data = Members::default()
        .with("creation_path", waiting.path)
        .with("creation_time", created.to_string())
        .with("creation_ttl", waiting.ttl);
    Ok(Response::of(data))
}

async fn unwrap(call: &Call<'_>) -> Result<Response, Fault> {
    let mut waiting = taken(call, &named(call)?).await?;
    let mut part = |name: &str| waiting.body.get_mut(name).map(Value::take);
    let data = match part("data") {
        Some(Value::Object(members)) => Some(Members::from(members)),
        _ => None,
    };
    let auth = match part("auth") {
        Some(Value::Object(members)) => Some(members),
        _ => None,
    };
    Ok(Response { data, unwrapped_auth: auth.map(Map::into_iter).map(Members::from_iter), ..Response::default() })
}

async fn rewrap(call: &Call<'_>) -> Result<Response, Fault> {
    let Waiting { body, path, ttl, .. } = taken(call, &named(call)?).await?;
    Ok(Response { wrapped: Some(keep(call, body, ttl, &path).await?), ..Response::default() })
}
