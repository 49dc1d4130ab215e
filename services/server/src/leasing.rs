//! `sys/leases/…`: what can be looked up, renewed and revoked by its id or its path. Tokens are what is leased: a lease's id is
//! the path that made the token, and behind it the id under which it is kept, with which nobody can use it.

use serde_json::json;
use strongroom_policy::acl::Operation;

use crate::engine::Call;
use crate::exchange::{Fault, Leased, Response};
use crate::members::Members;
use crate::trouble::of_token;

/// Serves `sys/leases/…` and its old forms.
pub(crate) async fn handle(call: &Call<'_>, first: &str, rest: &str) -> Result<Response, Fault> {
    let (verb, rest) = match first {
        "leases" => rest.split_once('/').unwrap_or((rest, "")),
        old => (old, rest),
    };
    match (verb, call.operation) {
        ("lookup", Operation::List) => list(call, rest).await,
        ("lookup" | "renew" | "revoke", Operation::Create | Operation::Update) => {
            let named = call.request.data.text("lease_id")?.unwrap_or_else(|| rest.to_owned());
            match (named.is_empty(), verb) {
                (true, _) => Err(Fault::invalid("lease_id must be specified")),
                (_, "lookup") => lookup(call, &named).await,
                (_, "renew") => renew(call, &named).await,
                _ => revoke(call, &named).await,
            }
        }
        ("revoke-prefix" | "revoke-force", Operation::Create | Operation::Update) => {
            if rest.is_empty() {
                return Err(Fault::invalid("a prefix is needed: sys/leases/revoke-prefix/auth/userpass"));
            }
            call.open.tokens.revoke_made_by(rest).await.map_err(of_token)?;
            Ok(Response::empty())
        }
        _ => Err(Fault::no_handler(&call.request.path)),
    }
}

/// The id of the token that a lease stands for, where it is live and was made there.
async fn token_of(call: &Call<'_>, lease: &str) -> Option<strongroom_token::Found> {
    let (path, id) = lease.rsplit_once('/')?;
    let found = call.open.tokens.find_id(id, call.request.now.as_second()).await.ok()?;
    (found.record.path.trim_end_matches('/') == path).then_some(found)
}

async fn lookup(call: &Call<'_>, lease: &str) -> Result<Response, Fault> {
    let found = token_of(call, lease).await.ok_or_else(|| Fault::invalid("invalid lease"))?;
    let record = &found.record;
    let moment = |second: i64| jiff::Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default();
    let data = Members::default()
        .with("id", lease)
        .with("issue_time", moment(record.created))
        .with("expire_time", json!(record.expires.map(moment)))
        .with("last_renewal", json!(record.renewed.map(moment)))
        .with("renewable", record.is_renewable)
        .with("ttl", record.rest(call.request.now.as_second()));
    Ok(Response::of(data))
}

async fn renew(call: &Call<'_>, lease: &str) -> Result<Response, Fault> {
    let found = token_of(call, lease).await.ok_or_else(|| Fault::invalid("lease not found"))?;
    let increment = call.request.data.duration("increment")?.map(|time| time.as_secs()).unwrap_or_default();
    let mounts = call.open.mounts();
    let mount = mounts.find(&found.record.path).map_or(call.mount, |(mounted, _)| &*mounted.mount);
    let most = call.open.lease_times(mount).1;
    let now = call.request.now.as_second();
    let (record, is_less) = call.open.tokens.renew(&found.id, increment, most, now).await.map_err(of_token)?;
    let time = std::time::Duration::from_secs(record.rest(now));
    let leased = Leased { id: lease.to_owned(), is_renewable: record.is_renewable, time };
    let response = Response { lease: Some(leased), ..Response::default() };
    Ok(if is_less { response.warning("the renewal was cut to the token's longest time") } else { response })
}

async fn revoke(call: &Call<'_>, lease: &str) -> Result<Response, Fault> {
    // What is not there has ended.
    if let Some(found) = token_of(call, lease).await {
        call.open.tokens.revoke(&found.id).await.map_err(of_token)?;
    }
    Ok(Response::empty())
}

/// The names one step below a path: folders, and at the end of a path its tokens' ids.
async fn list(call: &Call<'_>, folder: &str) -> Result<Response, Fault> {
    let folder = if folder.is_empty() || folder.ends_with('/') { folder.to_owned() } else { format!("{folder}/") };
    let mut names = std::collections::BTreeSet::new();
    let now = call.request.now.as_second();
    for accessor in call.open.tokens.accessors().await.map_err(of_token)? {
        // One that has ended meanwhile is not listed.
        let Ok(found) = call.open.tokens.find_accessor(&accessor, now).await else { continue };
        let lease = format!("{}/{}", found.record.path.trim_end_matches('/'), found.id);
        if let Some(rest) = lease.strip_prefix(&folder) {
            names.insert(rest.split_inclusive('/').next().unwrap_or_default().to_owned());
        }
    }
    Response::of_names(names.into_iter().collect())
}
