//! Asking the store of one object for all that it wants, in one go.

use std::sync::Arc;

use strongroom_failure::{Class, Failure};
use strongroom_kes::Values;
use strongroom_kes::values;
use strongroom_kes::wants::{Want, What};
use strongroom_provider::Answer;
use strongroom_resolve::Lane;
use strongroom_secret::RemoteKey;
use tokio::time::Instant;

use crate::parameters;

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
    let found = parameters::below(lane, path, is_recursive, deadline).await?;
    let mut values = Values::new();
    for (name, value) in parameters::values_of(lane, found, deadline).await? {
        let key = name.rsplit('/').next().unwrap_or(&name).to_owned();
        values.insert(key, values::value(value, &name, property, is_binary)?);
    }
    Ok(values)
}
