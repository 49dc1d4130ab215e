//! What OpenBao 2.7.2 made of the text `strongroom` with keys that it exported.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_crypto::{Hash, PrivateKey};
use strongroom_transit::{Around, Key};

use super::options;

const MESSAGE: &[u8] = b"strongroom";

/// One key, and what it made in the context `ctx` with the associated data `aad`; `empty` without these data.
struct Answers {
    kind: &'static str,
    derived: bool,
    key: &'static str,
    hmac_key: &'static str,
    ciphertext: &'static str,
    empty: &'static str,
    hmac: &'static str,
    hmac_384: &'static str,
    hmac_512: &'static str,
}

const ANSWERS: &[Answers] = &[
    Answers {
        kind: "aes256-gcm96",
        derived: false,
        key: "zSHC/KIlB1KsOp8lD7sLeRhhnTdH1Gj+RV9V7tlkxKU=",
        hmac_key: "mMOZArvh4ucqVaV8/IR8xH0MpT2rl3Ih6qEoeIWO+b4=",
        ciphertext: "vault:v1:cn4UyNXC5BrhquP2fCp9n8T5rTBYY29YJkDZH6jf4Ttnk0Zar8I=",
        empty: "vault:v1:J02VGq1wV97xJEOCJ+OwdYdG3iNxQl7YuV+kQQ==",
        hmac: "vault:v1:iq641xxZlStH+cxUCfgsjtz1Lyb3Y4rFeAmwCBqmRJU=",
        hmac_384: "vault:v1:XZsm2c+bfxZGDuR8kisePGOt3Y7h1yRH4FNYvhDBar9mabNA1nVyZXbYeY3WKcto",
        hmac_512: "vault:v1:0h8YJL2KO+vZcVrwiiOXjPZGaS07KJNW+MnxtgkqW7ToYMQ4UmrWSuhH6tjCd08+oJyIPWxgvZqaZvVWrwzmWg==",
    },
    Answers {
        kind: "chacha20-poly1305",
        derived: false,
        key: "z3UzhtaOJZN1W5Y078XZBPl6EEGjWHhdpWye3/EI+zI=",
        hmac_key: "JMscC7ZCRW3z5IXT3z3RBwbX8NFap7C7HHD8JbtBzgU=",
        ciphertext: "vault:v1:2TiUfPbXxAaxKgyZnKbKsFsMjItVmcY3qsFlcyRSDeNmQ0yncRU=",
        empty: "vault:v1:GTvVSi2NBDER87xXQdL3/R8tCNWOYiMhl8quXQ==",
        hmac: "vault:v1:EpXKF9IVcj7hoZoC7ceTqJ0BG0C986BKN8jFzGKIOWQ=",
        hmac_384: "vault:v1:Swy56xvuM1oGK0DJNNpik1xJ4fOb+4ALbVHKT8ia5aFostX3FURQfsU6difq3kBw",
        hmac_512: "vault:v1:wGxTEom1akOGowU0CKMsq2G9RJe67J5+3JZt/axMIolgQsqIENaiCJz/eYkZz8QJk7a5hzMT80CLPPWxvzVGlQ==",
    },
    Answers {
        kind: "aes256-gcm96",
        derived: true,
        key: "QlDliPIhuTRv+dWcycdTTo6GJUSc0anOnbRr1OBhPuU=",
        hmac_key: "nKr57ig7wFtQY8tB6hS3Gxzb784Sj77FURl/JrxGrd4=",
        ciphertext: "vault:v1:2z1lxWZbWXpuW2nWF1/XjMLAd9jBUzT2qMAuEjZqI3yyDsM42s8=",
        empty: "vault:v1:nqfn1sZcGb2pd91MoCZ1kRk/yquivVCN9hosCw==",
        hmac: "vault:v1:CPPhhEcDLYpS14WiY5lLYKrwhMTpq7lOvibSX1DMCm4=",
        hmac_384: "vault:v1:45be4TJd/y0wBpBeibOyVW8D9eH9/PGI1z1HCJ8rACQzqTcivOK8DMSHvBYt9i4R",
        hmac_512: "vault:v1:v4iQzSPS4MGS5wPr9W1N5ldINOjugia87iOPKznUldH3UNuNtBdyud8oQkuhSW5eB9gZgh/4Adh9Z8w2ii2kOQ==",
    },
    Answers {
        kind: "chacha20-poly1305",
        derived: true,
        key: "nUdh/yliDhy+0D8DpqAwEHyh2GyuOy4tM/UOfxnc0dU=",
        hmac_key: "MPTj10ui0QNTKwPxugaWpA9z7je4Wrgy9qHH8mQhVzM=",
        ciphertext: "vault:v1:MC6LVkTW5wOrh6skZQHeke1rJuXIieAs0nK0oa+GF0TDn5wDC5g=",
        empty: "vault:v1:uYWhchv/TiJrRYQPOnBQwytdrxOl1jCqWizDTA==",
        hmac: "vault:v1:naBfKSaWbPOAsgjWeDEunvaiGlUk2T+EBXv+jFGDuO8=",
        hmac_384: "vault:v1:DIJOGel4uz1fgzOaFLxMP4tjPg8Qrkazu6HQL8qUlWD6SKiaupSLTiIhcFj2Y4yR",
        hmac_512: "vault:v1:rqbgVXFBiWkGTnOKlCLRQ2QIYnEZwwIu043EJsfyU+LR3rROd006m8HhEGXW4Gfw8dJ9atgdTCQmnRw1FPiovg==",
    },
];

fn key(kind: &str, derived: bool, material: &str, hmac_key: Option<&str>, public_key: Option<String>) -> Key {
    let settings = json!({
        "derived": derived, "exportable": true, "deletion_allowed": false, "min_decryption_version": 1,
        "min_encryption_version": 0, "min_available_version": 0, "key_size": null,
    });
    let version = json!({
        "created": "2026-11-27T00:00:00Z", "material": material, "hmac_key": hmac_key, "public_key": public_key,
    });
    serde_json::from_value(json!({"kind": kind, "settings": settings, "versions": {"1": version}})).unwrap()
}

#[test]
fn what_openbao_encrypted_is_decrypted() {
    for answers in ANSWERS {
        let key = key(answers.kind, answers.derived, answers.key, Some(answers.hmac_key), None);
        let around = Around { context: b"ctx", associated_data: b"aad" };
        assert_eq!(key.decrypt(around, answers.ciphertext).unwrap().expose(), MESSAGE);
        let bare = Around { context: b"ctx", associated_data: b"" };
        assert_eq!(key.decrypt(bare, answers.empty).unwrap().expose(), b"");
        assert!(key.decrypt(bare, answers.ciphertext).is_err());
        let elsewhere = Around { context: b"other", associated_data: b"aad" };
        assert_eq!(key.decrypt(elsewhere, answers.ciphertext).is_err(), answers.derived);
    }
}

#[test]
fn authentication_codes_are_those_of_openbao() {
    for answers in ANSWERS {
        let key = key(answers.kind, answers.derived, answers.key, Some(answers.hmac_key), None);
        for (hash, code) in
            [(Hash::Sha256, answers.hmac), (Hash::Sha384, answers.hmac_384), (Hash::Sha512, answers.hmac_512)]
        {
            assert_eq!(key.hmac(0, hash, MESSAGE).as_deref(), Ok(code));
            assert_eq!(key.verify_hmac(hash, MESSAGE, code), Ok(true));
        }
    }
    let key = key("hmac", false, "UzBDP/L41USozy5kgUHQ/Gkpx9pY3nkX6Tul4Pv2+i0iWpeKGD/WASTqG21Hz7kJ", None, None);
    assert_eq!(
        key.hmac(0, Hash::Sha256, MESSAGE).as_deref(),
        Ok("vault:v1:gs6Nf24Mi7bd6fyYBmNwh31OMNwPZY1Zqn/5FLZk/Tg=")
    );
}

/// Go's Ed25519 key is the seed and the public key behind it.
fn ed25519(derived: bool, exported: &str) -> Key {
    let bytes = STANDARD.decode(exported).unwrap();
    let private = PrivateKey::from_ed25519_seed(&bytes[..32]).unwrap();
    let public = private.public_key().unwrap();
    assert_eq!(public[12..], bytes[32..]);
    let material = STANDARD.encode(private.expose_pkcs8());
    key("ed25519", derived, &material, None, Some(STANDARD.encode(public)))
}

#[test]
fn signatures_of_ed25519_are_those_of_openbao() {
    let exported = "E+agswO6HYRFcrpfAHYL1xJw7dSBoHUK5nr6WYdVVkaImagVxm4V/VcJuFDYXURli5bky4pTSXSjviha6bXBfg==";
    let key = ed25519(false, exported);
    let signed = key.sign(0, b"", MESSAGE, &options()).unwrap();
    assert_eq!(
        signed.made.text,
        "vault:v1:yK1z8Q5X9QPCEmgu7KYRr7nTiZzVXP0lyDjwoF7HXnqTrIpvIoCu0eJYt+vGx6zCT+7jfqTKJBXJUjW6jVbODQ=="
    );
    assert_eq!(signed.public_key, None);
    let shown = key.versions().map(|(_, version)| key.public_key(version, b"").unwrap()).collect::<Vec<_>>();
    assert_eq!(shown, ["iJmoFcZuFf1XCbhQ2F1EZYuW5MuKU0l0o74oWum1wX4="]);
    let again = key.export(strongroom_transit::ExportType::Signing, None).unwrap();
    assert_eq!(again[&1].expose(), exported.as_bytes());
}

#[test]
fn signatures_of_a_context_are_those_of_openbao() {
    let key = ed25519(true, "jvZNRjAIU2dnoG6W/bHYBEu4GqZI7CQqZyVKz2mjWU//jycowW+dE4Fy2D33UKPWqO07qkrx8Rws61BVDqi0KA==");
    let signed = key.sign(0, b"ctx", MESSAGE, &options()).unwrap();
    assert_eq!(
        signed.made.text,
        "vault:v1:4QXkyFGPBd26speWbHzQPyYVzo0pmrDU+TDQIRhaTrxMEIRNKysPD4ouYHfi9mV2sh6YXyKpf/REwEf9ZrTZCA=="
    );
    assert_eq!(signed.public_key.as_deref(), Some("p1QgaEqGogcVKB2XEepFUE5PMR6S0aj0a7nyF0tQAD4="));
    assert_eq!(key.verify(b"ctx", MESSAGE, &signed.made.text, &options()), Ok(true));
    assert_eq!(key.verify(b"other", MESSAGE, &signed.made.text, &options()), Ok(false));
    assert!(key.sign(0, b"", MESSAGE, &options()).unwrap_err().to_string().contains("missing 'context'"));
}
