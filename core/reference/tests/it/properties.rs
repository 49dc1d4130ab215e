//! What holds for every reference and for every text.

use proptest::prelude::*;
use strongroom_reference::{Decode, Language, ProviderKind, Reference, detect, parse};
use strongroom_secret::{RemoteKey, Version};

/// Any text of one character or more: slashes, percent signs, control characters, every plane of Unicode.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => any::<char>(),
        1 => prop::sample::select(&['/', '%', '#', '?', '&', '=', '+', ' ', '@', ':', '\\', '\0', '\n', '.'][..]),
        1 => prop::char::range('a', 'z'),
    ];
    prop::collection::vec(character, 1..24).prop_map(String::from_iter)
}

fn maybe_empty() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), text()]
}

fn key(provider: ProviderKind) -> impl Strategy<Value = RemoteKey> {
    let version = prop_oneof![
        Just(None),
        text().prop_map(|id| Some(Version::Id(id))),
        text().prop_map(|stage| Some(Version::Stage(stage))),
    ];
    let body = maybe_empty().prop_map(|member| serde_json::json!({ member: [1, "x"] }).to_string());
    (prop_oneof![text(), text().prop_map(|name| format!("/{name}"))], version, prop::option::of(body)).prop_map(
        move |(name, version, body)| {
            let request = body.filter(|_| provider == ProviderKind::Vault && version.is_none());
            RemoteKey { version, request, ..RemoteKey::current(name) }
        },
    )
}

fn reference() -> impl Strategy<Value = Reference> {
    let decode = prop::sample::select(&[Decode::None, Decode::Base64, Decode::Base64Url, Decode::Auto][..]);
    let language = prop::sample::select(&[Language::Gjson, Language::Jsonpath, Language::Jmespath][..]);
    let provider = prop::sample::select(&ProviderKind::ALL[..]);
    let shape = (decode, language, prop::option::of(maybe_empty()), any::<bool>(), prop::option::of(maybe_empty()));
    let place = (prop::option::of(text()), prop::option::of(text()));
    (provider.prop_flat_map(|provider| (Just(provider), key(provider))), shape, place).prop_map(
        |((provider, key), (decode, language, property, optional, default), (store, region))| Reference {
            provider,
            store,
            key,
            decode,
            language,
            property,
            optional,
            default,
            region,
        },
    )
}

/// Texts that get past the first look of a parser, more often than chance would make them.
fn almost_a_reference() -> impl Strategy<Value = String> {
    let pieces = [
        "sr://",
        "vault",
        "bao",
        ":",
        ">>",
        "@",
        "/",
        "?",
        "#",
        "&",
        "=",
        "%2F",
        "%",
        "version",
        "stage",
        "request",
        "{}",
        "optional",
        "arn:aws",
        "-cn",
        ":secretsmanager:",
        ":ssm:",
        "eu-west-1",
        "111122223333",
        "parameter/",
        "secret:",
        "gcp:secretmanager:",
        "projects/",
        "secrets/",
        "/versions/",
        "latest",
        "azure:keyvault:",
        "${",
        "}",
        "-1",
        "é",
        "\n",
        "a",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reference_is_read_as_it_was_written(reference in reference()) {
        let written = reference.to_string();
        prop_assert!(written.is_ascii());
        let needs_care = |character: char| character.is_control() || " \"'`$\\<>(){}|;*!".contains(character);
        prop_assert!(!written.contains(needs_care), "{}", written);
        prop_assert_eq!(parse(&written).unwrap(), reference);
    }

    #[test]
    fn what_is_accepted_has_one_canonical_form(text in almost_a_reference()) {
        if let Some(Ok(reference)) = detect(&text) {
            let canonical = reference.to_string();
            let again = parse(&canonical).unwrap();
            prop_assert_eq!(&again, &reference);
            prop_assert_eq!(again.to_string(), canonical);
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_looked_at(text in any::<String>()) {
        // An ordinary value, a reference or a failure: anything but a panic.
        let _ = detect(&text);
    }
}
