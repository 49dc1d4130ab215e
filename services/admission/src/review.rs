//! AdmissionReviews as API servers send them, versions v1 and v1beta1, and the answers, in the version that was asked.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use strongroom_inject::Operation;
use strongroom_kube::Asker;

/// The versions that are spoken.
const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/// What an API server asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

/// The request in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    /// Given back in the answer.
    pub(crate) uid: String,
    /// The object's kind.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Where it is written to.
    #[serde(default)]
    pub(crate) resource: Resource,
    /// `status`, `ephemeralcontainers`; empty for the object itself.
    #[serde(default)]
    pub(crate) sub_resource: String,
    /// `CREATE`, `UPDATE`, `DELETE`.
    #[serde(default)]
    pub(crate) operation: String,
    /// The object's name, where it has one already.
    #[serde(default)]
    pub(crate) name: String,
    /// Its namespace; empty for kinds of the cluster.
    #[serde(default)]
    pub(crate) namespace: String,
    /// Whether nothing is to be written anywhere.
    #[serde(default)]
    pub(crate) dry_run: Option<bool>,
    /// Who asks for it.
    #[serde(default)]
    pub(crate) user_info: Asker,
    /// The object as it is to be, without its `managedFields`; null for deletions.
    #[serde(default, deserialize_with = "object")]
    pub(crate) object: Value,
    /// The object as it was, for updates and deletions, without its `managedFields`.
    #[serde(default, deserialize_with = "object")]
    pub(crate) old_object: Value,
}

/// A group, version and kind.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Kind {
    #[serde(default)]
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) kind: String,
}

/// A group, version and resource.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Resource {
    #[serde(default)]
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) resource: String,
}

/// Which version an answer is in, and for which request.
#[derive(Debug)]
pub(crate) struct Envelope {
    api_version: String,
    uid: String,
}

/// What is decided.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The object may be written, changed by the patch.
    Allowed {
        /// Empty where nothing is changed.
        patch: Vec<Operation>,
        /// What its sender is told.
        warnings: Vec<String>,
    },
    /// It may not.
    Denied {
        /// An HTTP status, which API clients act on: 400 is the sender's to mend, 403 somebody else's, 500 may be tried
        /// again.
        code: u16,
        /// What people see.
        message: String,
    },
}

impl Verdict {
    /// As it is.
    pub(crate) fn unchanged() -> Self {
        Self::Allowed { patch: Vec::new(), warnings: Vec::new() }
    }

    /// Refused, since its sender must change it first.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Denied { code: 400, message: message.into() }
    }

    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    pub(crate) fn is_change(&self) -> bool {
        matches!(self, Self::Allowed { patch, .. } if !patch.is_empty())
    }

    pub(crate) fn warnings(&self) -> usize {
        match self {
            Self::Allowed { warnings, .. } => warnings.len(),
            Self::Denied { .. } => 0,
        }
    }
}

impl Request {
    /// `NAMESPACE/NAME` for logs; a pod that is still to be named goes by the beginning of its name.
    pub(crate) fn object_name(&self) -> String {
        let metadata = |member: &str| self.object.get("metadata")?.get(member)?.as_str();
        let name = Some(self.name.as_str()).filter(|name| !name.is_empty());
        let name = name.or_else(|| metadata("name")).or_else(|| metadata("generateName")).unwrap_or_default();
        format!("{}/{name}", self.namespace)
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }
}

/// Reads an object but for the record of who wrote which of its fields: that is many small pieces, and nothing that is
/// decided here depends on it.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Level::Object.deserialize(deserializer)
}

/// Where in an object members are read.
#[derive(Clone, Copy)]
enum Level {
    Object,
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match (self, name.as_str()) {
                (Self::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                (Self::Object, "metadata") => map.next_value_seed(Self::Metadata)?,
                _ => map.next_value()?,
            };
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// Reads a review.
///
/// # Errors
/// What is wrong with the body, without quoting it: it may hold a Secret.
pub(crate) fn read(body: &[u8]) -> Result<(Envelope, Request), String> {
    if body.is_empty() {
        // KI-11: what kube-secrets-init's clients see.
        return Err("no body found".to_owned());
    }
    let review: Review = serde_json::from_slice(body)
        .map_err(|error| format!("the body is no AdmissionReview: line {}, column {}", error.line(), error.column()))?;
    if review.kind != "AdmissionReview" || !VERSIONS.contains(&review.api_version.as_str()) {
        return Err("the body is no AdmissionReview of admission.k8s.io/v1 or v1beta1".to_owned());
    }
    let request = review.request.ok_or("the AdmissionReview has no request")?;
    Ok((Envelope { api_version: review.api_version, uid: request.uid.clone() }, request))
}

impl Envelope {
    /// `v1` or `v1beta1`.
    pub(crate) fn version(&self) -> &str {
        self.api_version.rsplit('/').next().unwrap_or_default()
    }

    /// The answer as JSON.
    pub(crate) fn answer(&self, verdict: &Verdict) -> Vec<u8> {
        let mut response = json!({"uid": self.uid, "allowed": verdict.is_allowed()});
        match verdict {
            Verdict::Allowed { patch, warnings } => {
                if !patch.is_empty() {
                    let patch = serde_json::to_vec(patch).unwrap_or_default();
                    response["patchType"] = json!("JSONPatch");
                    response["patch"] = json!(STANDARD.encode(patch));
                }
                if !warnings.is_empty() {
                    response["warnings"] = json!(warnings);
                }
            }
            Verdict::Denied { code, message } => {
                let reason = match code {
                    400 => "BadRequest",
                    403 => "Forbidden",
                    _ => "InternalError",
                };
                response["status"] = json!({"status": "Failure", "message": message, "reason": reason, "code": code});
            }
        }
        let answer = json!({"kind": "AdmissionReview", "apiVersion": self.api_version, "response": response});
        serde_json::to_vec(&answer).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_review_is_told_without_being_quoted() {
        let check = |body: &str, expected: &str| {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.contains(expected) && !error.contains("canary"), "{error}");
        };
        check("", "no body found");
        check("canary", "line 1");
        check(r#"{"apiVersion":"v1","kind":"canary"}"#, "no AdmissionReview");
        check(r#"{"apiVersion":"admission.k8s.io/v2","kind":"AdmissionReview"}"#, "v1 or v1beta1");
        check(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "has no request");
        check(
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":["canary"]}}"#,
            "line 1",
        );
    }

    #[test]
    fn an_object_is_read_but_for_the_record_of_who_wrote_its_fields() {
        let pod = r#"{"managedFields":1,"spec":{"managedFields":[2]},"metadata":{"name":"a","managedFields":[{"f:spec":{}}],"labels":{"managedFields":"b"}},"kind":"Pod"}"#;
        let body = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","object":{pod},"oldObject":null}}}}"#
        );
        let (_, request) = read(body.as_bytes()).unwrap();
        let expected = r#"{"managedFields":1,"spec":{"managedFields":[2]},"metadata":{"name":"a","labels":{"managedFields":"b"}},"kind":"Pod"}"#;
        assert_eq!((request.object.to_string().as_str(), request.old_object), (expected, Value::Null));
    }
}
