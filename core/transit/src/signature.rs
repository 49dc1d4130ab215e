//! Signatures and authentication codes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use strongroom_crypto::{
    EcdsaForm, Hash, PrivateKey, SignatureAlgorithm, equal_in_constant_time, sign, sign_hash, verify_hash_signature,
    verify_signature,
};
use strongroom_secret::SecretBytes;

use crate::cipher::Made;
use crate::encoding::{decode_base64, split, versioned};
use crate::error::TransitError;
use crate::key::{Key, KeyVersion};
use crate::kind::Kind;

/// Bytes in front of an Ed25519 key in `SubjectPublicKeyInfo`.
const ED25519_HEAD: usize = 12;

/// How something is signed, as far as the key leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningOptions {
    /// The hash. Ed25519 has none.
    pub hash: Hash,
    /// Whether the input is the hash already. Ed25519 signs whatever it gets.
    pub is_hashed: bool,
    /// The padding of RSA.
    pub padding: Padding,
    /// How the signature is written.
    pub marshaling: Marshaling,
}

/// The padding of RSA signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// PSS, whose salt is as long as the hash.
    Pss,
    /// PKCS#1 v1.5.
    Pkcs1v15,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marshaling {
    /// In base64; of ECDSA a sequence, as X.509 and OpenSSL have it.
    Asn1,
    /// As JSON Web Signatures have it: in base64 for addresses; of ECDSA both numbers.
    Jws,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The signature, and the version that made it.
    pub made: Made,
    /// The public key of the context, of a derived key.
    pub public_key: Option<String>,
}

impl Key {
    /// The authentication code of `input` by a version; 0 for the latest.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for a version that may not.
    pub fn hmac(&self, version: i64, hash: Hash, input: &[u8]) -> Result<String, TransitError> {
        let latest = self.latest_version();
        let number = match u64::try_from(version) {
            Ok(0) => latest,
            Ok(number) if number <= latest => number,
            _ => {
                let words = format!("key version does not exist; latest key version is {latest}");
                return Err(TransitError::invalid(words));
            }
        };
        if number < self.settings().min_encryption_version {
            let words = "cannot generate HMAC: version is too old (disallowed by policy)";
            return Err(TransitError::invalid(words));
        }
        let (_, key) = self.available(number).ok_or_else(|| TransitError::invalid("no such key version"))?;
        Ok(versioned(number, &hash.hmac(key.hmac_key().expose(), input)))
    }

    /// Whether an authentication code is that of `input`.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for what is no such text, or by a version that may not be used any more.
    pub fn verify_hmac(&self, hash: Hash, input: &[u8], code: &str) -> Result<bool, TransitError> {
        let (version, body) = split(code, "HMAC")?;
        if version > self.latest_version() {
            return Err(TransitError::invalid("invalid HMAC: version is too new"));
        }
        let old = || TransitError::invalid("cannot verify HMAC: version is too old (disallowed by policy)");
        let (_, key) = self.available(version).ok_or_else(old)?;
        let unread = || TransitError::invalid("unable to decode verification HMAC as base64");
        let code = decode_base64(body).ok_or_else(unread)?;
        Ok(equal_in_constant_time(&hash.hmac(key.hmac_key().expose(), input), code.expose()))
    }

    /// The signature of `input` by a version; 0 for the latest.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for a type that does not sign, a version that may not, a derived key without context,
    /// or an input that is no hash and should be one.
    pub fn sign(
        &self,
        version: i64,
        context: &[u8],
        input: &[u8],
        options: &SigningOptions,
    ) -> Result<Signed, TransitError> {
        let algorithm = self.algorithm(options, "signing")?;
        let (version, key) = self.version_for(version, "signing")?;
        let private = self.private_key(key, context)?;
        let signature = match algorithm.hash() {
            Some(hash) if options.is_hashed => {
                is_hash(hash, input)?;
                sign_hash(&private, algorithm, input)
            }
            _ => sign(&private, algorithm, input),
        };
        let signature = signature.map_err(TransitError::Failed)?;
        let text = match options.marshaling {
            Marshaling::Asn1 => versioned(version, &signature),
            Marshaling::Jws => format!("{}{}", versioned(version, b""), URL_SAFE_NO_PAD.encode(&signature)),
        };
        let public_key = match self.settings().derived {
            true => Some(shown_ed25519(&private.public_key().map_err(TransitError::Failed)?)),
            false => None,
        };
        Ok(Signed { made: Made { text, version }, public_key })
    }

    /// Whether a signature is one of `input`.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] as for [`Self::sign`], for what is no such text, or by a version that may not be used
    /// any more.
    pub fn verify(
        &self,
        context: &[u8],
        input: &[u8],
        signature: &str,
        options: &SigningOptions,
    ) -> Result<bool, TransitError> {
        let algorithm = self.algorithm(options, "verification")?;
        let (version, body) = split(signature, "signature")?;
        let key = self.version_of(version, "signature")?;
        let signature = match options.marshaling {
            Marshaling::Asn1 => decode_base64(body),
            Marshaling::Jws => URL_SAFE_NO_PAD.decode(body).ok().map(SecretBytes::new),
        };
        let signature = signature.ok_or_else(|| TransitError::invalid("invalid base64 signature value"))?;
        let derived;
        let spki = match self.settings().derived {
            true => {
                derived = self.private_key(key, context)?.public_key().map_err(TransitError::Failed)?;
                derived.as_slice()
            }
            false => key.spki()?,
        };
        match algorithm.hash() {
            Some(hash) if options.is_hashed => {
                is_hash(hash, input)?;
                Ok(verify_hash_signature(algorithm, spki, input, signature.expose()))
            }
            _ => Ok(verify_signature(algorithm, spki, input, signature.expose())),
        }
    }

    /// The public key of a version as Vault shows it: PEM, of Ed25519 the bare bytes in base64. Empty where there is
    /// none: of symmetric keys, and of a derived key without a context.
    ///
    /// # Errors
    /// [`TransitError::Failed`] where the key is damaged.
    pub fn public_key(&self, version: &KeyVersion, context: &[u8]) -> Result<String, TransitError> {
        if !self.kind().is_asymmetric() || (self.settings().derived && context.is_empty()) {
            return Ok(String::new());
        }
        if self.settings().derived {
            let private = self.private_key(version, context)?;
            return Ok(shown_ed25519(&private.public_key().map_err(TransitError::Failed)?));
        }
        match self.kind() {
            Kind::Ed25519 => Ok(shown_ed25519(version.spki()?)),
            _ => Ok(strongroom_crypto::pem_encode("PUBLIC KEY", version.spki()?).to_string()),
        }
    }

    fn algorithm(&self, options: &SigningOptions, what: &str) -> Result<SignatureAlgorithm, TransitError> {
        let form = match options.marshaling {
            Marshaling::Asn1 => EcdsaForm::Asn1,
            Marshaling::Jws => EcdsaForm::Fixed,
        };
        match (self.kind(), self.kind().curve(), options.padding) {
            (Kind::Ed25519, ..) => Ok(SignatureAlgorithm::Ed25519),
            (_, Some(curve), _) => Ok(SignatureAlgorithm::Ecdsa(curve, options.hash, form)),
            (kind, None, Padding::Pss) if kind.is_rsa() => Ok(SignatureAlgorithm::RsaPss(options.hash)),
            (kind, None, Padding::Pkcs1v15) if kind.is_rsa() => Ok(SignatureAlgorithm::RsaPkcs1(options.hash)),
            (kind, ..) => Err(TransitError::invalid(format!("key type {} does not support {what}", kind.name()))),
        }
    }

    /// The private key of a version, or of a context of it: its seed is made of the seed and the public key, which
    /// together are what Go calls an Ed25519 key.
    fn private_key(&self, version: &KeyVersion, context: &[u8]) -> Result<PrivateKey, TransitError> {
        let key = version.private_key()?;
        if !self.settings().derived {
            return Ok(key);
        }
        let damaged = || TransitError::Failed("the key is damaged");
        let seed = self.derived(&go_ed25519(&key, version.spki()?).ok_or_else(damaged)?, context)?;
        PrivateKey::from_ed25519_seed(seed.expose()).ok_or_else(damaged)
    }
}

/// An Ed25519 key as Go has it: the seed, and the public key behind it.
pub(crate) fn go_ed25519(key: &PrivateKey, spki: &[u8]) -> Option<SecretBytes> {
    Some(SecretBytes::new([key.expose_ed25519_seed()?, spki.get(ED25519_HEAD..)?].concat()))
}

/// The bare bytes of an Ed25519 key.
fn shown_ed25519(spki: &[u8]) -> String {
    STANDARD.encode(spki.get(ED25519_HEAD..).unwrap_or_default())
}

fn is_hash(hash: Hash, input: &[u8]) -> Result<(), TransitError> {
    match input.len() == hash.length() {
        true => Ok(()),
        false => Err(TransitError::invalid("input must be hashed with given hash")),
    }
}
