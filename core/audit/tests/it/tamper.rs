//! Whatever is done to a trail, it shows, and where.

use fastrand::Rng;
use strongroom_audit::chain::Digest;
use strongroom_audit::{Fault, Head, Kind, Start, Tail, Verified, Verifier};

use crate::{joined, key, lines, trail};

/// A trail of random length with checkpoints in random places.
struct Given {
    lines: Vec<Vec<u8>>,
    head: Head,
}

impl Given {
    fn random(rng: &mut Rng) -> Self {
        let (lines, head) = lines(rng.u64(3..30), rng.u64(2..9));
        Self { lines, head }
    }

    fn is_checkpoint(line: &[u8]) -> bool {
        line.windows(12).any(|part| part == b"\"checkpoint\"")
    }

    fn verdict(&self, lines: &[Vec<u8>]) -> Result<Verified, Fault> {
        self.verdict_of(&joined(lines))
    }

    fn verdict_of(&self, bytes: &[u8]) -> Result<Verified, Fault> {
        let (trail, keys) = (trail(), [key(1)]);
        let mut verifier = Verifier::new(&trail, &keys, Start::Origin, Tail::Exactly(self.head));
        verifier.feed(bytes);
        verifier.finish()
    }
}

/// Does one thing to many random trails. `tamper` answers the lines, and which fault has to be found at which number.
fn check(seed: u64, tamper: impl Fn(&mut Rng, &Given) -> (Vec<Vec<u8>>, Kind, usize)) {
    let mut rng = Rng::with_seed(seed);
    for round in 0..500 {
        let given = Given::random(&mut rng);
        assert!(given.verdict(&given.lines).is_ok(), "an untouched trail was refused");
        let (lines, kind, index) = tamper(&mut rng, &given);
        let fault = given.verdict(&lines).expect_err("what was done does not show");
        let place = index as u64 + 1;
        assert_eq!((fault.kind, fault.place, fault.sequence), (kind, place, place), "round {round}: {fault}");
        assert!(fault.vouched < place, "a checkpoint vouches for a line that is wrong: {fault}");
    }
}

#[test]
fn one_byte_that_was_changed_shows() {
    let mut rng = Rng::with_seed(1);
    for round in 0..1500 {
        let given = Given::random(&mut rng);
        let mut lines = given.lines.clone();
        let index = rng.usize(..lines.len());
        let line = &mut lines[index];
        let (byte, before) = (rng.usize(..line.len()), line.clone());
        line[byte] = std::iter::repeat_with(|| rng.u8(b' '..=b'~')).find(|after| *after != line[byte]).unwrap();
        let after = String::from_utf8_lossy(line).into_owned();
        let fault = given.verdict(&lines).expect_err("an edit does not show");
        let is_named = match fault.kind {
            Kind::Edited => true,
            Kind::CheckpointForged | Kind::KeyUnknown { .. } => Given::is_checkpoint(&before),
            _ => false,
        };
        assert!(is_named && fault.place == index as u64 + 1, "round {round}: {fault}: {after}");
    }
}

#[test]
fn lines_that_were_removed_show() {
    check(2, |rng, given| {
        let count = given.lines.len();
        let from = rng.usize(..count);
        let to = rng.usize(from + 1..=count);
        let lines = [&given.lines[..from], &given.lines[to..]].concat();
        (lines, if to == count { Kind::Truncated } else { Kind::Removed }, from)
    });
}

#[test]
fn a_trail_that_was_cut_off_anywhere_shows() {
    let mut rng = Rng::with_seed(3);
    for _ in 0..500 {
        let given = Given::random(&mut rng);
        let bytes = joined(&given.lines);
        let cut = &bytes[..rng.usize(..bytes.len())];
        let whole = cut.iter().filter(|byte| **byte == b'\n').count() as u64;
        let fault = given.verdict_of(cut).expect_err("a cut does not show");
        assert_eq!((fault.kind, fault.sequence), (Kind::Truncated, whole + 1));
    }
}

#[test]
fn a_copy_of_a_line_shows_wherever_it_was_put() {
    check(4, |rng, given| {
        let mut lines = given.lines.clone();
        let (from, to) = (rng.usize(..lines.len()), rng.usize(..=lines.len()));
        lines.insert(to, given.lines[from].clone());
        // Of two equal lines beside each other nobody can say which one was added.
        (lines, Kind::Inserted, if from == to { to + 1 } else { to })
    });
}

#[test]
fn a_line_that_was_made_to_fit_shows() {
    check(5, |rng, given| {
        let mut lines = given.lines.clone();
        let to = rng.usize(..=lines.len());
        let before = to.checked_sub(1).map_or(Head::of_new(&trail()).hash, |last| Digest::of(&lines[last]));
        let chain = format!(r#""chain":{{"sequence":{},"previous":"{before}"}}"#, to + 1);
        lines.insert(to, format!(r#"{{"time":"2026-11-27T10:00:00Z","type":"request",{chain}}}"#).into_bytes());
        (lines, Kind::Inserted, to)
    });
}

#[test]
fn a_line_that_was_moved_shows() {
    check(6, |rng, given| {
        let mut lines = given.lines.clone();
        let from = rng.usize(..lines.len());
        let to = std::iter::repeat_with(|| rng.usize(..lines.len())).find(|to| *to != from).unwrap();
        let line = lines.remove(from);
        lines.insert(to, line);
        (lines, Kind::Reordered, from.min(to))
    });
}

#[test]
fn lines_that_changed_places_show() {
    check(7, |rng, given| {
        let mut lines = given.lines.clone();
        let one = rng.usize(..lines.len());
        let other = std::iter::repeat_with(|| rng.usize(..lines.len())).find(|other| *other != one).unwrap();
        lines.swap(one, other);
        (lines, Kind::Reordered, one.min(other))
    });
}

/// Makes the links of all lines from `first` on anew, as somebody can who has the file and no key.
fn relinked(lines: &[Vec<u8>], first: usize) -> Vec<Vec<u8>> {
    let mut lines = lines.to_vec();
    for index in first.max(1)..lines.len() {
        let before = Digest::of(&lines[index - 1]).to_string();
        let text = String::from_utf8(lines[index].clone()).unwrap();
        let (start, rest) = text.split_once(r#""previous":""#).unwrap();
        lines[index] = format!(r#"{start}"previous":"{before}{}"#, &rest[64..]).into_bytes();
    }
    lines
}

#[test]
fn lines_that_were_made_anew_show_at_the_next_checkpoint_or_at_the_head() {
    let mut rng = Rng::with_seed(8);
    for _ in 0..500 {
        let given = Given::random(&mut rng);
        let mut lines = given.lines.clone();
        let index = rng.usize(..lines.len());
        let text = String::from_utf8(lines[index].clone()).unwrap();
        lines[index] = text.replace("T10:00", "T11:00").into_bytes();
        let lines = relinked(&lines, index + 1);
        let checkpoint = lines[index..].iter().position(|line| Given::is_checkpoint(line));
        let fault = given.verdict(&lines).expect_err("a trail that was made anew does not show");
        let (kind, found) = match checkpoint {
            Some(behind) => (Kind::CheckpointForged, index + behind),
            None => (Kind::Edited, lines.len() - 1),
        };
        assert_eq!((fault.kind, fault.place), (kind, found as u64 + 1), "{fault}");
        assert!(fault.vouched <= index as u64);
    }
}

#[test]
fn checkpoints_that_were_taken_out_and_lines_made_anew_show_at_the_head() {
    let mut rng = Rng::with_seed(9);
    for _ in 0..500 {
        let given = Given::random(&mut rng);
        let disguised = |line: &Vec<u8>| String::from_utf8_lossy(line).replace("\"checkpoint\"", "\"request\"");
        let lines: Vec<_> = given.lines.iter().map(|line| disguised(line).into_bytes()).collect();
        if lines == given.lines {
            continue;
        }
        let fault = given.verdict(&relinked(&lines, 1)).expect_err("a trail without its checkpoints does not show");
        assert_eq!((fault.kind, fault.sequence, fault.vouched), (Kind::Edited, given.head.sequence, 0));
    }
}
