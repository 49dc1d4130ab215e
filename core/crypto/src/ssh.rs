//! Pairs of SSH keys: OpenSSH's own file of a private key (`openssh-key-v1`, PROTOCOL.key) without a passphrase, and the
//! line of a public key (RFC 4253, RFC 5656, RFC 8709).

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::der::{self, INTEGER, OCTET_STRING, SEQUENCE};
use crate::keys::{EC, ED25519, PrivateKey, RSA, sec1};
use crate::random::fill_random;
use crate::{NewKey, Reason};

/// Letters of base64 in a line of OpenSSH's file.
const LINE: usize = 70;

/// The private part is filled up to a multiple of this, the block of the cipher that is not there.
const BLOCK: usize = 8;

/// A private key and its public key, as files that OpenSSH reads.
pub struct SshKeyPair {
    /// The private key's file, in PEM.
    pub private_key: Zeroizing<String>,
    /// The public key's line with its end: algorithm, key, comment.
    pub public_key: String,
}

impl SshKeyPair {
    /// Makes a pair. `comment` is one line, or empty.
    ///
    /// # Errors
    /// Where the library fails.
    pub fn generate(kind: NewKey, comment: &str) -> Result<Self, Reason> {
        let key = PrivateKey::generate(kind)?;
        Self::of(&key, kind, comment).ok_or("the key could not be written for SSH")
    }

    fn of(key: &PrivateKey, kind: NewKey, comment: &str) -> Option<Self> {
        let (algorithm, _, inner) = key.parts()?;
        let parts = match algorithm {
            RSA => rsa(inner)?,
            EC => elliptic(curve(kind)?, inner)?,
            ED25519 => ed25519(inner)?,
            _ => return None,
        };
        let private_key = file(&parts, comment)?;
        let blob = STANDARD.encode(&parts.public);
        let behind = if comment.is_empty() { String::new() } else { format!(" {comment}") };
        Some(Self { private_key, public_key: format!("{} {blob}{behind}\n", parts.name) })
    }
}

/// A key in the parts that both files are made of.
struct Parts {
    name: String,
    /// The public key as the wire has it.
    public: Vec<u8>,
    /// What follows the algorithm's name in the private part, without the comment.
    private: Zeroizing<Vec<u8>>,
}

/// The algorithm's name and the curve's, of a key on a curve.
fn curve(kind: NewKey) -> Option<&'static str> {
    match kind {
        NewKey::P256 => Some("nistp256"),
        NewKey::P384 => Some("nistp384"),
        NewKey::P521 => Some("nistp521"),
        NewKey::Rsa2048 | NewKey::Rsa3072 | NewKey::Rsa4096 | NewKey::Rsa8192 | NewKey::Ed25519 => None,
    }
}

/// From PKCS#1.
fn rsa(inner: &[u8]) -> Option<Parts> {
    let (content, _) = der::expect(inner, SEQUENCE)?;
    let (_, mut rest) = der::expect(content, INTEGER)?;
    let mut number = || {
        let (number, after) = der::expect(rest, INTEGER)?;
        rest = after;
        Some(number)
    };
    let (modulus, exponent, secret) = (number()?, number()?, number()?);
    let (first, second) = (number()?, number()?);
    let (_, _, inverse) = (number()?, number()?, number()?);
    let name = "ssh-rsa".to_owned();
    let public = joined(&[name.as_bytes(), exponent, modulus]);
    let private = Zeroizing::new(joined(&[modulus, exponent, secret, inverse, first, second]));
    Some(Parts { name, public, private })
}

/// From SEC 1, with its public key.
fn elliptic(curve: &str, inner: &[u8]) -> Option<Parts> {
    let key = sec1(inner)?;
    // A bit string of whole bytes: the count of spare bits comes first.
    let point = der::expect(key.public?, der::BIT_STRING)?.0.get(1..)?;
    let secret = Zeroizing::new(positive(key.secret));
    let name = format!("ecdsa-sha2-{curve}");
    let public = joined(&[name.as_bytes(), curve.as_bytes(), point]);
    let private = Zeroizing::new(joined(&[curve.as_bytes(), point, &secret]));
    Some(Parts { name, public, private })
}

/// From the seed in an octet string of its own.
fn ed25519(inner: &[u8]) -> Option<Parts> {
    let (seed, _) = der::expect(inner, OCTET_STRING)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    let point = pair.public_key().as_ref();
    let name = "ssh-ed25519".to_owned();
    let public = joined(&[name.as_bytes(), point]);
    let whole = Zeroizing::new([seed, point].concat());
    let private = Zeroizing::new(joined(&[point, &whole]));
    Some(Parts { name, public, private })
}

/// A number's bytes as DER and the wire have them: no zeros in front but the one that keeps it positive.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let significant = &bytes[first..];
    let sign: &[u8] = if significant.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    [sign, significant].concat()
}

/// Texts of the wire, each behind its length.
fn joined(texts: &[&[u8]]) -> Vec<u8> {
    let mut made = Vec::with_capacity(texts.iter().map(|text| text.len() + 4).sum());
    for text in texts {
        made.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
        made.extend_from_slice(text);
    }
    made
}

fn file(parts: &Parts, comment: &str) -> Option<Zeroizing<String>> {
    let name = joined(&[parts.name.as_bytes()]);
    let comment = joined(&[comment.as_bytes()]);
    let mut private = Zeroizing::new(Vec::with_capacity(8 + name.len() + parts.private.len() + comment.len() + BLOCK));
    // The same number twice: who decrypts sees by it that the passphrase was right.
    let mut check = [0; 4];
    fill_random(&mut check)?;
    for part in [&check, &check, name.as_slice(), parts.private.as_slice(), comment.as_slice()] {
        private.extend_from_slice(part);
    }
    let missing = private.len().wrapping_neg() % BLOCK;
    private.extend((1..=missing).filter_map(|byte| u8::try_from(byte).ok()));
    let one = 1_u32.to_be_bytes();
    let head = [b"openssh-key-v1\0".as_slice(), &joined(&[b"none", b"none", b""]), &one].concat();
    let body = Zeroizing::new(joined(&[&parts.public, &private]));
    let whole = Zeroizing::new([head.as_slice(), &body].concat());
    Some(pem(&whole))
}

fn pem(bytes: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    let mut made = Zeroizing::new(String::with_capacity(body.len() + body.len() / LINE + 100));
    made.push_str("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        made.push_str(line);
        made.push('\n');
        rest = after;
    }
    made.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    made
}
