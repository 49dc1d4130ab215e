use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::{hkdf_sha256_32, open, seal};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::{Derivation, LegacyText, MasterKey};
use strongroom_kamus::{Identity, KamusError};
use strongroom_secret::SecretBytes;

use crate::decrypter::failure;
use crate::management::KeyManagement;

/// What the key that wraps others is derived for, and what is authenticated with them.
const PURPOSE: &[u8] = b"strongroom kamus: wrapping";

/// How texts of Kamus' provider `AESKey` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyMode {
    /// Not at all.
    Refused,
    /// As written with `UseKeyDeriviation`: each opens for its account.
    ByIdentity,
    /// As written without it, by default: **whoever may decrypt anything can decrypt each of them** (KA-02). For
    /// migration alone.
    Insecure,
}

/// A key of 32 bytes that this program itself has, for trying out: the provider `AESKey` of Kamus.
pub struct LocalKey {
    master: MasterKey,
    /// `None` for the key that everybody has: it only reads.
    wrapping: Option<SecretBytes>,
    mode: LegacyMode,
}

impl LocalKey {
    /// A key in base64, as `KeyManagement:AES:Key` has it. The one that Kamus published reads what was written with it, in
    /// a mode that reads; it wraps nothing.
    ///
    /// # Errors
    /// `Invalid` for what does not have 32 bytes, and for the published key where nothing is read with it.
    pub fn new(text: &SecretBytes, mode: LegacyMode) -> Result<Self, Failure> {
        let master = MasterKey::read(text).map_err(failure)?;
        if master.is_published() && mode == LegacyMode::Refused {
            return Err(failure(KamusError::PublishedKey).with_hint("make one: openssl rand -base64 32"));
        }
        let derived = || -> Result<SecretBytes, Failure> {
            let key = STANDARD.decode(text.expose().trim_ascii()).map(SecretBytes::new);
            let key = key.map_err(|_| failure(KamusError::BadKey))?;
            hkdf_sha256_32(&key, PURPOSE).map_err(|_| failure(KamusError::Failed))
        };
        let wrapping = if master.is_published() { None } else { Some(derived()?) };
        Ok(Self { master, wrapping, mode })
    }

    fn wrapping(&self) -> Result<&SecretBytes, Failure> {
        self.wrapping.as_ref().ok_or_else(|| failure(KamusError::PublishedKey))
    }
}

#[async_trait]
impl KeyManagement for LocalKey {
    fn describe(&self) -> String {
        "a key of this program's own".to_owned()
    }

    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        let sealed = seal(self.wrapping()?, PURPOSE, key.expose()).map_err(|_| failure(KamusError::Failed))?;
        Ok(STANDARD.encode(sealed))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        let words = "the installation's key was wrapped by another key than this program has";
        let wrong = || Failure::new(Class::Invalid, words);
        let sealed = STANDARD.decode(wrapped).map_err(|_| wrong())?;
        open(self.wrapping()?, PURPOSE, &sealed).map_err(|_| wrong())
    }

    async fn unwrap_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("an envelope: it was encrypted with AWS KMS or Azure Key Vault"))
    }

    async fn open_legacy(&self, text: &LegacyText, identity: &Identity) -> Result<SecretBytes, Failure> {
        let LegacyText::Block(block) = text else {
            return Err(elsewhere("encrypted with Google KMS or Azure Key Vault"));
        };
        let derivation = match self.mode {
            LegacyMode::Refused => {
                let words = "it was encrypted by Kamus with an AES key, which is not read here";
                return Err(
                    Failure::new(Class::Invalid, words).with_hint("encrypt it again, or allow it for migration")
                );
            }
            LegacyMode::ByIdentity => Derivation::ByIdentity,
            LegacyMode::Insecure => Derivation::Insecure,
        };
        self.master.open(block, identity, derivation).map_err(failure)
    }
}

/// A text of Kamus that another key management must open.
pub(crate) fn elsewhere(what: &str) -> Failure {
    let words = format!("the text is {what}, which is not this installation's key management");
    Failure::new(Class::Invalid, words).with_hint("name the key management that Kamus used, or encrypt the value again")
}
