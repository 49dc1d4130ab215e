//! What the server's bodies mean. Values are cut out of the body as the text they are: no number is rounded, no member
//! moved, and no copy is made but the value itself.

use serde::Deserialize;
use serde_json::value::RawValue;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{RemoteValue, SecretBytes};

use crate::path::{Form, Target};

/// The outer object of every answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// What KV version 2 puts in it; exact, so that other data is not taken for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    deletion_time: String,
    destroyed: bool,
}

/// The value in a successful answer to `target`.
pub(crate) fn value(body: &SecretBytes, target: &Target) -> Result<RemoteValue, Failure> {
    let Some(data) = data(body)? else {
        return Err(Failure::new(Class::NotFound, "the answer holds no data"));
    };
    let versioned = match target.form {
        Form::Versioned | Form::PerhapsVersioned => serde_json::from_str::<Versioned<'_>>(data.get()).ok(),
        Form::Plain | Form::Unknown | Form::Write(_) => None,
    };
    match (versioned, &target.form) {
        (Some(versioned), _) => versioned_value(&versioned, target),
        (None, Form::Versioned) => {
            Err(Failure::new(Class::Invalid, "the answer is not one of KV version 2").with_hint("check kvVersion"))
        }
        (None, _) if target.version.is_some() => Err(no_versions()),
        (None, _) => Ok(RemoteValue::new(bytes(data), None)),
    }
}

fn versioned_value(versioned: &Versioned<'_>, target: &Target) -> Result<RemoteValue, Failure> {
    let version = versioned.metadata.version;
    match versioned.data {
        Some(data) if target.version.is_none_or(|asked| asked == version) => {
            Ok(RemoteValue::new(bytes(data), Some(version.to_string())))
        }
        // A server that ignores `version` must not pass another one off as it.
        Some(_) => Err(no_versions()),
        None => Err(gone(&versioned.metadata)),
    }
}

/// Asking an engine without versions for one.
pub(crate) fn no_versions() -> Failure {
    Failure::new(Class::Invalid, "a version is asked for, but this secrets engine keeps none")
}

/// Which of the three things a 404 means (beside a mount that is not there, which the error words say).
pub(crate) fn not_found(body: &SecretBytes, target: &Target) -> Failure {
    let deleted = data(body).ok().flatten().and_then(|data| serde_json::from_str::<Versioned<'_>>(data.get()).ok());
    match (deleted, target.version) {
        (Some(versioned), _) => gone(&versioned.metadata),
        (None, Some(version)) => Failure::new(
            Class::NotFound,
            format!("there is no version {version} of it, or no such secret at all (path {})", target.path),
        ),
        (None, None) => Failure::new(Class::NotFound, format!("there is no secret at the path {}", target.path)),
    }
}

fn gone(metadata: &Metadata) -> Failure {
    let version = metadata.version;
    if metadata.destroyed {
        return Failure::new(Class::NotFound, format!("version {version} was destroyed for good"));
    }
    // A time in RFC 3339; anything longer is none.
    let when: String = metadata.deletion_time.chars().take(40).collect();
    let failure = Failure::new(Class::NotFound, format!("version {version} was deleted (at {when})"));
    failure.with_hint("undelete it, ask for another version or write a new one")
}

fn data(body: &SecretBytes) -> Result<Option<&RawValue>, Failure> {
    let envelope: Envelope<'_> = serde_json::from_slice(body.expose())
        .map_err(|_| Failure::new(Class::Unavailable, "the server's answer is not JSON as Vault gives it"))?;
    Ok(envelope.data)
}

fn bytes(data: &RawValue) -> SecretBytes {
    SecretBytes::new(data.get().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use strongroom_provider::Facet;

    use super::*;

    fn target(form: Form, version: Option<u64>) -> Target {
        Target { path: "secret/data/app".to_owned(), form, version, facet: Facet::Value }
    }

    fn read(body: &str, form: Form, version: Option<u64>) -> Result<(String, Option<String>), String> {
        let read = value(&SecretBytes::from(body.to_owned()), &target(form, version));
        read.map(|read| (read.value.expose_text().unwrap().to_owned(), read.version)).map_err(|error| error.to_string())
    }

    const META: &str =
        r#""metadata":{"created_time":"t","custom_metadata":null,"deletion_time":"","destroyed":false,"version":3}"#;

    #[test]
    fn the_value_is_the_text_that_the_server_sent() {
        let ok = |text: &str, version: Option<&str>| Ok((text.to_owned(), version.map(str::to_owned)));
        let exact = r#"{"z": 1.50, "a":9007199254740993, "e":"é\u00e9"}"#;
        let two = format!(r#"{{"request_id":"r","data":{{"data":{exact},{META}}},"warnings":null}}"#);
        assert_eq!(read(&two, Form::Versioned, None), ok(exact, Some("3")));
        assert_eq!(read(&two, Form::PerhapsVersioned, Some(3)), ok(exact, Some("3")));
        let one = format!(r#"{{"data":{exact}}}"#);
        assert_eq!(read(&one, Form::Plain, None), ok(exact, None));
        assert_eq!(read(&one, Form::PerhapsVersioned, None), ok(exact, None));
        // A secret of version 1 that looks half like version 2 stays whole.
        let alike = r#"{"data":{"a":1},"metadata":{"owner":"x"}}"#;
        assert_eq!(read(&format!(r#"{{"data":{alike}}}"#), Form::PerhapsVersioned, None), ok(alike, None));
    }

    #[test]
    fn an_answer_of_another_version_is_not_taken() {
        let two = format!(r#"{{"data":{{"data":{{"k":"canary"}},{META}}}}}"#);
        for (body, form) in [(two.as_str(), Form::Versioned), (r#"{"data":{"k":"canary"}}"#, Form::PerhapsVersioned)] {
            let words = read(body, form, Some(2)).unwrap_err();
            assert!(words.contains("keeps none") && !words.contains("canary"), "{words}");
        }
    }

    #[test]
    fn bodies_without_data_are_errors_that_do_not_quote_them() {
        for body in [r#"{"data":null}"#, "{}", "canary", r#"{"data":"canary""#, "", r#"{"data":{"k":"canary"}}"#] {
            let words = read(body, Form::Versioned, None).unwrap_err();
            assert!(!words.contains("canary"), "{words}");
        }
    }

    #[test]
    fn a_404_means_one_of_three_things() {
        let check = |body: &str, version: Option<u64>, expected: &str| {
            let failure = not_found(&SecretBytes::from(body.to_owned()), &target(Form::Versioned, version));
            assert_eq!(failure.class, Class::NotFound);
            assert_eq!(failure.words, expected);
        };
        check(r#"{"errors":[]}"#, None, "there is no secret at the path secret/data/app");
        check(
            r#"{"errors":[]}"#,
            Some(9),
            "there is no version 9 of it, or no such secret at all (path secret/data/app)",
        );
        let deleted = |time: &str, destroyed: bool| {
            format!(
                r#"{{"data":{{"data":null,"metadata":{{"created_time":"c","deletion_time":"{time}","destroyed":{destroyed},"version":2}}}}}}"#
            )
        };
        check(&deleted("2026-01-01T00:00:00Z", false), None, "version 2 was deleted (at 2026-01-01T00:00:00Z)");
        check(&deleted("", true), Some(2), "version 2 was destroyed for good");
    }
}
