//! Every row of the table, and what holds for all of them.

use strongroom_failure::Class;
use strongroom_reference::{Syntax, detect, parse};

use crate::cases::{CASES, Outcome, Section};

fn outcome(text: &str) -> String {
    match detect(text) {
        None => "ordinary".to_owned(),
        Some(Ok(reference)) => format!("means {reference}"),
        Some(Err(failure)) => format!("refused: {}", failure.words),
    }
}

#[test]
fn si_13_si_14_si_15_si_16_and_each_other_row_means_what_the_table_says() {
    for (_, text, expected) in CASES {
        let expected = match expected {
            Outcome::Ordinary => "ordinary".to_owned(),
            Outcome::Means(canonical) => format!("means {canonical}"),
            Outcome::Refused(words) => format!("refused: {words}"),
        };
        assert_eq!(outcome(text), expected, "{text:?}");
    }
}

#[test]
fn the_canonical_form_of_each_row_is_the_same_reference() {
    for (_, text, expected) in CASES {
        if let Outcome::Means(canonical) = expected {
            assert_eq!(parse(canonical).unwrap(), parse(text).unwrap(), "{text:?}");
        }
    }
}

#[test]
fn each_row_belongs_to_the_system_that_its_section_describes() {
    for (section, text, expected) in CASES {
        let syntax = match section {
            _ if *expected == Outcome::Ordinary => None,
            _ if text.starts_with("sr://") => Some("strongroom"),
            Section::Vault | Section::Azure => Some("bank-vaults"),
            _ => Some("secrets-init"),
        };
        assert_eq!(Syntax::of(text).map(Syntax::name), syntax, "{text:?}");
    }
}

#[test]
fn each_failure_is_invalid_and_says_the_cure() {
    for (_, text, expected) in CASES {
        if matches!(expected, Outcome::Refused(_)) {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.class, Class::Invalid, "{text:?}");
            assert!(failure.hint.is_some(), "{text:?}");
        }
    }
    let failure = parse("hunter2").unwrap_err();
    assert_eq!(failure.words, "this is not a reference of any known syntax");
}

#[test]
fn a_failure_never_repeats_what_could_be_a_secret() {
    let texts = [
        "sr://C/x",
        "sr://vault@C",
        "sr://vault/C?C=1",
        "sr://vault/C?C",
        "sr://vault/C?decode=C",
        "sr://vault/C?select=C",
        "sr://vault/C?optional=C",
        "sr://vault/C%#C",
        "sr://vault/a?request={\"C\":C}",
        "sr://file/C?request={\"C\":\"C\"}",
        "arn:aws:secretsmanager:C",
        "arn:aws:secretsmanager:eu-west-1:1:secret:C:C:C:C",
        "arn:aws:secretsmanager:eu-west-1:1:secret:C:C::#C",
        "arn:aws:ssm:C::parameter/C",
        "arn:aws:ssm:eu-west-1:1:parameter/C:3?version=C",
        "gcp:secretmanager:C/C/C",
        "vault:C/C",
        "vault:C#C#C",
        "vault:C#${.C}",
        "vault:v1:C",
        ">>vault:C#C#C",
        "azure:keyvault:C/C/C",
        "x${vault:C#C}",
    ];
    for text in texts {
        let failure = parse(&text.replace('C', "Canary7f3a")).unwrap_err();
        let shown = format!("{failure} {failure:?}");
        assert!(!shown.to_lowercase().contains("canary"), "{text:?}");
    }
}

#[test]
fn a_reference_has_a_greatest_length() {
    let check = |text: String, expected: &str| assert_eq!(outcome(&text), expected);
    let key = |length: usize| "k".repeat(length);
    check(format!("sr://file/{}", key(131_072 - 9)), "refused: the reference is longer than 131072 bytes");
    check(format!("gcp:secretmanager:{}", key(16_384 - 17)), "refused: the reference is longer than 16384 bytes");
    assert!(parse(&format!("sr://file/{}", key(131_072 - 10))).is_ok());
    // The longest foreign text, in the characters that grow most: its canonical form can still be read.
    let grown = parse(&format!("vault:a/b#{}", "%".repeat(16_384 - 10))).unwrap();
    assert_eq!(parse(&grown.to_string()).unwrap(), grown);
}

#[test]
fn finding_inline_references_takes_time_in_proportion_to_the_text() {
    // A quadratic search of these would take minutes.
    for piece in ["${vault:a", "${vault:a}", "${", "${vault:", "$"] {
        let text = piece.repeat(2_000_000 / piece.len()) + "}";
        assert_eq!(outcome(&text), "ordinary");
    }
}
