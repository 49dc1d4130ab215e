//! Keys that encrypt and sign for others (governance.md §10.8), beside a real OpenBao.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_crypto::PrivateKey;
use strongroom_transit::{Around, ExportType, Key};
use world::open_bao::OpenBao;

use super::clients::bao::bao;
use super::serving::{Answer, CANARY, Serving, send};
use super::trail::{bytes, holds};

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// A server with `transit/`, and its first token.
fn serving() -> (Serving, String) {
    let (server, root) = Serving::new();
    let mounted = server.ask("POST", "sys/mounts/transit", &root, Some(&json!({"type": "transit"})));
    assert_eq!(mounted.status, 204, "{}", mounted.text);
    (server, root)
}

/// Asks, and expects success; the data.
fn done(server: &Serving, root: &str, path: &str, body: Value) -> Value {
    let answer = server.ask("POST", &format!("transit/{path}"), root, Some(&body));
    assert!(answer.status < 300, "{path}: {} {:?}", answer.status, answer.errors());
    answer.data()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn ask_bao(open_bao: &OpenBao, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} /v1/{path} HTTP/1.0\r\nX-Vault-Token: {}\r\nContent-Length: {}\r\n\r\n",
        open_bao.root_token(),
        body.len()
    );
    send(open_bao.host_port(), &[head.as_bytes(), body.as_bytes()].concat()).unwrap()
}

/// What is the same of two answers, although keys and times are not.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Number(number) if number.as_u64().is_some_and(|number| number > 1_000_000) => json!("a time"),
        Value::String(text) => match text.as_str() {
            text if text.starts_with("vault:v") => json!(format!("{}:…", &text[..8])),
            text if text.starts_with("-----BEGIN ") => json!(text.lines().next()),
            text if text.len() == 44 && text.ends_with('=') => json!("32 bytes"),
            text if text.contains('T') && text.ends_with('Z') => json!("a time"),
            text => json!(text),
        },
        other => other.clone(),
    }
}

/// Whether the words of a failure have to be the same as well.
#[derive(Clone, Copy, PartialEq)]
enum Words {
    Same,
    Own,
}

#[test]
fn what_is_asked_is_answered_as_openbao_answers_it() {
    use Words::{Own, Same};
    let (server, root) = serving();
    let open_bao = OpenBao::start().unwrap();
    assert_eq!(ask_bao(&open_bao, "POST", "sys/mounts/transit", Some(&json!({"type": "transit"}))).status, 204);
    let (hello, context) = (base64("hello"), base64("ctx"));
    let check = |method: &str, path: &str, body: Value, words: Words| {
        let path = format!("transit/{path}");
        let body = Some(&body).filter(|body| !body.is_null());
        let (ours, theirs) = (server.ask(method, &path, &root, body), ask_bao(&open_bao, method, &path, body));
        let asked = format!("{method} {path} {}", body.map(Value::to_string).unwrap_or_default());
        assert_eq!(ours.status, theirs.status, "{asked}: {} and {}", ours.text, theirs.text);
        let [our_data, their_data] = [&ours, &theirs].map(|answer| shape(&answer.data()));
        if words == Same || ours.status < 300 {
            assert_eq!(our_data, their_data, "{asked}");
            assert_eq!(ours.errors(), theirs.errors(), "{asked}");
        }
    };
    check("LIST", "keys", Value::Null, Same);
    check("GET", "keys/a", Value::Null, Same);
    for (name, body) in [
        ("a", json!({})),
        ("a", json!({"type": "rsa-2048"})),
        ("chacha", json!({"type": "chacha20-poly1305", "exportable": true})),
        ("ed", json!({"type": "ed25519", "exportable": "true"})),
        ("ec", json!({"type": "ecdsa-p256", "exportable": true})),
        ("ec384", json!({"type": "ecdsa-p384"})),
        ("rsa", json!({"type": "rsa-2048", "exportable": true})),
        ("mac", json!({"type": "hmac", "key_size": 32, "exportable": true})),
        ("der", json!({"derived": true, "exportable": true})),
        ("edder", json!({"type": "ed25519", "derived": true})),
        ("none", json!({"type": "nope"})),
        ("mac2", json!({"type": "hmac", "key_size": 8})),
        ("a2", json!({"key_size": 32})),
        ("-x", json!({})),
        ("a/b", json!({})),
    ] {
        check("POST", &format!("keys/{name}"), body, Same);
        check("GET", &format!("keys/{name}"), Value::Null, Same);
    }
    check("POST", "keys", json!({}), Same);
    check("GET", &format!("keys/edder?context={context}"), Value::Null, Same);
    for (path, body, words) in [
        ("a", json!({"plaintext": hello}), Same),
        ("a", json!({"plaintext": ""}), Same),
        ("a", json!({}), Same),
        ("a", json!({"plaintext": "!!"}), Own),
        ("a", json!({"plaintext": hello, "context": context}), Same),
        ("a", json!({"plaintext": hello, "key_version": 5}), Same),
        ("a", json!({"plaintext": hello, "key_version": -1}), Same),
        ("a", json!({"plaintext": hello, "key_version": "1"}), Same),
        ("a", json!({"plaintext": hello, "associated_data": context}), Same),
        ("new", json!({"plaintext": hello, "type": "ecdsa-p256"}), Same),
        ("new", json!({"plaintext": hello, "type": "rsa-2048"}), Own),
        ("new", json!({"plaintext": hello, "context": context}), Same),
        ("der", json!({"plaintext": hello}), Same),
        ("der", json!({"plaintext": hello, "context": context}), Same),
        ("ed", json!({"plaintext": hello}), Same),
        ("mac", json!({"plaintext": hello}), Same),
        ("rsa", json!({"plaintext": hello}), Same),
        ("rsa", json!({"plaintext": ""}), Same),
        ("a", json!({"batch_input": []}), Same),
        (
            "a",
            json!({"batch_input": [{"plaintext": hello, "reference": "r"}, {"plaintext": "", "key_version": 1}]}),
            Same,
        ),
        ("a", json!({"batch_input": [{"plaintext": hello}, {"plaintext": "!!"}]}), Own),
        ("a", json!({"batch_input": [{"plaintext": hello, "key_version": 9}]}), Same),
        ("a", json!({"batch_input": [{"plaintext": hello, "key_version": 9}, {"plaintext": ""}]}), Same),
        ("a", json!({"batch_input": [{"plaintext": hello, "context": context}, {"plaintext": hello}]}), Same),
        (
            "a",
            json!({"partial_failure_response_code": 207, "batch_input": [{"plaintext": "", "key_version": 9}]}),
            Same,
        ),
        (
            "a",
            json!({"partial_failure_response_code": 207, "batch_input": [{"plaintext": "", "key_version": 9}, {"plaintext": ""}]}),
            Same,
        ),
    ] {
        check("POST", &format!("encrypt/{path}"), body, words);
    }
    check("GET", "keys/new", Value::Null, Same);
    check("GET", "encrypt/a", Value::Null, Same);
    check("DELETE", "encrypt/a", Value::Null, Same);
    for text in ["", "x", "vault:v1:", "vault:v9:AAAA", "vault:vx:AAAA", "vault:v1:!!", "vault:v1:AAAA"] {
        check("POST", "decrypt/a", json!({"ciphertext": text}), Same);
        check("POST", "rewrap/a", json!({"ciphertext": text}), Same);
        check("POST", "decrypt/a", json!({"batch_input": [{"ciphertext": text, "reference": "r"}]}), Same);
        check("POST", "rewrap/a", json!({"batch_input": [{"ciphertext": text}]}), Same);
    }
    for verb in ["decrypt", "rewrap"] {
        check("POST", &format!("{verb}/none"), json!({"ciphertext": "vault:v1:AAAA"}), Same);
        check("POST", &format!("{verb}/ed"), json!({"ciphertext": "vault:v1:AAAA"}), Same);
    }
    check("POST", "keys/none/rotate", json!({}), Same);
    for _ in 0..3 {
        check("POST", "keys/a/rotate", Value::Null, Same);
    }
    for body in [
        json!({"min_decryption_version": 9}),
        json!({"min_decryption_version": -1}),
        json!({"min_encryption_version": 9}),
        json!({"min_encryption_version": -1}),
        json!({"min_decryption_version": 2}),
        json!({"min_encryption_version": 1}),
        json!({"min_encryption_version": "3"}),
        json!({"exportable": true}),
        json!({"exportable": false}),
        json!({}),
    ] {
        check("POST", "keys/a/config", body, Same);
    }
    check("POST", "keys/none/config", json!({"deletion_allowed": true}), Same);
    check("POST", "keys/none/trim", json!({"min_available_version": 1}), Same);
    check("POST", "keys/a/trim", json!({}), Same);
    check("POST", "keys/new/trim", json!({"min_available_version": 1}), Same);
    for (first, words) in [(4, Own), (3, Same), (2, Same), (1, Same)] {
        check("POST", "keys/a/trim", json!({"min_available_version": first}), words);
    }
    check("POST", "keys/a/config", json!({"min_decryption_version": 1}), Same);
    check("POST", "encrypt/a", json!({"plaintext": hello, "key_version": 2}), Same);
    for what in ["encryption-key", "signing-key", "hmac-key", "public-key", "nope"] {
        for name in ["a", "chacha", "ec", "rsa", "mac", "der", "none"] {
            let is_symmetric = !matches!(name, "ec" | "rsa" | "none");
            // OpenBao answers 500 to who asks for a public key where there is none.
            if what != "public-key" || !is_symmetric {
                check("GET", &format!("export/{what}/{name}"), Value::Null, Same);
            }
        }
    }
    for version in ["latest", "2", "1", "9", "x"] {
        check("GET", &format!("export/hmac-key/a/{version}"), Value::Null, Same);
    }
    for (path, body, words) in [
        ("hmac/mac", json!({"input": hello}), Same),
        ("hmac/ed", json!({"input": hello}), Same),
        ("hmac/none", json!({"input": hello}), Same),
        ("hmac/a/sha2-512", json!({"input": hello}), Same),
        ("hmac/a", json!({"input": hello, "algorithm": "sha2-384"}), Same),
        ("hmac/a/nope", json!({"input": hello}), Own),
        ("hmac/a", json!({}), Same),
        ("hmac/a", json!({"input": hello, "key_version": 9}), Same),
        ("hmac/a", json!({"batch_input": [{"input": hello, "reference": "r"}, {}]}), Same),
        ("verify/a", json!({"input": hello}), Same),
        ("verify/a", json!({"input": hello, "hmac": "vault:v9:AAAA"}), Same),
        ("verify/a", json!({"input": hello, "hmac": "vault:v1:AAAA"}), Same),
        ("verify/a", json!({"input": hello, "hmac": "vault:v4:AAAA"}), Same),
        ("verify/a", json!({"input": hello, "signature": "vault:v4:AAAA"}), Same),
        ("verify/a", json!({"batch_input": [{"input": hello, "hmac": "vault:v4:AAAA"}, {"input": hello}]}), Same),
        ("verify/a", json!({"batch_input": [{"input": hello}]}), Same),
        ("sign/none", json!({"input": hello}), Same),
        ("sign/a", json!({"input": hello}), Same),
        ("sign/mac", json!({"input": hello}), Same),
        ("sign/ed", json!({}), Same),
        ("sign/ed", json!({"input": hello, "hash_algorithm": "none"}), Same),
        ("sign/ed", json!({"batch_input": [{"input": hello, "reference": "r"}, {}]}), Same),
        ("sign/edder", json!({"input": hello, "context": context}), Same),
        ("sign/ec", json!({"input": hello, "hash_algorithm": "none"}), Own),
        ("sign/ec", json!({"input": hello, "hash_algorithm": "nope"}), Own),
        ("sign/ec/sha2-512", json!({"input": hello}), Same),
        ("sign/ec384", json!({"input": hello}), Same),
        ("sign/ec", json!({"input": hello, "marshaling_algorithm": "x"}), Same),
        ("sign/rsa", json!({"input": hello, "salt_length": "hash"}), Same),
        ("sign/rsa", json!({"input": hello, "salt_length": "x"}), Own),
        ("verify/ed", json!({"input": hello, "signature": "x"}), Same),
        ("verify/ed", json!({"input": hello, "signature": "vault:v9:AAAA"}), Same),
        ("verify/ed", json!({"input": hello, "signature": "vault:v0:AAAA"}), Same),
        ("verify/ed", json!({"input": hello, "signature": "vault:v1:!!"}), Same),
        ("verify/ed", json!({"input": hello, "signature": "vault:v1:AAAA"}), Same),
        (
            "verify/ed",
            json!({"batch_input": [{"input": hello, "signature": "vault:v1:AAAA"}, {"signature": "x"}]}),
            Same,
        ),
        ("datakey/plaintext/a", json!({}), Same),
        ("datakey/wrapped/a", json!({"bits": 128}), Same),
        ("datakey/wrapped/a", json!({"bits": 100}), Same),
        ("datakey/nope/a", json!({}), Same),
        ("datakey/plaintext/none", json!({}), Same),
        ("datakey/plaintext/der", json!({}), Same),
        ("datakey/plaintext/ed", json!({}), Same),
        ("hash", json!({"input": hello}), Same),
        ("hash/sha2-384", json!({"input": hello}), Same),
        ("hash", json!({"input": hello, "algorithm": "nope"}), Same),
        ("random", json!({}), Same),
        ("random/platform", json!({}), Same),
        ("random/x", json!({}), Own),
        ("nope", json!({}), Same),
    ] {
        check("POST", path, body, words);
    }
    check("DELETE", "keys/a", Value::Null, Same);
    check("DELETE", "keys/none", Value::Null, Same);
    check("POST", "keys/a/config", json!({"deletion_allowed": true}), Same);
    check("DELETE", "keys/a", Value::Null, Same);
    check("GET", "keys/a", Value::Null, Same);
    check("LIST", "keys", Value::Null, Same);
}

/// The record of a key that was exported.
fn imported(kind: &str, material: &[u8], hmac_key: &str, public_key: Option<Vec<u8>>) -> Key {
    let settings = json!({
        "derived": false, "exportable": true, "deletion_allowed": false, "min_decryption_version": 1,
        "min_encryption_version": 0, "min_available_version": 0, "key_size": null,
    });
    let version = json!({
        "created": "2026-11-27T00:00:00Z", "material": base64(material), "hmac_key": hmac_key,
        "public_key": public_key.map(base64),
    });
    serde_json::from_value(json!({"kind": kind, "settings": settings, "versions": {"1": version}})).unwrap()
}

#[test]
fn what_openbao_made_with_a_pair_of_keys_is_understood_by_the_same_pair() {
    use strongroom_crypto::Hash;
    use strongroom_transit::{Marshaling, Padding, SigningOptions};
    let open_bao = OpenBao::start().unwrap();
    let asked = |method: &str, path: &str, body: Value| {
        let answer = ask_bao(&open_bao, method, path, Some(&body).filter(|body| !body.is_null()));
        assert!(answer.status < 300, "{path}: {:?}", answer.errors());
        answer.json()["data"].clone()
    };
    asked("POST", "sys/mounts/transit", json!({"type": "transit"}));
    let hello = base64("hello");
    for kind in ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] {
        asked("POST", &format!("transit/keys/{kind}"), json!({"type": kind, "exportable": true}));
        let exported =
            |what: &str| text(&asked("GET", &format!("transit/export/{what}/{kind}"), Value::Null)["keys"]["1"]);
        let private = PrivateKey::from_pem(&exported("signing-key")).unwrap();
        let key = imported(kind, private.expose_pkcs8(), &exported("hmac-key"), Some(private.public_key().unwrap()));
        for (what, named) in [(ExportType::Signing, "signing-key"), (ExportType::Public, "public-key")] {
            let ours = key.export(what, None).unwrap()[&1].clone();
            // No assertion that would show them.
            assert!(ours.expose_text() == Some(exported(named).as_str()), "{kind}: the {named} is written otherwise");
        }
        for (named, hash) in [("sha2-256", Hash::Sha256), ("sha2-384", Hash::Sha384), ("sha2-512", Hash::Sha512)] {
            for (padding_name, padding) in [("pss", Padding::Pss), ("pkcs1v15", Padding::Pkcs1v15)] {
                for (form_name, marshaling) in [("asn1", Marshaling::Asn1), ("jws", Marshaling::Jws)] {
                    let body = json!({
                        "input": hello, "hash_algorithm": named, "signature_algorithm": padding_name,
                        "marshaling_algorithm": form_name, "salt_length": "hash",
                    });
                    let signature = text(&asked("POST", &format!("transit/sign/{kind}"), body.clone())["signature"]);
                    let options = SigningOptions { hash, is_hashed: false, padding, marshaling };
                    assert_eq!(key.verify(b"", b"hello", &signature, &options), Ok(true), "{kind} {options:?}");
                    // And the other way round.
                    let mut body = body;
                    body["signature"] = json!(key.sign(0, b"", b"hello", &options).unwrap().made.text);
                    let verified = asked("POST", &format!("transit/verify/{kind}"), body);
                    assert_eq!(verified["valid"], json!(true), "{kind} {options:?}");
                }
            }
        }
        let code = text(&asked("POST", &format!("transit/hmac/{kind}"), json!({"input": hello}))["hmac"]);
        assert_eq!(key.hmac(0, Hash::Sha256, b"hello"), Ok(code));
        if kind == "rsa-2048" {
            let body = json!({"plaintext": hello});
            let sealed = text(&asked("POST", "transit/encrypt/rsa-2048", body)["ciphertext"]);
            assert_eq!(key.decrypt(Around::default(), &sealed).unwrap().expose(), b"hello");
            let ours = key.encrypt(0, Around::default(), b"hello").unwrap().text;
            let opened = asked("POST", "transit/decrypt/rsa-2048", json!({"ciphertext": ours}));
            assert_eq!(opened["plaintext"], json!(hello));
        }
    }
}

#[test]
fn what_is_signed_here_is_verified_by_openssl_with_the_public_key_that_is_shown() {
    let (server, root) = serving();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let message = file("message", b"hello");
    for (kind, more, arguments) in [
        ("ecdsa-p256", json!({}), vec!["-sha256"]),
        ("ecdsa-p384", json!({"hash_algorithm": "sha2-384"}), vec!["-sha384"]),
        ("ecdsa-p384", json!({}), vec!["-sha256"]),
        ("rsa-3072", json!({"signature_algorithm": "pkcs1v15", "hash_algorithm": "sha2-512"}), vec!["-sha512"]),
        (
            "rsa-3072",
            json!({}),
            vec!["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
        ),
    ] {
        let name = format!("keys/{kind}");
        let shown = done(&server, &root, &name, json!({"type": kind}));
        let public = file("public.pem", text(&shown["keys"]["1"]["public_key"]).as_bytes());
        let mut body = more;
        body["input"] = json!(base64("hello"));
        let signature = text(&done(&server, &root, &format!("sign/{kind}"), body.clone())["signature"]);
        let signature_file = file("signature", &STANDARD.decode(signature.strip_prefix("vault:v1:").unwrap()).unwrap());
        let output = Command::new("openssl")
            .arg("dgst")
            .args(&arguments)
            .arg("-verify")
            .args([&public, std::path::Path::new("-signature"), &signature_file, &message])
            .output()
            .unwrap();
        assert!(output.status.success(), "{kind} {arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        body["signature"] = json!(signature);
        assert_eq!(done(&server, &root, &format!("verify/{kind}"), body.clone())["valid"], json!(true));
        body["input"] = json!(base64("hellx"));
        assert_eq!(done(&server, &root, &format!("verify/{kind}"), body)["valid"], json!(false));
    }
}

#[test]
fn what_is_encrypted_is_read_again_after_rotations_and_a_restart() {
    let (server, root) = serving();
    let hello = base64("hello");
    let mut kept = Vec::new();
    for (name, body) in [
        ("aes", json!({})),
        ("chacha", json!({"type": "chacha20-poly1305"})),
        ("derived", json!({"derived": true})),
        ("rsa", json!({"type": "rsa-2048"})),
    ] {
        done(&server, &root, &format!("keys/{name}"), body);
        for version in 1..=3 {
            let asked = json!({"plaintext": hello, "context": base64("ctx")});
            let sealed = done(&server, &root, &format!("encrypt/{name}"), asked);
            assert_eq!(sealed["key_version"], json!(version));
            kept.push((name, text(&sealed["ciphertext"])));
            done(&server, &root, &format!("keys/{name}/rotate"), json!({}));
        }
    }
    let folder = server.stop();
    let server = Serving::over(&folder, &[]);
    for (name, sealed) in kept {
        let asked = json!({"ciphertext": sealed, "context": base64("ctx")});
        assert_eq!(done(&server, &root, &format!("decrypt/{name}"), asked.clone())["plaintext"], json!(hello));
        let again = done(&server, &root, &format!("rewrap/{name}"), asked);
        assert_eq!(again["key_version"], json!(4));
        let asked = json!({"ciphertext": again["ciphertext"], "context": base64("ctx")});
        assert_eq!(done(&server, &root, &format!("decrypt/{name}"), asked)["plaintext"], json!(hello));
    }
}

#[test]
fn encrypt_makes_a_missing_key_for_who_may_create_one() {
    let (server, root) = serving();
    let policy = |capabilities: &str| format!("path \"transit/encrypt/*\" {{ capabilities = [{capabilities}] }}");
    let updater = server.token_of(&root, "updater", &policy("\"update\""));
    let creator = server.token_of(&root, "creator", &policy("\"create\""));
    let encrypt = |token: &str, name: &str| {
        server.ask("PUT", &format!("transit/encrypt/{name}"), token, Some(&json!({"plaintext": ""}))).status
    };
    assert_eq!((encrypt(&updater, "new"), encrypt(&creator, "new")), (403, 200));
    assert_eq!((encrypt(&updater, "new"), encrypt(&creator, "new")), (200, 403));
    assert_eq!(server.ask("GET", "transit/keys/new", &root, None).data()["derived"], json!(false));
    done(&server, &root, "encrypt/derived", json!({"plaintext": "", "context": base64("c")}));
    assert_eq!(server.ask("GET", "transit/keys/derived", &root, None).data()["derived"], json!(true));
}

#[test]
fn what_this_store_does_not_do_is_refused_in_words() {
    let (server, root) = serving();
    done(&server, &root, "keys/rsa", json!({"type": "rsa-2048"}));
    for (path, body, expected) in [
        ("keys/x", json!({"derived": true, "convergent_encryption": true}), "convergent encryption is not served"),
        ("encrypt/x", json!({"plaintext": "", "convergent_encryption": true}), "convergent encryption is not served"),
        ("keys/x", json!({"allow_plaintext_backup": true}), "allow_plaintext_backup is not served"),
        ("keys/x", json!({"auto_rotate_period": "24h"}), "auto_rotate_period is not served"),
        ("keys/rsa/config", json!({"auto_rotate_period": "24h"}), "auto_rotate_period is not served"),
        ("keys/x", json!({"type": "aes128-gcm96"}), "unknown key type aes128-gcm96"),
        ("sign/rsa", json!({"input": "", "hash_algorithm": "sha1"}), "served here: sha2-256"),
        ("sign/rsa", json!({"input": "", "salt_length": "0"}), "a salt is as long as the hash"),
        ("sign/rsa", json!({"input": base64("x"), "prehashed": true}), "input must be hashed"),
        ("encrypt/rsa", json!({"plaintext": base64([7; 191])}), "too long"),
        ("encrypt/rsa", json!({"plaintext": "", "associated_data": base64("x")}), "non-AEAD"),
        ("decrypt/rsa", json!({"ciphertext": "vault:v1:AAAA"}), "failed to RSA decrypt"),
    ] {
        let answer = server.ask("POST", &format!("transit/{path}"), &root, Some(&body));
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert!(answer.errors()[0].contains(expected), "{path}: {}", answer.text);
    }
    assert_eq!(server.ask("GET", "transit/keys/x", &root, None).status, 404, "nothing was made");
    for path in ["transit/backup/rsa", "transit/wrapping_key", "transit/keys/rsa/import", "transit/cache-config"] {
        assert_eq!(server.ask("GET", path, &root, None).status, 404, "{path}");
    }
}

#[test]
fn rotations_at_once_lose_none_and_creations_at_once_make_one_key() {
    let (server, root) = serving();
    done(&server, &root, "keys/k", json!({}));
    let (server, root) = (&server, root.as_str());
    let latest: Vec<u64> = std::thread::scope(|scope| {
        let rotating: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    let rotate = |_| done(server, root, "keys/k/rotate", json!({}))["latest_version"].as_u64().unwrap();
                    (0..5).map(rotate).collect::<Vec<_>>()
                })
            })
            .collect();
        rotating.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(latest.iter().copied().collect::<BTreeSet<_>>(), (2..=41).collect(), "each has its own");
    let sealed: Vec<Value> = std::thread::scope(|scope| {
        let asked = json!({"plaintext": base64("hello")});
        let making: Vec<_> = (0..8)
            .map(|_| {
                let asked = asked.clone();
                scope.spawn(move || done(server, root, "encrypt/made-at-once", asked)["ciphertext"].clone())
            })
            .collect();
        making.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let items: Vec<Value> = sealed.iter().map(|text| json!({"ciphertext": text})).collect();
    let opened = done(server, root, "decrypt/made-at-once", json!({"batch_input": items}));
    for result in opened["batch_results"].as_array().unwrap() {
        assert_eq!(result["plaintext"], json!(base64("hello")));
    }
}

#[test]
fn no_material_and_no_plaintext_is_found_on_the_disk_or_in_the_log() {
    let (server, root) = serving();
    let mut secrets = vec![CANARY.to_owned(), base64(CANARY)];
    for kind in ["aes256-gcm96", "ed25519", "ecdsa-p256", "rsa-2048"] {
        done(&server, &root, &format!("keys/{kind}"), json!({"type": kind, "exportable": true}));
        for what in ["encryption-key", "signing-key", "hmac-key"] {
            let exported = server.ask("GET", &format!("transit/export/{what}/{kind}"), &root, None);
            if exported.status == 200 {
                let exported = text(&exported.data()["keys"]["1"]);
                // Of PEM a line in which there is nothing public: a modulus comes first, a point last.
                let line = if kind == "rsa-2048" { 12 } else { 1 };
                secrets.push(exported.lines().nth(line).unwrap_or(&exported).to_owned());
            }
        }
        let input = json!({"input": base64(CANARY), "hmac": CANARY, "batch_input": [{"input": base64(CANARY)}]});
        done(&server, &root, &format!("hmac/{kind}"), input);
    }
    let sealed = done(&server, &root, "encrypt/aes256-gcm96", json!({"plaintext": base64(CANARY)}));
    done(&server, &root, "decrypt/aes256-gcm96", json!({"ciphertext": sealed["ciphertext"]}));
    let batch = json!({"batch_input": [{"ciphertext": sealed["ciphertext"]}, {"ciphertext": CANARY}]});
    assert_eq!(server.ask("POST", "transit/decrypt/aes256-gcm96", &root, Some(&batch)).status, 400);
    secrets.push(text(&done(&server, &root, "datakey/plaintext/aes256-gcm96", json!({}))["plaintext"]));
    for body in [json!({"plaintext": [CANARY]}), json!({"plaintext": CANARY}), json!({"batch_input": CANARY})] {
        let refused = server.ask("POST", "transit/encrypt/aes256-gcm96", &root, Some(&body));
        assert!(refused.status == 400 && !refused.text.contains(CANARY), "{}", refused.status);
    }
    let logged = server.logged();
    let folder = server.stop();
    let found = bytes(folder.path());
    assert!(secrets.len() >= 11);
    for (place, secret) in secrets.iter().enumerate() {
        assert!(!holds(&found, secret), "secret {place} is on the disk");
        assert!(!holds(logged.as_bytes(), secret), "secret {place} is in the log");
        let Ok(raw) = STANDARD.decode(secret) else { continue };
        assert!(!found.windows(raw.len()).any(|window| window == raw), "secret {place} is on the disk, as bytes");
    }
}

#[test]
fn the_bao_command_line_encrypts_and_signs() {
    let (server, root) = Serving::new();
    let ok = |words: &[&str]| bao(&server, &root, words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    ok(&["secrets", "enable", "transit"]);
    ok(&["write", "-f", "transit/keys/x"]);
    let plaintext = format!("plaintext={}", base64("hello"));
    let sealed = ok(&["write", "-field=ciphertext", "transit/encrypt/x", &plaintext]);
    assert!(sealed.starts_with("vault:v1:"), "{sealed}");
    let ciphertext = format!("ciphertext={sealed}");
    assert_eq!(ok(&["write", "-field=plaintext", "transit/decrypt/x", &ciphertext]), base64("hello"));
    ok(&["write", "-f", "transit/keys/x/rotate"]);
    assert!(ok(&["write", "-field=ciphertext", "transit/rewrap/x", &ciphertext]).starts_with("vault:v2:"));
    ok(&["write", "transit/keys/x/config", "min_decryption_version=2", "min_encryption_version=2"]);
    assert!(bao(&server, &root, &["write", "transit/decrypt/x", &ciphertext]).unwrap_err().contains("too old"));
    ok(&["write", "transit/keys/x/trim", "min_available_version=2"]);
    assert_eq!(ok(&["read", "-field=latest_version", "transit/keys/x"]), "2");
    ok(&["write", "transit/keys/s", "type=ed25519"]);
    let input = format!("input={}", base64("hello"));
    let signature = ok(&["write", "-field=signature", "transit/sign/s", &input]);
    let signature = format!("signature={signature}");
    assert_eq!(ok(&["write", "-field=valid", "transit/verify/s", &input, &signature]), "true");
    let code = format!("hmac={}", ok(&["write", "-field=hmac", "transit/hmac/x/sha2-512", &input]));
    assert_eq!(ok(&["write", "-field=valid", "transit/verify/x/sha2-512", &input, &code]), "true");
    assert_eq!(ok(&["write", "-f", "-field=plaintext", "transit/datakey/plaintext/x"]).len(), 44);
    assert!(ok(&["list", "transit/keys"]).contains('s'));
    assert!(bao(&server, &root, &["delete", "transit/keys/x"]).unwrap_err().contains("not allowed"));
    ok(&["write", "transit/keys/x/config", "deletion_allowed=true"]);
    ok(&["delete", "transit/keys/x"]);
    ok(&["secrets", "disable", "transit"]);
}
