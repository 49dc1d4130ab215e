//! What Google Secret Manager publishes to a topic. What is told stands in the attributes; the data, the secret's or
//! version's description, is not looked at.

use std::collections::BTreeMap;

use strongroom_failure::Failure;
use strongroom_reference::ProviderKind;

use crate::key::Author;
use crate::{Change, Happening, checked_key, unreadable};

/// Reads the attributes of a notification; `None` where it tells of nothing that could change a value. `id` is the
/// message's own.
///
/// # Errors
/// `Invalid` where it is no notification of Secret Manager.
pub fn parse(attributes: &BTreeMap<String, String>, id: Option<&str>) -> Result<Option<Change>, Failure> {
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    let event = attribute("eventType").ok_or_else(|| unreadable("the message has no attribute eventType"))?;
    let happening = match event {
        "SECRET_VERSION_ADD" => Happening::Written,
        // Also what `latest` means changes with a version's state.
        "SECRET_CREATE"
        | "SECRET_UPDATE"
        | "SECRET_VERSION_ENABLE"
        | "SECRET_VERSION_DISABLE"
        | "SECRET_VERSION_DESTROY" => Happening::Updated,
        "SECRET_DELETE" => Happening::Removed,
        // SECRET_ROTATE says that it is time to rotate: nothing has changed yet.
        _ => return Ok(None),
    };
    let secret = attribute("secretId").ok_or_else(|| unreadable("the message has no attribute secretId"))?;
    let mut change = Change::new(ProviderKind::GoogleSecretManager, happening);
    change.called(checked_key(secret)?, Author::Store);
    Ok(Some(Change { id: id.map(str::to_owned), ..change }))
}
