//! Keys and hashes from passwords.

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
