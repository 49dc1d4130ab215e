//! Tokens as others sign them, and as nobody should.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use strongroom_crypto::{JwtAlgorithm, JwtSigningKey, NewKey, PrivateKey, hmac_sha256};
use strongroom_jwt::{Algorithm, JwtError, Keys, Times, Token};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(key: &PrivateKey, algorithm: JwtAlgorithm, header: &Value, claims: &Value) -> String {
    let signing = JwtSigningKey::from_pem(algorithm, &key.to_pkcs8_pem().to_string().into()).unwrap();
    let text = format!("{}.{}", part(header), part(claims));
    let signature = signing.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn pem(key: &PrivateKey) -> String {
    key.public_key_pem().unwrap()
}

/// A key set with one key.
fn set(key: &PrivateKey, id: &str) -> Vec<u8> {
    let parts = key.jwk_parts().unwrap();
    let mut jwk = json!({"kty": parts.kind, "kid": id, "use": "sig"});
    if let Some(curve) = parts.curve {
        jwk["crv"] = json!(curve);
    }
    for (name, bytes) in &parts.members[..parts.public] {
        jwk[*name] = json!(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    }
    json!({"keys": [{"kty": "oct", "k": "AAAA"}, jwk]}).to_string().into_bytes()
}

#[test]
fn tokens_of_each_kind_are_verified_by_pem_and_by_key_sets() {
    for (kind, algorithm) in [
        (NewKey::Rsa2048, JwtAlgorithm::Rs256),
        (NewKey::Rsa2048, JwtAlgorithm::Ps256),
        (NewKey::P256, JwtAlgorithm::Es256),
    ] {
        let (key, other) = (PrivateKey::generate(kind).unwrap(), PrivateKey::generate(kind).unwrap());
        let header = json!({"alg": algorithm.name(), "kid": "k1"});
        let text = signed(&key, algorithm, &header, &json!({"sub": "ann", "aud": ["a", "b"]}));
        let token = Token::parse(&text).unwrap();
        let by = |keys: &Keys| token.verify(keys, &Algorithm::ALL).map(|claims| claims.text("sub").unwrap().to_owned());
        assert_eq!(by(&Keys::of_pem([pem(&key).as_str()]).unwrap()).unwrap(), "ann");
        assert_eq!(by(&Keys::of_set(&set(&key, "k1")).unwrap()).unwrap(), "ann");
        assert_eq!(by(&Keys::of_set(&set(&key, "k2")).unwrap()), Err(JwtError::NoKey));
        assert_eq!(by(&Keys::of_pem([pem(&other).as_str()]).unwrap()), Err(JwtError::Signature));
        assert_eq!(by(&Keys::default()), Err(JwtError::NoKey));
        let both = Keys::of_pem([pem(&other).as_str(), pem(&key).as_str()]).unwrap();
        assert_eq!(by(&both).unwrap(), "ann");
        let others: Vec<Algorithm> =
            Algorithm::ALL.into_iter().filter(|known| known.name() != algorithm.name()).collect();
        let keys = Keys::of_pem([pem(&key).as_str()]).unwrap();
        assert_eq!(token.verify(&keys, &others).err(), Some(JwtError::Algorithm));
        // A changed claim.
        let mut parts: Vec<&str> = text.split('.').collect();
        let claims = part(&json!({"sub": "bob"}));
        parts[1] = &claims;
        let changed = parts.join(".");
        assert_eq!(Token::parse(&changed).unwrap().verify(&keys, &Algorithm::ALL).err(), Some(JwtError::Signature));
    }
}

#[test]
fn no_algorithm_a_shared_secret_and_critical_extensions_are_not_taken() {
    let key = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    let keys = Keys::of_pem([pem(&key).as_str()]).unwrap();
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&json!({"sub": "ann"})));
    assert_eq!(Token::parse(&unsigned).unwrap().verify(&keys, &Algorithm::ALL).err(), Some(JwtError::Algorithm));
    // The public key as if it were a shared secret: an old trick.
    let text = format!("{}.{}", part(&json!({"alg": "HS256"})), part(&json!({"sub": "ann"})));
    let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac_sha256(pem(&key).as_bytes(), text.as_bytes())));
    assert_eq!(Token::parse(&forged).unwrap().verify(&keys, &Algorithm::ALL).err(), Some(JwtError::Algorithm));
    let header = json!({"alg": "RS256", "crit": ["exp"]});
    let critical = signed(&key, JwtAlgorithm::Rs256, &header, &json!({"sub": "ann"}));
    assert_eq!(Token::parse(&critical).unwrap().verify(&keys, &Algorithm::ALL).err(), Some(JwtError::Algorithm));
    // A key of another kind than the token names.
    let header = json!({"alg": "ES256"});
    let text = signed(&PrivateKey::generate(NewKey::P256).unwrap(), JwtAlgorithm::Es256, &header, &json!({}));
    assert_eq!(Token::parse(&text).unwrap().verify(&keys, &Algorithm::ALL).err(), Some(JwtError::Signature));
    for wrong in ["", "a", "a.b", "a.b.c", "e30.e30.e30", "..", "e30.W10.", &"a".repeat(40_000)] {
        assert!(Token::parse(wrong).is_err(), "{} bytes", wrong.len());
    }
    assert!(Keys::of_pem(["nothing"]).is_err() && Keys::of_set(b"[]").is_err());
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end() {
    let check = |claims: Value, now: i64, expected: Result<i64, JwtError>| {
        let text = format!("{}.{}.", part(&json!({"alg": "RS256"})), part(&claims));
        let token = Token::parse(&text).unwrap();
        assert_eq!(Times::default().check(token.unproved(), now), expected, "{claims} at {now}");
    };
    check(json!({"exp": 1000}), 1059, Ok(1000));
    check(json!({"exp": 1000}), 1060, Err(JwtError::Expired));
    check(json!({"exp": 1000.5}), 900, Ok(1000));
    check(json!({"exp": 1000, "nbf": 960}), 900, Ok(1000));
    check(json!({"exp": 1000, "nbf": 961}), 900, Err(JwtError::NotYet));
    check(json!({"iat": 1000}), 1209, Ok(1150));
    check(json!({"iat": 1000}), 1210, Err(JwtError::Expired));
    check(json!({"iat": 1000}), 900, Err(JwtError::NotYet));
    check(json!({"sub": "a"}), 0, Err(JwtError::NoTime));
    check(json!({"exp": "1000"}), 0, Err(JwtError::NoTime));
}

#[test]
fn claims_are_found_by_name_and_by_pointer() {
    let claims = json!({"a": {"b/c": "x", "list": ["y", 1]}, "n": null, "one": "z"});
    let text = format!("{}.{}.", part(&json!({"alg": "RS256"})), part(&claims));
    let token = Token::parse(&text).unwrap();
    let claims = token.unproved();
    assert_eq!(claims.get("/a/b~1c"), Some(&json!("x")));
    assert_eq!((claims.texts("/a/list"), claims.texts("one"), claims.texts("none")), (vec!["y"], vec!["z"], vec![]));
    assert!(claims.get("n").is_none() && claims.get("/a/none").is_none() && claims.get("/one/x").is_none());
    assert_eq!(format!("{claims:?} {token:?}").matches("xyz").count(), 0);
}
