//! Importing keys and certificates: each is one value, marked as secrets are, and told apart by its public part.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use strongroom_crypto::{Jwk, JwkParts, PrivateKey, open_container, pem_blocks, pem_encode};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, json_body};
use strongroom_provider::{
    Content, DeleteAnswer, Deleted, Place, Push, PushAnswer, Pushed, SecretBytes, foreign, settings, whole,
};

use crate::answer::{self, Described};
use crate::name::{Kind, ObjectName};
use crate::push::{Attributes, Beside, Settings, Tags};
use crate::{KeyVault, VERSION};

/// How the vault is told that a certificate is PEM; PKCS#12 is what it expects otherwise.
const PEM: &str = "application/x-pem-file";

/// A text that is wiped once it was written.
struct SecretText(SecretBytes);

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_text().unwrap_or_default())
    }
}

/// What is to be imported.
enum Wanted {
    Key {
        /// A JSON Web Key.
        key: BTreeMap<&'static str, SecretText>,
        /// Its public members, by which it is compared.
        public: BTreeMap<&'static str, String>,
    },
    Certificate {
        /// As the vault takes it: PEM, or PKCS#12 in base64.
        value: SecretText,
        is_pem: bool,
        /// DER of the certificate itself.
        der: Vec<u8>,
    },
}

/// What the vault shows of an object.
struct Present {
    key: BTreeMap<String, Value>,
    certificate: Vec<u8>,
    version: String,
    beside: Beside,
}

impl KeyVault {
    /// One after another: an object is one value, and the last one stays.
    pub(crate) async fn import_each(&self, name: &ObjectName, pushes: Vec<&Push>) -> Vec<PushAnswer> {
        let mut answers = Vec::with_capacity(pushes.len());
        for push in pushes {
            answers.push(Box::pin(self.import(name, push)).await);
        }
        answers
    }

    async fn import(&self, name: &ObjectName, push: &Push) -> PushAnswer {
        let settings: Settings = settings(&[push])?;
        check(&settings, name.kind)?;
        let wanted = Wanted::of(name.kind, push)?;
        let present = self.imported(name).await?;
        if present.is_some() && push.only_if_absent {
            return Ok(Pushed::Kept);
        }
        if present.as_ref().is_some_and(|present| !present.beside.is_ours()) {
            return Err(foreign());
        }
        let there = present.as_ref().map(|present| present.beside.clone());
        let beside = settings.applied_to(there.clone().unwrap_or_default())?;
        let Some(present) = present.filter(|present| wanted.is_shown_as(present)) else {
            let (operation, method, path) = match name.kind {
                Kind::Certificate => ("keyvault:ImportCertificate", Method::POST, format!("{}/import", name.path())),
                Kind::Key | Kind::Secret => ("keyvault:ImportKey", Method::PUT, name.path()),
            };
            self.send(operation, method, &path, &wanted.body(&beside)?, name.kind).await?;
            return Ok(Pushed::Written);
        };
        if there.as_ref() == Some(&beside) {
            return Ok(Pushed::Unchanged);
        }
        let operation = match name.kind {
            Kind::Certificate => "keyvault:UpdateCertificate",
            Kind::Key | Kind::Secret => "keyvault:UpdateKey",
        };
        let body = json_body(&Body::of(name.kind, &beside))?;
        self.send(operation, Method::PATCH, &format!("{}/{}", name.path(), present.version), &body, name.kind).await?;
        Ok(Pushed::Written)
    }

    pub(crate) async fn delete_imported(
        &self,
        name: &ObjectName,
        places: Vec<&Place>,
    ) -> Result<Vec<DeleteAnswer>, Failure> {
        let deleted = match self.imported(name).await? {
            None => Deleted::Absent,
            Some(present) if !present.beside.is_ours() => Deleted::Foreign,
            // No property was ever pushed.
            Some(_) if places.iter().all(|place| place.property.is_some()) => Deleted::Absent,
            Some(_) => {
                let operation = match name.kind {
                    Kind::Certificate => "keyvault:DeleteCertificate",
                    Kind::Key | Kind::Secret => "keyvault:DeleteKey",
                };
                self.send(operation, Method::DELETE, &name.path(), &SecretBytes::default(), name.kind).await?;
                Deleted::Removed
            }
        };
        let answer = |place: &&Place| Ok(if place.property.is_some() { Deleted::Absent } else { deleted });
        Ok(places.iter().map(answer).collect())
    }

    /// What is there; nothing where there is none.
    async fn imported(&self, name: &ObjectName) -> Result<Option<Present>, Failure> {
        #[derive(Deserialize)]
        struct Shown {
            #[serde(default)]
            key: BTreeMap<String, Value>,
            #[serde(default)]
            cer: String,
        }
        let address = format!("{}/{}?api-version={VERSION}", self.vault.base, name.path());
        let response = match self.get(&address, name.kind, name.kind.operation()).await {
            Ok(response) => response,
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let Described { id, attributes, tags } = answer::read(response.body.expose())?;
        let Shown { key, cer } = answer::read(response.body.expose())?;
        let id = key.get("kid").and_then(Value::as_str).map(str::to_owned).or(id);
        let version = id.as_deref().and_then(|id| id.rsplit('/').next()).unwrap_or_default().to_owned();
        // A certificate's end is its own and nothing that is set.
        let expires = attributes.exp.filter(|_| name.kind == Kind::Key);
        let certificate = STANDARD.decode(cer).unwrap_or_default();
        Ok(Some(Present { key, certificate, version, beside: Beside::of(tags, expires) }))
    }
}

/// What has no meaning for keys or certificates is not passed over.
fn check(settings: &Settings, kind: Kind) -> Result<(), Failure> {
    let refused = |field: &str, why: &str| {
        Err(Failure::new(Class::Invalid, format!("metadata: {field} is not for a {}{why}", kind.word())))
    };
    if settings.content_type.is_some() {
        return refused("contentType", "");
    }
    if kind == Kind::Certificate && settings.expiration_date.is_some() {
        return refused("expirationDate", ": it says itself how long it holds");
    }
    Ok(())
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

impl Wanted {
    fn of(kind: Kind, push: &Push) -> Result<Self, Failure> {
        if push.place.property.is_some() {
            let words = format!("a {} has no properties", kind.word());
            return Err(invalid(words).with_hint("leave out remoteRef.property"));
        }
        match (kind, &push.content) {
            (Kind::Certificate, Content::Whole(all)) if all.contains_key("tls.crt") && all.contains_key("tls.key") => {
                let text = |name: &str| all.get(name).and_then(SecretBytes::expose_text).unwrap_or_default();
                Self::certificate_of_pem(&[text("tls.crt"), text("tls.key")])
            }
            (Kind::Certificate, content) => Self::certificate(&whole(content)?),
            (_, content) => Self::key(&whole(content)?),
        }
    }

    /// A key in PEM, or a JSON Web Key.
    fn key(value: &SecretBytes) -> Result<Self, Failure> {
        let text = value.expose_text().unwrap_or_default();
        let unread = |reason: &str| {
            invalid(format!("the value is no private key: {reason}")).with_hint(
                "push a private key in PEM (PKCS#8, PKCS#1 or SEC 1), or a JSON Web Key with its private part",
            )
        };
        let key = if text.trim_start().starts_with('{') { key_of_jwk(text) } else { PrivateKey::from_pem(text) };
        let JwkParts { kind, curve, members, public } = key.and_then(|key| key.jwk_parts()).map_err(unread)?;
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut shown = BTreeMap::from([("kty", kind.to_owned())]);
        shown.extend(curve.map(|curve| ("crv", curve.to_owned())));
        shown.extend(members.iter().take(public).map(|(name, bytes)| (*name, encoded(bytes))));
        let secret = members.iter().skip(public).map(|(name, bytes)| (*name, SecretText(encoded(bytes).into())));
        let mut key: BTreeMap<_, _> = secret.collect();
        key.extend(shown.iter().map(|(name, text)| (*name, SecretText(text.clone().into()))));
        Ok(Self::Key { key, public: shown })
    }

    /// A certificate with its key: PEM, or PKCS#12 without a password.
    fn certificate(value: &SecretBytes) -> Result<Self, Failure> {
        if let Some(text) = value.expose_text().filter(|text| text.contains("-----BEGIN ")) {
            return Self::certificate_of_pem(&[text]);
        }
        let container = open_container(value.expose(), "").map_err(|reason| {
            invalid(format!("the value is no certificate with its key: {reason}"))
                .with_hint("push PEM of both, or PKCS#12 without a password")
        })?;
        let der = container.certificates.into_iter().next().unwrap_or_default();
        let value = SecretText(STANDARD.encode(value.expose()).into());
        Ok(Self::Certificate { value, is_pem: false, der })
    }

    /// The vault takes the key as PKCS#8 alone.
    fn certificate_of_pem(texts: &[&str]) -> Result<Self, Failure> {
        let blocks: Vec<_> = texts.iter().flat_map(|text| pem_blocks(text).0).collect();
        let (certificates, others): (Vec<_>, Vec<_>) =
            blocks.into_iter().partition(|block| block.label == "CERTIFICATE");
        let der = certificates.first().map(|block| block.bytes.to_vec());
        let der = der.ok_or_else(|| invalid("the value has no certificate in PEM"))?;
        let key = others.iter().find_map(|block| PrivateKey::from_der(&block.bytes)).ok_or_else(|| {
            invalid("the value has no private key beside the certificate")
                .with_hint("a vault takes a certificate with its key alone: push the whole Secret, or PEM of both")
        })?;
        let mut pem = key.to_pkcs8_pem();
        for certificate in &certificates {
            pem.push_str(&pem_encode("CERTIFICATE", &certificate.bytes));
        }
        let value = SecretText(SecretBytes::new(pem.as_bytes().to_vec()));
        Ok(Self::Certificate { value, is_pem: true, der })
    }

    fn is_shown_as(&self, present: &Present) -> bool {
        match self {
            Self::Certificate { der, .. } => *der == present.certificate,
            Self::Key { public, .. } => public.iter().all(|(name, wanted)| {
                let shown = present.key.get(*name).and_then(Value::as_str).unwrap_or_default();
                // A key that a hardware module keeps is of the kind `RSA-HSM` or `EC-HSM`.
                let shown = if *name == "kty" { shown.trim_end_matches("-HSM") } else { shown };
                shown.trim_end_matches('=') == wanted
            }),
        }
    }

    fn body(&self, beside: &Beside) -> Result<SecretBytes, Failure> {
        let body = match self {
            Self::Key { key, .. } => Body { key: Some(key), ..Body::of(Kind::Key, beside) },
            Self::Certificate { value, is_pem, .. } => Body {
                value: Some(value),
                policy: is_pem.then_some(Policy { secret_props: SecretProperties { content_type: PEM } }),
                ..Body::of(Kind::Certificate, beside)
            },
        };
        Ok(json_body(&body)?)
    }
}

fn key_of_jwk(text: &str) -> Result<PrivateKey, strongroom_crypto::Reason> {
    let members: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| "it is no JSON Web Key")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let member = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok().map(Into::into);
    Jwk { kind: text("kty").unwrap_or_default(), curve: text("crv").unwrap_or_default(), member: &member }.private_key()
}

/// The body of a write.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a BTreeMap<&'static str, SecretText>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a SecretText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    tags: &'a Tags,
    attributes: Attributes,
}

#[derive(Serialize)]
struct Policy {
    secret_props: SecretProperties,
}

#[derive(Serialize)]
struct SecretProperties {
    #[serde(rename = "contentType")]
    content_type: &'static str,
}

impl<'a> Body<'a> {
    /// What goes with whatever it is.
    fn of(kind: Kind, beside: &'a Beside) -> Self {
        let exp = beside.expires.filter(|_| kind == Kind::Key);
        Self { key: None, value: None, policy: None, tags: &beside.tags, attributes: Attributes { enabled: true, exp } }
    }
}
