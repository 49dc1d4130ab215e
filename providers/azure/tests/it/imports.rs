use serde_json::{Value, json};
use strongroom_azure::KeyVault;
use strongroom_crypto::{NewCertificate, NewKey, PrivateKey, make_container, pem_blocks};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    Content, Deleted, Facet, Meter, Place, Provider, Push, Pushed, RemoteKey, SecretBytes, Source,
};
use world::azure::{AzureStandIn, Kind, Object};

use crate::{open_metered, read_one, settings, text};

fn place(key: &str) -> Place {
    Place { key: key.to_owned(), ..Place::default() }
}

fn push(key: &str, value: impl Into<Vec<u8>>) -> Push {
    let content = Content::One(SecretBytes::new(value.into()));
    Push { place: place(key), content, metadata: None, source: Source::default(), only_if_absent: false }
}

fn with(push: Push, spec: Value) -> Push {
    let (version, kind) = ("kubernetes.external-secrets.io/v1alpha1", "PushSecretMetadata");
    Push { metadata: Some(json!({"apiVersion": version, "kind": kind, "spec": spec})), ..push }
}

async fn pushed(store: &KeyVault, push: &Push) -> Pushed {
    let answer = store.push(std::slice::from_ref(push)).await.remove(0);
    answer.unwrap_or_else(|failure| panic!("{failure}"))
}

async fn refused(store: &KeyVault, push: Push) -> Failure {
    store.push(&[push]).await.remove(0).expect_err("a failure")
}

async fn deleted(store: &KeyVault, key: &str) -> Deleted {
    store.delete(&[place(key)]).await.remove(0).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The public part of a key, as the vault shows it.
async fn shown(store: &KeyVault, name: &str) -> Value {
    serde_json::from_str(text(&read_one(store, name).await)).unwrap()
}

async fn tags(store: &KeyVault, name: &str) -> Value {
    let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(name) };
    serde_json::from_str(text(&store.read(&[key]).await.remove(0))).unwrap()
}

fn count(meter: &Meter, operation: &str) -> u64 {
    meter.counts().into_iter().filter(|(name, ..)| *name == operation).map(|(.., count)| count).sum()
}

fn key(kind: NewKey) -> PrivateKey {
    PrivateKey::generate(kind).unwrap()
}

/// A certificate in PEM that `key` signed itself.
fn certificate(key: &PrivateKey) -> String {
    let certificate = NewCertificate {
        common_name: "web.example".to_owned(),
        addresses: Vec::new(),
        names: vec!["web.example".to_owned()],
        begins: 1_767_225_600,
        days: 10_000,
        is_authority: false,
    };
    certificate.signed_by_itself(key).unwrap()
}

fn der(certificate: &str) -> Vec<u8> {
    pem_blocks(certificate).0[0].bytes.to_vec()
}

#[tokio::test]
async fn a_key_is_imported_once_in_every_form() {
    let azure = AzureStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&azure));
    for kind in [NewKey::Rsa2048, NewKey::P256, NewKey::P384, NewKey::P521] {
        let key = key(kind);
        let name = format!("key/{kind:?}").to_lowercase();
        let imports = count(&meter, "keyvault:ImportKey");
        assert_eq!(pushed(&store, &push(&name, key.to_usual_pem().as_bytes())).await, Pushed::Written);
        assert_eq!(pushed(&store, &push(&name, key.to_pkcs8_pem().as_bytes())).await, Pushed::Unchanged);
        assert_eq!(count(&meter, "keyvault:ImportKey"), imports + 1, "{kind:?}");
        let shown = shown(&store, &name).await;
        assert!(shown.get("d").is_none() && shown["kty"].is_string(), "{kind:?}");
        assert_eq!(tags(&store, &name).await["managed-by"], "external-secrets");
    }
    let new = key(NewKey::P256);
    assert_eq!(pushed(&store, &push("key/p256", new.to_pkcs8_pem().as_bytes())).await, Pushed::Written);
    let kept = Push { only_if_absent: true, ..push("key/p256", key(NewKey::P256).to_pkcs8_pem().as_bytes()) };
    assert_eq!(pushed(&store, &kept).await, Pushed::Kept);
    assert_eq!(deleted(&store, "key/p256").await, Deleted::Removed);
    assert_eq!(deleted(&store, "key/p256").await, Deleted::Absent);
}

#[tokio::test]
async fn a_json_web_key_is_imported_with_its_private_part() {
    // The key of RFC 7517, appendix A.2.
    const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;
    let azure = AzureStandIn::start().unwrap();
    let (store, _) = open_metered(settings(&azure));
    assert_eq!(pushed(&store, &push("key/jwk", JWK)).await, Pushed::Written);
    assert_eq!(shown(&store, "key/jwk").await["x"], "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
    assert_eq!(pushed(&store, &push("key/jwk", JWK)).await, Pushed::Unchanged);
    let public = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    for wrong in [public, "{}", "canary-9d41", ""] {
        let failure = refused(&store, push("key/other", wrong)).await;
        assert!(failure.class == Class::Invalid && failure.words.contains("no private key"), "{failure}");
        assert!(!format!("{failure:?}").contains("canary"), "a value is shown");
    }
    let ed25519 = refused(&store, push("key/other", key(NewKey::Ed25519).to_pkcs8_pem().as_bytes())).await;
    assert!(ed25519.words.contains("neither RSA nor"), "{ed25519}");
}

#[tokio::test]
async fn a_certificate_is_imported_once_in_every_form() {
    let azure = AzureStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&azure));
    let key = key(NewKey::Rsa2048);
    let certificate = certificate(&key);
    let container = make_container(&key, &[der(&certificate)], "").unwrap().to_vec();
    let pem = format!("{certificate}{}", *key.to_usual_pem());
    let secret = [("tls.crt", certificate.clone()), ("tls.key", key.to_usual_pem().to_string())];
    let secret = secret.map(|(name, value)| (name.to_owned(), SecretBytes::from(value)));
    let secret = Push { content: Content::Whole(secret.into()), ..push("cert/secret", "") };
    for wanted in [push("cert/container", container), push("cert/pem", pem), secret] {
        let name = wanted.place.key.clone();
        let imports = count(&meter, "keyvault:ImportCertificate");
        assert_eq!(pushed(&store, &wanted).await, Pushed::Written, "{name}");
        assert!(read_one(&store, &name).await.unwrap().value.expose() == der(&certificate), "{name}");
        assert_eq!(pushed(&store, &wanted).await, Pushed::Unchanged, "{name}");
        assert_eq!(count(&meter, "keyvault:ImportCertificate"), imports + 1, "{name}");
        assert_eq!(tags(&store, &name).await["managed-by"], "external-secrets");
        assert_eq!(deleted(&store, &name).await, Deleted::Removed);
        assert_eq!(read_one(&store, &name).await.unwrap_err().class, Class::NotFound);
    }
    for wrong in [certificate.as_str(), "canary-9d41", ""] {
        let failure = refused(&store, push("cert/other", wrong)).await;
        assert!(failure.class == Class::Invalid && !format!("{failure:?}").contains("canary"), "{failure}");
    }
}

#[tokio::test]
async fn tags_alone_are_applied_and_what_has_no_meaning_is_refused() {
    let azure = AzureStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&azure));
    let made = key(NewKey::P256);
    let pem = format!("{}{}", certificate(&made), *made.to_pkcs8_pem());
    for (name, value) in [("key/tagged", made.to_pkcs8_pem().to_string()), ("cert/tagged", pem)] {
        let push = |spec| with(push(name, value.as_str()), spec);
        assert_eq!(pushed(&store, &push(json!({"tags": {"team": "a"}}))).await, Pushed::Written);
        assert_eq!(pushed(&store, &push(json!({"tags": {"team": "a"}}))).await, Pushed::Unchanged);
        let version = read_one(&store, name).await.unwrap().version;
        assert_eq!(pushed(&store, &push(json!({"tags": {"team": "b"}}))).await, Pushed::Written);
        assert_eq!(read_one(&store, name).await.unwrap().version, version);
        assert_eq!(tags(&store, name).await["team"], "b");
        let failure = refused(&store, push(json!({"contentType": "text/plain"}))).await;
        assert!(failure.class == Class::Invalid && failure.words.contains("contentType"), "{failure}");
        let failure =
            refused(&store, Push { place: Place { property: Some("a".to_owned()), ..place(name) }, ..push(json!({})) });
        assert!(failure.await.words.contains("has no properties"));
    }
    let expiry = json!({"expirationDate": "2099-01-31T00:00:00Z"});
    let expiring = with(push("key/tagged", made.to_pkcs8_pem().as_bytes()), expiry.clone());
    assert_eq!(pushed(&store, &expiring).await, Pushed::Written);
    assert_eq!(tags(&store, "key/tagged").await["attribute.expires"], "2099-01-31T00:00:00Z");
    let failure = refused(&store, with(push("cert/tagged", certificate(&made) + &made.to_pkcs8_pem()), expiry)).await;
    assert!(failure.words.contains("expirationDate"), "{failure}");
    assert_eq!((count(&meter, "keyvault:ImportKey"), count(&meter, "keyvault:ImportCertificate")), (1, 1));
}

#[tokio::test]
async fn keys_and_certificates_of_others_are_refused_and_stay() {
    let azure = AzureStandIn::start().unwrap();
    let (store, _) = open_metered(settings(&azure));
    azure.put(Kind::Key, "theirs", Object::new(json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})));
    azure.put(Kind::Certificate, "theirs", Object::new(json!("AAAA")));
    let made = key(NewKey::P256);
    let pem = format!("{}{}", certificate(&made), *made.to_pkcs8_pem());
    for (name, value) in [("key/theirs", made.to_pkcs8_pem().to_string()), ("cert/theirs", pem)] {
        let failure = refused(&store, push(name, value.as_str())).await;
        assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some(name)));
        let kept = Push { only_if_absent: true, ..push(name, value.as_str()) };
        assert_eq!(pushed(&store, &kept).await, Pushed::Kept);
        assert_eq!(deleted(&store, name).await, Deleted::Foreign);
        assert!(read_one(&store, name).await.is_ok());
    }
}
