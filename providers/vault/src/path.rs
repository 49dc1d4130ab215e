use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Facet, RemoteKey, Version};

use crate::{KvVersion, Settings};

/// What a path segment is sent without encoding: RFC 3986's unreserved characters, and the slashes between segments.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What one key asks of the server, as far as that is known without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The path below `/v1/` without slashes around it: the API's own form where `form` says so.
    pub(crate) path: String,
    pub(crate) form: Form,
    /// A numbered version; the current one without it.
    pub(crate) version: Option<u64>,
    /// The secret, or what the engine says about it.
    pub(crate) facet: Facet,
}

/// How `path` becomes the API's path, and its answer a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A path in the API's form, KV version 2.
    Versioned,
    /// A path that is read as it is: KV version 1 or another engine.
    Plain,
    /// `MOUNT/data/PATH`: read as it is; whether it was KV version 2 shows in the answer.
    PerhapsVersioned,
    /// The mount's engine decides.
    Unknown,
    /// A write of this JSON object, which makes the store answer with data.
    Write(String),
}

/// Translates a key; the words of an error say what is wrong with it.
pub(crate) fn target(key: &RemoteKey, settings: &Settings) -> Result<Target, Failure> {
    let name = clean(&key.name)?;
    let (version, facet) = (version(key)?, key.facet);
    let mount = settings.mount.as_deref().map(|mount| mount.trim_matches('/'));
    let path = below_mount(name, mount);
    if let Some(body) = &key.request {
        return write_target(path, version, body);
    }
    let (path, form) = match settings.kv_version {
        Some(KvVersion::One) => (path, Form::Plain),
        Some(KvVersion::Two) => (versioned_key(name, mount, facet), Form::Versioned),
        None if path.split('/').nth(1) == Some("data") => {
            (versioned(&path, first_segment(&path), facet), Form::PerhapsVersioned)
        }
        // No secrets engine can be mounted there: nobody has to be asked which one it is.
        None if mount.is_none() && matches!(first_segment(&path), "auth" | "sys") => (path, Form::Plain),
        None => (path, Form::Unknown),
    };
    if facet == Facet::Metadata && form == Form::Plain {
        return Err(no_metadata());
    }
    Ok(Target { path, form, version, facet })
}

/// Asking an engine that keeps nothing about its secrets.
pub(crate) fn no_metadata() -> Failure {
    invalid("metadata is asked for, which only KV version 2 keeps")
}

fn write_target(path: String, version: Option<u64>, body: &str) -> Result<Target, Failure> {
    if version.is_some() {
        return Err(invalid("a request that makes a value has no version"));
    }
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(_)) => {
            Ok(Target { path, form: Form::Write(body.to_owned()), version: None, facet: Facet::Value })
        }
        _ => Err(invalid("the body of the request is not a JSON object")),
    }
}

/// A key in the API's form of KV version 2, by the rules of External Secrets Operator: written with its mount, it may be
/// in that form already; written without, it is a name. Where no mount is known, `/data/` tells where it ends.
fn versioned_key(name: &str, mount: Option<&str>, facet: Facet) -> String {
    match (mount, name.split_once("/data/")) {
        (Some(mount), _) if below(name, mount).is_some() => versioned(name, mount, facet),
        (Some(mount), _) => joined(&[mount, segment(facet), name]),
        (None, Some((mount, rest))) => joined(&[mount, segment(facet), rest]),
        (None, None) => versioned(name, first_segment(name), facet),
    }
}

/// `path`, which begins with `mount`, in the API's form of KV version 2, where it is not in that form already.
pub(crate) fn versioned(path: &str, mount: &str, facet: Facet) -> String {
    let Some(rest) = below(path, mount) else { return path.to_owned() };
    joined(&[mount, segment(facet), rest.strip_prefix("data/").unwrap_or(rest)])
}

/// What the API puts behind the mount.
pub(crate) fn segment(facet: Facet) -> &'static str {
    match facet {
        Facet::Value => "data",
        Facet::Metadata => "metadata",
    }
}

/// What follows `mount` in `path`, where it is below it.
pub(crate) fn below<'a>(path: &'a str, mount: &str) -> Option<&'a str> {
    path.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/'))
}

/// The parts with slashes between them, empty ones left out.
pub(crate) fn joined(parts: &[&str]) -> String {
    parts.iter().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

pub(crate) fn first_segment(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// The path as a URL carries it.
pub(crate) fn encoded(path: &str) -> Cow<'_, str> {
    utf8_percent_encode(path, ENCODED).into()
}

/// Parameters as they follow a path.
pub(crate) fn encoded_query(parameters: &BTreeMap<String, Vec<String>>) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = parameters.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// A path without slashes around it, where it means one place and no other.
pub(crate) fn clean(name: &str) -> Result<&str, Failure> {
    let path = name.trim_matches('/');
    if path.is_empty() {
        return Err(invalid("the path is empty"));
    }
    // The server would answer with a redirect to somewhere else, or worse, take it for another path.
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(invalid("the path has an empty segment, \".\" or \"..\""));
    }
    Ok(path)
}

fn below_mount(path: &str, mount: Option<&str>) -> String {
    match mount {
        Some(mount) if below(path, mount).is_none() => joined(&[mount, path]),
        _ => path.to_owned(),
    }
}

/// Which version: whoever cannot tell numbers from names hands over a number as a name.
fn version(key: &RemoteKey) -> Result<Option<u64>, Failure> {
    match &key.version {
        None => Ok(None),
        Some(Version::Id(number)) => version_number(number),
        Some(Version::Stage(name)) => {
            version_number(name).map_err(|_| invalid("Vault knows versions by number only, not by stage"))
        }
    }
}

/// A version's number; 0, -1 and nothing mean the current one, as the server and bank-vaults have it.
fn version_number(text: &str) -> Result<Option<u64>, Failure> {
    match text {
        "" | "-1" | "0" => Ok(None),
        _ => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(invalid(format!("\"{text}\" is not the number of a version"))),
        },
    }
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Auth, Credential, Token};

    fn settings(mount: Option<&str>, kv_version: Option<KvVersion>) -> Settings {
        let auth = Auth::Token(Token(Credential::File("/t".into())));
        let mount = mount.map(str::to_owned);
        Settings { mount, kv_version, ..Settings::new("http://v", auth) }
    }

    #[test]
    fn keys_become_paths() {
        use KvVersion::{One, Two};
        let check = |mount: Option<&str>, kv: Option<KvVersion>, name: &str, path: &str, form: Form| {
            let got = target(&RemoteKey::current(name), &settings(mount, kv)).unwrap();
            let facet = Facet::Value;
            assert_eq!(got, Target { path: path.to_owned(), form, version: None, facet }, "{mount:?} {kv:?} {name}");
        };
        check(None, None, "secret/app", "secret/app", Form::Unknown);
        check(None, None, "/secret/app/", "secret/app", Form::Unknown);
        check(None, None, "secret/data/app", "secret/data/app", Form::PerhapsVersioned);
        check(None, None, "secret/team/data/app", "secret/team/data/app", Form::Unknown);
        check(None, None, "auth/token/lookup-self", "auth/token/lookup-self", Form::Plain);
        check(None, None, "database/creds/x", "database/creds/x", Form::Unknown);
        check(None, Some(Two), "secret/app", "secret/data/app", Form::Versioned);
        check(None, Some(Two), "secret/data/app", "secret/data/app", Form::Versioned);
        check(None, Some(One), "secret/app", "secret/app", Form::Plain);
        check(Some("team/kv/"), Some(Two), "app", "team/kv/data/app", Form::Versioned);
        check(Some("team/kv"), Some(Two), "team/kv/app", "team/kv/data/app", Form::Versioned);
        check(Some("team/kv"), Some(Two), "team/kv/data/app", "team/kv/data/app", Form::Versioned);
        check(Some("team/kv"), Some(Two), "data/app", "team/kv/data/data/app", Form::Versioned);
        check(None, Some(Two), "team/kv/data/app", "team/kv/data/app", Form::Versioned);
        check(Some("kv"), Some(One), "kvx/app", "kv/kvx/app", Form::Plain);
        check(Some("kv"), None, "app", "kv/app", Form::Unknown);
    }

    #[test]
    fn metadata_lies_beside_the_data() {
        use KvVersion::{One, Two};
        let check = |mount: Option<&str>, kv: Option<KvVersion>, name: &str, expected: Result<(&str, Form), Class>| {
            let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(name) };
            let got = target(&key, &settings(mount, kv)).map(|got| (got.path, got.form)).map_err(|error| error.class);
            assert_eq!(got, expected.map(|(path, form)| (path.to_owned(), form)), "{mount:?} {kv:?} {name}");
        };
        check(Some("kv"), Some(Two), "team/app", Ok(("kv/metadata/team/app", Form::Versioned)));
        check(Some("kv"), Some(Two), "kv/data/team/app", Ok(("kv/metadata/team/app", Form::Versioned)));
        check(None, Some(Two), "team/kv/data/app", Ok(("team/kv/metadata/app", Form::Versioned)));
        check(None, Some(Two), "kv/app", Ok(("kv/metadata/app", Form::Versioned)));
        check(None, None, "kv/data/app", Ok(("kv/metadata/app", Form::PerhapsVersioned)));
        check(None, None, "kv/app", Ok(("kv/app", Form::Unknown)));
        check(Some("kv"), Some(One), "app", Err(Class::Invalid));
    }

    #[test]
    fn versions_are_numbers() {
        let version = |version| target(&RemoteKey::at("secret/app", version), &settings(None, None)).map(|t| t.version);
        let id = |text: &str| version(Version::Id(text.to_owned()));
        assert_eq!(id("3").unwrap(), Some(3));
        assert_eq!(id("-1").unwrap(), None);
        assert_eq!(id("0").unwrap(), None);
        assert!(id("latest").unwrap_err().words.contains("\"latest\""));
        assert_eq!(version(Version::Stage("3".to_owned())).unwrap(), Some(3));
        assert_eq!(version(Version::Stage("x".to_owned())).unwrap_err().class, Class::Invalid);
    }

    #[test]
    fn writes_need_an_object_and_no_version() {
        let key = |request: &str, version| RemoteKey {
            version,
            request: Some(request.to_owned()),
            ..RemoteKey::current("pki/issue/web")
        };
        let settings = settings(None, Some(KvVersion::Two));
        let written = target(&key(r#"{"common_name":"a"}"#, None), &settings).unwrap();
        assert_eq!(written.path, "pki/issue/web");
        assert_eq!(written.form, Form::Write(r#"{"common_name":"a"}"#.to_owned()));
        for wrong in [key("[]", None), key("{", None), key("{}", Some(Version::Id("1".to_owned())))] {
            assert_eq!(target(&wrong, &settings).unwrap_err().class, Class::Invalid);
        }
    }

    #[test]
    fn paths_that_mean_another_place_are_refused() {
        for name in ["", "/", "secret//app", "secret/../sys/seal", "secret/./app"] {
            assert_eq!(target(&RemoteKey::current(name), &settings(None, None)).unwrap_err().class, Class::Invalid);
        }
    }

    #[test]
    fn paths_are_encoded_for_the_wire() {
        assert_eq!(encoded("secret/a b/ü?#%"), "secret/a%20b/%C3%BC%3F%23%25");
        assert_eq!(encoded("secret/data/a-b_c.d~e"), "secret/data/a-b_c.d~e");
    }
}
