//! Verdicts on trails, by tables.

use strongroom_audit::chain::Digest;
use strongroom_audit::{CheckpointKey, Fault, Head, Kind, Start, Tail, Trail, Verified, Verifier};

use crate::{body, joined, key, lines, new_chain, time, trail};

fn verified(bytes: &[u8], start: Start, tail: Tail) -> Result<Verified, Fault> {
    let (trail, keys) = (trail(), [key(1), key(2)]);
    let mut verifier = Verifier::new(&trail, &keys, start, tail);
    verifier.feed(bytes);
    verifier.finish()
}

/// Of a trail of ten lines whose fourth and eighth are checkpoints: takes lines by their numbers, with its head known.
fn check(order: &[usize], place: u64, sequence: u64, kind: Kind) {
    let (lines, head) = lines(8, 4);
    assert_eq!(lines.len(), 10);
    let picked: Vec<_> = order.iter().map(|number| lines[number - 1].clone()).collect();
    let fault = verified(&joined(&picked), Start::Origin, Tail::Exactly(head)).unwrap_err();
    assert_eq!((fault.place, fault.sequence, fault.kind), (place, sequence, kind), "{order:?}: {fault}");
}

#[test]
fn lines_that_are_missing_show() {
    check(&[2, 3, 4, 5, 6, 7, 8, 9, 10], 1, 1, Kind::Removed);
    check(&[1, 2, 3, 5, 6, 7, 8, 9, 10], 4, 4, Kind::Removed);
    check(&[1, 2, 7, 8, 9, 10], 3, 3, Kind::Removed);
    check(&[1, 2, 3, 4, 5, 6, 7, 8, 10], 9, 9, Kind::Removed);
    check(&[10], 1, 1, Kind::Removed);
}

#[test]
fn lines_that_are_missing_at_the_end_show_against_the_head() {
    check(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 10, 10, Kind::Truncated);
    check(&[1, 2], 3, 3, Kind::Truncated);
    check(&[], 1, 1, Kind::Truncated);
}

#[test]
fn lines_that_were_added_show() {
    check(&[1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10], 3, 3, Kind::Inserted);
    check(&[1, 2, 3, 4, 5, 2, 6, 7, 8, 9, 10], 6, 6, Kind::Inserted);
    check(&[1, 2, 9, 3, 4, 5, 6, 7, 8, 9, 10], 3, 3, Kind::Inserted);
    check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1], 11, 11, Kind::Inserted);
    check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10], 11, 11, Kind::Inserted);
}

#[test]
fn lines_in_another_order_show() {
    check(&[2, 1, 3, 4, 5, 6, 7, 8, 9, 10], 1, 1, Kind::Reordered);
    check(&[1, 3, 4, 5, 6, 2, 7, 8, 9, 10], 2, 2, Kind::Reordered);
    check(&[1, 6, 2, 3, 4, 5, 7, 8, 9, 10], 2, 2, Kind::Reordered);
    check(&[1, 2, 3, 4, 5, 6, 7, 8, 10, 9], 9, 9, Kind::Reordered);
    check(&[6, 7, 8, 9, 10, 1, 2, 3, 4, 5], 1, 1, Kind::Reordered);
}

#[test]
fn an_untouched_trail_is_accepted_in_chunks_of_any_size() {
    let (lines, head) = lines(8, 4);
    let bytes = joined(&lines);
    let expected = Verified { first: 1, last: head, checkpoints: 2, vouched: 8, beyond_head: 0, torn_bytes: 0 };
    let (trail, keys) = (trail(), [key(1)]);
    for size in [1, 7, 100, 1000, bytes.len()] {
        let mut verifier = Verifier::new(&trail, &keys, Start::Origin, Tail::Exactly(head));
        bytes.chunks(size).for_each(|chunk| verifier.feed(chunk));
        assert!(!verifier.is_wrong());
        assert_eq!(verifier.finish(), Ok(expected), "{size}");
    }
    assert_eq!(verified(&bytes, Start::Origin, Tail::Unknown), Ok(expected));
}

#[test]
fn a_new_trail_is_empty_and_one_that_should_not_be_is_truncated() {
    let head = Head::of_new(&trail());
    let expected = Verified { first: 0, last: head, checkpoints: 0, vouched: 0, beyond_head: 0, torn_bytes: 0 };
    assert_eq!(verified(b"", Start::Origin, Tail::Exactly(head)), Ok(expected));
}

#[test]
fn a_verification_goes_on_where_another_ended_and_begins_where_files_were_thrown_away() {
    let (lines, head) = lines(8, 4);
    let (old, new) = (joined(&lines[..5]), joined(&lines[5..]));
    let middle = verified(&old, Start::Origin, Tail::Unknown).unwrap().last;
    let expected = Verified { first: 6, last: head, checkpoints: 1, vouched: 8, beyond_head: 0, torn_bytes: 0 };
    assert_eq!(verified(&new, Start::After(middle), Tail::Exactly(head)), Ok(expected));
    assert_eq!(verified(&new, Start::Anywhere, Tail::Exactly(head)), Ok(expected));
    let fault = verified(&new, Start::Origin, Tail::Exactly(head)).unwrap_err();
    assert_eq!((fault.kind, fault.sequence), (Kind::Removed, 1));
    let fault = verified(&new, Start::Anywhere, Tail::AtLeast(middle)).unwrap_err();
    assert_eq!((fault.kind, fault.sequence), (Kind::Removed, 5));
    assert_eq!(verified(b"", Start::After(head), Tail::Exactly(head)).unwrap().last, head);
}

#[test]
fn lines_behind_the_head_are_counted_while_the_store_runs_and_wrong_once_it_stopped() {
    let (lines, _) = lines(8, 4);
    let bytes = joined(&lines);
    let head = verified(&joined(&lines[..7]), Start::Origin, Tail::Unknown).unwrap().last;
    assert_eq!(verified(&bytes, Start::Origin, Tail::AtLeast(head)).unwrap().beyond_head, 3);
    let fault = verified(&bytes, Start::Origin, Tail::Exactly(head)).unwrap_err();
    assert_eq!((fault.kind, fault.place, fault.sequence), (Kind::Inserted, 8, 8));
}

#[test]
fn a_line_that_was_cut_off_by_a_crash_is_told_and_one_that_was_acknowledged_is_missed() {
    let (lines, head) = lines(8, 4);
    let bytes = joined(&lines);
    let torn = [&bytes[..], b"{\"time\":\"2026"].concat();
    assert_eq!(verified(&torn, Start::Origin, Tail::Exactly(head)).unwrap().torn_bytes, 13);
    let fault = verified(&bytes[..bytes.len() - 1], Start::Origin, Tail::AtLeast(head)).unwrap_err();
    assert_eq!((fault.kind, fault.sequence), (Kind::Truncated, 10));
}

#[test]
fn a_checkpoint_that_was_made_without_the_key_is_forged() {
    let (trail, keys) = (trail(), [key(2)]);
    let verdict = |keys: &[CheckpointKey], trail: &Trail| {
        let mut verifier = Verifier::new(trail, keys, Start::Anywhere, Tail::Unknown);
        verifier.feed(&joined(&lines(8, 4).0));
        verifier.finish().map_err(|fault| (fault.kind, fault.sequence, fault.vouched))
    };
    assert_eq!(verdict(&keys, &trail), Err((Kind::KeyUnknown { term: 1 }, 4, 0)));
    let other = CheckpointKey::new(1, strongroom_secret::SecretBytes::new(vec![9; 32])).unwrap();
    assert_eq!(verdict(&[other], &trail), Err((Kind::CheckpointForged, 4, 0)));
    assert_eq!(verdict(&[key(1)], &Trail::new("file-2").unwrap()), Err((Kind::CheckpointForged, 4, 0)));
    assert!(verdict(&[key(1)], &trail).is_ok());
}

#[test]
fn the_key_may_change_on_the_way() {
    let mut chain = new_chain(2);
    let mut bytes = Vec::new();
    for (number, term) in (0..8).zip([1, 1, 1, 1, 2, 2, 2, 2]) {
        chain.change_key(key(term));
        let batch = chain.prepare([&body(number)], time());
        chain.accept(&batch);
        bytes.extend(batch.bytes);
    }
    assert!(verified(&bytes, Start::Origin, Tail::Exactly(chain.head())).unwrap().checkpoints > 2);
}

#[test]
fn a_line_of_another_trail_does_not_fit() {
    let other = Trail::new("file-2").unwrap();
    let every = std::num::NonZeroU64::new(10).unwrap();
    let chain = strongroom_audit::Chain::new(other.clone(), Head::of_new(&other), key(1), every);
    let fault = verified(&chain.prepare([&body(1)], time()).bytes, Start::Origin, Tail::Unknown).unwrap_err();
    assert_eq!((fault.kind, fault.place, fault.sequence), (Kind::Edited, 1, 1));
}

/// The line with another hash of the line before it.
fn linked_to(line: &[u8], previous: Digest) -> Vec<u8> {
    let text = String::from_utf8(line.to_vec()).unwrap();
    let (start, rest) = text.split_once(r#""previous":""#).unwrap();
    format!(r#"{start}"previous":"{previous}{}"#, &rest[64..]).into_bytes()
}

#[test]
fn of_two_lines_that_do_not_fit_together_the_one_that_is_known_is_not_blamed() {
    let verdict = |lines: &[Vec<u8>], tail| {
        let fault = verified(&joined(lines), Start::Origin, tail).unwrap_err();
        (fault.kind, fault.place)
    };
    // The line before is a checkpoint.
    let (mut given, _) = lines(4, 4);
    given[4] = linked_to(&given[4], Digest([1; 32]));
    assert_eq!(verdict(&given, Tail::Unknown), (Kind::Edited, 5));
    // The line before is the one that the store remembers, though the one behind vouches for the other.
    let (mut given, _) = lines(4, 1000);
    let head = Head { sequence: 2, hash: Digest::of(&given[1]) };
    given[2] = linked_to(&given[2], Digest([1; 32]));
    given[3] = linked_to(&given[3], Digest::of(&given[2]));
    assert_eq!(verdict(&given, Tail::AtLeast(head)), (Kind::Edited, 3));
    assert_eq!(verdict(&given, Tail::Unknown), (Kind::Edited, 2));
}

#[test]
fn hostile_bytes_are_refused_without_keeping_them() {
    for bytes in [&b"\n"[..], b"{}\n", b"null\n", b"\xff\xfe\n", b"{\"chain\":{\"sequence\":0}}\n"] {
        let fault = verified(bytes, Start::Origin, Tail::Unknown).unwrap_err();
        assert_eq!((fault.kind, fault.place, fault.sequence), (Kind::Edited, 1, 1), "{bytes:?}");
    }
    let (trail, keys) = (trail(), [key(1)]);
    let mut verifier = Verifier::new(&trail, &keys, Start::Origin, Tail::Unknown);
    let (part, parts) = (vec![b'['; 1 << 20], 20);
    (0..parts).for_each(|_| verifier.feed(&part));
    assert!(format!("{verifier:?}").len() < 40 << 20, "a line without an end was kept whole");
    verifier.feed(b"\n");
    assert_eq!(verifier.finish().unwrap_err().kind, Kind::Edited);
}

#[test]
fn a_fault_reads_as_a_sentence() {
    let fault = Fault { kind: Kind::Removed, place: 7, sequence: 9, vouched: 4 };
    let expected =
        "line 7 (number 9): the line of that number was removed; a checkpoint vouches for the lines up to number 4";
    assert_eq!(fault.to_string(), expected);
}
