//! What a key does, what it refuses, and what is seen of it.

use strongroom_crypto::Hash;
use strongroom_transit::{
    Around, Change, ExportType, Key, Kind, Marshaling, Padding, Settings, SigningOptions, TransitError,
};

use super::{made, options, rotated};

const BARE: Around<'_> = Around { context: b"", associated_data: b"" };

/// Types whose keys are made quickly; the larger ones of RSA differ in their size alone.
const QUICK: [Kind; 7] = [
    Kind::Aes256Gcm,
    Kind::ChaCha20Poly1305,
    Kind::Ed25519,
    Kind::EcdsaP256,
    Kind::EcdsaP384,
    Kind::Rsa2048,
    Kind::Hmac,
];

fn refused<T: std::fmt::Debug>(outcome: Result<T, TransitError>) -> String {
    match outcome {
        Err(TransitError::Invalid(words)) => words,
        other => panic!("it is not refused: {other:?}"),
    }
}

#[test]
fn what_is_encrypted_comes_back_by_its_key_and_surroundings_alone() {
    for kind in [Kind::Aes256Gcm, Kind::ChaCha20Poly1305, Kind::Rsa2048] {
        let (key, other) = (made(kind, false), made(kind, false));
        for plain in [&b""[..], b"x", &[7; 190]] {
            let text = key.encrypt(0, BARE, plain).unwrap();
            assert_eq!((text.version, text.text.starts_with("vault:v1:")), (1, true));
            assert_eq!(key.decrypt(BARE, &text.text).unwrap().expose(), plain);
            assert!(other.decrypt(BARE, &text.text).is_err(), "{kind:?}");
            assert_ne!(key.encrypt(0, BARE, plain).unwrap(), text, "{kind:?}");
        }
    }
    for kind in [Kind::Aes256Gcm, Kind::ChaCha20Poly1305] {
        let key = made(kind, true);
        let around = Around { context: b"a", associated_data: b"d" };
        let text = key.encrypt(0, around, b"x").unwrap().text;
        assert_eq!(key.decrypt(around, &text).unwrap().expose(), b"x");
        for wrong in [Around { context: b"b", ..around }, Around { associated_data: b"", ..around }] {
            assert_eq!(refused(key.decrypt(wrong, &text)), "cipher: message authentication failed");
        }
        assert!(refused(key.encrypt(0, BARE, b"x")).contains("missing 'context'"));
        assert!(refused(key.decrypt(BARE, &text)).contains("missing 'context'"));
    }
}

#[test]
fn what_was_changed_is_not_decrypted() {
    let key = made(Kind::Aes256Gcm, false);
    let check = |text: &str, expected: &str| assert_eq!(refused(key.decrypt(BARE, text)), expected, "{text}");
    check("vault:v1:", "invalid ciphertext length");
    check("vault:v1:AAAA", "invalid ciphertext length");
    check("vault:v1:!!", "invalid ciphertext: could not decode base64");
    check("vault:v2:AAAA", "invalid ciphertext: version is too new");
    check("vault:v0:AAAA", "ciphertext or signature version is disallowed by policy (too old)");
    check(&format!("vault:v1:{}", "A".repeat(40)), "cipher: message authentication failed");
    let text = key.encrypt(0, BARE, b"hello").unwrap().text;
    check(&text.replace("v1", "v2"), "invalid ciphertext: version is too new");
    let other = rotated(key.clone());
    let moved = refused(other.decrypt(BARE, &text.replace("v1", "v2")));
    assert_eq!(moved, "cipher: message authentication failed");
}

#[test]
fn each_type_does_what_it_can_and_refuses_the_rest() {
    for kind in QUICK {
        let key = made(kind, false);
        let encrypted = key.encrypt(0, BARE, b"x");
        let signed = key.sign(0, b"", b"x", &options());
        assert_eq!((encrypted.is_ok(), signed.is_ok()), (kind.encrypts(), kind.signs()), "{kind:?}");
        if let Err(error) = encrypted {
            assert_eq!(error.to_string(), format!("message encryption not supported for key type {}", kind.name()));
        }
        if let Err(error) = signed {
            assert_eq!(error.to_string(), format!("key type {} does not support signing", kind.name()));
        }
        let code = key.hmac(0, Hash::Sha256, b"x").unwrap();
        assert_eq!(key.verify_hmac(Hash::Sha256, b"x", &code), Ok(true));
        assert_eq!(key.verify_hmac(Hash::Sha256, b"y", &code), Ok(false));
        assert_eq!(key.verify_hmac(Hash::Sha512, b"x", &code), Ok(false));
        assert_eq!(Settings::of(kind, true, false, None).is_ok(), kind.derives(), "{kind:?}");
        assert_eq!(Kind::named(kind.name()), Some(kind));
    }
    let rsa = made(Kind::Rsa2048, false);
    let around = Around { associated_data: b"x", ..BARE };
    assert!(refused(rsa.encrypt(0, around, b"x")).contains("non-AEAD"));
    assert!(refused(rsa.encrypt(0, BARE, &[7; 191])).contains("too long"));
    assert_eq!(refused(rsa.decrypt(BARE, "vault:v1:AAAA")), "failed to RSA decrypt the ciphertext");
    for size in [0, 31, 513] {
        assert!(refused(Settings::of(Kind::Hmac, false, false, Some(size))).contains("key_size"));
    }
    assert!(refused(Settings::of(Kind::Aes256Gcm, false, false, Some(32))).contains("key_size"));
}

#[test]
fn signatures_verify_as_they_were_asked_for() {
    for kind in QUICK.into_iter().filter(|kind| kind.signs()) {
        let key = made(kind, false);
        let mut all = Vec::new();
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            for padding in [Padding::Pss, Padding::Pkcs1v15] {
                for marshaling in [Marshaling::Asn1, Marshaling::Jws] {
                    all.push(SigningOptions { hash, is_hashed: false, padding, marshaling });
                }
            }
        }
        for options in all {
            let signature = key.sign(0, b"", b"hello", &options).unwrap().made.text;
            assert_eq!(key.verify(b"", b"hello", &signature, &options), Ok(true), "{kind:?} {options:?}");
            assert_eq!(key.verify(b"", b"hellx", &signature, &options), Ok(false), "{kind:?} {options:?}");
            let is_safe = !signature.contains(['+', '/', '=']);
            assert!(options.marshaling == Marshaling::Asn1 || is_safe, "{signature}");
            if kind == Kind::Ed25519 {
                continue;
            }
            let hashed = SigningOptions { is_hashed: true, ..options };
            let hash = options.hash.of(b"hello");
            assert_eq!(key.verify(b"", &hash, &signature, &hashed), Ok(true), "{kind:?} {options:?}");
            let signature = key.sign(0, b"", &hash, &hashed).unwrap().made.text;
            assert_eq!(key.verify(b"", b"hello", &signature, &options), Ok(true), "{kind:?} {options:?}");
            assert_eq!(refused(key.sign(0, b"", b"hello", &hashed)), "input must be hashed with given hash");
            assert_eq!(refused(key.verify(b"", b"hello", &signature, &hashed)), "input must be hashed with given hash");
        }
        for (text, expected) in [
            ("x", "invalid signature: no prefix"),
            ("vault:v9:AAAA", "invalid signature: version is too new"),
            ("vault:v0:AAAA", "ciphertext or signature version is disallowed by policy (too old)"),
            ("vault:v1:!!", "invalid base64 signature value"),
        ] {
            assert_eq!(refused(key.verify(b"", b"x", text, &options())), expected);
        }
        assert_eq!(key.verify(b"", b"x", "vault:v1:AAAA", &options()), Ok(false));
    }
}

#[test]
fn versions_do_what_the_settings_let_them() {
    let first = made(Kind::Aes256Gcm, false);
    let text = first.encrypt(0, BARE, b"x").unwrap().text;
    let code = first.hmac(0, Hash::Sha256, b"x").unwrap();
    let mut key = rotated(rotated(rotated(first)));
    assert_eq!((key.latest_version(), key.encrypt(0, BARE, b"x").unwrap().version), (4, 4));
    assert_eq!(key.decrypt(BARE, &text).unwrap().expose(), b"x");
    let again = key.rewrap(0, BARE, &text).unwrap();
    assert_eq!((again.version, key.decrypt(BARE, &again.text).unwrap().expose()), (4, b"x".as_slice()));
    assert_eq!(key.rewrap(2, BARE, &text).unwrap().version, 2);
    assert!(refused(key.encrypt(5, BARE, b"x")).contains("higher than the latest"));
    assert!(refused(key.encrypt(-1, BARE, b"x")).contains("negative"));
    assert!(refused(key.hmac(5, Hash::Sha256, b"x")).contains("latest key version is 4"));

    let min = |decryption: i64, encryption: i64| Change {
        min_decryption_version: Some(decryption),
        min_encryption_version: Some(encryption),
        ..Change::default()
    };
    for (change, expected) in [
        (min(5, 0), "cannot set min decryption version of 5"),
        (min(-1, 0), "min decryption version cannot be negative"),
        (min(1, 5), "cannot set min encryption version of 5"),
        (min(1, -1), "min encryption version cannot be negative"),
        (min(3, 2), "must be greater than or equal to"),
    ] {
        assert!(refused(key.configure(&change)).contains(expected), "{change:?}");
        assert_eq!(key.settings().min_decryption_version, 1, "nothing changes");
    }
    assert!(key.configure(&min(0, 0)).unwrap().unwrap().contains("starts at 1"));
    assert_eq!(key.configure(&min(2, 3)), Ok(None));
    assert!(refused(key.decrypt(BARE, &text)).contains("too old"));
    assert!(refused(key.rewrap(0, BARE, &text)).contains("too old"));
    assert!(refused(key.verify_hmac(Hash::Sha256, b"x", &code)).contains("too old"));
    assert!(refused(key.encrypt(2, BARE, b"x")).contains("less than the minimum"));
    assert!(refused(key.hmac(2, Hash::Sha256, b"x")).contains("too old"));
    assert_eq!(key.versions().map(|(number, _)| number).collect::<Vec<_>>(), [2, 3, 4]);
    // What may not be used is kept until it is trimmed.
    assert_eq!(key.configure(&min(1, 3)), Ok(None));
    assert_eq!(key.decrypt(BARE, &text).unwrap().expose(), b"x");
}

#[test]
fn what_is_trimmed_is_gone_and_what_is_used_stays() {
    let mut key = rotated(rotated(made(Kind::Aes256Gcm, false)));
    let change = |decryption, encryption| Change {
        min_decryption_version: Some(decryption),
        min_encryption_version: Some(encryption),
        ..Change::default()
    };
    assert!(refused(key.trim(1)).contains("minimum encryption version is not set"));
    key.configure(&change(2, 2)).unwrap();
    assert!(refused(key.trim(3)).contains("greater than minimum encryption"));
    key.configure(&change(2, 3)).unwrap();
    assert!(refused(key.trim(3)).contains("greater than minimum decryption"));
    assert_eq!(key.trim(2), Ok(()));
    assert_eq!(key.trim(2), Ok(()), "again");
    assert!(refused(key.trim(1)).contains("decremented"));
    assert!(refused(key.configure(&change(1, 3))).contains("min available version"));
    let record = serde_json::to_value(&key).unwrap();
    let kept = record["versions"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((kept, key.latest_version()), (vec!["2".to_owned(), "3".to_owned()], 3));
}

#[test]
fn material_leaves_only_where_it_may_and_nothing_else_shows_it() {
    for kind in QUICK {
        let key = made(kind, false);
        let record = serde_json::to_string(&key).unwrap();
        let again: Key = serde_json::from_str(&record).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), record, "{kind:?}");
        let exported = |what| key.export(what, None).ok().map(|keys| keys[&1].clone());
        assert_eq!(exported(ExportType::Encryption).is_some(), kind.encrypts(), "{kind:?}");
        assert_eq!(exported(ExportType::Signing).is_some(), kind.signs(), "{kind:?}");
        assert_eq!(exported(ExportType::Public).is_some(), kind.is_asymmetric(), "{kind:?}");
        let hmac = exported(ExportType::Hmac).unwrap();
        let shown = format!("{key:?}");
        for secret in
            [exported(ExportType::Encryption), exported(ExportType::Signing), Some(hmac)].into_iter().flatten()
        {
            let text = secret.expose_text().unwrap();
            let line = text.lines().nth(1).unwrap_or(text);
            assert!(!shown.contains(line), "{kind:?}");
        }
        let locked = record.replace("\"exportable\":true", "\"exportable\":false");
        let locked: Key = serde_json::from_str(&locked).unwrap();
        for what in [ExportType::Encryption, ExportType::Signing, ExportType::Hmac] {
            assert!(locked.export(what, None).is_err(), "{kind:?}");
        }
        assert_eq!(locked.export(ExportType::Public, None).is_ok(), kind.is_asymmetric());
    }
    let mut key = rotated(made(Kind::Aes256Gcm, false));
    key.configure(&Change { min_decryption_version: Some(2), ..Change::default() }).unwrap();
    let numbers = |version| key.export(ExportType::Hmac, version).map(|keys| keys.into_keys().collect::<Vec<_>>());
    assert_eq!((numbers(None), numbers(Some("latest")), numbers(Some("2"))), (Ok(vec![2]), Ok(vec![2]), Ok(vec![2])));
    for (version, expected) in [("1", "below minimum"), ("3", "does not exist"), ("x", "invalid key version")] {
        assert!(refused(numbers(Some(version))).contains(expected));
    }
    let damaged = serde_json::to_string(&key).unwrap().replace("\"material\":\"", "\"material\":\"canary!");
    let error = serde_json::from_str::<Key>(&damaged).unwrap_err().to_string();
    assert!(error.contains("no base64") && !error.contains("canary"), "{error}");
}
