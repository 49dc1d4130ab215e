//! Nothing of a value reaches the output, whatever documents look like.

use fastrand::Rng;
use serde_json::{Map, Number, Value};
use strongroom_audit::entry::{Request, Response};
use strongroom_audit::{ClearKeys, Document, Entry, Half, Limits};

use crate::{entry, hasher};

/// Stands in every text and number that a document holds.
const TEXT: &str = "cAnArY";
const DIGITS: &str = "918273645";

/// A random document with `depth` levels at most, and how many scalars are in it.
fn random(rng: &mut Rng, depth: usize, scalars: &mut usize) -> Value {
    let kind = if depth == 0 { rng.usize(..4) } else { rng.usize(..6) };
    *scalars += usize::from(matches!(kind, 1..=3));
    match kind {
        0 => Value::Null,
        1 => Value::Bool(rng.bool()),
        2 => Value::Number(random_number(rng)),
        3 => {
            let around = ["", "\"", "\\", "\n", "\u{0}", "é", "\u{1f511}", "\u{2028}", "</script>"];
            let (before, after) = (rng.choice(around).unwrap(), rng.choice(around).unwrap());
            Value::String(format!("{before}{TEXT}{after}"))
        }
        4 => (0..rng.usize(..4)).map(|_| random(rng, depth - 1, scalars)).collect(),
        _ => Value::Object(random_members(rng, depth - 1, scalars)),
    }
}

fn random_members(rng: &mut Rng, depth: usize, scalars: &mut usize) -> Map<String, Value> {
    (0..rng.usize(..5)).map(|number| (format!("key-{number}"), random(rng, depth, scalars))).collect()
}

fn random_number(rng: &mut Rng) -> Number {
    let form = rng.choice(["N", "-N", "N.5", "0.N", "Ne3", "-1.NE-7"]).unwrap();
    serde_json::from_str(&form.replace('N', DIGITS)).unwrap()
}

#[test]
fn no_scalar_of_request_or_response_data_reaches_the_output_in_clear() {
    let (mut rng, hasher, clear) = (Rng::with_seed(6), hasher(), ClearKeys::default());
    let (mut scalars, mut hashes) = (0, 0);
    for _ in 0..2000 {
        let (asked, answered) = (random_members(&mut rng, 4, &mut scalars), random_members(&mut rng, 4, &mut scalars));
        let told = |data| Document::new(&hasher, data, &clear, Limits::default()).into();
        let whole = Entry {
            half: Half::Response,
            request: Request { data: told(&asked), ..Request::default() },
            response: Some(Response { data: told(&answered), ..Response::default() }),
            ..entry("", "")
        };
        let batch = crate::new_chain(1000).prepare([&whole.body().unwrap()], crate::time());
        let line = String::from_utf8(batch.bytes).unwrap();
        assert!(!line.contains(TEXT) && !line.contains(DIGITS), "a value is in {line}");
        assert!(!line.contains("true") && !line.contains("false"), "a boolean is in {line}");
        hashes += line.matches("hmac-sha256:").count();
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(shape(&read["request"]["data"]), shape(&Value::Object(asked)));
        assert_eq!(shape(&read["response"]["data"]), shape(&Value::Object(answered)));
    }
    assert_eq!(hashes, scalars);
}

/// The document with all scalars made equal: what an entry tells of it. An empty one is not told.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(members) if members.is_empty() => Value::Null,
        Value::Object(members) => members.iter().map(|(key, member)| (key.clone(), shape(member))).collect(),
        _ => Value::from("scalar"),
    }
}

#[test]
fn debug_output_holds_no_value_and_no_key() {
    let (hasher, clear) = (hasher(), ClearKeys::default());
    let data = Map::from_iter([("key".to_owned(), Value::from(TEXT))]);
    let document = Document::new(&hasher, &data, &clear, Limits::default()).unwrap();
    let shown = format!("{document:?} {hasher:?} {:?}", crate::key(7));
    assert!(!shown.contains(TEXT) && !shown.contains("7, 7"), "{shown}");
}
