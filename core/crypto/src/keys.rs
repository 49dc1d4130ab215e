//! Private keys in the forms that others write, and new ones.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::Reason;
use crate::der::{self, IDENTIFIER, INTEGER, NULL, OCTET_STRING, SEQUENCE};
use crate::pem::{pem_blocks, pem_encode};
use crate::verifying::Curve;

pub(crate) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(crate) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Which key is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits: takes seconds now and then.
    Rsa4096,
    /// RSA of 8192 bits: takes a minute now and then.
    Rsa8192,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

/// A private key: RSA, of an elliptic curve, or Ed25519. Kept as PKCS#8.
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// Makes a key.
    ///
    /// # Errors
    /// Where the library fails.
    pub fn generate(kind: NewKey) -> Result<Self, Reason> {
        let rsa = |size| RsaPair::generate(size).ok().and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok());
        let rsa = |size| rsa(size).map(|der| der.as_ref().to_vec());
        let elliptic = |algorithm: &'static EcdsaSigningAlgorithm| {
            let pair = EcdsaKeyPair::generate(algorithm).ok()?;
            Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
        };
        let made = match kind {
            NewKey::Rsa2048 => rsa(KeySize::Rsa2048),
            NewKey::Rsa3072 => rsa(KeySize::Rsa3072),
            NewKey::Rsa4096 => rsa(KeySize::Rsa4096),
            NewKey::Rsa8192 => rsa(KeySize::Rsa8192),
            NewKey::P256 => elliptic(&ECDSA_P256_SHA256_ASN1_SIGNING),
            NewKey::P384 => elliptic(&ECDSA_P384_SHA384_ASN1_SIGNING),
            NewKey::P521 => elliptic(&ECDSA_P521_SHA512_ASN1_SIGNING),
            NewKey::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new())
                .ok()
                .map(|document| document.as_ref().to_vec()),
        };
        made.map(|der| Self(Zeroizing::new(der))).ok_or("the key could not be made")
    }

    /// Reads the first block of `pem`, whatever it says that it is: PKCS#8, PKCS#1 or SEC 1.
    ///
    /// # Errors
    /// Where it is no private key.
    pub fn from_pem(pem: &str) -> Result<Self, Reason> {
        let (blocks, _) = pem_blocks(pem);
        let block = blocks.first().ok_or("no PEM data in input")?;
        Self::from_der(&block.bytes).ok_or("unable to parse private key type")
    }

    /// Reads PKCS#8, PKCS#1 or SEC 1; `None` where it is none of them.
    pub fn from_der(input: &[u8]) -> Option<Self> {
        let (content, _) = der::expect(input, SEQUENCE)?;
        let (_, after) = der::expect(content, INTEGER)?;
        match der::read(after)?.0 {
            SEQUENCE => Some(Self(Zeroizing::new(input.to_vec()))),
            INTEGER => Some(Self::from_parts(RSA, &der::write(NULL, &[]), input)),
            OCTET_STRING => {
                let curve = sec1(input)?.curve?;
                Some(Self::from_parts(EC, &der::write(IDENTIFIER, curve), input))
            }
            _ => None,
        }
    }

    /// PKCS#8 around a key of an algorithm.
    pub(crate) fn from_parts(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Self {
        let identifier = der::sequence(&[&der::write(IDENTIFIER, algorithm), parameters]);
        let key = Zeroizing::new(der::write(OCTET_STRING, key));
        Self(Zeroizing::new(der::sequence(&[&der::number(&[0]), &identifier, &key])))
    }

    /// The key as PKCS#8.
    pub fn expose_pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// The algorithm, its parameters and the key inside.
    pub(crate) fn parts(&self) -> Option<(&[u8], &[u8], &[u8])> {
        let (content, _) = der::expect(&self.0, SEQUENCE)?;
        let (_, after) = der::expect(content, INTEGER)?;
        let (identifier, after) = der::expect(after, SEQUENCE)?;
        let (algorithm, parameters) = der::expect(identifier, IDENTIFIER)?;
        Some((algorithm, parameters, der::expect(after, OCTET_STRING)?.0))
    }

    /// PEM as sprig writes keys: `RSA PRIVATE KEY` (PKCS#1), `EC PRIVATE KEY` (SEC 1), anything else PKCS#8.
    pub fn to_usual_pem(&self) -> Zeroizing<String> {
        match self.parts() {
            Some((RSA, _, key)) => pem_encode("RSA PRIVATE KEY", key),
            Some((EC, parameters, key)) => match sec1(key) {
                Some(inner) => {
                    let public = inner.public.map(|bits| der::write(0xa1, bits)).unwrap_or_default();
                    let secret = Zeroizing::new(der::write(OCTET_STRING, inner.secret));
                    let parameters = der::write(0xa0, parameters);
                    let whole = Zeroizing::new(der::sequence(&[&der::number(&[1]), &secret, &parameters, &public]));
                    pem_encode("EC PRIVATE KEY", &whole)
                }
                None => self.to_pkcs8_pem(),
            },
            _ => self.to_pkcs8_pem(),
        }
    }

    /// PEM as PKCS#8.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        pem_encode("PRIVATE KEY", &self.0)
    }

    /// The public key that belongs to it: X.509's `SubjectPublicKeyInfo`, in DER.
    ///
    /// # Errors
    /// A key that is neither RSA of 2048 to 8192 bits, nor of a curve that is known, nor Ed25519.
    pub fn public_key(&self) -> Result<Vec<u8>, Reason> {
        const UNKNOWN: Reason = "the key is damaged, or of a kind that is not known";
        let (algorithm, parameters, _) = self.parts().ok_or(UNKNOWN)?;
        let key = match algorithm {
            RSA => RsaKeyPair::from_pkcs8(&self.0).map_err(|_| UNKNOWN)?.public_key().as_ref().to_vec(),
            EC => {
                let curve = Curve::of_identifier(parameters).ok_or(UNKNOWN)?;
                let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), &self.0).map_err(|_| UNKNOWN)?;
                pair.public_key().as_ref().to_vec()
            }
            ED25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.0).map_err(|_| UNKNOWN)?;
                pair.public_key().as_ref().to_vec()
            }
            _ => return Err(UNKNOWN),
        };
        let identifier = der::sequence(&[&der::write(IDENTIFIER, algorithm), parameters]);
        Ok(der::sequence(&[&identifier, &der::bits(&key)]))
    }

    /// The public key that belongs to it, as PEM: `PUBLIC KEY`.
    ///
    /// # Errors
    /// As [`Self::public_key`].
    pub fn public_key_pem(&self) -> Result<String, Reason> {
        Ok(pem_encode("PUBLIC KEY", &self.public_key()?).to_string())
    }

    /// The key inside, where it is RSA: PKCS#1.
    pub(crate) fn rsa(&self) -> Option<&[u8]> {
        self.parts().filter(|(algorithm, ..)| *algorithm == RSA).map(|(_, _, key)| key)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey([redacted])")
    }
}

/// SEC 1's `ECPrivateKey`.
pub(crate) struct Sec1<'a> {
    pub(crate) secret: &'a [u8],
    /// The curve's identifier, where it stands inside.
    curve: Option<&'a [u8]>,
    /// The public key's bit string, whole.
    pub(crate) public: Option<&'a [u8]>,
}

pub(crate) fn sec1(input: &[u8]) -> Option<Sec1<'_>> {
    let (content, _) = der::expect(input, SEQUENCE)?;
    let (_, after) = der::expect(content, INTEGER)?;
    let (secret, mut rest) = der::expect(after, OCTET_STRING)?;
    let mut made = Sec1 { secret, curve: None, public: None };
    while let Some((tag, content, after)) = der::read(rest) {
        match tag {
            0xa0 => made.curve = der::expect(content, IDENTIFIER).map(|(curve, _)| curve),
            0xa1 => made.public = Some(content),
            _ => {}
        }
        rest = after;
    }
    Some(made)
}
