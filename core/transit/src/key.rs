//! A key: its versions, and what may be done with them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_crypto::{AEAD_KEY_LENGTH, PrivateKey, random_bytes};
use strongroom_secret::SecretBytes;

use crate::error::TransitError;
use crate::kind::Kind;
use crate::material::{Material, PublicKey};

/// Bytes of the key under which a version authenticates.
const HMAC_LENGTH: usize = 32;
/// What bytes a key of type `hmac` may have.
const HMAC_LENGTHS: std::ops::RangeInclusive<usize> = 32..=512;

const NO_RANDOMNESS: TransitError = TransitError::Failed("the system gives no randomness");

/// A key, as it is kept. Its Debug shows no material.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    kind: Kind,
    settings: Settings,
    versions: BTreeMap<u64, KeyVersion>,
}

/// What may be done with a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether every context has a key of its own, made of the version's.
    pub derived: bool,
    /// Whether the material may be read by who has the right; once it may, that stays.
    pub exportable: bool,
    /// Whether the key may be deleted.
    pub deletion_allowed: bool,
    /// The first version that decrypts and verifies: 1 or more.
    pub min_decryption_version: u64,
    /// The first version that encrypts and signs; 0 for the latest alone, where a request names none.
    pub min_encryption_version: u64,
    /// The first version that was not trimmed; 0 where nothing was.
    pub min_available_version: u64,
    /// Bytes of each version of a key of type `hmac`.
    pub key_size: Option<usize>,
}

/// One version of a key. Its Debug shows no material.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyVersion {
    /// When it was made.
    created: Timestamp,
    /// The key: of a pair of keys the private one, as PKCS#8.
    pub(crate) material: Material,
    /// The key of authentication codes; none where `material` is that.
    hmac_key: Option<Material>,
    /// The public key as X.509 has it, of a pair of keys.
    pub(crate) public_key: Option<PublicKey>,
}

/// What changes in a key's settings: what is named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    /// The first version that decrypts and verifies.
    pub min_decryption_version: Option<i64>,
    /// The first version that encrypts and signs.
    pub min_encryption_version: Option<i64>,
    /// Whether the key may be deleted.
    pub deletion_allowed: Option<bool>,
    /// Whether the material may be read. What could be read once stays so.
    pub exportable: Option<bool>,
}

impl Settings {
    /// The settings of a new key of a type; `key_size` only for `hmac`, which has 32 bytes where it says nothing.
    ///
    /// # Errors
    /// What the type cannot be.
    pub fn of(kind: Kind, derived: bool, exportable: bool, key_size: Option<usize>) -> Result<Self, TransitError> {
        if derived && !kind.derives() {
            let words =
                format!("key derivation and convergent encryption not supported for keys of type {}", kind.name());
            return Err(TransitError::invalid(words));
        }
        match key_size {
            Some(_) if kind != Kind::Hmac => {
                return Err(TransitError::invalid(format!("key_size is not valid for algorithm {}", kind.name())));
            }
            Some(size) if !HMAC_LENGTHS.contains(&size) => {
                return Err(TransitError::invalid(format!("invalid key_size {size}")));
            }
            _ => {}
        }
        let key_size = (kind == Kind::Hmac).then(|| key_size.unwrap_or(HMAC_LENGTH));
        Ok(Self { derived, exportable, min_decryption_version: 1, key_size, ..Self::default() })
    }
}

impl KeyVersion {
    /// Makes a version for a key of a type with these settings. RSA of 4096 bits takes seconds now and then.
    ///
    /// # Errors
    /// [`TransitError::Failed`] where the system gives no randomness or the library fails.
    pub fn generate(kind: Kind, settings: &Settings, now: Timestamp) -> Result<Self, TransitError> {
        let random = |length| random_bytes(length).map(Material).ok_or(NO_RANDOMNESS);
        let (material, public_key) = match kind.new_key() {
            Some(new) => {
                let key = PrivateKey::generate(new).map_err(TransitError::Failed)?;
                let public = key.public_key().map_err(TransitError::Failed)?;
                (Material(SecretBytes::new(key.expose_pkcs8().to_vec())), Some(PublicKey(public)))
            }
            None => (random(settings.key_size.unwrap_or(AEAD_KEY_LENGTH))?, None),
        };
        let hmac_key = if kind == Kind::Hmac { None } else { Some(random(HMAC_LENGTH)?) };
        Ok(Self { created: now, material, hmac_key, public_key })
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The key of authentication codes.
    pub(crate) fn hmac_key(&self) -> &SecretBytes {
        let Material(key) = self.hmac_key.as_ref().unwrap_or(&self.material);
        key
    }

    /// The private key of a pair.
    pub(crate) fn private_key(&self) -> Result<PrivateKey, TransitError> {
        let Material(material) = &self.material;
        PrivateKey::from_der(material.expose()).ok_or(TransitError::Failed("the key is damaged"))
    }

    /// The public key of a pair, as X.509 has it.
    pub(crate) fn spki(&self) -> Result<&[u8], TransitError> {
        let PublicKey(spki) = self.public_key.as_ref().ok_or(TransitError::Failed("the key is damaged"))?;
        Ok(spki)
    }
}

impl Key {
    /// A key with its first version.
    pub fn new(kind: Kind, settings: Settings, first: KeyVersion) -> Self {
        Self { kind, settings, versions: BTreeMap::from([(1, first)]) }
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What may be done with it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The number of its latest version.
    pub fn latest_version(&self) -> u64 {
        self.versions.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The versions that may still decrypt, with their numbers.
    pub fn versions(&self) -> impl Iterator<Item = (u64, &KeyVersion)> {
        self.versions.range(self.settings.min_decryption_version..).map(|(number, version)| (*number, version))
    }

    /// Adds a version, which is the latest from now on.
    pub fn rotate(&mut self, fresh: KeyVersion) {
        self.versions.insert(self.latest_version() + 1, fresh);
    }

    /// Changes settings, all that are named or none. Words of warning come back.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for versions that do not fit each other or what there is.
    pub fn configure(&mut self, change: &Change) -> Result<Option<&'static str>, TransitError> {
        let mut settings = self.settings.clone();
        let mut warning = None;
        if let Some(asked) = change.min_decryption_version {
            let asked = self.up_to_latest(asked, "decryption")?;
            if asked == 0 {
                warning = Some("transit key numbering starts at 1; forcing minimum to 1");
            }
            settings.min_decryption_version = asked.max(1);
        }
        if let Some(asked) = change.min_encryption_version {
            settings.min_encryption_version = self.up_to_latest(asked, "encryption")?;
        }
        let (decryption, encryption) = (settings.min_decryption_version, settings.min_encryption_version);
        if encryption > 0 && encryption < decryption {
            return Err(TransitError::invalid(format!(
                "cannot set min encryption/decryption values; min encryption version of {encryption} must be greater \
                 than or equal to min decryption version of {decryption}"
            )));
        }
        if decryption < settings.min_available_version {
            let words = "min decryption version should not be less then min available version";
            return Err(TransitError::invalid(words));
        }
        settings.deletion_allowed = change.deletion_allowed.unwrap_or(settings.deletion_allowed);
        settings.exportable |= change.exportable.unwrap_or_default();
        self.settings = settings;
        Ok(warning)
    }

    fn up_to_latest(&self, asked: i64, what: &str) -> Result<u64, TransitError> {
        let number = u64::try_from(asked)
            .map_err(|_| TransitError::invalid(format!("min {what} version cannot be negative")))?;
        let latest = self.latest_version();
        match number <= latest {
            true => Ok(number),
            false => Err(TransitError::invalid(format!(
                "cannot set min {what} version of {number}, latest key version is {latest}"
            ))),
        }
    }

    /// Destroys the versions before `first`: what they encrypted is lost.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] where one of them may still be used.
    pub fn trim(&mut self, first: i64) -> Result<(), TransitError> {
        let refused = |words: &str| Err(TransitError::invalid(format!("minimum available version cannot be {words}")));
        let first = u64::try_from(first).unwrap_or_default();
        let settings = &self.settings;
        if first < settings.min_available_version {
            return refused("decremented");
        }
        if settings.min_encryption_version == 0 {
            return refused("set when minimum encryption version is not set");
        }
        if first > settings.min_encryption_version {
            return refused("greater than minimum encryption version");
        }
        if first > settings.min_decryption_version {
            return refused("greater than minimum decryption version");
        }
        self.versions.retain(|number, _| *number >= first);
        self.settings.min_available_version = first;
        Ok(())
    }

    /// The version that something new is made with: what a request names, 0 for the latest.
    pub(crate) fn version_for(&self, asked: i64, what: &str) -> Result<(u64, &KeyVersion), TransitError> {
        let refused = |words: &str| TransitError::invalid(format!("requested version for {what} is {words}"));
        let latest = self.latest_version();
        let number = match u64::try_from(asked).map_err(|_| refused("negative"))? {
            0 => latest,
            number => number,
        };
        if number > latest {
            return Err(refused("higher than the latest key version"));
        }
        if number < self.settings.min_encryption_version {
            return Err(refused("less than the minimum encryption key version"));
        }
        self.available(number).ok_or_else(|| TransitError::invalid("no such key version"))
    }

    /// The version that something was made with.
    pub(crate) fn version_of(&self, number: u64, what: &str) -> Result<&KeyVersion, TransitError> {
        if number > self.latest_version() {
            return Err(TransitError::invalid(format!("invalid {what}: version is too new")));
        }
        let old = || TransitError::invalid("ciphertext or signature version is disallowed by policy (too old)");
        self.available(number).map(|(_, version)| version).ok_or_else(old)
    }

    /// A version that may still decrypt.
    pub(crate) fn available(&self, number: u64) -> Option<(u64, &KeyVersion)> {
        let version = self.versions.get(&number).filter(|_| number >= self.settings.min_decryption_version)?;
        Some((number, version))
    }
}
