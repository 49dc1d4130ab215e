//! Keys that the vault made: they really encrypt, and their private part stays inside.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json, json};

use super::answer::Refusal;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Encrypt,
    Decrypt,
}

impl Use {
    /// What the last part of a path asks for; wrapping keys is encrypting bytes.
    pub(super) fn of(verb: &str) -> Option<Self> {
        match verb {
            "encrypt" | "wrapkey" => Some(Self::Encrypt),
            "decrypt" | "unwrapkey" => Some(Self::Decrypt),
            _ => None,
        }
    }
}

/// A key that the request asks for: its private part, and its public one as a JSON Web Key.
pub(super) fn create(given: &Map<String, Json>) -> Result<(PrivateDecryptingKey, Json), Refusal> {
    let kind = given.get("kty").and_then(Json::as_str).unwrap_or_default();
    if !matches!(kind, "RSA" | "RSA-HSM") {
        return Err(Refusal::bad_parameter("Only RSA keys are made here."));
    }
    let size = match given.get("key_size").and_then(Json::as_u64) {
        None | Some(2048) => KeySize::Rsa2048,
        Some(3072) => KeySize::Rsa3072,
        Some(4096) => KeySize::Rsa4096,
        Some(_) => return Err(Refusal::bad_parameter("The key size must be 2048, 3072 or 4096.")),
    };
    let failed = |_| Refusal::new(500, "InternalServerError", "the key cannot be made");
    let pair = KeyPair::generate(size).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    let private = PrivateDecryptingKey::from_pkcs8(private.as_ref());
    let private = private.map_err(|_| Refusal::new(500, "InternalServerError", "the key cannot be read"))?;
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = pair.public_key();
    let uses = json!(["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]);
    let public = json!({
        "kty": kind, "key_ops": given.get("key_ops").filter(|uses| uses.is_array()).unwrap_or(&uses),
        "n": number(public.modulus().big_endian_without_leading_zero()),
        "e": number(public.exponent().big_endian_without_leading_zero()),
    });
    Ok((private, public))
}

/// What a key makes of the `value` of a request, in base64 for URLs.
pub(super) fn apply(key: &PrivateDecryptingKey, what: Use, given: &Map<String, Json>) -> Result<String, Refusal> {
    let algorithm: &OaepAlgorithm = match given.get("alg").and_then(Json::as_str) {
        Some("RSA-OAEP") => &OAEP_SHA1_MGF1SHA1,
        Some("RSA-OAEP-256") => &OAEP_SHA256_MGF1SHA256,
        _ => return Err(Refusal::bad_parameter("Property  has invalid value\r\n")),
    };
    let value = given.get("value").and_then(Json::as_str).unwrap_or_default();
    let value = URL_SAFE_NO_PAD.decode(value).map_err(|_| Refusal::bad_parameter("Property value is invalid."))?;
    let wrong = || Refusal::bad_parameter("The parameter is incorrect.\r\n");
    let made = match what {
        Use::Encrypt => {
            let key = OaepPublicEncryptingKey::new(key.public_key()).map_err(|_| wrong())?;
            let mut made = vec![0; key.ciphertext_size()];
            let made = key.encrypt(algorithm, &value, &mut made, None).map(|made| made.to_vec());
            made.map_err(|_| Refusal::bad_parameter("Property value has more bytes than the key can encrypt."))?
        }
        Use::Decrypt => {
            let key = OaepPrivateDecryptingKey::new(key.clone()).map_err(|_| wrong())?;
            let mut made = vec![0; key.min_output_size()];
            key.decrypt(algorithm, &value, &mut made, None).map_err(|_| wrong())?.to_vec()
        }
    };
    Ok(URL_SAFE_NO_PAD.encode(made))
}
