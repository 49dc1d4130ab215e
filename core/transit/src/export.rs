//! Material that leaves, of keys that may be exported.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::error::TransitError;
use crate::key::{Key, KeyVersion};
use crate::kind::Kind;
use crate::material::Material;
use crate::signature::go_ed25519;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportType {
    /// What decrypts.
    Encryption,
    /// What signs.
    Signing,
    /// What authenticates.
    Hmac,
    /// The public keys: no secret, of every key that has one.
    Public,
}

impl ExportType {
    /// What is named so in Vault's API.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "encryption-key" => Some(Self::Encryption),
            "signing-key" => Some(Self::Signing),
            "hmac-key" => Some(Self::Hmac),
            "public-key" => Some(Self::Public),
            _ => None,
        }
    }
}

impl Key {
    /// Material by the number of its version: of the one that is named, `latest` or a number, or of all that may still
    /// decrypt. RSA and ECDSA are PEM, everything else base64.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for a key that may not be exported, what it does not have, or a version that it does
    /// not have any more.
    pub fn export(&self, what: ExportType, version: Option<&str>) -> Result<BTreeMap<u64, SecretBytes>, TransitError> {
        let kind = self.kind();
        let has = match what {
            ExportType::Encryption if !kind.encrypts() => Err("encryption not supported for the key".to_owned()),
            ExportType::Signing if !kind.signs() => Err("signing not supported for the key".to_owned()),
            ExportType::Public if !kind.is_asymmetric() => {
                Err(format!("unknown key type {} for export type public-key", kind.name()))
            }
            ExportType::Public => Ok(()),
            _ if !self.settings().exportable => Err("private key material is not exportable".to_owned()),
            _ => Ok(()),
        };
        has.map_err(TransitError::Invalid)?;
        let exported = |(number, version)| Ok((number, self.exported(what, version)?));
        match version {
            None => self.versions().map(exported).collect(),
            Some(named) => Ok(BTreeMap::from([exported(self.named_version(named)?)?])),
        }
    }

    fn named_version(&self, named: &str) -> Result<(u64, &KeyVersion), TransitError> {
        let number = match named {
            "latest" => self.latest_version(),
            number => number.parse().map_err(|_| TransitError::invalid("invalid key version"))?,
        };
        if number < self.settings().min_decryption_version {
            return Err(TransitError::invalid("version for export is below minimum decryption version"));
        }
        self.available(number).ok_or_else(|| TransitError::invalid("version does not exist or cannot be found"))
    }

    fn exported(&self, what: ExportType, version: &KeyVersion) -> Result<SecretBytes, TransitError> {
        let base64 = |bytes: &SecretBytes| SecretBytes::from(STANDARD.encode(bytes.expose()));
        // Vault's exports of RSA have a line end behind them, those of ECDSA none.
        let pem = |text: &str| match self.kind().is_rsa() {
            true => SecretBytes::from(text.to_owned()),
            false => SecretBytes::from(text.trim_end().to_owned()),
        };
        match (what, self.kind()) {
            (ExportType::Hmac, _) => Ok(base64(version.hmac_key())),
            (ExportType::Public, Kind::Ed25519) if self.settings().derived => {
                Err(TransitError::invalid("a derived key has a public key for each context"))
            }
            (ExportType::Public, _) => Ok(pem(&self.public_key(version, b"")?)),
            (_, Kind::Ed25519) => {
                let key = go_ed25519(&version.private_key()?, version.spki()?);
                Ok(base64(&key.ok_or(TransitError::Failed("the key is damaged"))?))
            }
            (_, kind) if kind.is_asymmetric() => {
                let private: Zeroizing<String> = version.private_key()?.to_usual_pem();
                Ok(pem(&private))
            }
            _ => {
                let Material(key) = &version.material;
                Ok(base64(key))
            }
        }
    }
}
