//! Our own way in, for everything that tells nobody by itself: a request with a signature.
//!
//! ```text
//! POST /events
//! Strongroom-Signature: t=1764224782,v1=5257a869e7…
//!
//! {"provider": "vault", "key": "team-a/db", "store": "team-a/production"}
//! ```
//!
//! `t` is the time in seconds since 1970. `v1` is the HMAC-SHA256 (RFC 2104) of `t`, a full stop and the body, under the
//! shared key, in hexadecimal.

use serde::Deserialize;
use strongroom_crypto::{equal_in_constant_time, hmac_sha256};
use strongroom_failure::{Class, Failure};
use strongroom_reference::ProviderKind;
use strongroom_secret::SecretBytes;

use crate::key::Author;
use crate::{Change, Happening, checked_key, unreadable};

/// The header that carries the signature.
pub const HEADER: &str = "strongroom-signature";

/// The largest body, in bytes: a key and three names.
pub const BODY_LIMIT: usize = 16 * 1024;

/// The fewest bytes of a shared key: fewer could be guessed.
pub const KEY_MINIMUM: usize = 32;

/// How far the signature's time may be from ours, in seconds, before or after: clocks differ, and a request that
/// somebody kept is worth nothing after this.
pub const WINDOW: i64 = 300;

/// What proves that a request is one that was signed: equal for a second delivery of the same.
pub type Proof = [u8; 32];

/// Whether whoever has `key` signed `body` within [`WINDOW`] of `now` (seconds since 1970).
///
/// # Errors
/// `Unauthenticated`, with the reason in words that are for the receiver's log; whoever sends is better told none.
pub fn verify(key: &SecretBytes, header: Option<&str>, body: &[u8], now: i64) -> Result<Proof, Failure> {
    let refused = |words: &str| Failure::new(Class::Unauthenticated, words);
    let header = header.ok_or_else(|| refused("the request has no signature"))?;
    let (time, signature) = parts(header).ok_or_else(|| refused("the signature is not t=SECONDS,v1=HEX"))?;
    let signed = [time.as_bytes(), b".", body].concat();
    let proof = hmac_sha256(key.expose(), &signed);
    if !equal_in_constant_time(&proof, &signature) {
        return Err(refused("the signature is wrong"));
    }
    let time: i64 = time.parse().map_err(|_| refused("the signature's time is no number"))?;
    if now.abs_diff(time) > WINDOW.unsigned_abs() {
        return Err(refused("the signature is older than 5 minutes, or one of the clocks is wrong"));
    }
    Ok(proof)
}

/// The header's value for `body` at `now`: what senders in Rust and tests use.
pub fn sign(key: &SecretBytes, body: &[u8], now: i64) -> String {
    let signed = [now.to_string().as_bytes(), b".", body].concat();
    let hex: String = hmac_sha256(key.expose(), &signed).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={hex}")
}

fn parts(header: &str) -> Option<(&str, Proof)> {
    let (time, signature) = header.trim().split_once(',')?;
    let (time, signature) = (time.strip_prefix("t=")?, signature.trim().strip_prefix("v1=")?);
    // Only so is the text that is signed the one that is meant.
    let is_number = (1..=12).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && signature.len() == 64).then_some(())?;
    let mut proof = [0; 32];
    for (byte, digits) in proof.iter_mut().zip(signature.as_bytes().chunks(2)) {
        let digit = |place: usize| char::from(digits[place]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some((time, proof))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    provider: String,
    key: String,
    #[serde(default)]
    store: Option<String>,
    #[serde(default)]
    region: Option<String>,
}

/// Reads the body of a request whose signature is right.
///
/// `provider` is the kind of store (`vault`, `aws-sm`, `aws-ssm`, `gcp-sm`, `azure-kv`, `kubernetes`, `webhook`, `fake`),
/// `key` the key as objects write it, its store's prefix included. `store` narrows it to one store: a
/// ClusterSecretStore's name, or `NAMESPACE/NAME`; `region` to one region of AWS.
///
/// # Errors
/// `Invalid`, without quoting it.
pub fn parse(body: &[u8]) -> Result<Change, Failure> {
    let body: Body = serde_json::from_slice(body).map_err(|_| {
        unreadable("the body is not {\"provider\": …, \"key\": …}, with \"store\" or \"region\" if wanted")
    })?;
    let provider =
        ProviderKind::from_name(&body.provider).ok_or_else(|| unreadable("there is no provider of this name"))?;
    let mut change = Change::new(provider, Happening::Updated);
    change.called(checked_key(&body.key)?, Author::Person);
    let store = body.store.map(|store| match store.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, store),
    });
    Ok(Change { store, region: body.region, ..change })
}
