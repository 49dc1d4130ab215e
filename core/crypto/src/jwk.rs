//! JSON Web Keys (RFC 7517, 7518, 8037) to the forms that other programs read.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _,
};
use zeroize::Zeroizing;

use crate::der::{self, IDENTIFIER, INTEGER, NULL, OCTET_STRING, SEQUENCE};
use crate::keys::{EC, ED25519, RSA, sec1};
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

/// A private key in the members of a JSON Web Key.
pub struct JwkParts {
    /// `RSA` or `EC`.
    pub kind: &'static str,
    /// `P-256`, `P-384` or `P-521`; `None` for RSA.
    pub curve: Option<&'static str>,
    /// Names and the bytes that stand there as base64url. Those of the public key come first.
    pub members: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
    /// How many of the members are the public key's.
    pub public: usize,
}

impl PrivateKey {
    /// The key in the members of a JSON Web Key.
    ///
    /// # Errors
    /// A key that is neither RSA nor of one of the three curves, or that is damaged.
    pub fn jwk_parts(&self) -> Result<JwkParts, Reason> {
        match self.parts() {
            Some((RSA, _, key)) => rsa_parts(key).ok_or("the RSA key is damaged"),
            Some((EC, parameters, key)) => self.elliptic_parts(parameters, key),
            _ => Err("the key is neither RSA nor of a curve P-256, P-384 or P-521"),
        }
    }

    fn elliptic_parts(&self, parameters: &[u8], key: &[u8]) -> Result<JwkParts, Reason> {
        let identifier = der::expect(parameters, IDENTIFIER).map(|(identifier, _)| identifier);
        let names = ["P-256", "P-384", "P-521"];
        let is_it = |name: &&str| curve(name).is_ok_and(|(known, _)| Some(known) == identifier);
        let name = names.into_iter().find(is_it).ok_or("the curve is not known")?;
        let (_, size) = curve(name)?;
        let algorithm: &'static EcdsaSigningAlgorithm = match name {
            "P-256" => &ECDSA_P256_SHA256_ASN1_SIGNING,
            "P-384" => &ECDSA_P384_SHA384_ASN1_SIGNING,
            _ => &ECDSA_P521_SHA512_ASN1_SIGNING,
        };
        // Not every program writes the public key into the private one.
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, self.expose_pkcs8()).map_err(|_| "the key is damaged")?;
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..).filter(|rest| rest.len() == 2 * size).ok_or("the key is damaged")?.split_at(size);
        let secret = sec1(key).ok_or("the key is damaged")?.secret;
        let members =
            vec![("x", Zeroizing::new(x.to_vec())), ("y", Zeroizing::new(y.to_vec())), ("d", padded(secret, size)?)];
        Ok(JwkParts { kind: "EC", curve: Some(name), members, public: 2 })
    }
}

/// From PKCS#1.
fn rsa_parts(key: &[u8]) -> Option<JwkParts> {
    let (content, _) = der::expect(key, SEQUENCE)?;
    let (_version, mut rest) = der::expect(content, INTEGER)?;
    let mut members = Vec::new();
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let (number, after) = der::expect(rest, INTEGER)?;
        let digits = number.iter().copied().skip_while(|byte| *byte == 0);
        members.push((name, Zeroizing::new(digits.collect())));
        rest = after;
    }
    Some(JwkParts { kind: "RSA", curve: None, members, public: 2 })
}

#[cfg(test)]
mod tests {
    use crate::NewKey;

    use super::*;

    #[test]
    fn a_key_is_the_same_after_the_way_through_its_members() {
        for kind in [NewKey::Rsa2048, NewKey::P256, NewKey::P384, NewKey::P521] {
            let key = PrivateKey::generate(kind).unwrap();
            let parts = key.jwk_parts().unwrap();
            let member =
                |wanted: &str| parts.members.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| bytes.clone());
            let jwk = Jwk { kind: parts.kind, curve: parts.curve.unwrap_or_default(), member: &member };
            let again = jwk.private_key().unwrap();
            assert!(again.jwk_parts().unwrap().members == parts.members, "{kind:?}");
            assert!(parts.members[..parts.public].iter().all(|(name, _)| *name != "d"));
        }
        let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
        assert!(key.jwk_parts().err().unwrap().contains("neither RSA nor"));
    }
}
