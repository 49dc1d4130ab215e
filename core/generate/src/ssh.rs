//! Pairs of SSH keys.

use strongroom_api::generators::{SshKeySpec, SshKeyType};
use strongroom_crypto::{NewKey, SshKeyPair};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::{Values, invalid};

/// A pair of keys, under `privateKey` and `publicKey`. RSA of 4096 bits takes seconds now and then, of 8192 a minute.
///
/// # Errors
/// `Invalid` where there is no such size; `Unavailable` where the library fails.
pub fn ssh_key(spec: &SshKeySpec) -> Result<Values, Failure> {
    let kind = match (spec.key_type.unwrap_or_default(), spec.key_size) {
        (SshKeyType::Ed25519, _) => NewKey::Ed25519,
        (SshKeyType::Rsa, None | Some(2048)) => NewKey::Rsa2048,
        (SshKeyType::Rsa, Some(3072)) => NewKey::Rsa3072,
        (SshKeyType::Rsa, Some(4096)) => NewKey::Rsa4096,
        (SshKeyType::Rsa, Some(8192)) => NewKey::Rsa8192,
        (SshKeyType::Ecdsa, None | Some(256)) => NewKey::P256,
        (SshKeyType::Ecdsa, Some(384)) => NewKey::P384,
        (SshKeyType::Ecdsa, Some(521)) => NewKey::P521,
        (SshKeyType::Rsa | SshKeyType::Ecdsa, Some(_)) => {
            return Err(invalid("keySize", "is no size of such keys", "leave it out"));
        }
    };
    let pair = SshKeyPair::generate(kind, spec.comment.as_deref().unwrap_or_default());
    let mut pair = pair.map_err(|reason| Failure::new(Class::Unavailable, reason))?;
    let private = SecretBytes::from(std::mem::take(&mut *pair.private_key));
    let public = SecretBytes::from(pair.public_key);
    Ok(Values::from([("privateKey".to_owned(), private), ("publicKey".to_owned(), public)]))
}
