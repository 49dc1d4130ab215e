//! PKCS#12: a key with its certificates in one file, and trust stores.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12ImportPolicy, PrivateKeyChain,
};
use zeroize::Zeroizing;

use crate::der::{self, INTEGER, OCTET_STRING};
use crate::{PrivateKey, Reason, sha1};

/// What a container held.
pub struct Container {
    /// The private key.
    pub key: PrivateKey,
    /// Certificates in DER, the key's own first.
    pub certificates: Vec<Vec<u8>>,
}

/// Rounds of the password's hashing in containers that are written, as Go's library has them.
const ROUNDS: u32 = 2048;
/// The most rounds of a container that is read: a second's work or less. Programs write thousands.
pub(crate) const ROUNDS_LIMIT: u64 = 1_000_000;
/// How deep a container's elements are searched for rounds; they stand about ten deep.
const DEPTH: usize = 24;

/// Opens a container.
///
/// # Errors
/// A wrong password, or what is no container with a key and certificates.
pub fn open_container(bytes: &[u8], password: &str) -> Result<Container, Reason> {
    if !has_few_rounds(bytes, DEPTH) {
        return Err("the container's password is hashed more often than is allowed");
    }
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed)
        .map_err(|_| "it is no PKCS#12, or its password is another one")?;
    let (_, chain) = store.private_key_chain().ok_or("private key missing")?;
    let mut certificates: Vec<Vec<u8>> = chain.certs().iter().map(|one| one.as_der().to_vec()).collect();
    if certificates.is_empty() {
        return Err("certificate missing");
    }
    // Certificates that do not belong to the key's chain are in the container all the same.
    for (_, entry) in store.entries() {
        if let KeyStoreEntry::Certificate(other) = entry
            && !certificates.iter().any(|one| one == other.as_der())
        {
            certificates.push(other.as_der().to_vec());
        }
    }
    let key = PrivateKey::from_der(chain.key().as_der()).ok_or("private key missing")?;
    Ok(Container { key, certificates })
}

/// Whether no password is hashed too often: looks at each (salt, rounds) in sight.
fn has_few_rounds(input: &[u8], depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    let mut rest = input;
    let mut before = None;
    while let Some((tag, content, after)) = der::read(rest) {
        if tag == INTEGER && before == Some(OCTET_STRING) {
            let rounds = content.iter().fold(0_u64, |number, byte| number.saturating_mul(256) + u64::from(*byte));
            if rounds > ROUNDS_LIMIT || content.len() > 5 {
                return false;
            }
        }
        let is_inner = tag & 0x20 != 0 || tag == OCTET_STRING;
        if is_inner && !has_few_rounds(content, depth) {
            return false;
        }
        before = Some(tag);
        rest = after;
    }
    true
}

/// Writes a key and its certificates, its own first, as modern programs read them: AES-256 and SHA-256.
///
/// # Errors
/// What is no key or certificate.
pub fn make_container(
    key: &PrivateKey,
    certificates: &[Vec<u8>],
    password: &str,
) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let own = certificates.first().ok_or("certificate missing")?;
    let chain = certificates.iter().map(|der| certificate(der)).collect::<Result<Vec<_>, _>>()?;
    let inner = p12_keystore::PrivateKey::from_der(key.expose_pkcs8()).map_err(|_| "the key cannot be written")?;
    let mut store = KeyStore::new();
    store.add_entry("1", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(sha1(own).to_vec(), inner, chain)));
    written(&store, password)
}

/// Writes certificates alone, as Java reads trusted ones.
///
/// # Errors
/// What is no certificate.
pub fn make_trust_store(certificates: &[Vec<u8>], password: &str) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let mut store = KeyStore::new();
    for (index, der) in certificates.iter().enumerate() {
        let certificate = certificate(der)?;
        let alias = format!("{} {index}", certificate.subject());
        store.add_entry(&alias, KeyStoreEntry::Certificate(certificate));
    }
    written(&store, password)
}

fn certificate(der: &[u8]) -> Result<Certificate, Reason> {
    Certificate::from_der(der).map_err(|_| "it is no certificate")
}

fn written(store: &KeyStore, password: &str) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let writer = store
        .writer(password)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ROUNDS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ROUNDS);
    writer.write().map(Zeroizing::new).map_err(|_| "the container could not be written")
}
