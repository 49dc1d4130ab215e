//! What Key Vault's answers mean. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{Response, json_body};
use strongroom_secret::{Facet, RemoteValue, SecretBytes};

use crate::name::{Kind, ObjectName};
use crate::settings::Form;

#[derive(Deserialize)]
struct Secret<'a> {
    #[serde(borrow)]
    value: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Key {
    key: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Certificate<'a> {
    #[serde(borrow)]
    cer: Cow<'a, str>,
}

/// What every object has, in a list too.
#[derive(Debug, Deserialize)]
pub(crate) struct Described {
    /// Secrets and certificates.
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) attributes: Attributes,
    #[serde(default)]
    pub(crate) tags: Option<BTreeMap<String, Option<String>>>,
}

/// When and whether an object may be used; times in seconds since 1970.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Attributes {
    #[serde(default)]
    pub(crate) enabled: Option<bool>,
    #[serde(default)]
    pub(crate) exp: Option<i64>,
    #[serde(default)]
    created: Option<i64>,
    #[serde(default)]
    updated: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
}

#[derive(Deserialize)]
struct KeyId {
    kid: String,
}

#[derive(Deserialize)]
struct KeyBundle {
    key: KeyId,
}

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) value: Vec<Described>,
    #[serde(default, rename = "nextLink")]
    pub(crate) next: Option<String>,
}

/// The value, or what the vault says beside it, from the body of a successful answer.
pub(crate) fn value(body: &[u8], name: &ObjectName, facet: Facet, form: Form) -> Result<RemoteValue, Failure> {
    let described: Described = read(body)?;
    let id = match name.kind {
        Kind::Key => Some(read::<KeyBundle>(body)?.key.kid),
        Kind::Secret | Kind::Certificate => described.id.clone(),
    };
    let version = id.as_deref().and_then(|id| id.rsplit('/').next()).map(ToOwned::to_owned);
    let value = match (facet, name.kind) {
        (Facet::Metadata, _) => metadata(described, form)?,
        (Facet::Value, Kind::Secret) => SecretBytes::from(read::<Secret>(body)?.value.into_owned()),
        (Facet::Value, Kind::Key) => key(read::<Key>(body)?.key, form)?,
        (Facet::Value, Kind::Certificate) => {
            let encoded = read::<Certificate>(body)?.cer;
            let der = STANDARD.decode(encoded.as_bytes());
            SecretBytes::new(der.map_err(|_| damaged("the certificate in the answer is not base64"))?)
        }
    };
    Ok(RemoteValue::new(value, version))
}

/// Reads an answer; the words never quote it.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| damaged("the answer is not what Azure Key Vault sends"))
}

fn damaged(words: &str) -> Failure {
    Failure::new(Class::Unavailable, words)
}

/// The fields of a JSON Web Key that External Secrets Operator writes, in the order of its first library.
const KEY_FIELDS: [&str; 16] =
    ["kid", "kty", "key_ops", "n", "e", "d", "dp", "dq", "qi", "p", "q", "k", "key_hsm", "crv", "x", "y"];

fn key(mut fields: BTreeMap<String, Value>, form: Form) -> Result<SecretBytes, Failure> {
    let mut order = KEY_FIELDS;
    if form == Form::Current {
        order.sort_unstable();
    }
    let known = order.iter().filter_map(|field| Some(((*field).to_owned(), fields.remove(*field)?)));
    let written: serde_json::Map<_, _> = known.filter(|(_, value)| !value.is_null()).collect();
    go_json(&Value::Object(written))
}

/// Tags and times as one JSON object; a time stands over a tag of the same name.
fn metadata(described: Described, form: Form) -> Result<SecretBytes, Failure> {
    let tags = described.tags.unwrap_or_default();
    let mut all: BTreeMap<_, _> = tags.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let Attributes { exp, created, updated, nbf, .. } = described.attributes;
    let times = [("expires", exp), ("created", created), ("updated", updated), ("notBefore", nbf)];
    for (name, seconds) in times.into_iter().filter(|_| form == Form::Classic) {
        let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        all.extend(time.map(|time| (format!("attribute.{name}"), time.to_string())));
    }
    go_json(&serde_json::json!(all))
}

/// JSON as Go writes it: the letters that HTML gives a meaning are escaped. Hashes over Secrets tell the difference.
fn go_json(value: &Value) -> Result<SecretBytes, Failure> {
    let plain = json_body(value)?;
    let text = plain.expose_text().unwrap_or_default();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return Ok(plain);
    }
    // None of them stands outside of strings.
    let escaped = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    Ok(SecretBytes::from(escaped.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")))
}

#[derive(Default, Deserialize)]
struct Refused {
    error: Error,
}

#[derive(Default, Deserialize)]
struct Error {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "innererror")]
    inner: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: Option<String>,
}

/// Why Key Vault did not do what was asked of objects of `kind`.
pub(crate) fn refusal(response: &Response, kind: Kind, known: &[&SecretBytes]) -> Failure {
    // An error of another form is a proxy's page, of which only the status is shown.
    let Refused { error } = serde_json::from_slice(response.body.expose()).unwrap_or_default();
    let inner = error.inner.and_then(|inner| inner.code);
    let shown = shown(response, error.code.as_deref(), inner.as_deref(), error.message.as_deref(), known);
    match (response.status.as_u16(), inner.as_deref()) {
        (401, _) => Failure::new(Class::Unauthenticated, format!("the access token is refused: {shown}"))
            .with_hint("look at the tenant, and at the cloud (environmentType)"),
        // It is there, so a default must not take its place.
        (403, Some(code)) if code.ends_with("Disabled") => {
            Failure::new(Class::Invalid, format!("this {} cannot be read as it is: {shown}", kind.word()))
                .with_hint("enable the version, or ask for another one")
        }
        (403, inner) => denied(inner, kind, format!("access denied: {shown}")),
        // Without Key Vault's code it is something else that answers.
        (404, _) if error.code.as_deref().is_some_and(|code| code.ends_with("NotFound")) => {
            Failure::new(Class::NotFound, format!("not found: {shown}"))
        }
        (429, _) => {
            let retry_after = response.retry_after();
            Failure::new(Class::Throttled { retry_after }, format!("Azure Key Vault asks for patience: {shown}"))
        }
        (408 | 500..=599, _) => Failure::new(Class::Unavailable, format!("Azure Key Vault could not answer: {shown}")),
        _ => Failure::new(Class::Invalid, format!("Azure Key Vault refuses the request: {shown}")),
    }
}

fn denied(inner: Option<&str>, kind: Kind, words: String) -> Failure {
    let failure = Failure::new(Class::Denied, words);
    let (word, role) = (kind.word(), kind.role());
    match inner {
        Some("AccessDenied") => failure.with_hint(format!(
            "allow the identity to get and list {word}s in the vault's access policies, or let the vault use roles"
        )),
        Some("ForbiddenByRbac") => {
            failure.with_hint(format!("assign the role \"{role}\" on the vault or the {word} to the identity"))
        }
        Some("ForbiddenByFirewall" | "ForbiddenByConnection") => {
            failure.with_hint("allow the address in the vault's firewall, or reach the vault by a private endpoint")
        }
        _ => failure.with_hint(format!(
            "the identity needs the role \"{role}\", or an access policy that lets it get and list {word}s"
        )),
    }
}

fn shown(
    response: &Response,
    code: Option<&str>,
    inner: Option<&str>,
    message: Option<&str>,
    known: &[&SecretBytes],
) -> String {
    let code = match (code, inner) {
        (Some(code), Some(inner)) => Some(format!("{code} ({inner})")),
        (code, inner) => code.or(inner).map(ToOwned::to_owned),
    };
    let said: Vec<_> = [code.as_deref(), message].into_iter().flatten().filter(|said| !said.is_empty()).collect();
    if said.is_empty() {
        return format!("HTTP {}", response.status.as_u16());
    }
    outside_words(said.join(": ").trim_end_matches('.'), known)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strongroom_http::{HeaderMap, StatusCode};

    use super::*;

    fn name(kind: Kind) -> ObjectName {
        ObjectName { kind, name: "x".to_owned(), version: None }
    }

    #[test]
    fn objects_are_read_and_damaged_answers_are_not_quoted() {
        let check = |kind, facet, form, body: &str, expected: Result<&str, &str>| {
            let got = value(body.as_bytes(), &name(kind), facet, form);
            let got = got.as_ref().map(|read| read.value.expose_text().unwrap());
            assert_eq!(got.map_err(|failure| failure.words.as_str()), expected, "{body}");
        };
        let plain = |kind, body, expected| check(kind, Facet::Value, Form::Classic, body, expected);
        plain(Kind::Secret, r#"{"value":"a\"b","id":"https://v/secrets/x/1"}"#, Ok("a\"b"));
        plain(Kind::Secret, r#"{"value":""}"#, Ok(""));
        plain(Kind::Certificate, r#"{"cer":"YWI=","id":"https://v/certificates/x/1"}"#, Ok("ab"));
        let damaged = Err("the answer is not what Azure Key Vault sends");
        plain(Kind::Secret, r#"{"id":"canary"}"#, damaged);
        plain(Kind::Secret, r#"{"value":["canary"]}"#, damaged);
        plain(Kind::Key, r#"{"key":{"kty":"RSA"}}"#, damaged);
        plain(Kind::Secret, "<html>", damaged);
        plain(Kind::Certificate, r#"{"cer":"@"}"#, Err("the certificate in the answer is not base64"));
        let key =
            r#"{"key":{"n":"AQ","kid":"https://v/keys/x/1","key_ops":["sign"],"e":"AQAB","kty":"RSA","extra":1}}"#;
        let classic = r#"{"kid":"https://v/keys/x/1","kty":"RSA","key_ops":["sign"],"n":"AQ","e":"AQAB"}"#;
        let current = r#"{"e":"AQAB","key_ops":["sign"],"kid":"https://v/keys/x/1","kty":"RSA","n":"AQ"}"#;
        plain(Kind::Key, key, Ok(classic));
        check(Kind::Key, Facet::Value, Form::Current, key, Ok(current));
    }

    #[test]
    fn metadata_is_tags_and_times() {
        let check = |form, body: &str, expected: &str| {
            let got = value(body.as_bytes(), &name(Kind::Secret), Facet::Metadata, form).unwrap();
            assert_eq!(got.value.expose_text(), Some(expected));
        };
        let body = r#"{"value":"canary","id":"https://v/secrets/x/1","tags":{"b":"<&>","a":"1","none":null},
            "attributes":{"enabled":true,"exp":1720486800,"created":0,"updated":1,"nbf":2}}"#;
        let times = r#""attribute.created":"1970-01-01T00:00:00Z","attribute.expires":"2024-07-09T01:00:00Z","attribute.notBefore":"1970-01-01T00:00:02Z","attribute.updated":"1970-01-01T00:00:01Z""#;
        check(Form::Classic, body, &format!(r#"{{"a":"1",{times},"b":"\u003c\u0026\u003e"}}"#));
        check(Form::Current, body, r#"{"a":"1","b":"\u003c\u0026\u003e"}"#);
        check(Form::Classic, r#"{"value":"x"}"#, "{}");
    }

    #[test]
    fn refusals_have_a_class_azures_words_and_the_cure() {
        let check = |status: u16, body: &str, class: Class, words: &str, hint: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", "9".parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            let response = Response { status, headers, body: SecretBytes::from(body.to_owned()) };
            let failure = refusal(&response, Kind::Secret, &[&SecretBytes::from("eyJ.canary".to_owned())]);
            assert_eq!((failure.class, failure.words.as_str()), (class, words));
            assert!(failure.hint.unwrap_or_default().contains(hint), "{body}");
        };
        let error = |code: &str, inner: &str, message: &str| {
            format!(r#"{{"error":{{"code":"{code}","message":"{message}","innererror":{{"code":"{inner}"}}}}}}"#)
        };
        let forbidden = |inner: &str, words: &str, hint: &str| {
            let words = format!("access denied: Forbidden ({inner}): {words}");
            check(403, &error("Forbidden", inner, "no\\r\\nway."), Class::Denied, &words, hint);
        };
        forbidden("AccessDenied", "no way", "access policies");
        forbidden("ForbiddenByRbac", "no way", "\"Key Vault Secrets User\"");
        forbidden("ForbiddenByFirewall", "no way", "firewall");
        forbidden("Other", "no way", "access policy");
        let disabled = "this secret cannot be read as it is: Forbidden (SecretDisabled): x";
        check(403, &error("Forbidden", "SecretDisabled", "x"), Class::Invalid, disabled, "enable");
        let missing = r#"{"error":{"code":"SecretNotFound","message":"gone"}}"#;
        check(404, missing, Class::NotFound, "not found: SecretNotFound: gone", "");
        check(404, "<html>canary</html>", Class::Invalid, "Azure Key Vault refuses the request: HTTP 404", "");
        let throttled = Class::Throttled { retry_after: Some(Duration::from_secs(9)) };
        check(429, "", throttled, "Azure Key Vault asks for patience: HTTP 429", "");
        let refused = r#"{"error":{"code":"Unauthorized","message":"token eyJ.canary"}}"#;
        let words = "the access token is refused: Unauthorized: token [redacted]";
        check(401, refused, Class::Unauthenticated, words, "tenant");
        check(503, "<html>", Class::Unavailable, "Azure Key Vault could not answer: HTTP 503", "");
        check(302, "", Class::Invalid, "Azure Key Vault refuses the request: HTTP 302", "");
    }
}
