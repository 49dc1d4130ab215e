//! PKCS#8 under a password (PBES2): what AWS exports keys in, and OpenSSL writes.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::containers::ROUNDS_LIMIT;
use crate::der::{self, OCTET_STRING};
use crate::keys::{EC, Sec1, sec1};
use crate::pem::pem_blocks;
use crate::{PrivateKey, Reason};

/// Opens the first block of `pem`: `ENCRYPTED PRIVATE KEY` with `password`, `PRIVATE KEY` as it is. What is inside of a
/// key of a curve is what Go writes, whoever wrote it.
///
/// # Errors
/// What is no such block, another password, or a password that is hashed in a way that could take long.
pub fn open_locked_key(pem: &str, password: &SecretBytes) -> Result<PrivateKey, Reason> {
    let (blocks, _) = pem_blocks(pem);
    let block = blocks.first().ok_or("no PEM data in input")?;
    match block.label.as_str() {
        "PRIVATE KEY" => PrivateKey::from_der(&block.bytes).ok_or("unable to parse private key"),
        "ENCRYPTED PRIVATE KEY" => opened(&block.bytes, password),
        _ => Err("it is no PKCS#8"),
    }
    .map(as_go_writes)
}

fn opened(der: &[u8], password: &SecretBytes) -> Result<PrivateKey, Reason> {
    let locked = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| "it is no PKCS#8 under a password")?;
    if !has_few_rounds(&locked.encryption_algorithm) {
        return Err("the key's password is not hashed by PBKDF2, or more often than is allowed");
    }
    let open = locked.decrypt(password.expose()).map_err(|_| "the key's password is another one")?;
    PrivateKey::from_der(open.as_bytes()).ok_or("unable to parse private key")
}

/// scrypt could ask for any amount of memory, and nobody here exports keys by it.
fn has_few_rounds(scheme: &EncryptionScheme) -> bool {
    let rounds = scheme.pbes2().and_then(|parameters| parameters.kdf.pbkdf2()).map(|kdf| kdf.iteration_count);
    rounds.is_some_and(|rounds| u64::from(rounds) <= ROUNDS_LIMIT)
}

/// The curve stands outside alone; others repeat it inside.
fn as_go_writes(key: PrivateKey) -> PrivateKey {
    let Some((EC, parameters, inner)) = key.parts() else { return key };
    let Some(Sec1 { secret, public: Some(public), .. }) = sec1(inner) else { return key };
    let secret = Zeroizing::new(der::write(OCTET_STRING, secret));
    let whole = Zeroizing::new(der::sequence(&[&der::number(&[1]), &secret, &der::write(0xa1, public)]));
    PrivateKey::from_parts(EC, parameters, &whole)
}
