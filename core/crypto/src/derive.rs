//! Keys and hashes from passwords, and keys from keys.

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::Reason;

/// The cost of bcrypt that Go's library takes by default: about 50 ms.
const COST: u32 = 10;

/// A password's hash by bcrypt, `$2a$10$…`.
///
/// # Errors
/// A password of more than 72 bytes, which bcrypt would cut off.
pub fn bcrypt_hash(password: &[u8]) -> Result<String, Reason> {
    if password.len() > 72 {
        return Err("bcrypt: password length exceeds 72 bytes");
    }
    let made = bcrypt::hash_with_result(password, COST).map_err(|_| "bcrypt failed")?;
    Ok(made.format_for_version(bcrypt::Version::TwoA))
}

/// 32 bytes by Argon2id (RFC 9106) with 19 MiB, two passes and one lane, as OWASP's cheat sheet on storing passwords has it:
/// about 20 ms, and too much memory for an attacker's cards. `salt` has 8 bytes or more.
///
/// # Errors
/// A salt that is too short.
pub fn argon2id_32(password: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, Reason> {
    let parameters = argon2::Params::new(19 * 1024, 2, 1, Some(32)).map_err(|_| "argon2 failed")?;
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    let mut made = Zeroizing::new([0; 32]);
    argon2.hash_password_into(password, salt, made.as_mut_slice()).map_err(|_| "argon2 failed")?;
    Ok(made)
}

/// 64 bytes by scrypt (RFC 7914) with N = 2^15, r = 8 and p = 2: the master key of `derivePassword`, about 100 ms.
///
/// # Errors
/// Where the library fails.
pub fn scrypt_64(password: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; 64]>, Reason> {
    let parameters = scrypt::Params::new(15, 8, 2).map_err(|_| "scrypt failed")?;
    let mut made = Zeroizing::new([0; 64]);
    scrypt::scrypt(password, salt, &parameters, made.as_mut_slice()).map_err(|_| "scrypt failed")?;
    Ok(made)
}

/// A key of 32 bytes out of another one, by HKDF with SHA-256 (RFC 5869) and without a salt: another one for each `info`,
/// from none of which the first one can be told.
///
/// # Errors
/// Where the library fails.
pub fn hkdf_sha256_32(key: &SecretBytes, info: &[u8]) -> Result<SecretBytes, Reason> {
    expanded(&Salt::none(HKDF_SHA256).extract(key.expose()), info)
}

/// The second step of [`hkdf_sha256_32`] alone: `key` is what the first one would have made.
///
/// # Errors
/// Where the library fails.
pub fn hkdf_expand_sha256_32(key: &SecretBytes, info: &[u8]) -> Result<SecretBytes, Reason> {
    expanded(&Prk::new_less_safe(HKDF_SHA256, key.expose()), info)
}

fn expanded(key: &Prk, info: &[u8]) -> Result<SecretBytes, Reason> {
    let mut made = SecretBytes::new(vec![0; 32]);
    let expanded = key.expand(&[info], HKDF_SHA256).and_then(|expanded| expanded.fill(made.expose_mut()));
    expanded.map_err(|_| "HKDF failed")?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_gives_what_the_standard_gives() {
        // RFC 5869, A.3: no salt, no information, the first 32 bytes.
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        let made = hkdf_sha256_32(&SecretBytes::new(vec![0x0b; 22]), b"").unwrap();
        assert_eq!(made.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
        assert_ne!(hkdf_sha256_32(&made, b"a").unwrap().expose(), hkdf_sha256_32(&made, b"b").unwrap().expose());
    }

    #[test]
    fn argon2id_gives_what_the_reference_implementation_gives() {
        // argon2-cffi 25.1, hash_secret_raw(b"password", b"somesalt", 2, 19456, 1, 32, Type.ID)
        let expected = "3cbd356a63f2794bb11bb1f4bc8af95fea87919bd69c79860465c562f87ccf61";
        let made = argon2id_32(b"password", b"somesalt").unwrap();
        assert_eq!(made.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
        assert!(argon2id_32(b"password", b"short").is_err());
    }
}
