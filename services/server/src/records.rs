//! Records of an engine as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_barrier::{Changes, View};
use strongroom_secret::SecretBytes;
use strongroom_storage::Revision;

use crate::exchange::Fault;
use crate::trouble::of_view;

/// What is kept under a key, and the commit that wrote it.
///
/// # Errors
/// The storage's; 500 for a record that this version cannot read.
pub(crate) async fn read<T: DeserializeOwned>(view: &View, key: &str) -> Result<Option<(T, Revision)>, Fault> {
    let Some(found) = view.read_one(key).await.map_err(of_view)? else { return Ok(None) };
    let unread = |_| Fault::internal("a record of this mount is a newer version's");
    Ok(Some((serde_json::from_slice(found.value.expose()).map_err(unread)?, found.revision)))
}

/// JSON text of a record.
///
/// # Errors
/// 500 where it cannot be written, which does not happen.
pub(crate) fn text<T: Serialize>(record: &T) -> Result<SecretBytes, Fault> {
    serde_json::to_vec(record).map(SecretBytes::new).map_err(|error| Fault::internal(error.to_string()))
}

/// Writes a record over what is there.
///
/// # Errors
/// The storage's.
pub(crate) async fn write<T: Serialize>(view: &View, key: &str, record: &T) -> Result<(), Fault> {
    let puts = vec![(key.to_owned(), text(record)?)];
    view.commit(&Changes { puts, ..Changes::default() }).await.map_err(of_view)?;
    Ok(())
}

/// Deletes records. Absent ones are no fault.
///
/// # Errors
/// The storage's.
pub(crate) async fn delete(view: &View, keys: Vec<String>) -> Result<(), Fault> {
    view.commit(&Changes { deletes: keys, ..Changes::default() }).await.map_err(of_view)?;
    Ok(())
}
