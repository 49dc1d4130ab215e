//! AES-CBC and RSA-OAEP, in the forms that templates have.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use crate::{PrivateKey, Reason};

const BLOCK: usize = 16;

/// sprig's key: the password's first 32 bytes, with zeros behind a shorter one.
fn key(password: &[u8]) -> Result<UnboundCipherKey, Reason> {
    let mut bytes = Zeroizing::new([0; 32]);
    for (place, byte) in bytes.iter_mut().zip(password) {
        *place = *byte;
    }
    UnboundCipherKey::new(&AES_256, bytes.as_slice()).map_err(|_| "AES failed")
}

/// Encrypts by AES-256-CBC with PKCS#7 padding, a random vector before it. It does not tell whether somebody changed
/// it: the form is sprig's.
///
/// # Errors
/// Where the library fails.
pub fn aes_encrypt(password: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(key(password)?).map_err(|_| "AES failed")?;
    let mut bytes = plain.to_vec();
    let context = cipher.encrypt(&mut bytes).map_err(|_| "AES failed")?;
    let vector: &[u8] = (&context).try_into().map_err(|_| "AES failed")?;
    Ok([vector, &bytes].concat())
}

/// Decrypts what [`aes_encrypt`] made.
///
/// # Errors
/// What is no such text, or was encrypted with another password.
pub fn aes_decrypt(password: &[u8], encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    const WRONG: Reason = "it is no such text, or its password is another one";
    let (vector, body) = encrypted.split_at_checked(BLOCK).ok_or(WRONG)?;
    let vector: [u8; BLOCK] = vector.try_into().map_err(|_| WRONG)?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(key(password)?).map_err(|_| "AES failed")?;
    let mut bytes = Zeroizing::new(body.to_vec());
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    let length = cipher.decrypt(&mut bytes, context).map_err(|_| WRONG)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// The digest of RSA-OAEP (RFC 8017), in the label and in the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OaepDigest {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl OaepDigest {
    fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

/// Encrypts by RSA-OAEP without a label for the owner of a public key: X.509's `SubjectPublicKeyInfo`, in DER.
///
/// # Errors
/// A key that is no RSA key of 2048 to 8192 bits, or more than fits it: its bytes less two digests and two.
pub fn rsa_oaep_encrypt(spki_der: &[u8], digest: OaepDigest, plain: &[u8]) -> Result<Vec<u8>, Reason> {
    const WRONG: Reason = "could not parse RSA public key";
    let public = PublicEncryptingKey::from_der(spki_der).map_err(|_| WRONG)?;
    let public = OaepPublicEncryptingKey::new(public).map_err(|_| WRONG)?;
    if plain.len() > public.max_plaintext_size(digest.algorithm()) {
        return Err("the message is too long for this size of an RSA key");
    }
    let mut encrypted = vec![0; public.ciphertext_size()];
    let made = public.encrypt(digest.algorithm(), plain, &mut encrypted, None);
    let length = made.map_err(|_| "error encrypting data with RSA")?.len();
    encrypted.truncate(length);
    Ok(encrypted)
}

/// Decrypts RSA-OAEP without a label.
///
/// # Errors
/// A key that is no RSA key of 2048 to 8192 bits, or what was not encrypted for it.
pub fn rsa_oaep_decrypt(key: &PrivateKey, digest: OaepDigest, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    key.rsa().ok_or("could not parse RSA private key")?;
    let private =
        PrivateDecryptingKey::from_pkcs8(key.expose_pkcs8()).map_err(|_| "could not parse RSA private key")?;
    let private = OaepPrivateDecryptingKey::new(private).map_err(|_| "could not parse RSA private key")?;
    let mut plain = Zeroizing::new(vec![0; private.min_output_size()]);
    let length = private
        .decrypt(digest.algorithm(), encrypted, &mut plain, None)
        .map_err(|_| "error decrypting data with RSA")?
        .len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use crate::NewKey;

    use super::*;

    #[test]
    fn what_is_encrypted_for_a_key_is_read_by_it_alone_and_fits_it() {
        let (key, other) =
            (PrivateKey::generate(NewKey::Rsa2048).unwrap(), PrivateKey::generate(NewKey::Rsa2048).unwrap());
        let public = key.public_key().unwrap();
        for digest in [OaepDigest::Sha1, OaepDigest::Sha256, OaepDigest::Sha512] {
            for plain in [&b""[..], b"x", &[7; 126]] {
                let encrypted = rsa_oaep_encrypt(&public, digest, plain).unwrap();
                assert_eq!(rsa_oaep_decrypt(&key, digest, &encrypted).unwrap().as_slice(), plain);
                assert!(rsa_oaep_decrypt(&other, digest, &encrypted).is_err());
            }
        }
        assert!(rsa_oaep_encrypt(&public, OaepDigest::Sha256, &[7; 190]).is_ok());
        assert!(rsa_oaep_encrypt(&public, OaepDigest::Sha256, &[7; 191]).unwrap_err().contains("too long"));
        let elliptic = PrivateKey::generate(NewKey::P256).unwrap().public_key().unwrap();
        assert!(rsa_oaep_encrypt(&elliptic, OaepDigest::Sha256, b"x").is_err());
    }
}
