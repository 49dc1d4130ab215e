use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::{Client, Resource};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::exchange::{METADATA_ONLY, WHOLE, exchange};
use crate::failure::{WriteFailure, checked_name, failure};

/// A Secret whose values cannot be printed.
#[derive(Clone, Debug, Default)]
pub struct SecretObject {
    /// Name, namespace, labels, annotations, owners; the resource version that a replacement must still find.
    pub metadata: ObjectMeta,
    /// `Opaque`, `kubernetes.io/tls`; the API server's default where absent.
    pub type_: Option<String>,
    /// Whether the data is never to change again.
    pub immutable: Option<bool>,
    /// The values by their keys.
    pub data: BTreeMap<String, SecretBytes>,
}

impl SecretObject {
    fn place(&self) -> Result<(&str, &str), Failure> {
        let namespace = checked_name(self.metadata.namespace.as_deref().unwrap_or_default())?;
        Ok((namespace, checked_name(self.metadata.name.as_deref().unwrap_or_default())?))
    }

    fn values(&self) -> Vec<&SecretBytes> {
        self.data.values().collect()
    }

    /// The object as JSON, written once into a buffer of the right size, so that no copy of a value stays behind.
    fn to_json(&self) -> Result<SecretBytes, Failure> {
        let failed = |_| Failure::new(Class::Invalid, "the Secret's metadata cannot be written as JSON");
        let head = serde_json::to_string(&self.metadata).map_err(failed)?;
        let keys: Vec<String> =
            self.data.keys().map(serde_json::to_string).collect::<Result<_, _>>().map_err(failed)?;
        let values = self.data.values();
        let size = keys.iter().zip(values.clone()).map(|(key, value)| key.len() + value.len().div_ceil(3) * 4 + 4);
        let kind = self.type_.as_ref().map(serde_json::to_string).transpose().map_err(failed)?;
        let named = head.len() + kind.as_ref().map_or(0, String::len);
        // 256: what stands around them.
        let mut json = String::with_capacity(named + size.sum::<usize>() + 256);
        json.push_str(r#"{"apiVersion":"v1","kind":"Secret","metadata":"#);
        json.push_str(&head);
        if let Some(kind) = kind {
            json.push_str(r#","type":"#);
            json.push_str(&kind);
        }
        if let Some(immutable) = self.immutable {
            json.push_str(if immutable { r#","immutable":true"# } else { r#","immutable":false"# });
        }
        json.push_str(r#","data":{"#);
        for (index, (key, value)) in keys.iter().zip(values).enumerate() {
            json.push_str(if index == 0 { "" } else { "," });
            json.push_str(key);
            json.push_str(":\"");
            STANDARD.encode_string(value.expose(), &mut json);
            json.push('"');
        }
        json.push_str("}}");
        Ok(SecretBytes::from(json))
    }

    fn from_json(json: &SecretBytes) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(json.expose()).ok()?;
        let data = wire.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        Some(Self { metadata: wire.metadata, type_: wire.type_, immutable: wire.immutable, data })
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: ObjectMeta,
    #[serde(rename = "type")]
    type_: Option<String>,
    immutable: Option<bool>,
    data: Option<BTreeMap<String, Encoded>>,
}

/// Base64 that is decoded as it is read.
struct Encoded(SecretBytes);

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any, not str: a value without bytes is null.
        deserializer.deserialize_any(Decoding)
    }
}

struct Decoding;

impl Visitor<'_> for Decoding {
    type Value = Encoded;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Encoded, E> {
        let value = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
        Ok(Encoded(SecretBytes::new(value)))
    }

    // The API server writes null for a value without bytes.
    fn visit_unit<E: serde::de::Error>(self) -> Result<Encoded, E> {
        Ok(Encoded(SecretBytes::default()))
    }
}

/// What must still hold for a deletion to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// It is still the same object, not another of that name.
    pub uid: Option<String>,
    /// Nobody has changed it.
    pub resource_version: Option<String>,
}

/// Reads and writes Secrets under one field manager. Answers to writes come without the values that were sent.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    manager: Cow<'static, str>,
}

impl Secrets {
    /// Writes in the name of `manager`.
    pub fn new(client: Client, manager: impl Into<Cow<'static, str>>) -> Self {
        Self { client, manager: manager.into() }
    }

    /// The Secret, or `None` where there is none of that name.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn read(&self, namespace: &str, name: &str) -> Result<Option<SecretObject>, Failure> {
        let asked = format!("read Secret {namespace}/{name}");
        let address = address(checked_name(namespace)?, Some(checked_name(name)?));
        match exchange(&self.client, Method::GET, &address, WHOLE, None).await {
            Ok(json) => match SecretObject::from_json(&json) {
                Some(secret) => Ok(Some(secret)),
                None => {
                    let words = format!("cannot {asked}: the API server's answer is not a Secret");
                    Err(Failure::new(Class::Unavailable, words))
                }
            },
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failure(&error, &asked, &[])),
        }
    }

    /// Makes the Secret; its metadata as the API server has it now.
    ///
    /// # Errors
    /// [`WriteFailure::AlreadyExists`], and [`WriteFailure::NotFound`] where the namespace is gone.
    pub async fn create(&self, secret: &SecretObject) -> Result<ObjectMeta, WriteFailure> {
        let (namespace, _) = secret.place().map_err(WriteFailure::Other)?;
        self.write(Method::POST, "create", address(namespace, None), secret).await
    }

    /// Replaces the Secret by this one, provided that it still has this one's resource version; its metadata as the API
    /// server has it now.
    ///
    /// # Errors
    /// [`WriteFailure::Conflict`] where it has another by now, [`WriteFailure::NotFound`] where it is gone,
    /// [`WriteFailure::Immutable`] where its type would change, or its data after it was sealed.
    pub async fn replace(&self, secret: &SecretObject) -> Result<ObjectMeta, WriteFailure> {
        let (namespace, name) = secret.place().map_err(WriteFailure::Other)?;
        // Without one the API server would overwrite whatever is there.
        if secret.metadata.resource_version.as_deref().unwrap_or_default().is_empty() {
            return Err(WriteFailure::Conflict);
        }
        self.write(Method::PUT, "update", address(namespace, Some(name)), secret).await
    }

    /// Deletes the Secret, provided that the preconditions hold.
    ///
    /// # Errors
    /// [`WriteFailure::Conflict`] where they do not, [`WriteFailure::NotFound`] where it is gone already.
    pub async fn delete(&self, namespace: &str, name: &str, only: &Preconditions) -> Result<(), WriteFailure> {
        let asked = format!("delete Secret {namespace}/{name}");
        let names = checked_name(namespace).and_then(|namespace| Ok((namespace, checked_name(name)?)));
        let (namespace, name) = names.map_err(WriteFailure::Other)?;
        let options = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": only.uid, "resourceVersion": only.resource_version},
        });
        let body = SecretBytes::from(options.to_string());
        let address = address(namespace, Some(name));
        let answer = exchange(&self.client, Method::DELETE, &address, METADATA_ONLY, Some(body)).await;
        answer.map(drop).map_err(|error| WriteFailure::from_error(&error, &asked, &[]))
    }

    async fn write(
        &self,
        method: Method,
        verb: &str,
        address: String,
        secret: &SecretObject,
    ) -> Result<ObjectMeta, WriteFailure> {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let asked = format!("{verb} Secret {}/{name}", secret.metadata.namespace.as_deref().unwrap_or_default());
        let address = format!("{address}?fieldManager={}", self.manager);
        let body = secret.to_json().map_err(WriteFailure::Other)?;
        let answer = exchange(&self.client, method, &address, METADATA_ONLY, Some(body)).await;
        let answer = answer.map_err(|error| WriteFailure::from_error(&error, &asked, &secret.values()))?;
        read_metadata(&answer, &asked)
    }
}

fn read_metadata(answer: &SecretBytes, asked: &str) -> Result<ObjectMeta, WriteFailure> {
    #[derive(Deserialize)]
    struct Partial {
        metadata: ObjectMeta,
    }
    let partial = serde_json::from_slice::<Partial>(answer.expose()).map_err(|_| {
        let words = format!("cannot {asked}: the API server's answer is not an object's metadata");
        WriteFailure::Other(Failure::new(Class::Unavailable, words))
    })?;
    Ok(partial.metadata)
}

fn address(namespace: &str, name: Option<&str>) -> String {
    match name {
        None => format!("/api/v1/namespaces/{namespace}/secrets"),
        Some(name) => format!("/api/v1/namespaces/{namespace}/secrets/{name}"),
    }
}

/// Changes some of an object's fields (labels, annotations, finalizers) by a merge patch, under a field manager; its
/// metadata as it is now.
///
/// # Errors
/// As writes; [`WriteFailure::Conflict`] only where the patch names a resource version.
pub async fn merge_patch<K>(
    api: &Api<K>,
    name: &str,
    patch: &serde_json::Value,
    manager: &str,
) -> Result<ObjectMeta, WriteFailure>
where
    K: Resource<DynamicType = ()> + Clone,
{
    patch_below(api, name, "", patch, manager).await
}

/// Writes an object's whole list of finalizers against the version in `seen`, so that nobody else's is lost. False where
/// the object is a newer one by now; an object that is gone needs none.
///
/// # Errors
/// As [`merge_patch`].
pub async fn replace_finalizers<K>(
    api: &Api<K>,
    seen: &ObjectMeta,
    finalizers: &[String],
    manager: &str,
) -> Result<bool, Failure>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let name = seen.name.as_deref().unwrap_or_default();
    let metadata = serde_json::json!({ "finalizers": finalizers, "resourceVersion": seen.resource_version });
    match merge_patch(api, name, &serde_json::json!({ "metadata": metadata }), manager).await {
        Ok(_) | Err(WriteFailure::NotFound) => Ok(true),
        Err(WriteFailure::Conflict) => Ok(false),
        Err(failure) => Err(failure.into_failure(&format!("write the finalizers of {} {name}", K::kind(&())))),
    }
}

/// Changes the status alone, by a merge patch of the status subresource, under a field manager; the object's metadata
/// as it is now.
///
/// # Errors
/// As [`merge_patch`].
pub async fn merge_patch_status<K>(
    api: &Api<K>,
    name: &str,
    status: &serde_json::Value,
    manager: &str,
) -> Result<ObjectMeta, WriteFailure>
where
    K: Resource<DynamicType = ()> + Clone,
{
    patch_below(api, name, "/status", &serde_json::json!({"status": status}), manager).await
}

/// The API server answers with metadata alone: its answers grow with the objects, and nobody needs them.
async fn patch_below<K>(
    api: &Api<K>,
    name: &str,
    below: &str,
    patch: &serde_json::Value,
    manager: &str,
) -> Result<ObjectMeta, WriteFailure>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let asked = format!("update{} {} {name}", if below.is_empty() { "" } else { " the status of" }, K::kind(&()));
    let name = checked_name(name).map_err(WriteFailure::Other)?;
    let address = format!("{}/{name}{below}?fieldManager={manager}", api.resource_url());
    let body = SecretBytes::from(patch.to_string());
    let client = api.clone().into_client();
    let answer = exchange(&client, Method::PATCH, &address, METADATA_ONLY, Some(body)).await;
    let answer = answer.map_err(|error| WriteFailure::from_error(&error, &asked, &[]))?;
    read_metadata(&answer, &asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_and_read_back() {
        let check = |type_: Option<&str>, immutable, data: &[(&str, &[u8])], expected: &str| {
            let metadata = ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() };
            let data: BTreeMap<_, _> =
                data.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::new(value.to_vec()))).collect();
            let secret = SecretObject { metadata, type_: type_.map(str::to_owned), immutable, data };
            let json = secret.to_json().unwrap();
            assert_eq!(json.expose_text().unwrap(), expected);
            let again = SecretObject::from_json(&json).unwrap();
            assert_eq!((&again.metadata, &again.type_, again.immutable), (&secret.metadata, &secret.type_, immutable));
            let values = |secret: &SecretObject| -> Vec<(String, Vec<u8>)> {
                secret.data.iter().map(|(key, value)| (key.clone(), value.expose().to_vec())).collect()
            };
            assert_eq!(values(&again), values(&secret));
        };
        let head = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}"#;
        check(None, None, &[], &format!(r#"{head},"data":{{}}}}"#));
        check(
            Some("Opaque"),
            Some(true),
            &[("k", b"v"), ("raw", &[0, 255]), ("empty", b"")],
            &format!(r#"{head},"type":"Opaque","immutable":true,"data":{{"empty":"","k":"dg==","raw":"AP8="}}}}"#),
        );
    }

    #[test]
    fn a_value_without_bytes_may_be_null() {
        let json = SecretBytes::from(r#"{"metadata": {}, "data": {"k": null}}"#.to_owned());
        assert_eq!(SecretObject::from_json(&json).unwrap().data["k"].len(), 0);
        assert!(
            SecretObject::from_json(&SecretBytes::from(r#"{"metadata": {}, "data": {"k": 1}}"#.to_owned())).is_none()
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let data = BTreeMap::from([("k".to_owned(), SecretBytes::from("canary".to_owned()))]);
        assert!(!format!("{:?}", SecretObject { data, ..SecretObject::default() }).contains("canary"));
    }
}
