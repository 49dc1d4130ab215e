//! Keys that encrypt, sign and authenticate for others and stay where they are (governance.md §10.8).
//!
//! Paths are told apart here; `keys` is what happens to a key, `work` what a key does, `batch` the items of a request.

mod batch;
mod keys;
mod work;

use async_trait::async_trait;
use strongroom_barrier::{Changes, View};
use strongroom_http::StatusCode;
use strongroom_policy::acl::Operation;
use strongroom_storage::{Outcome, Revision};
use strongroom_transit::{Key, KeyVersion, Kind, Settings, TransitError};

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::records::{read, text};
use crate::trouble::{of_transit, of_view};

const KEYS: &str = "key/";

/// How often a change begins again because another changed the same key.
const ATTEMPTS: usize = 64;

/// The engine of a transit mount.
pub(super) struct Transit(View);

fn record(name: &str) -> String {
    format!("{KEYS}{name}")
}

impl Transit {
    pub(super) fn new(view: View) -> Self {
        Self(view)
    }

    /// A key, and the commit that wrote it.
    async fn find(&self, name: &str) -> Result<Option<(Key, Revision)>, Fault> {
        read(&self.0, &record(name)).await
    }

    /// A key that has to be there; `missing` are the words where it is not.
    async fn known(&self, name: &str, missing: &str) -> Result<Key, Fault> {
        Ok(self.find(name).await?.ok_or_else(|| Fault::invalid(missing))?.0)
    }

    /// Makes a key, unless there is one already: that one stays as it is, and is answered.
    async fn make(&self, call: &Call<'_>, name: &str, kind: Kind, settings: Settings) -> Result<Key, Fault> {
        if let Some((key, _)) = self.find(name).await? {
            return Ok(key);
        }
        let key = Key::new(kind, settings.clone(), fresh(call, kind, settings).await?);
        let changes = Changes {
            conditions: vec![(record(name), None)],
            puts: vec![(record(name), text(&key)?)],
            ..Changes::default()
        };
        match self.0.commit(&changes).await.map_err(of_view)? {
            Outcome::Conflict => self.known(name, "the key was deleted while it was made").await,
            _ => Ok(key),
        }
    }

    /// Changes a key, so that no other change is lost; what `change` answers comes back with the key.
    async fn change<T>(
        &self,
        name: &str,
        missing: &str,
        change: impl Fn(&mut Key) -> Result<T, TransitError>,
    ) -> Result<(Key, T), Fault> {
        for _ in 0..ATTEMPTS {
            let (mut key, revision) = self.find(name).await?.ok_or_else(|| Fault::invalid(missing))?;
            let answer = change(&mut key).map_err(of_transit)?;
            let changes = Changes {
                conditions: vec![(record(name), Some(revision))],
                puts: vec![(record(name), text(&key)?)],
                ..Changes::default()
            };
            if self.0.commit(&changes).await.map_err(of_view)? != Outcome::Conflict {
                return Ok((key, answer));
            }
        }
        Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "others keep changing this key: try again"))
    }
}

/// A new version, made aside: RSA takes its time.
async fn fresh(call: &Call<'_>, kind: Kind, settings: Settings) -> Result<KeyVersion, Fault> {
    let now = call.request.now;
    let making = tokio::task::spawn_blocking(move || KeyVersion::generate(kind, &settings, now));
    making.await.map_err(|_| Fault::internal("the key could not be made"))?.map_err(of_transit)
}

/// Whether a key may bear a name: letters, digits and `_`, and between them `-` and `.` as well.
fn is_name(name: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.starts_with(is_word) && name.ends_with(is_word) && name.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
}

/// 404: the engine serves no such path.
fn no_such_path() -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "1 error occurred:\n\t* unsupported path\n\n")
}

#[async_trait]
impl Engine for Transit {
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        match call.path.strip_prefix("encrypt/") {
            Some(name) if is_name(name) => Ok(Some(self.find(name).await?.is_some())),
            _ => Ok(None),
        }
    }

    fn absent(&self, call: &Call<'_>) -> Fault {
        match crate::routes::is_known(call.mount, call.path) {
            true => Fault::unsupported(),
            false => no_such_path(),
        }
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let parts: Vec<&str> = call.path.trim_end_matches('/').split('/').collect();
        let is_write = matches!(call.operation, Operation::Create | Operation::Update);
        let name = match parts.as_slice() {
            ["random" | "hash", ..] => return crate::system::tools(call, &parts.join("/")),
            ["keys"] if call.operation == Operation::List => {
                return Response::of_names(self.0.list(KEYS).await.map_err(of_view)?);
            }
            ["export" | "datakey", _, name, ..] => *name,
            ["export" | "datakey", ..] => return Err(no_such_path()),
            [_, name, ..] => *name,
            _ => return Err(no_such_path()),
        };
        if !is_name(name) {
            return Err(no_such_path());
        }
        match parts.as_slice() {
            ["keys", _] => self.about_key(call, name).await,
            ["export", what, _] if call.operation == Operation::Read => self.export(what, name, None).await,
            ["export", what, _, version] if call.operation == Operation::Read => {
                self.export(what, name, Some(version)).await
            }
            ["keys", _, "config"] if is_write => self.configure(call, name).await,
            ["keys", _, "rotate"] if is_write => self.rotate(call, name).await,
            ["keys", _, "trim"] if is_write => self.trim(call, name).await,
            ["encrypt", _] if is_write => self.encrypt(call, name).await,
            ["decrypt", _] if is_write => self.decrypt(call, name).await,
            ["rewrap", _] if is_write => self.rewrap(call, name).await,
            ["datakey", form, _] if is_write => self.data_key(call, form, name, None).await,
            ["datakey", form, _, bits] if is_write => self.data_key(call, form, name, Some(bits)).await,
            ["hmac", _] if is_write => self.hmac(call, name, None).await,
            ["hmac", _, hash] if is_write => self.hmac(call, name, Some(hash)).await,
            ["sign", _] if is_write => self.sign(call, name, None).await,
            ["sign", _, hash] if is_write => self.sign(call, name, Some(hash)).await,
            ["verify", _] if is_write => self.verify(call, name, None).await,
            ["verify", _, hash] if is_write => self.verify(call, name, Some(hash)).await,
            _ => Err(self.absent(call)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_those_that_vault_takes() {
        for name in ["a", "A_b-c.d", "1", "_", "a..b"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "a-", ".a", "a b", "a/b", "$x", "\u{e9}"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
