//! Values in, texts out. Who sends one need not be known: what comes out opens for the named account alone.

use std::sync::Arc;
use std::time::Instant;

use strongroom_decrypt::Decrypter;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Received, Reply, StatusCode};
use strongroom_kamus::{Identity, KeyRing};
use strongroom_secret::SecretBytes;

use crate::meters::Meters;
use crate::wire::{Encryption, INCOMPLETE_ENCRYPTION, failed, text, typed, words};

/// Answers the encryptor's requests.
pub(crate) struct Encryptor {
    pub(crate) keys: Arc<Decrypter>,
    pub(crate) meters: Meters,
}

impl Encryptor {
    pub(crate) async fn handle(self: Arc<Self>, received: Received) -> Reply {
        let began = Instant::now();
        let (method, path) = (received.method.clone(), received.uri.path().to_owned());
        let reply = match (method, path.as_str()) {
            (Method::POST, "/api/v1/encrypt") => self.encrypt(received.body.expose()),
            (Method::GET, "/api/v1/isAlive") => typed("application/json; charset=utf-8", "true".to_owned()),
            // Beyond Kamus: with it values are encrypted without the service.
            (Method::GET, "/api/v1/public-key") => self.public_key(),
            (Method::GET, "/") => words(StatusCode::OK, "welcome"),
            (_, "/api/v1/encrypt" | "/api/v1/isAlive" | "/api/v1/public-key" | "/") => {
                words(StatusCode::METHOD_NOT_ALLOWED, "")
            }
            _ => words(StatusCode::NOT_FOUND, ""),
        };
        self.meters.answered(&path, reply.status, began.elapsed());
        reply
    }

    fn encrypt(&self, body: &[u8]) -> Reply {
        let Some((data, account, namespace)) = complete(body) else {
            return words(StatusCode::BAD_REQUEST, INCOMPLETE_ENCRYPTION);
        };
        let named = |error: strongroom_kamus::KamusError| Failure::new(Class::Invalid, error.to_string());
        let encrypted =
            Identity::new(&namespace, &account).map_err(named).and_then(|identity| self.keys.encrypt(&identity, &data));
        match encrypted {
            Ok(sealed) => text(StatusCode::OK, SecretBytes::from(sealed.to_string())),
            Err(failure) => failed(&failure),
        }
    }

    fn public_key(&self) -> Reply {
        match public_document(&self.keys.ring()) {
            Ok(document) => typed("application/json; charset=utf-8", document),
            Err(failure) => failed(&failure),
        }
    }
}

/// What who encrypts offline needs to know: the installation's name, the newest key's name, and its public half as
/// `SubjectPublicKeyInfo` in DER, base64. JSON.
pub(crate) fn public_document(ring: &KeyRing) -> Result<String, Failure> {
    let none =
        || Failure::new(Class::Invalid, "there is no key yet").with_hint("make one: strongroom kamus keys create");
    let newest = ring.keys.last().ok_or_else(none)?;
    let id = newest.id().map_err(|error| Failure::new(Class::Invalid, error.to_string()))?;
    let document = serde_json::json!({
        "installation": ring.installation,
        "key": id.to_string(),
        "publicKey": newest.public_key,
    });
    Ok(document.to_string())
}

/// The members of a body that has all of them; empty strings are there.
fn complete(body: &[u8]) -> Option<(SecretBytes, String, String)> {
    let Encryption { data, account, namespace } = serde_json::from_slice(body).ok()?;
    Some((data?.0, account?, namespace?))
}
