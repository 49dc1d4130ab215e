//! Every row of the table, and what holds for all of them.

use strongroom_failure::Class;
use strongroom_reference::{Composition, Syntax, detect, parse, parse_paths};

use crate::cases::{CASES, Outcome, Section};

fn outcome(text: &str) -> String {
    match Syntax::of(text).map(|syntax| syntax.compose(text)) {
        None => "ordinary".to_owned(),
        Some(Ok(Composition::Whole(reference))) => format!("means {reference}"),
        Some(Ok(composed)) => format!("composes {composed}"),
        Some(Err(failure)) => format!("refused: {}", failure.words),
    }
}

#[test]
fn si_13_si_14_si_15_si_16_and_each_other_row_means_what_the_table_says() {
    for (_, text, expected) in CASES {
        let expected = match expected {
            Outcome::Ordinary => "ordinary".to_owned(),
            Outcome::Means(canonical) => format!("means {canonical}"),
            Outcome::Composes(parts) => format!("composes {parts}"),
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
        "x${vault:C#${C}",
        "x${vault:C}",
        "vault:C/${vault:C#C}",
        "vault:C?default=C#${.C}",
    ];
    for text in texts {
        let failure = parse(&text.replace('C', "Canary7f3a")).unwrap_err();
        let shown = format!("{failure} {failure:?}");
        assert!(!shown.to_lowercase().contains("canary"), "{text:?}");
    }
}

#[test]
fn one_reference_and_nothing_around_it_is_what_people_are_asked_for() {
    for (_, text, expected) in CASES {
        let is_one = matches!(expected, Outcome::Means(_));
        assert_eq!(detect(text).is_some_and(|parsed| parsed.is_ok()), is_one, "{text:?}");
    }
}

#[test]
fn a_list_of_paths_names_whole_secrets() {
    let check = |list: &str, expected: Result<&[&str], &str>| {
        let parsed = parse_paths(list).map_err(|failure| failure.words);
        let shown = parsed.map(|paths| paths.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(shown, expected.map_err(str::to_owned), "{list:?}");
    };
    check("", Ok(&[]));
    check("secret/data/a", Ok(&["sr://vault/secret/data/a"]));
    let two = ["sr://vault/secret/data/a?version=2", "sr://vault/kv/b?optional"];
    check("secret/data/a#2, kv/b?optional#-1,,secret/data/a#2", Ok(&two));
    check("secret/data/a#new", Err("the #VERSION is not a number"));
    check("vault:secret/data/a", Err("an entry is not a path"));
    check("#1", Err("an entry is not a path"));
    check("a\nb", Err("the reference holds a control character"));
}

#[test]
fn a_reference_has_a_greatest_length() {
    let check = |text: String, expected: &str| assert_eq!(outcome(&text), expected);
    let key = |length: usize| "k".repeat(length);
    check(format!("sr://file/{}", key(131_072 - 9)), "refused: the reference is longer than 131072 bytes");
    check(format!("gcp:secretmanager:{}", key(16_384 - 17)), "refused: the reference is longer than 16384 bytes");
    assert!(parse(&format!("sr://file/{}", key(131_072 - 10))).is_ok());
    // What is around references inside of a value does not count.
    let around = "x".repeat(20_000);
    check(format!("{around}${{vault:a/b#c}}"), "composes …{sr://vault/a/b#c}");
    check(format!("${{vault:a/b#{around}}}"), "refused: the reference is longer than 16384 bytes");
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
    for piece in ["${vault:a#{", "${vault:a#${"] {
        let text = piece.repeat(2_000_000 / piece.len()) + "}";
        assert_eq!(outcome(&text), "refused: a reference inside the value, ${vault:…, is never closed");
    }
}
