//! What becomes of keys and certificates that are imported: the private part stays inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Map, Value as Json, json};

use super::answer::Refusal;

/// The public part of the JSON Web Key in a request.
pub(super) fn key(given: &Map<String, Json>) -> Result<Json, Refusal> {
    let key = given.get("key").and_then(Json::as_object);
    let key = key.ok_or_else(|| Refusal::bad_parameter("The request body is missing the key."))?;
    let member = |name: &str| {
        let text = key.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| Refusal::bad_parameter(format!("The key has no {name}.")))
    };
    let kind = member("kty")?;
    let (public, secret): (&[&str], &[&str]) = match kind {
        "RSA" | "RSA-HSM" => (&["n", "e"], &["d", "p", "q", "dp", "dq", "qi"]),
        "EC" | "EC-HSM" => (&["crv", "x", "y"], &["d"]),
        _ => return Err(Refusal::bad_parameter("Key type is not supported.")),
    };
    for name in secret {
        member(name)?;
    }
    let mut shown = json!({"kty": kind, "key_ops": ["sign", "verify"]});
    for name in public {
        shown[name] = json!(member(name)?);
    }
    Ok(shown)
}

/// The certificate's DER in base64: of PKCS#12, or of PEM where the policy says so. Without its key it is refused.
pub(super) fn certificate(given: &Map<String, Json>) -> Result<Json, Refusal> {
    let value = given.get("value").and_then(Json::as_str);
    let value = value.ok_or_else(|| Refusal::bad_parameter("The request body is missing the value."))?;
    let content_type = given.get("policy").map(|policy| policy["secret_props"]["contentType"].clone());
    let der = if content_type == Some(json!("application/x-pem-file")) {
        of_pem(value)
    } else {
        of_container(value, given.get("pwd").and_then(Json::as_str).unwrap_or_default())
    };
    let unread = "The specified content is not a certificate with its private key in the format that the policy names.";
    der.map(|der| json!(STANDARD.encode(der))).ok_or_else(|| Refusal::bad_parameter(unread))
}

fn of_pem(text: &str) -> Option<Vec<u8>> {
    PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok()?;
    Some(CertificateDer::from_pem_slice(text.as_bytes()).ok()?.to_vec())
}

fn of_container(value: &str, password: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(value).ok()?;
    let store = KeyStore::from_pkcs12(&bytes, password, Pkcs12ImportPolicy::Relaxed).ok()?;
    let (_, chain) = store.private_key_chain()?;
    Some(chain.certs().first()?.as_der().to_vec())
}
