//! The texts that Kamus wrote, to the letter. They are opened for who comes from it and never written: AES-CBC does not
//! tell whether somebody changed it.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use strongroom_crypto::{aes_decrypt, equal_in_constant_time, hkdf_expand_sha256_32};
use strongroom_secret::SecretBytes;

use crate::{Identity, KamusError};

/// The key that Kamus' chart and its development settings have, in base64: whoever can read has read it.
const PUBLISHED_KEY: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";

const KEY_LENGTH: usize = 32;
const VECTOR_LENGTH: usize = 16;

/// Base64 as .NET decodes it: padded, white space ignored (which is taken out before).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A text of Kamus, taken apart (KA-09).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegacyText {
    /// `VECTOR:DATA`, under a key that the service has (provider `AESKey`).
    Block(Block),
    /// `env$KEY$VECTOR:DATA`: under a fresh key, which the cloud's key of the identity wraps (`AwsKms` always,
    /// `AzureKeyVault` for what is long).
    Envelope {
        /// The fresh key as the cloud wrapped it. Azure's opens to base64 text of the key ([`data_key_of_text`]).
        wrapped_key: Vec<u8>,
        /// What is encrypted under it.
        block: Block,
    },
    /// One base64 text, which the cloud's key of the identity itself encrypts (`GoogleKms`, `AzureKeyVault`).
    Direct(Vec<u8>),
}

/// AES-256-CBC with PKCS#7 padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    vector: [u8; VECTOR_LENGTH],
    data: Vec<u8>,
}

impl LegacyText {
    /// Takes a text apart; `None` where it is none of Kamus'. White space in it says nothing.
    pub fn read(text: &str) -> Option<Self> {
        // As the original's greedy pattern: the last dollar and the last colon divide.
        if let Some((_, rest)) = text.split_once("env$")
            && let Some((wrapped_key, block)) = rest.rsplit_once('$')
        {
            return Some(Self::Envelope { wrapped_key: decode(wrapped_key)?, block: Block::read(block)? });
        }
        if text.contains(':') {
            return Block::read(text).map(Self::Block);
        }
        decode(text).filter(|bytes| !bytes.is_empty()).map(Self::Direct)
    }
}

impl Block {
    fn read(text: &str) -> Option<Self> {
        let (vector, data) = text.rsplit_once(':')?;
        let (vector, data) = (decode(vector)?.try_into().ok()?, decode(data)?);
        (!data.is_empty()).then_some(Self { vector, data })
    }

    /// What it holds, under a key of 32 bytes.
    ///
    /// # Errors
    /// [`KamusError::Wrong`] where padding does not fit; of some changes it cannot be told.
    pub fn open(&self, key: &SecretBytes) -> Result<SecretBytes, KamusError> {
        if key.len() != KEY_LENGTH {
            return Err(KamusError::BadKey);
        }
        let mut plain =
            aes_decrypt(key.expose(), &[&self.vector, self.data.as_slice()].concat()).map_err(|_| KamusError::Wrong)?;
        Ok(SecretBytes::new(std::mem::take(&mut *plain)))
    }
}

/// How Kamus makes the key of an identity from the one that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// HKDF's second step with the identity (KA-10).
    ByIdentity,
    /// Not at all, as by default: every service account opens everything. For migration alone.
    Insecure,
}

/// The one key of Kamus' provider `AESKey`.
#[derive(Clone, Debug)]
pub struct MasterKey(SecretBytes);

impl MasterKey {
    /// Reads 32 bytes in base64, as `KeyManagement:AES:Key` has them.
    ///
    /// # Errors
    /// [`KamusError::BadKey`].
    pub fn read(text: &SecretBytes) -> Result<Self, KamusError> {
        let key = text.expose_text().and_then(decode).map(SecretBytes::new);
        key.filter(|key| key.len() == KEY_LENGTH).map(Self).ok_or(KamusError::BadKey)
    }

    /// The 32 bytes.
    pub fn expose(&self) -> &SecretBytes {
        &self.0
    }

    /// Whether it is the one that Kamus published.
    pub fn is_published(&self) -> bool {
        decode(PUBLISHED_KEY).is_some_and(|published| equal_in_constant_time(&published, self.0.expose()))
    }

    /// What a block holds for `identity`.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open(&self, block: &Block, identity: &Identity, derivation: Derivation) -> Result<SecretBytes, KamusError> {
        match derivation {
            Derivation::Insecure => block.open(&self.0),
            Derivation::ByIdentity => {
                let key = hkdf_expand_sha256_32(&self.0, identity.to_string().as_bytes());
                block.open(&key.map_err(|_| KamusError::Failed)?)
            }
        }
    }
}

/// The fresh key of an envelope of Azure's, which wraps the base64 text of the key and not its bytes.
///
/// # Errors
/// [`KamusError::BadKey`].
pub fn data_key_of_text(unwrapped: &SecretBytes) -> Result<SecretBytes, KamusError> {
    MasterKey::read(unwrapped).map(|key| key.0)
}

/// The key of an identity at AWS KMS (provider `AwsKms`): an alias, with Kamus' setting `CmkPrefix` in it where that is
/// not empty.
pub fn aws_alias(prefix: &str, identity: &Identity) -> String {
    let dash = if prefix.is_empty() { "" } else { "-" };
    format!("alias/{prefix}{dash}kamus/{}", identity.key_id())
}

/// The key of an identity at Google Cloud KMS (provider `GoogleKms`), by Kamus' settings of those names. At Azure Key
/// Vault it is named [`Identity::key_id`].
pub fn google_key(project: &str, location: &str, key_ring: &str, identity: &Identity) -> String {
    let key = identity.key_id();
    format!("projects/{project}/locations/{location}/keyRings/{key_ring}/cryptoKeys/{key}")
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    BASE64.decode(dense).ok()
}
