//! Texts, rings and key managements together.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod clouds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use strongroom_decrypt::{Decrypter, KeyManagement, LegacyKey, Limits, LocalKey, TransitManagement};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::Derivation;
use strongroom_kamus::{Identity, Installation, KeyRing, NewRecord};
use strongroom_secret::SecretBytes;
use strongroom_vault::{Auth, Credential, Settings, Token, Vault};
use world::open_bao::OpenBao;

const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

fn reader() -> Identity {
    Identity::new("team-a", "web").unwrap()
}

async fn add_key(ring: &mut KeyRing, management: &dyn KeyManagement) {
    let fresh = NewRecord::generate(&ring.installation).unwrap();
    let wrapped = management.wrap(&fresh.key).await.unwrap();
    ring.keys.push(fresh.wrapped(wrapped, "2026-11-28T00:00:00Z".to_owned()));
}

async fn ring(management: &dyn KeyManagement) -> KeyRing {
    let mut ring = KeyRing { installation: Installation::new("production").unwrap(), keys: Vec::new() };
    add_key(&mut ring, management).await;
    ring
}

/// A local key that counts how often it unwraps, slowly, and can be told to fail.
struct Counting {
    inner: LocalKey,
    unwrapped: AtomicUsize,
    failures: AtomicUsize,
}

#[async_trait]
impl KeyManagement for Counting {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        self.inner.wrap(key).await
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        self.unwrapped.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(Failure::new(Class::Unavailable, "down")) } else { self.inner.unwrap(wrapped).await }
    }

    async fn unwrap_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        self.unwrapped.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(SecretBytes::new(vec![7; 32]))
    }

    async fn open_legacy(&self, encrypted: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        self.inner.open_legacy(encrypted, identity).await
    }
}

fn counting(failures: usize) -> Arc<Counting> {
    let inner = LocalKey::new(&bytes(KEY)).unwrap();
    Arc::new(Counting { inner, unwrapped: AtomicUsize::new(0), failures: AtomicUsize::new(failures) })
}

#[tokio::test(start_paused = true)]
async fn a_key_is_unwrapped_once_however_many_wait_for_it() {
    let management = counting(0);
    let ring = ring(&*management).await;
    let decrypter = Arc::new(Decrypter::new(management.clone(), None, ring, Limits::default()));
    let texts: Vec<_> =
        (0..50).map(|n| decrypter.encrypt(&reader(), &bytes(&format!("value {n}"))).unwrap().to_string()).collect();
    let tasks: Vec<_> = texts
        .iter()
        .cloned()
        .map(|text| {
            let decrypter = Arc::clone(&decrypter);
            tokio::spawn(async move { decrypter.decrypt(&text, &reader()).await })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap().expose(), format!("value {n}").as_bytes());
    }
    assert_eq!(management.unwrapped.load(Ordering::SeqCst), 1);
    let stranger = Identity::new("team-a", "other").unwrap();
    assert_eq!(decrypter.decrypt(&texts[0], &stranger).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_key_management_that_is_back_is_asked_again() {
    let management = counting(1);
    let ring = ring(&*management).await;
    let decrypter = Decrypter::new(management.clone(), None, ring, Limits::default());
    let text = decrypter.encrypt(&reader(), &bytes("value")).unwrap().to_string();
    assert_eq!(decrypter.decrypt(&text, &reader()).await.unwrap_err().class, Class::Unavailable);
    assert_eq!(decrypter.decrypt(&text, &reader()).await.unwrap().expose(), b"value");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_key_management_that_is_down_cost_one_call() {
    let management = counting(1);
    let ring = ring(&*management).await;
    let decrypter = Decrypter::new(management.clone(), None, ring, Limits::default());
    let text = |n: usize| decrypter.encrypt(&reader(), &bytes(&format!("value {n}"))).unwrap().to_string();
    let texts: Vec<_> = (0..50).map(text).collect();
    let reader = reader();
    let asking = || join_all(texts.iter().map(|text| decrypter.decrypt(text, &reader)));
    let classes: Vec<_> =
        asking().await.into_iter().map(|asked| asked.map(drop).map_err(|error| error.class)).collect();
    assert_eq!(classes, vec![Err(Class::Unavailable); 50]);
    assert_eq!(management.unwrapped.load(Ordering::SeqCst), 1);
    assert!(asking().await.into_iter().all(|asked| asked.is_ok()));
    assert_eq!(management.unwrapped.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_derived_of_a_key_costs_no_call_beside_that_of_its_texts() {
    let management = counting(0);
    let ring = ring(&*management).await;
    let decrypter = Decrypter::new(management.clone(), None, ring.clone(), Limits::default());
    let text = decrypter.encrypt(&reader(), &bytes("value")).unwrap().to_string();
    let reader = reader();
    let (mark, trail, opened) =
        tokio::join!(decrypter.derive(b"mark"), decrypter.derive(b"trail"), decrypter.decrypt(&text, &reader));
    assert!(mark.as_ref().unwrap().expose() != trail.unwrap().expose(), "purposes have the same key");
    assert_eq!(opened.unwrap().expose(), b"value");
    // The ring, read again, changes nothing.
    decrypter.set_ring(ring.clone());
    assert!(decrypter.derive(b"mark").await.unwrap().expose() == mark.unwrap().expose(), "another key");
    assert_eq!(management.unwrapped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_texts_are_opened_others_on_the_same_thread_have_their_turns() {
    let management = Arc::new(LocalKey::new(&bytes(KEY)).unwrap());
    let decrypter = Decrypter::new(management.clone(), None, ring(&*management).await, Limits::default());
    let texts: Vec<_> = (0..64).map(|_| decrypter.encrypt(&reader(), &bytes("value")).unwrap().to_string()).collect();
    let (reader, turns, is_over) = (reader(), AtomicUsize::new(0), AtomicBool::new(false));
    let opening = async {
        let opened = join_all(texts.iter().map(|text| decrypter.decrypt(text, &reader))).await;
        is_over.store(true, Ordering::SeqCst);
        opened
    };
    let others = async {
        while !is_over.load(Ordering::SeqCst) {
            turns.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    };
    let (opened, ()) = tokio::join!(opening, others);
    assert!(opened.into_iter().all(|opened| opened.is_ok()));
    // On the caller's own thread there would be a handful.
    assert!(turns.load(Ordering::SeqCst) > 128, "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn after_rotation_old_texts_open_and_new_ones_take_the_new_key() {
    let management = counting(0);
    let mut ring = ring(&*management).await;
    let decrypter = Decrypter::new(management.clone(), None, ring.clone(), Limits::default());
    let old = decrypter.encrypt(&reader(), &bytes("old")).unwrap();
    add_key(&mut ring, &*management).await;
    decrypter.set_ring(ring.clone());
    let new = decrypter.encrypt(&reader(), &bytes("new")).unwrap();
    assert_ne!(old.key(), new.key());
    assert_eq!(decrypter.decrypt(&old.to_string(), &reader()).await.unwrap().expose(), b"old");
    assert_eq!(decrypter.decrypt(&new.to_string(), &reader()).await.unwrap().expose(), b"new");
    // A key that was taken out of the ring opens nothing more, also what was opened a moment ago.
    ring.keys.remove(0);
    decrypter.set_ring(ring);
    let failure = decrypter.decrypt(&old.to_string(), &reader()).await.unwrap_err();
    assert!(failure.to_string().contains(&old.key().to_string()), "{failure}");
    assert_eq!(decrypter.decrypt(&new.to_string(), &reader()).await.unwrap().expose(), b"new");
}

#[tokio::test(start_paused = true)]
async fn after_rotation_old_texts_open_though_the_key_management_is_down() {
    let management = counting(0);
    let mut ring = ring(&*management).await;
    let decrypter = Decrypter::new(management.clone(), None, ring.clone(), Limits::default());
    let encrypt = |plain: &str| decrypter.encrypt(&reader(), &bytes(plain)).unwrap().to_string();
    let (known, another) = (encrypt("known"), encrypt("another"));
    decrypter.decrypt(&known, &reader()).await.unwrap();
    add_key(&mut ring, &*management).await;
    decrypter.set_ring(ring.clone());
    management.failures.store(usize::MAX, Ordering::SeqCst);
    for (text, value) in [(&known, "known"), (&another, "another")] {
        assert_eq!(decrypter.decrypt(text, &reader()).await.unwrap().expose(), value.as_bytes());
    }
    let new = encrypt("new");
    assert_eq!(decrypter.decrypt(&new, &reader()).await.unwrap_err().class, Class::Unavailable);
    // A key that leaves takes nothing of the others with it.
    management.failures.store(0, Ordering::SeqCst);
    decrypter.decrypt(&new, &reader()).await.unwrap();
    management.failures.store(usize::MAX, Ordering::SeqCst);
    ring.keys.remove(0);
    decrypter.set_ring(ring.clone());
    assert_eq!(decrypter.decrypt(&new, &reader()).await.unwrap().expose(), b"new");
    assert_eq!(decrypter.decrypt(&known, &reader()).await.unwrap_err().class, Class::Invalid);
    // One whose record has changed, or of another installation, is unwrapped anew.
    ring.installation = Installation::new("another").unwrap();
    decrypter.set_ring(ring);
    assert_eq!(decrypter.decrypt(&new, &reader()).await.unwrap_err().class, Class::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_envelope_of_kamus_costs_one_call_for_each_account() {
    let management = counting(0);
    let decrypter = Decrypter::new(management.clone(), None, ring(&*management).await, Limits::default());
    let text = "env$AQID$C4gChhspnTa5yVqYmSitrg==:tr0Ke6OGUaUa8KZgMJg14g==";
    for _ in 0..3 {
        // The key is not the one of the text: what matters here is who was asked.
        let _ = decrypter.decrypt(text, &reader()).await;
    }
    assert_eq!(management.unwrapped.load(Ordering::SeqCst), 1);
    let _ = decrypter.decrypt(text, &Identity::new("team-a", "other").unwrap()).await;
    assert_eq!(management.unwrapped.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn ka_02_kamus_texts_open_for_everybody_only_where_that_is_allowed_by_name() {
    let text = "4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==";
    let management = Arc::new(LocalKey::new(&bytes(KEY)).unwrap());
    let ring = ring(&*management).await;
    let reader = Identity::new("default", "default").unwrap();
    for (derivation, expected) in [(Derivation::Insecure, Some("test")), (Derivation::ByIdentity, None)] {
        let legacy = LegacyKey::new(&bytes(PUBLISHED), derivation).unwrap();
        let decrypter = Decrypter::new(management.clone(), Some(legacy), ring.clone(), Limits::default());
        let opened = decrypter.decrypt(text, &reader).await.ok();
        assert_eq!(opened.as_ref().and_then(SecretBytes::expose_text), expected, "{derivation:?}");
    }
    let decrypter = Decrypter::new(management, None, ring, Limits::default());
    let failure = decrypter.decrypt(text, &reader).await.unwrap_err();
    assert!(failure.words.contains("not read here"), "{failure}");
}

#[tokio::test]
async fn the_published_key_wraps_nothing() {
    let failure = LocalKey::new(&bytes(PUBLISHED)).err().unwrap();
    assert!(failure.words.contains("everybody has it"), "{failure}");
}

#[tokio::test]
async fn another_local_key_unwraps_nothing() {
    let ours = LocalKey::new(&bytes(KEY)).unwrap();
    let ring = ring(&ours).await;
    let theirs = LocalKey::new(&bytes("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")).unwrap();
    let decrypter = Decrypter::new(Arc::new(theirs), None, ring, Limits::default());
    let text = decrypter.encrypt(&reader(), &bytes("value")).unwrap().to_string();
    assert!(decrypter.decrypt(&text, &reader()).await.unwrap_err().words.contains("another key"));
}

#[tokio::test]
async fn a_transit_engine_keeps_the_installations_key() {
    let bao = OpenBao::start().unwrap();
    bao.command(&["secrets", "enable", "transit"]).unwrap();
    bao.command(&["write", "-f", "transit/keys/installation"]).unwrap();
    let token = Credential::Value { value: bytes(bao.root_token()), origin: "the test".to_owned() };
    let settings = Settings::new(bao.address(), Auth::Token(Token(token)));
    let vault = Arc::new(Vault::open(settings, Arc::default()).unwrap());
    let management = Arc::new(TransitManagement::new(vault, "transit/installation"));
    let decrypter = Decrypter::new(management.clone(), None, ring(&*management).await, Limits::default());
    let text = decrypter.encrypt(&reader(), &bytes("value")).unwrap().to_string();
    assert_eq!(decrypter.decrypt(&text, &reader()).await.unwrap().expose(), b"value");
}
