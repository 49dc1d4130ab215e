//! Asking the store of one object for all that it wants, in one go.

use std::sync::Arc;

use strongroom_failure::{Class, Failure};
use strongroom_kes::Values;
use strongroom_kes::values;
use strongroom_kes::wants::{Want, What};
use strongroom_provider::{Answer, Find};
use strongroom_resolve::Lane;
use strongroom_secret::RemoteKey;
use tokio::time::Instant;

/// The most parameters that one path may bring into a Secret, which holds 1 MiB altogether.
const FOUND_LIMIT: usize = 5_000;

/// The values that `wants` come to, later ones before earlier ones; `is_afresh` where a read that is under way already
/// is not good enough.
///
/// # Errors
/// All that could not be had: half of an object is not delivered.
pub(super) async fn ask(
    lane: &Arc<Lane>,
    wants: &[Want],
    deadline: Instant,
    is_afresh: bool,
) -> Result<Values, Vec<Failure>> {
    let keys: Vec<RemoteKey> = wants.iter().filter_map(key).cloned().collect();
    let answers = match (keys.is_empty(), is_afresh) {
        (true, _) => Vec::new(),
        (false, false) => lane.read(keys, deadline).await,
        (false, true) => Box::pin(lane.read_afresh(keys, deadline)).await,
    };
    let mut answers = answers.into_iter();
    let (mut read, mut failed) = (Values::new(), Vec::new());
    for want in wants {
        let part = match &want.what {
            What::Path { path, is_recursive, property, is_binary } => {
                below(lane, path, *is_recursive, property.as_deref(), *is_binary, deadline).await
            }
            What::Value { .. } | What::Members { .. } => shaped(&want.what, answers.next()),
        };
        match part {
            Ok(values) => read.extend(values),
            Err(failure) if failure.subject.field.is_some() => failed.push(failure),
            Err(failure) => failed.push(failure.in_field(&want.field)),
        }
    }
    if failed.is_empty() { Ok(read) } else { Err(failed) }
}

fn key(want: &Want) -> Option<&RemoteKey> {
    match &want.what {
        What::Value { key, .. } | What::Members { key } => Some(key),
        What::Path { .. } => None,
    }
}

fn shaped(what: &What, answer: Option<Answer>) -> Result<Values, Failure> {
    let answer = answer.unwrap_or_else(|| Err(Failure::new(Class::Unavailable, "the store gave no answer")));
    match what {
        What::Value { key, name, property, is_binary } => {
            let value = values::value(answer?, &key.name, property.as_deref(), *is_binary)?;
            Ok(Values::from([(name.clone(), value)]))
        }
        What::Members { key } => values::members(&answer?, &key.name),
        What::Path { .. } => Ok(Values::new()),
    }
}

/// All parameters below `path`, under the last parts of their names; of two with the same one the later wins.
async fn below(
    lane: &Arc<Lane>,
    path: &str,
    is_recursive: bool,
    property: Option<&str>,
    is_binary: bool,
    deadline: Instant,
) -> Result<Values, Failure> {
    let query = Find { path: Some(path.to_owned()), ..Find::default() };
    let found = lane.find(&query, deadline).await?;
    let base = format!("{}/", path.trim_end_matches('/'));
    let is_meant = |name: &str| is_recursive || name.strip_prefix(&base).is_some_and(|rest| !rest.contains('/'));
    let found: Vec<_> = found.into_iter().filter(|found| is_meant(&found.key.name)).collect();
    if found.len() > FOUND_LIMIT {
        let words = format!("there are {} parameters below {path}, and at most {FOUND_LIMIT} are taken", found.len());
        return Err(Failure::new(Class::Invalid, words).with_hint("name a longer path"));
    }
    let unread: Vec<RemoteKey> =
        found.iter().filter(|found| found.value.is_none()).map(|found| found.key.clone()).collect();
    let mut read = if unread.is_empty() { Vec::new() } else { lane.read(unread, deadline).await }.into_iter();
    let mut values = Values::new();
    for found in found {
        let name = found.key.name;
        let gone = || Err(Failure::new(Class::Unavailable, "the store gave no answer").on_key(&name));
        let value = found.value.map_or_else(|| read.next().unwrap_or_else(gone), Ok)?;
        let key = name.rsplit('/').next().unwrap_or(&name).to_owned();
        values.insert(key, values::value(value, &name, property, is_binary)?);
    }
    Ok(values)
}
