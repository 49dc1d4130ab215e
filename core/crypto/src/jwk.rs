//! JSON Web Keys (RFC 7517, 7518, 8037) to the forms that other programs read.

use zeroize::Zeroizing;

use crate::der::{self, IDENTIFIER, NULL, OCTET_STRING};
use crate::keys::{EC, ED25519, RSA};
use crate::{PrivateKey, Reason};

/// A key's members: its type, its curve, and the decoded bytes of the others by name.
pub struct Jwk<'a> {
    /// `RSA`, `EC` or `OKP`.
    pub kind: &'a str,
    /// `P-256`, `P-384`, `P-521` or `Ed25519`; empty for RSA.
    pub curve: &'a str,
    /// A member that holds base64url, decoded; `None` where it is not there.
    pub member: &'a dyn Fn(&str) -> Option<Zeroizing<Vec<u8>>>,
}

/// A curve's identifier, and how many bytes its numbers have.
fn curve(name: &str) -> Result<(&'static [u8], usize), Reason> {
    match name {
        "P-256" => Ok((&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], 32)),
        "P-384" => Ok((&[0x2b, 0x81, 0x04, 0x00, 0x22], 48)),
        "P-521" => Ok((&[0x2b, 0x81, 0x04, 0x00, 0x23], 66)),
        _ => Err("the curve is not known"),
    }
}

impl Jwk<'_> {
    fn get(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Reason> {
        (self.member)(name).ok_or("a member of the key is missing or no base64url")
    }

    /// The public key as X.509's `SubjectPublicKeyInfo`, in DER.
    ///
    /// # Errors
    /// A type or a curve that is not known, or a member that is missing.
    pub fn public_key(&self) -> Result<Vec<u8>, Reason> {
        let (algorithm, parameters, key) = match self.kind {
            "RSA" => {
                let key = der::sequence(&[&der::number(&self.get("n")?), &der::number(&self.get("e")?)]);
                (RSA, der::write(NULL, &[]), key)
            }
            "EC" => (EC, der::write(IDENTIFIER, curve(self.curve)?.0), self.point()?),
            "OKP" if self.curve == "Ed25519" => (ED25519, Vec::new(), self.get("x")?.to_vec()),
            _ => return Err("the key's type is not known"),
        };
        let identifier = der::sequence(&[&der::write(IDENTIFIER, algorithm), &parameters]);
        Ok(der::sequence(&[&identifier, &der::bits(&key)]))
    }

    /// A point of a curve, uncompressed.
    fn point(&self) -> Result<Vec<u8>, Reason> {
        let (_, size) = curve(self.curve)?;
        let (x, y) = (padded(&self.get("x")?, size)?, padded(&self.get("y")?, size)?);
        Ok([&[4], x.as_slice(), y.as_slice()].concat())
    }

    /// The private key.
    ///
    /// # Errors
    /// As [`Self::public_key`], and where there is only a public one.
    pub fn private_key(&self) -> Result<PrivateKey, Reason> {
        if (self.member)("d").is_none() {
            return Err("it is a public key");
        }
        let secret = self.get("d")?;
        match self.kind {
            "RSA" => {
                let mut numbers = Zeroizing::new(der::number(&[0]));
                for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                    numbers.extend_from_slice(&Zeroizing::new(der::number(&self.get(name)?)));
                }
                let key = Zeroizing::new(der::write(der::SEQUENCE, &numbers));
                Ok(PrivateKey::from_parts(RSA, &der::write(NULL, &[]), &key))
            }
            "EC" => {
                let (identifier, size) = curve(self.curve)?;
                let secret = Zeroizing::new(der::write(OCTET_STRING, &padded(&secret, size)?));
                let public = der::write(0xa1, &der::bits(&self.point()?));
                let key = Zeroizing::new(der::sequence(&[&der::number(&[1]), &secret, &public]));
                Ok(PrivateKey::from_parts(EC, &der::write(IDENTIFIER, identifier), &key))
            }
            "OKP" if self.curve == "Ed25519" => {
                let key = Zeroizing::new(der::write(OCTET_STRING, &secret));
                Ok(PrivateKey::from_parts(ED25519, &[], &key))
            }
            _ => Err("the key's type is not known"),
        }
    }
}

/// A number of exactly `size` bytes.
fn padded(bytes: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let missing = size.checked_sub(bytes.len()).ok_or("a member of the key is too long for its curve")?;
    Ok(Zeroizing::new([&vec![0; missing], bytes].concat()))
}
