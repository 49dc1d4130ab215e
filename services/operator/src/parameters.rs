//! Parameters below a path, of a store that has paths.

use std::sync::Arc;

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Find, Found, RemoteValue};
use strongroom_resolve::Lane;
use strongroom_secret::RemoteKey;
use tokio::time::Instant;

/// The most parameters that one path may bring into a Secret, which holds 1 MiB altogether.
const FOUND_LIMIT: usize = 5_000;

/// All parameters below `path`, or only those directly in it.
///
/// # Errors
/// The store's own, and `Invalid` where there are more than a Secret could hold.
pub(crate) async fn below(
    lane: &Arc<Lane>,
    path: &str,
    is_recursive: bool,
    deadline: Instant,
) -> Result<Vec<Found>, Failure> {
    let query = Find { path: Some(path.to_owned()), ..Find::default() };
    let found = lane.find(&query, deadline).await?;
    let base = format!("{}/", path.trim_end_matches('/'));
    let is_meant = |name: &str| is_recursive || name.strip_prefix(&base).is_some_and(|rest| !rest.contains('/'));
    let found: Vec<_> = found.into_iter().filter(|found| is_meant(&found.key.name)).collect();
    if found.len() > FOUND_LIMIT {
        let words = format!("there are {} parameters below {path}, and at most {FOUND_LIMIT} are taken", found.len());
        return Err(Failure::new(Class::Invalid, words).with_hint("name a longer path"));
    }
    Ok(found)
}

/// The names and values of what was found; those are read that the search did not bring.
///
/// # Errors
/// The first that could not be had.
pub(crate) async fn values_of(
    lane: &Arc<Lane>,
    found: Vec<Found>,
    deadline: Instant,
) -> Result<Vec<(String, RemoteValue)>, Failure> {
    let unread: Vec<RemoteKey> =
        found.iter().filter(|found| found.value.is_none()).map(|found| found.key.clone()).collect();
    let mut read = if unread.is_empty() { Vec::new() } else { lane.read(unread, deadline).await }.into_iter();
    let mut values = Vec::with_capacity(found.len());
    for found in found {
        let name = found.key.name;
        let gone = || Err(Failure::new(Class::Unavailable, "the store gave no answer").on_key(&name));
        let value = found.value.map_or_else(|| read.next().unwrap_or_else(gone), Ok)?;
        values.push((name, value));
    }
    Ok(values)
}
