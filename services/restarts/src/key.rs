//! The key of fingerprints: made once for a cluster, kept in a Secret.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use strongroom_crypto::random_bytes;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{SecretObject, Secrets, WriteFailure};
use strongroom_restart::Key;
use strongroom_restart::fingerprint::KEY_LENGTH;
use strongroom_secret::SecretBytes;

use crate::FIELD_MANAGER;

/// The Secret's name. Where it is deleted another key is made; all workloads then get a new baseline, and none is
/// restarted for it.
pub const KEY_SECRET: &str = "strongroom-restart-key";

/// The key's name in the Secret.
pub const KEY_NAME: &str = "key";

/// The largest key file that is read, in bytes: a key is 32 bytes, and another file was meant where it is much longer.
const FILE_LIMIT: usize = 4096;

/// The key in a file.
pub(crate) fn from_file(file: &Path) -> Result<Key, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("--restart-key-file");
    let bytes = std::fs::read(file).map(SecretBytes::new);
    let bytes = bytes.map_err(|error| invalid(format!("cannot read {}: {error}", file.display())))?;
    if bytes.len() > FILE_LIMIT {
        return Err(invalid(format!("{} may have {FILE_LIMIT} bytes", file.display())));
    }
    Key::new(bytes).map_err(|failure| invalid(failure.words))
}

/// The key in the Secret of `namespace`, which is made where it is not there. Of many that make it at once one
/// succeeds, and the others read what that one made.
pub(crate) async fn from_secret(client: Client, namespace: &str) -> Result<Key, Failure> {
    let secrets = Secrets::new(client, FIELD_MANAGER);
    if let Some(secret) = secrets.read(namespace, KEY_SECRET).await? {
        return of_secret(&secret, namespace);
    }
    let no_randomness = || Failure::new(Class::Unavailable, "the system gives no random bytes");
    let made = SecretObject {
        metadata: ObjectMeta {
            name: Some(KEY_SECRET.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        data: BTreeMap::from([(KEY_NAME.to_owned(), random_bytes(KEY_LENGTH).ok_or_else(no_randomness)?)]),
    };
    match secrets.create(&made).await {
        Ok(_) => {
            tracing::info!(namespace, name = KEY_SECRET, "made the key for fingerprints of Secrets");
            of_secret(&made, namespace)
        }
        Err(WriteFailure::AlreadyExists) => match secrets.read(namespace, KEY_SECRET).await? {
            Some(secret) => of_secret(&secret, namespace),
            None => Err(WriteFailure::Conflict.into_failure("make the key for fingerprints")),
        },
        Err(failure) => Err(failure.into_failure("make the key for fingerprints")),
    }
}

fn of_secret(secret: &SecretObject, namespace: &str) -> Result<Key, Failure> {
    let place = format!("Secret {namespace}/{KEY_SECRET}");
    let Some(bytes) = secret.data.get(KEY_NAME) else {
        let words = format!("{place} has no key \"{KEY_NAME}\"");
        return Err(Failure::new(Class::Invalid, words).with_hint("delete it: another is made, and nothing restarts"));
    };
    Key::new(bytes.clone()).map_err(|failure| Failure::new(failure.class, format!("{place}: {}", failure.words)))
}
