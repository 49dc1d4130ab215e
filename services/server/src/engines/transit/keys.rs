//! What happens to a key: it is made, shown, changed, rotated, trimmed, exported and deleted.

use serde_json::{Map, Value, json};
use strongroom_barrier::Changes;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use strongroom_storage::Outcome;
use strongroom_transit::{Change, ExportType, Key, Kind, Settings, decode_base64};

use super::{Transit, fresh, record};
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::trouble::{of_transit, of_view};

/// Why nobody gets keys that encrypt alike what is alike.
pub(super) const NO_CONVERGENCE: &str =
    "convergent encryption is not served here: it tells which plaintexts are the same";

impl Transit {
    /// `keys/NAME`.
    pub(super) async fn about_key(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        match call.operation {
            Operation::Create | Operation::Update => {
                let data = &call.request.data;
                let named = data.text("type")?.filter(|kind| !kind.is_empty());
                let kind = kind(named.as_deref().unwrap_or(Kind::Aes256Gcm.name()))?;
                refuse_unserved(data)?;
                let flag = |field: &str| Ok::<_, Fault>(data.flag(field)?.unwrap_or_default());
                let size = data.number("key_size")?.filter(|size| *size != 0);
                let size = size.map(|size| usize::try_from(size).unwrap_or_default());
                let settings = Settings::of(kind, flag("derived")?, flag("exportable")?, size).map_err(of_transit)?;
                shown(name, &self.make(call, name, kind, settings).await?, b"")
            }
            Operation::Read => {
                let (key, _) = self.find(name).await?.ok_or_else(Fault::absent)?;
                let context = call.request.data.text("context")?.unwrap_or_default();
                let unread = || Fault::invalid("failed to base64-decode context");
                shown(name, &key, decode_base64(&context).ok_or_else(unread)?.expose())
            }
            Operation::Delete => self.delete(name).await,
            _ => Err(Fault::unsupported()),
        }
    }

    async fn delete(&self, name: &str) -> Result<Response, Fault> {
        let refused = |why: &str| Fault::invalid(format!("error deleting policy {name}: {why}"));
        let gone = || refused("could not delete key; not found");
        let (key, revision) = self.find(name).await?.ok_or_else(gone)?;
        if !key.settings().deletion_allowed {
            return Err(refused("deletion is not allowed for this key"));
        }
        let changes = Changes {
            conditions: vec![(record(name), Some(revision))],
            deletes: vec![record(name)],
            ..Changes::default()
        };
        match self.0.commit(&changes).await.map_err(of_view)? {
            Outcome::Conflict => Err(refused("it was changed in the meantime: look at it, and try again")),
            _ => Ok(Response::empty()),
        }
    }

    /// `keys/NAME/config`.
    pub(super) async fn configure(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let data = &call.request.data;
        refuse_unserved(data)?;
        let change = Change {
            min_decryption_version: data.number("min_decryption_version")?,
            min_encryption_version: data.number("min_encryption_version")?,
            deletion_allowed: data.flag("deletion_allowed")?,
            exportable: data.flag("exportable")?,
        };
        let missing = format!("no existing key named {name} could be found");
        let (key, warning) = self.change(name, &missing, |key| key.configure(&change)).await?;
        let response = shown(name, &key, b"")?;
        Ok(match warning {
            Some(words) => response.warning(words),
            None => response,
        })
    }

    /// `keys/NAME/rotate`.
    pub(super) async fn rotate(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        const MISSING: &str = "key not found";
        let key = self.known(name, MISSING).await?;
        let version = fresh(call, key.kind(), key.settings().clone()).await?;
        let made_for = (key.kind(), key.settings().key_size);
        let (key, ()) = self
            .change(name, MISSING, |key| match (key.kind(), key.settings().key_size) == made_for {
                true => {
                    key.rotate(version.clone());
                    Ok(())
                }
                // Somebody deleted it and made another one of this name.
                false => Err(strongroom_transit::TransitError::Invalid(MISSING.to_owned())),
            })
            .await?;
        shown(name, &key, b"")
    }

    /// `keys/NAME/trim`.
    pub(super) async fn trim(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let first = call.request.data.number("min_available_version")?;
        let first = first.ok_or_else(|| Fault::invalid("missing min_available_version"))?;
        let (key, ()) = self.change(name, "invalid key name", |key| key.trim(first)).await?;
        shown(name, &key, b"")
    }

    /// `export/TYPE/NAME`, and one version of it.
    pub(super) async fn export(&self, what: &str, name: &str, version: Option<&str>) -> Result<Response, Fault> {
        let what = ExportType::named(what).ok_or_else(|| Fault::invalid(format!("invalid export type: {what}")))?;
        let (key, _) = self.find(name).await?.ok_or_else(Fault::absent)?;
        let exported = key.export(what, version).map_err(of_transit)?;
        let text = |key: &SecretBytes| Value::from(key.expose_text().unwrap_or_default());
        let keys: Map<String, Value> = exported.iter().map(|(number, key)| (number.to_string(), text(key))).collect();
        let data = Members::default().with("keys", keys).with("name", name).with("type", key.kind().name());
        Ok(Response::of(data))
    }
}

/// A type by its name.
pub(super) fn kind(name: &str) -> Result<Kind, Fault> {
    Kind::named(name).ok_or_else(|| Fault::invalid(format!("unknown key type {name}")))
}

/// What Vault does with keys and this store does not: whoever asks for it has to know.
fn refuse_unserved(data: &Members) -> Result<(), Fault> {
    if data.flag("convergent_encryption")?.unwrap_or_default() {
        return Err(Fault::invalid(NO_CONVERGENCE));
    }
    if data.flag("allow_plaintext_backup")?.unwrap_or_default() {
        return Err(Fault::invalid("allow_plaintext_backup is not served here: keys leave by export alone"));
    }
    if data.duration("auto_rotate_period")?.is_some_and(|period| !period.is_zero()) {
        return Err(Fault::invalid("auto_rotate_period is not served here: write to keys/NAME/rotate when it is due"));
    }
    Ok(())
}

/// A key as Vault shows it, without its material; public keys of a derived key are those of `context`.
fn shown(name: &str, key: &Key, context: &[u8]) -> Result<Response, Fault> {
    let (kind, settings) = (key.kind(), key.settings());
    let mut data = Members::default()
        .with("allow_plaintext_backup", false)
        .with("auto_rotate_period", 0)
        .with("deletion_allowed", settings.deletion_allowed)
        .with("derived", settings.derived)
        .with("exportable", settings.exportable)
        .with("imported_key", false)
        .with("latest_version", key.latest_version())
        .with("min_available_version", settings.min_available_version)
        .with("min_decryption_version", settings.min_decryption_version)
        .with("min_encryption_version", settings.min_encryption_version)
        .with("name", name)
        .with("soft_deleted", false)
        .with("supports_decryption", kind.encrypts())
        .with("supports_derivation", kind.derives())
        .with("supports_encryption", kind.encrypts())
        .with("supports_signing", kind.signs())
        .with("type", kind.name());
    if settings.derived {
        data.set("kdf", "hkdf_sha256");
        data.set("convergent_encryption", false);
    }
    match settings.key_size {
        Some(size) => data.set("key_size", size),
        None => data.set("keys", versions(key, context)?),
    }
    Ok(Response::of(data))
}

/// The versions that still decrypt: when each was made, and its public key.
fn versions(key: &Key, context: &[u8]) -> Result<Map<String, Value>, Fault> {
    let mut versions = Map::new();
    for (number, version) in key.versions() {
        let shown = match key.kind().is_asymmetric() {
            false => json!(version.created().as_second()),
            true => json!({
                "certificate_chain": "",
                "creation_time": version.created().to_string(),
                "name": key.kind().public_name(),
                "public_key": key.public_key(version, context).map_err(of_transit)?,
            }),
        };
        versions.insert(number.to_string(), shown);
    }
    Ok(versions)
}
