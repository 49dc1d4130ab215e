//! AES-CBC and RSA-OAEP, in the forms that templates have.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepPrivateDecryptingKey, PrivateDecryptingKey,
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

/// Decrypts RSA-OAEP without a label.
///
/// # Errors
/// A key that is no RSA key of 2048 to 8192 bits, or what was not encrypted for it.
pub fn rsa_oaep_decrypt(key: &PrivateKey, digest: OaepDigest, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    key.rsa().ok_or("could not parse RSA private key")?;
    let private =
        PrivateDecryptingKey::from_pkcs8(key.expose_pkcs8()).map_err(|_| "could not parse RSA private key")?;
    let algorithm = match digest {
        OaepDigest::Sha1 => &OAEP_SHA1_MGF1SHA1,
        OaepDigest::Sha256 => &OAEP_SHA256_MGF1SHA256,
        OaepDigest::Sha512 => &OAEP_SHA512_MGF1SHA512,
    };
    let private = OaepPrivateDecryptingKey::new(private).map_err(|_| "could not parse RSA private key")?;
    let mut plain = Zeroizing::new(vec![0; private.min_output_size()]);
    let length =
        private.decrypt(algorithm, encrypted, &mut plain, None).map_err(|_| "error decrypting data with RSA")?.len();
    plain.truncate(length);
    Ok(plain)
}
