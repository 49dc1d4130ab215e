//! From templates and data to a request. Pure, but for the time that templates see.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use strongroom_failure::{Class, Failure};
use strongroom_http::{HeaderName, Method, Request, Uri, header, secret_header};
use strongroom_secret::SecretBytes;
use strongroom_template::{Template, Value};

use crate::data::Data;
use crate::webhook::Settings;

/// What people write into addresses as it is and Go's client escapes.
const ADDRESS: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Headers that belong to the connection: Go's client ignores the first four as well, and two words about a body's
/// length would let a request pretend to be two.
const NOT_OURS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
];

/// Parses every template once, so that a mistake shows before a key is read.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    parsed("url", &settings.url)?;
    parsed("body", &settings.body)?;
    parsed("result.jsonPath", &settings.json_path)?;
    method(&settings.method)?;
    for (name, template) in &settings.headers {
        header_name(name)?;
        parsed(&format!("headers.{name}"), template)?;
    }
    Ok(())
}

/// The request for one key, or for none.
pub(crate) fn request(settings: &Settings, data: &Data) -> Result<Request<SecretBytes>, Failure> {
    let mut request = Request::new(rendered("body", &settings.body, &data.plain)?);
    *request.method_mut() = method(&settings.method)?;
    *request.uri_mut() = address(&rendered("url", &settings.url, &data.escaped)?)?;
    for (name, template) in &settings.headers {
        let field = format!("headers.{name}");
        let value = rendered(&field, template, &data.plain)?;
        let name = header_name(name)?;
        if NOT_OURS.contains(&name) {
            continue;
        }
        let trimmed = SecretBytes::new(value.expose().trim_ascii().to_vec());
        let value = secret_header("", &trimmed).map_err(|error| Failure::from(error).in_field(field))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// Where in the answer the value is; empty where all of it is the value.
pub(crate) fn json_path(settings: &Settings, data: &Data) -> Result<String, Failure> {
    let rendered = rendered("result.jsonPath", &settings.json_path, &data.plain)?;
    let path = rendered.expose_text().map(|path| path.trim().to_owned());
    path.ok_or_else(|| invalid("result.jsonPath", "the template gives no text"))
}

fn parsed(field: &str, text: &str) -> Result<Template, Failure> {
    // Anew each time: `now` is the time of the request.
    let settings = strongroom_template::Settings::at(Timestamp::now());
    Template::parse(field, text, &settings).map_err(|failure| Failure::from(failure).in_field(field))
}

fn rendered(field: &str, text: &str, data: &Value) -> Result<SecretBytes, Failure> {
    if text.is_empty() {
        return Ok(SecretBytes::default());
    }
    parsed(field, text)?.render(data).map_err(|failure| Failure::from(failure).in_field(field))
}

fn method(name: &str) -> Result<Method, Failure> {
    if name.is_empty() {
        return Ok(Method::GET);
    }
    Method::from_bytes(name.to_ascii_uppercase().as_bytes()).map_err(|_| invalid("method", "this is no HTTP method"))
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::try_from(name).map_err(|_| invalid("headers", "this is no name of an HTTP header"))
}

fn address(rendered: &SecretBytes) -> Result<Uri, Failure> {
    let no_address = || invalid("url", "the template gives no address that begins with http:// or https://");
    let text = rendered.expose_text().ok_or_else(no_address)?.trim();
    let address: Uri = utf8_percent_encode(text, ADDRESS).to_string().parse().map_err(|_| no_address())?;
    match address.scheme_str() {
        Some("http" | "https") => Ok(address),
        _ => Err(no_address()),
    }
}

fn invalid(field: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use strongroom_provider::{RemoteKey, Version};

    use super::*;

    fn data() -> Data {
        let key = RemoteKey {
            property: Some("user name".to_owned()),
            ..RemoteKey::at("team/app", Version::Stage("v1".to_owned()))
        };
        let secret = [("token".to_owned(), SecretBytes::from("canary\n".to_owned()))].into();
        Data::of(Some(&key), "team-a", &[("auth".to_owned(), secret)].into())
    }

    #[test]
    fn templates_make_the_request() {
        let settings = Settings {
            method: "post".to_owned(),
            url: "https://api/{{ .remoteRef.key }}?p={{ .remoteRef.property }}&v={{ .remoteRef.version }}".to_owned(),
            headers: BTreeMap::from(
                [("X-Token", "Bearer {{ .auth.token }}"), ("X-Namespace", "{{ .remoteRef.namespace }}")]
                    .map(|(name, text)| (name.to_owned(), text.to_owned())),
            ),
            body: r#"{"key":"{{ .remoteRef.key }}","property":"{{ .remoteRef.property }}"}"#.to_owned(),
            json_path: "$.{{ .remoteRef.version }}".to_owned(),
            ..Settings::default()
        };
        check(&settings).unwrap();
        let request = request(&settings, &data()).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://api/team%2Fapp?p=user+name&v=v1");
        assert_eq!(request.headers()["x-token"].as_bytes(), b"Bearer canary");
        assert!(request.headers()["x-token"].is_sensitive());
        assert_eq!(request.headers()["x-namespace"].as_bytes(), b"team-a");
        assert_eq!(request.body().expose_text(), Some(r#"{"key":"team/app","property":"user name"}"#));
        assert_eq!(json_path(&settings, &data()).unwrap(), "$.v1");
    }

    #[test]
    fn addresses_are_escaped_as_go_does_and_checked() {
        let check = |url: &str, expected: Option<&str>| {
            let settings = Settings { url: url.to_owned(), ..Settings::default() };
            let got = request(&settings, &data()).map(|request| request.uri().to_string());
            assert_eq!(got.as_deref().ok(), expected, "{url}");
            if let Err(failure) = got {
                assert!(!failure.to_string().contains("canary"), "{failure}");
            }
        };
        check(" https://api/a b\n", Some("https://api/a%20b"));
        check("https://api/é%2F", Some("https://api/%C3%A9%2F"));
        check("http://api?q={{ .remoteRef.key }}", Some("http://api/?q=team%2Fapp"));
        check("file:///canary", None);
        check("//canary", None);
        check("{{ .auth.token }}", None);
        check("", None);
        check("https://api/{{ .auth.missing }}", None);
    }

    #[test]
    fn mistakes_show_before_a_key_is_read() {
        let check = |settings: Settings, field: &str| {
            let failure = check(&settings).unwrap_err();
            assert_eq!(failure.subject.field.as_deref(), Some(field), "{failure}");
            assert!(!failure.to_string().contains("canary"), "{failure}");
        };
        let broken = || "{{ \"canary\" ".to_owned();
        check(Settings { url: broken(), ..Settings::default() }, "url");
        check(Settings { body: broken(), ..Settings::default() }, "body");
        check(Settings { json_path: broken(), ..Settings::default() }, "result.jsonPath");
        check(Settings { method: "G T".to_owned(), ..Settings::default() }, "method");
        check(Settings { headers: [("x y".to_owned(), String::new())].into(), ..Settings::default() }, "headers");
        check(Settings { headers: [("x".to_owned(), broken())].into(), ..Settings::default() }, "headers.x");
    }

    #[test]
    fn a_template_does_not_frame_the_request() {
        let headers =
            ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Trailer", "X-Own"];
        let settings = Settings {
            url: "http://api/".to_owned(),
            headers: headers.map(|name| (name.to_owned(), "1".to_owned())).into(),
            ..Settings::default()
        };
        let request = request(&settings, &data()).unwrap();
        assert_eq!(request.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-own"]);
        let split = Settings { headers: [("X".to_owned(), "a\r\nB: c".to_owned())].into(), ..settings };
        assert_eq!(super::request(&split, &data()).unwrap_err().class, Class::Invalid);
    }
}
