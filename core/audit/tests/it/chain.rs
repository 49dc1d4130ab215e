//! How lines are joined.

use std::num::NonZeroU64;

use serde_json::Value;
use strongroom_audit::chain::Digest;
use strongroom_audit::{Chain, CheckpointKey, Head, Trail};
use strongroom_secret::SecretBytes;

use crate::{body, key, lines, new_chain, time, trail};

fn read(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

#[test]
fn each_line_holds_its_number_and_the_hash_of_the_exact_bytes_before() {
    let (lines, head) = lines(5, 1000);
    let mut previous = Head::of_new(&trail()).hash;
    for (line, sequence) in lines.iter().zip(1_u64..) {
        assert_eq!(read(line)["chain"]["sequence"], sequence);
        assert_eq!(read(line)["chain"]["previous"], previous.to_string());
        previous = Digest::of(line);
    }
    assert_eq!(head, Head { sequence: 5, hash: previous });
}

#[test]
fn every_nth_line_is_a_checkpoint_and_none_is_lost_for_it() {
    let (lines, _) = lines(10, 4);
    let kinds: Vec<_> = lines.iter().map(|line| read(line)["type"].as_str().unwrap().to_owned()).collect();
    for (kind, sequence) in kinds.iter().zip(1_u64..) {
        assert_eq!(kind, if sequence % 4 == 0 { "checkpoint" } else { "request" }, "{sequence}");
    }
    assert_eq!(kinds.iter().filter(|kind| *kind == "request").count(), 10);
}

#[test]
fn one_batch_of_many_has_the_bytes_of_many_batches() {
    let bodies: Vec<_> = (0..10).map(body).collect();
    let batch = new_chain(3).prepare(&bodies, time());
    assert_eq!(batch.bytes, crate::joined(&lines(10, 3).0));
}

#[test]
fn what_was_not_accepted_leaves_no_gap() {
    let mut chain = new_chain(2);
    let first = chain.prepare([&body(1)], time());
    assert_eq!(chain.head(), Head::of_new(&trail()));
    assert_eq!(chain.prepare([&body(1)], time()), first);
    chain.accept(&first);
    assert_eq!(chain.head(), first.head);
}

#[test]
fn a_checkpoint_names_its_trail_and_term_and_needs_the_key() {
    let line = |name: &str, key: CheckpointKey| {
        let trail = Trail::new(name).unwrap();
        let chain = Chain::new(trail.clone(), Head::of_new(&trail), key, NonZeroU64::MIN);
        read(&chain.prepare_checkpoint(time()).bytes)
    };
    let made = line("file-1", key(3));
    assert_eq!((&made["trail"], &made["key_term"]), (&Value::from("file-1"), &Value::from(3)));
    let other_key = CheckpointKey::new(3, SecretBytes::new(vec![9; 32])).unwrap();
    assert_ne!(line("file-1", other_key)["mac"], made["mac"]);
    assert_ne!(line("file-2", key(3))["mac"], made["mac"]);
    assert_eq!(line("file-1", key(3)), made);
}

#[test]
fn a_head_survives_its_journey_through_json() {
    let (_, head) = lines(3, 1000);
    let text = serde_json::to_string(&head).unwrap();
    assert_eq!(serde_json::from_str::<Head>(&text).unwrap(), head);
    for wrong in ["", "0", &"g".repeat(64), &"A".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
        let text = format!(r#"{{"sequence":1,"hash":"{wrong}"}}"#);
        assert!(serde_json::from_str::<Head>(&text).is_err(), "{wrong}");
    }
}

#[test]
fn names_of_trails_cannot_break_a_line() {
    for wrong in ["", "a\"b", "a\nb", "a b", &"x".repeat(129)] {
        assert!(Trail::new(wrong).is_err(), "{wrong}");
    }
    assert!(Trail::new("file/6c0f_a.b-1").is_ok());
    assert!(CheckpointKey::new(1, SecretBytes::new(vec![1; 31])).is_err());
}
