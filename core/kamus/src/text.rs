use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_crypto::{OpeningKey, Sealed, SealingKey, sha256};
use strongroom_secret::SecretBytes;

use crate::legacy::LegacyText;
use crate::ring::Installation;
use crate::{Identity, KamusError};

/// How texts of our own begin: the form's name, and its version.
const FORM: &str = "sr";
const VERSION: &str = "1";

/// Bytes of a public key's digest that name it: enough that no two keys of an installation share a name.
const KEY_ID_LENGTH: usize = 8;

/// Names an installation key: hexadecimal digits of a digest of its public key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// The name of the key with this `SubjectPublicKeyInfo`, in DER.
    pub fn of_public_key(spki_der: &[u8]) -> Self {
        Self(sha256(spki_der).iter().take(KEY_ID_LENGTH).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads a name; `None` where it is none.
    pub fn read(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * KEY_ID_LENGTH && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An encrypted text, of whichever family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// One of ours.
    Sealed(SealedText),
    /// One of Kamus'.
    Legacy(LegacyText),
}

impl Text {
    /// Reads a text; white space around it says nothing.
    ///
    /// # Errors
    /// [`KamusError::NoText`], [`KamusError::NewerVersion`].
    pub fn read(text: &str) -> Result<Self, KamusError> {
        match SealedText::read(text.trim()) {
            Ok(Some(sealed)) => Ok(Self::Sealed(sealed)),
            Ok(None) => LegacyText::read(text).map(Self::Legacy).ok_or(KamusError::NoText),
            Err(error) => Err(error),
        }
    }
}

/// A value sealed for one service account of one installation: `sr1.KEY.BYTES`, with the key's name ([`KeyId`]) and what
/// [`SealingKey::seal`] made, in base64 for URLs. Whoever has the public key makes it; form, version and key are
/// authenticated with the value, and the label `INSTALLATION|NAMESPACE|ACCOUNT` binds it to its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedText {
    key: KeyId,
    bytes: Vec<u8>,
}

impl SealedText {
    /// Seals `plain` for `identity`.
    ///
    /// # Errors
    /// [`KamusError::DefaultAccount`], [`KamusError::Failed`].
    pub fn seal(
        key: &SealingKey,
        id: &KeyId,
        installation: &Installation,
        identity: &Identity,
        plain: &SecretBytes,
    ) -> Result<Self, KamusError> {
        identity.check_not_default()?;
        let sealed = key.seal(&label(installation, identity), &header(id), plain.expose());
        sealed.map(|bytes| Self { key: id.clone(), bytes }).map_err(|_| KamusError::Failed)
    }

    /// `None` where it is no text of ours.
    fn read(text: &str) -> Result<Option<Self>, KamusError> {
        let mut parts = text.splitn(3, '.');
        let (Some(form), Some(key), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else { return Ok(None) };
        // No text of Kamus has a dot in it.
        let Some(version) = form.strip_prefix(FORM) else { return Ok(None) };
        if version != VERSION {
            let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
            return Err(if is_number { KamusError::NewerVersion } else { KamusError::NoText });
        }
        let key = KeyId::read(key).ok_or(KamusError::NoText)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).map_err(|_| KamusError::NoText)?;
        Ok(Some(Self { key, bytes }))
    }

    /// The key that it was sealed for.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The fresh key in it, which opens this text alone: what a cache may keep for a while, under
    /// [`SealedText::fingerprint`].
    ///
    /// # Errors
    /// [`KamusError::Wrong`].
    pub fn unwrap(
        &self,
        key: &OpeningKey,
        installation: &Installation,
        identity: &Identity,
    ) -> Result<SecretBytes, KamusError> {
        let sealed = Sealed::read(&self.bytes).ok_or(KamusError::Wrong)?;
        key.unwrap(&label(installation, identity), &sealed).map_err(|_| KamusError::Wrong)
    }

    /// The value, by its fresh key.
    ///
    /// # Errors
    /// [`KamusError::Wrong`].
    pub fn open(&self, fresh: &SecretBytes) -> Result<SecretBytes, KamusError> {
        let sealed = Sealed::read(&self.bytes).ok_or(KamusError::Wrong)?;
        sealed.open(fresh, &header(&self.key)).map_err(|_| KamusError::Wrong)
    }

    /// What a cache knows the fresh key by: another one for each text, the key that it names, and each identity, so that
    /// nobody finds in it what somebody else has opened, nor what went wrong with another key.
    pub fn fingerprint(&self, installation: &Installation, identity: &Identity) -> [u8; 32] {
        let label = label(installation, identity);
        let length = u32::try_from(label.len()).unwrap_or(u32::MAX).to_be_bytes();
        // Headers are all of one length.
        sha256(&[&length, label.as_slice(), &header(&self.key), &self.bytes].concat())
    }
}

impl fmt::Display for SealedText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{FORM}{VERSION}.{}.{}", self.key, URL_SAFE_NO_PAD.encode(&self.bytes))
    }
}

fn label(installation: &Installation, identity: &Identity) -> Vec<u8> {
    format!("{installation}|{}|{}", identity.namespace(), identity.account()).into_bytes()
}

fn header(key: &KeyId) -> Vec<u8> {
    format!("{FORM}{VERSION}.{key}").into_bytes()
}
