//! The audit trail: what it tells, what it hides, and that changes show.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod canary;
mod chain;
mod data;
mod entry;
mod tamper;
mod verify;

use std::num::NonZeroU64;

use jiff::Timestamp;
use serde_json::{Map, Value};
use strongroom_audit::entry::{Auth, Half, Request};
use strongroom_audit::{Body, Chain, CheckpointKey, Entry, Hasher, Head, Trail};
use strongroom_secret::SecretBytes;

fn hasher() -> Hasher {
    Hasher::new(SecretBytes::new(vec![7; 32])).unwrap()
}

fn key(term: u32) -> CheckpointKey {
    CheckpointKey::new(term, SecretBytes::new(vec![u8::try_from(term).unwrap(); 32])).unwrap()
}

fn trail() -> Trail {
    Trail::new("file-1").unwrap()
}

fn time() -> Timestamp {
    "2026-11-27T10:00:00.123456789Z".parse().unwrap()
}

/// An object from what `json!` makes.
fn members(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The entry of a read without data.
fn entry<'a>(id: &'a str, path: &'a str) -> Entry<'a> {
    Entry {
        time: time(),
        half: Half::Request,
        auth: Auth::default(),
        request: Request { id, path, operation: "read", ..Request::default() },
        response: None,
        error: "",
        forwarded_from: "",
    }
}

fn body(number: u64) -> Body {
    entry(&number.to_string(), "secret/data/app").body().unwrap()
}

fn new_chain(every: u64) -> Chain {
    Chain::new(trail(), Head::of_new(&trail()), key(1), NonZeroU64::new(every).unwrap())
}

/// The lines of a trail of `entries` entries with a checkpoint in every place that `every` divides, without line ends.
fn lines(entries: u64, every: u64) -> (Vec<Vec<u8>>, Head) {
    let mut chain = new_chain(every);
    let mut lines = Vec::new();
    for number in 0..entries {
        let batch = chain.prepare([&body(number)], time());
        chain.accept(&batch);
        lines.extend(batch.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }
    (lines, chain.head())
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}
