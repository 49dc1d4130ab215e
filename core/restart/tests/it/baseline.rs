use proptest::prelude::*;
use strongroom_restart::baseline::{Seen, TEXT_LIMIT};
use strongroom_restart::{Baseline, Fingerprint};

fn seen(text: &str) -> Seen {
    Fingerprint::parse(text).map_or(Seen::Absent, Seen::Value)
}

proptest! {
    #[test]
    fn a_baseline_is_read_as_it_was_written(
        slots in prop::collection::vec(("[a-z]{1,8}", "[a-z.*]{1,8}", "([0-9a-f]{16})?"), 0..20),
    ) {
        let mut baseline = Baseline::new("id");
        for (secret, slot, text) in &slots {
            baseline.note(secret, slot, seen(text));
        }
        let text = baseline.text().unwrap();
        prop_assert_eq!(Baseline::parse(&text), Some(baseline));
    }

    #[test]
    fn whatever_stands_in_the_annotation_harms_nothing(text in ".{0,200}") {
        let _ = Baseline::parse(&text);
    }
}

#[test]
fn what_somebody_spoilt_is_none() {
    for text in
        ["", "{}", "x", r#"{"key":"a"}"#, r#"{"key":"a","secrets":{"s":{"k":"short"}}}"#, r#"{"key":1,"secrets":{}}"#]
    {
        assert_eq!(Baseline::parse(text), None, "{text}");
    }
    assert!(Baseline::parse(r#"{"key":"a","secrets":{"s":{"k":""}}}"#).is_some());
    let long = format!(r#"{{"key":"a","secrets":{{}}}}{}"#, " ".repeat(TEXT_LIMIT));
    assert_eq!(Baseline::parse(&long), None);
}

#[test]
fn one_that_would_be_too_long_is_not_written() {
    let mut baseline = Baseline::new("id");
    for number in 0..TEXT_LIMIT / 28 {
        baseline.note("s", &format!("{number:06}"), seen("0123456789abcdef"));
        if number % 500 == 0 {
            assert!(baseline.text().is_some());
        }
    }
    assert!(baseline.text().is_none());
}
