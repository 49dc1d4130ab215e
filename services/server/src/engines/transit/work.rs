//! What a key does: encrypt, decrypt, authenticate, sign and verify.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use strongroom_crypto::{Hash, random_bytes};
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use strongroom_transit::{Around, Key, Kind, Made, Marshaling, Padding, Settings, SigningOptions};

use super::Transit;
use super::batch::{Failures, Item, Items, members};
use super::keys::{NO_CONVERGENCE, kind};
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::trouble::of_transit;

const NO_KEY: &str = "encryption key not found";
const CONTEXT_UNREAD: &str = "failed to base64-decode context";
const INPUT_UNREAD: &str = "unable to decode input as base64";

/// Context and associated data of an item.
struct Surroundings {
    context: SecretBytes,
    associated_data: SecretBytes,
}

impl Surroundings {
    fn of(item: Item<'_>) -> Result<Self, Fault> {
        Ok(Self {
            context: item.bytes("context", CONTEXT_UNREAD)?,
            associated_data: item.bytes("associated_data", "failed to base64-decode associated_data")?,
        })
    }

    fn around(&self) -> Around<'_> {
        Around { context: self.context.expose(), associated_data: self.associated_data.expose() }
    }
}

impl Transit {
    /// `encrypt/NAME`. Who may create makes the key that is missing: derived, where there are contexts.
    pub(super) async fn encrypt(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let data = &call.request.data;
        let items = Items::of(data)?;
        if !items.is_batch() && !items.iter().all(|item| item.has("plaintext")) {
            return Err(Fault::invalid("missing plaintext to encrypt"));
        }
        let contexts = items.iter().filter(|item| item.has("context")).count();
        if contexts != 0 && contexts != items.iter().count() {
            return Err(Fault::invalid("context should be set either in all the request blocks or in none"));
        }
        let key = match (self.find(name).await?, call.operation) {
            (Some((key, _)), _) => key,
            (None, Operation::Create) => {
                let (kind, settings) = wanted(data, contexts != 0)?;
                self.make(call, name, kind, settings).await?
            }
            (None, _) => return Err(Fault::invalid(NO_KEY)),
        };
        working(&key, || {
            items.answer(data, Failures::Answered, None, |item| {
                if !item.has("plaintext") {
                    return Err(Fault::invalid("missing plaintext to encrypt"));
                }
                let around = Surroundings::of(item)?;
                let plain = item.bytes("plaintext", "unable to decode plaintext as base64")?;
                let made = key.encrypt(item.version()?, around.around(), plain.expose());
                Ok(encrypted(made.map_err(of_transit)?))
            })
        })
    }

    /// `decrypt/NAME`.
    pub(super) async fn decrypt(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let data = &call.request.data;
        let items = Items::of(data)?;
        let key = self.known(name, NO_KEY).await?;
        working(&key, || {
            items.answer(data, Failures::Answered, Some(("plaintext", Value::from(""))), |item| {
                let around = Surroundings::of(item)?;
                let plain = key.decrypt(around.around(), ciphertext(item)?).map_err(of_transit)?;
                Ok(members([("plaintext", Value::from(STANDARD.encode(plain.expose())))]))
            })
        })
    }

    /// `rewrap/NAME`.
    pub(super) async fn rewrap(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let data = &call.request.data;
        let items = Items::of(data)?;
        let key = self.known(name, NO_KEY).await?;
        working(&key, || {
            items.answer(data, Failures::Told, None, |item| {
                let around = Surroundings::of(item)?;
                let made = key.rewrap(item.version()?, around.around(), ciphertext(item)?);
                Ok(encrypted(made.map_err(of_transit)?))
            })
        })
    }

    /// `datakey/plaintext/NAME` and `datakey/wrapped/NAME`: a new key, encrypted by this one, and for whoever asks for
    /// it as it is.
    pub(super) async fn data_key(
        &self,
        call: &Call<'_>,
        form: &str,
        name: &str,
        bits: Option<&str>,
    ) -> Result<Response, Fault> {
        let is_shown = match form {
            "plaintext" => true,
            "wrapped" => false,
            _ => return Err(Fault::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
        };
        let data = &call.request.data;
        let bits = match bits {
            Some(bits) => bits.parse().ok(),
            None => Some(data.number("bits")?.unwrap_or(256)),
        };
        let length = match bits {
            Some(128) => 16,
            Some(256) => 32,
            Some(512) => 64,
            _ => return Err(Fault::invalid("invalid bit length")),
        };
        let items = Items::of(data)?;
        if items.is_batch() {
            return Err(Fault::invalid("data keys are made one by one"));
        }
        let key = self.known(name, NO_KEY).await?;
        items.answer(data, Failures::Told, None, |item| {
            let around = Surroundings::of(item)?;
            let plain = random_bytes(length).ok_or_else(|| Fault::internal("the system gives no randomness"))?;
            let made = key.encrypt(item.version()?, around.around(), plain.expose()).map_err(of_transit)?;
            let mut answer = encrypted(made);
            if is_shown {
                answer.insert("plaintext".to_owned(), Value::from(STANDARD.encode(plain.expose())));
            }
            Ok(answer)
        })
    }

    /// `hmac/NAME`.
    pub(super) async fn hmac(&self, call: &Call<'_>, name: &str, named: Option<&str>) -> Result<Response, Fault> {
        let data = &call.request.data;
        let hash = hash(named, data, &["algorithm"])?;
        let items = Items::of(data)?;
        let version = whole_version(data)?;
        let key = self.known(name, NO_KEY).await?;
        items.answer(data, Failures::Told, None, |item| {
            if !item.has("input") {
                return Err(Fault::invalid("missing input for HMAC"));
            }
            let input = item.bytes("input", INPUT_UNREAD)?;
            let code = key.hmac(version, hash, input.expose()).map_err(of_transit)?;
            Ok(members([("hmac", Value::from(code))]))
        })
    }

    /// `sign/NAME`.
    pub(super) async fn sign(&self, call: &Call<'_>, name: &str, named: Option<&str>) -> Result<Response, Fault> {
        let data = &call.request.data;
        let items = Items::of(data)?;
        let key = self.known(name, "signing key not found").await?;
        if !key.kind().signs() {
            return Err(Fault::invalid(format!("key type {} does not support signing", key.kind().name())));
        }
        let (options, version) = (options(&key, named, data)?, whole_version(data)?);
        working(&key, || {
            items.answer(data, Failures::Told, Some(("key_version", Value::from(0))), |item| {
                let (context, input) = signing_input(item, items.is_batch())?;
                let signed = key.sign(version, context.expose(), input.expose(), &options).map_err(of_transit)?;
                let Made { text, version } = signed.made;
                let mut answer = members([("signature", Value::from(text)), ("key_version", Value::from(version))]);
                if let Some(public) = signed.public_key {
                    answer.insert("public_key".to_owned(), Value::from(public));
                }
                Ok(answer)
            })
        })
    }

    /// `verify/NAME`, of signatures or of authentication codes.
    pub(super) async fn verify(&self, call: &Call<'_>, name: &str, named: Option<&str>) -> Result<Response, Fault> {
        let data = &call.request.data;
        let items = Items::of(data)?;
        let failed = Some(("valid", Value::from(false)));
        let valid = |valid: bool| Ok(members([("valid", Value::from(valid))]));
        if are_codes(&items)? {
            let hash = hash(named, data, &["hash_algorithm", "algorithm"])?;
            let key = self.known(name, NO_KEY).await?;
            return items.answer(data, Failures::Told, failed, |item| {
                let (_, input) = signing_input(item, items.is_batch())?;
                valid(key.verify_hmac(hash, input.expose(), item.text("hmac")?).map_err(of_transit)?)
            });
        }
        let key = self.known(name, "signature verification key not found").await?;
        if !key.kind().signs() {
            return Err(Fault::invalid(format!("key type {} does not support verification", key.kind().name())));
        }
        let options = options(&key, named, data)?;
        working(&key, || {
            items.answer(data, Failures::Told, failed, |item| {
                let (context, input) = signing_input(item, items.is_batch())?;
                let signature = item.text("signature")?;
                let holds = key.verify(context.expose(), input.expose(), signature, &options);
                valid(holds.map_err(of_transit)?)
            })
        })
    }
}

/// Works with a key; with one of a pair in a place where others do not wait for it.
fn working<T>(key: &Key, work: impl FnOnce() -> T) -> T {
    if key.kind().is_asymmetric() { tokio::task::block_in_place(work) } else { work() }
}

/// The key that `encrypt` makes.
fn wanted(data: &Members, is_derived: bool) -> Result<(Kind, Settings), Fault> {
    if data.flag("convergent_encryption")?.unwrap_or_default() {
        return Err(Fault::invalid(NO_CONVERGENCE));
    }
    let named = data.text("type")?.filter(|kind| !kind.is_empty());
    let kind = kind(named.as_deref().unwrap_or(Kind::Aes256Gcm.name()))?;
    if !matches!(kind, Kind::Aes256Gcm | Kind::ChaCha20Poly1305) {
        return Err(Fault::invalid(format!("key type {} not supported for this operation", kind.name())));
    }
    Ok((kind, Settings::of(kind, is_derived, false, None).map_err(of_transit)?))
}

fn ciphertext(item: Item<'_>) -> Result<&str, Fault> {
    match item.text("ciphertext")? {
        "" => Err(Fault::invalid("missing ciphertext to decrypt")),
        text => Ok(text),
    }
}

fn encrypted(made: Made) -> Map<String, Value> {
    members([("ciphertext", Value::from(made.text)), ("key_version", Value::from(made.version))])
}

/// The context and the input of what is signed. In a batch an item has to say what its input is; elsewhere nothing is
/// an empty one.
fn signing_input(item: Item<'_>, is_batch: bool) -> Result<(SecretBytes, SecretBytes), Fault> {
    if is_batch && !item.has("input") {
        return Err(Fault::invalid("missing input"));
    }
    Ok((item.bytes("context", CONTEXT_UNREAD)?, item.bytes("input", INPUT_UNREAD)?))
}

/// Whether authentication codes are to be verified, and not signatures: all items have the one or the other.
fn are_codes(items: &Items<'_>) -> Result<bool, Fault> {
    let (all, is_batch) = (items.iter().count(), items.is_batch());
    let signatures = items.iter().filter(|item| item.has("signature")).count();
    let codes = items.iter().filter(|item| item.has("hmac")).count();
    match (signatures, codes) {
        (0, 0) if is_batch => Err(Fault::invalid("no batch_input elements have 'signature' or 'hmac'")),
        (0, 0) => Err(Fault::invalid("neither a 'signature' nor an 'hmac' were given to verify")),
        (0, codes) if codes == all => Ok(true),
        (signatures, 0) if signatures == all => Ok(false),
        (0, _) => Err(Fault::invalid("some elements of batch_input are missing 'hmac'")),
        (_, 0) => Err(Fault::invalid("some elements of batch_input are missing 'signature'")),
        _ if is_batch => {
            Err(Fault::invalid("elements of batch_input must all provide 'signature' or all provide 'hmac'"))
        }
        _ => Err(Fault::invalid("provide one of 'signature' or 'hmac'")),
    }
}

/// The version of a whole request.
fn whole_version(data: &Members) -> Result<i64, Fault> {
    Ok(data.number("key_version")?.unwrap_or_default())
}

/// The hash that the path names, or else one of `fields`, or else SHA-256.
fn hash(named: Option<&str>, data: &Members, fields: &[&str]) -> Result<Hash, Fault> {
    match hash_name(named, data, fields)?.as_str() {
        "" | "sha2-256" => Ok(Hash::Sha256),
        "sha2-384" => Ok(Hash::Sha384),
        "sha2-512" => Ok(Hash::Sha512),
        other => {
            Err(Fault::invalid(format!("invalid hash algorithm {other:?} (served here: sha2-256, sha2-384, sha2-512)")))
        }
    }
}

fn hash_name(named: Option<&str>, data: &Members, fields: &[&str]) -> Result<String, Fault> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    for field in fields {
        if let Some(name) = data.text(field)?.filter(|name| !name.is_empty()) {
            return Ok(name);
        }
    }
    Ok(String::new())
}

/// How a request wants something signed.
fn options(key: &Key, named: Option<&str>, data: &Members) -> Result<SigningOptions, Fault> {
    const FIELDS: &[&str] = &["hash_algorithm", "algorithm"];
    // Ed25519 has no hash, and clients say so.
    let has_none = key.kind() == Kind::Ed25519 && hash_name(named, data, FIELDS)? == "none";
    let hash = if has_none { Hash::Sha256 } else { hash(named, data, FIELDS)? };
    let padding = match data.text("signature_algorithm")?.as_deref() {
        None | Some("" | "pss") => Padding::Pss,
        Some("pkcs1v15") => Padding::Pkcs1v15,
        Some(other) => return Err(Fault::invalid(format!("unsupported rsa signature algorithm {other}"))),
    };
    let marshaling = match data.text("marshaling_algorithm")?.as_deref() {
        None | Some("" | "asn1") => Marshaling::Asn1,
        Some("jws") => Marshaling::Jws,
        Some(other) => return Err(Fault::invalid(format!("invalid marshaling type {other:?}"))),
    };
    let length = hash.length().to_string();
    match data.text("salt_length")?.as_deref() {
        None | Some("" | "auto" | "hash") => {}
        Some(asked) if asked == length || !key.kind().is_rsa() => {}
        Some(_) => {
            let words = format!("salt_length has to be auto, hash or {length} here: a salt is as long as the hash");
            return Err(Fault::invalid(words));
        }
    }
    let is_hashed = data.flag("prehashed")?.unwrap_or_default();
    Ok(SigningOptions { hash, is_hashed, padding, marshaling })
}
