//! Whether a signature holds: RSA, ECDSA and Ed25519, by public keys as X.509 writes them.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING,
    ED25519 as PURE, EcdsaSigningAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::Hash;
use crate::der::{self, BIT_STRING, IDENTIFIER, SEQUENCE};
use crate::keys::{EC, ED25519, RSA};

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017), by keys of 2048 to 8192 bits.
    RsaPkcs1(Hash),
    /// RSASSA-PSS (RFC 8017) with one hash for all and a salt of its length, by keys of 2048 to 8192 bits.
    RsaPss(Hash),
    /// ECDSA (FIPS 186-5).
    Ecdsa(Curve, Hash, EcdsaForm),
    /// Ed25519 (RFC 8032), pure: of the message itself.
    Ed25519,
}

/// The curves of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

/// How both numbers of an ECDSA signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcdsaForm {
    /// As a sequence in DER: X.509 and OpenSSL.
    Asn1,
    /// One after the other, as many bytes each as the curve has: JSON Web Signatures.
    Fixed,
}

impl SignatureAlgorithm {
    /// The hash that is signed; `None` where the message itself is.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(_, hash, _) => Some(hash),
            Self::Ed25519 => None,
        }
    }

    /// Whether a public key, whole, is one for this algorithm.
    fn fits(self, spki: &[u8]) -> bool {
        let Some((algorithm, parameters)) = identifier(spki) else { return false };
        match self {
            Self::RsaPkcs1(_) | Self::RsaPss(_) => algorithm == RSA,
            Self::Ecdsa(curve, ..) => algorithm == EC && Curve::of_identifier(parameters) == Some(curve),
            Self::Ed25519 => algorithm == ED25519,
        }
    }
}

impl Curve {
    /// The curve that the parameters of a key name, in DER.
    pub(crate) fn of_identifier(parameters: &[u8]) -> Option<Self> {
        match der::expect(parameters, IDENTIFIER)? {
            ([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], []) => Some(Self::P256),
            ([0x2b, 0x81, 0x04, 0x00, 0x22], []) => Some(Self::P384),
            ([0x2b, 0x81, 0x04, 0x00, 0x23], []) => Some(Self::P521),
            _ => None,
        }
    }

    /// The library's way to sign; the one where both numbers are a sequence.
    pub(crate) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        self.signing_as(EcdsaForm::Asn1)
    }

    /// The library's way to sign a hash of [`Self::own_hash`].
    pub(crate) fn signing_as(self, form: EcdsaForm) -> &'static EcdsaSigningAlgorithm {
        match (self, form) {
            (Self::P256, EcdsaForm::Asn1) => &ECDSA_P256_SHA256_ASN1_SIGNING,
            (Self::P256, EcdsaForm::Fixed) => &ECDSA_P256_SHA256_FIXED_SIGNING,
            (Self::P384, EcdsaForm::Asn1) => &ECDSA_P384_SHA384_ASN1_SIGNING,
            (Self::P384, EcdsaForm::Fixed) => &ECDSA_P384_SHA384_FIXED_SIGNING,
            (Self::P521, EcdsaForm::Asn1) => &ECDSA_P521_SHA512_ASN1_SIGNING,
            (Self::P521, EcdsaForm::Fixed) => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    /// The library's way to verify a hash of [`Self::own_hash`].
    fn verifying(self, form: EcdsaForm) -> &'static dyn VerificationAlgorithm {
        match (self, form) {
            (Self::P256, EcdsaForm::Asn1) => &ECDSA_P256_SHA256_ASN1,
            (Self::P256, EcdsaForm::Fixed) => &ECDSA_P256_SHA256_FIXED,
            (Self::P384, EcdsaForm::Asn1) => &ECDSA_P384_SHA384_ASN1,
            (Self::P384, EcdsaForm::Fixed) => &ECDSA_P384_SHA384_FIXED,
            (Self::P521, EcdsaForm::Asn1) => &ECDSA_P521_SHA512_ASN1,
            (Self::P521, EcdsaForm::Fixed) => &ECDSA_P521_SHA512_FIXED,
        }
    }

    /// The hash that the library knows with this curve.
    fn own_hash(self) -> Hash {
        match self {
            Self::P256 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }

    /// A hash of any kind in the form of [`Self::own_hash`]. ECDSA takes a hash as a number, of a long one as many of
    /// the first bits as the curve's order has: zeros before a short one and a long one's first bytes are the same
    /// number.
    pub(crate) fn fitted(self, hash: &[u8]) -> Option<Digest> {
        let length = self.own_hash().length();
        let kept = hash.get(..length).unwrap_or(hash);
        let fitted = [&vec![0; length.checked_sub(kept.len())?], kept].concat();
        Digest::import_less_safe(&fitted, self.own_hash().algorithm()).ok()
    }
}

/// Whether `signature` is one of `message` by the owner of a public key: X.509's `SubjectPublicKeyInfo`, in DER. What
/// cannot be read is none.
pub fn verify_signature(algorithm: SignatureAlgorithm, spki_der: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match algorithm.hash() {
        Some(hash) => verify_hash_signature(algorithm, spki_der, &hash.of(message), signature),
        None => algorithm.fits(spki_der) && UnparsedPublicKey::new(&PURE, spki_der).verify(message, signature).is_ok(),
    }
}

/// [`verify_signature`] for whoever has the hash of the message. Of Ed25519 there is none: never.
pub fn verify_hash_signature(algorithm: SignatureAlgorithm, spki_der: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    let Some(kind) = algorithm.hash().filter(|kind| kind.length() == hash.len()) else { return false };
    let verifier: &'static dyn VerificationAlgorithm = match algorithm {
        SignatureAlgorithm::RsaPkcs1(Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        SignatureAlgorithm::RsaPss(Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
        SignatureAlgorithm::RsaPss(Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
        SignatureAlgorithm::RsaPss(Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
        SignatureAlgorithm::Ecdsa(curve, _, form) => curve.verifying(form),
        SignatureAlgorithm::Ed25519 => return false,
    };
    let digest = match algorithm {
        SignatureAlgorithm::Ecdsa(curve, ..) => curve.fitted(hash),
        _ => Digest::import_less_safe(hash, kind.algorithm()).ok(),
    };
    let holds = |digest: &Digest| UnparsedPublicKey::new(verifier, spki_der).verify_digest(digest, signature).is_ok();
    algorithm.fits(spki_der) && digest.as_ref().is_some_and(holds)
}

/// The algorithm of a public key and its parameters; `None` where it is none, or where something stands behind it.
fn identifier(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, behind) = der::expect(spki, SEQUENCE)?;
    let (algorithm, after) = der::expect(content, SEQUENCE)?;
    let (_, rest) = der::expect(after, BIT_STRING)?;
    (behind.is_empty() && rest.is_empty()).then(|| der::expect(algorithm, IDENTIFIER))?
}
