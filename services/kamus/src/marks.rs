//! Marks on KamusSecrets: made under the installation's newest key, and taken under each that is still in the ring, so that
//! a key can leave it once nothing needs it.

use strongroom_api::kamus::KamusSecret;
use strongroom_decrypt::Decrypter;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::KeyId;
use strongroom_kamus_secret::{MARK_ANNOTATION, MARK_PURPOSE, is_marked};
use strongroom_secret::SecretBytes;

/// The key under which marks are made: of the newest key of the ring.
///
/// # Errors
/// What the key management answers; `Invalid` where there is no key yet.
pub(crate) async fn newest(keys: &Decrypter) -> Result<SecretBytes, Failure> {
    let (id, _) = keys.ring().sealing_key().map_err(|error| invalid(error.to_string()))?;
    keys.derive_of(&id, MARK_PURPOSE).await
}

/// The key of the ring under which `object` bears its mark, looked for from the newest on.
///
/// # Errors
/// What the key management answers, where no other key settles it.
pub(crate) async fn bearer(keys: &Decrypter, object: &KamusSecret) -> Result<Option<KeyId>, Failure> {
    if !has_any(object) {
        return Ok(None);
    }
    let mut unknown = None;
    for record in keys.ring().keys.iter().rev() {
        let id = record.id().map_err(|error| invalid(error.to_string()))?;
        match keys.derive_of(&id, MARK_PURPOSE).await {
            Ok(key) if is_marked(object, &key) => return Ok(Some(id)),
            Ok(_) => {}
            // An old key that cannot be unwrapped any more must not stand in the way of the others.
            Err(failure) => unknown = Some(failure),
        }
    }
    unknown.map_or(Ok(None), Err)
}

/// Whether `object` has a mark, be it right or wrong.
pub(crate) fn has_any(object: &KamusSecret) -> bool {
    object.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MARK_ANNOTATION))
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}
