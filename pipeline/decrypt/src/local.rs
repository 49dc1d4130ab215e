use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::{hkdf_sha256_32, open, seal};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::{Block, Derivation, MasterKey};
use strongroom_kamus::{Identity, KamusError};
use strongroom_secret::SecretBytes;

use crate::decrypter::failure;
use crate::management::{KeyManagement, elsewhere};

/// What the key that wraps others is derived for, and what is authenticated with them.
const PURPOSE: &[u8] = b"strongroom kamus: wrapping";

/// A key of 32 bytes that this program itself has, for trying out and for clusters without a key management.
pub struct LocalKey(SecretBytes);

impl LocalKey {
    /// A key in base64.
    ///
    /// # Errors
    /// `Invalid` for what does not have 32 bytes, and for the key that Kamus published.
    pub fn new(text: &SecretBytes) -> Result<Self, Failure> {
        let make_one = |error: KamusError| failure(error).with_hint("make one: openssl rand -base64 32");
        let master = MasterKey::read(text).map_err(make_one)?;
        if master.is_published() {
            return Err(make_one(KamusError::PublishedKey));
        }
        hkdf_sha256_32(master.expose(), PURPOSE).map(Self).map_err(|_| failure(KamusError::Failed))
    }
}

#[async_trait]
impl KeyManagement for LocalKey {
    fn describe(&self) -> String {
        "a key of this program's own".to_owned()
    }

    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        seal(&self.0, PURPOSE, key.expose())
            .map(|sealed| STANDARD.encode(sealed))
            .map_err(|_| failure(KamusError::Failed))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        let words = "the installation's key was wrapped by another key than this program has";
        let wrong = || Failure::new(Class::Invalid, words);
        let sealed = STANDARD.decode(wrapped).map_err(|_| wrong())?;
        open(&self.0, PURPOSE, &sealed).map_err(|_| wrong())
    }

    async fn unwrap_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("an envelope: Kamus made it with AWS KMS or Azure Key Vault"))
    }

    async fn open_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("one that Kamus made with Google KMS or Azure Key Vault"))
    }
}

/// The key of Kamus' provider `AESKey`, which texts that were written with it are read by, whoever wraps new keys.
pub struct LegacyKey {
    master: MasterKey,
    derivation: Derivation,
}

impl LegacyKey {
    /// The key in base64, as `KeyManagement:AES:Key` has it, and how it was used. With [`Derivation::Insecure`], Kamus'
    /// default, **whoever may decrypt anything can decrypt each of these texts** (KA-02): it is for migration alone.
    ///
    /// # Errors
    /// `Invalid` for what does not have 32 bytes.
    pub fn new(text: &SecretBytes, derivation: Derivation) -> Result<Self, Failure> {
        MasterKey::read(text).map(|master| Self { master, derivation }).map_err(failure)
    }

    pub(crate) fn open(&self, block: &Block, identity: &Identity) -> Result<SecretBytes, Failure> {
        self.master.open(block, identity, self.derivation).map_err(failure)
    }
}
