//! Requests and answers as HTTP carries them (governance.md §10.1, §10.8).

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use strongroom_http::{HeaderMap, HeaderValue, Method, Received, Reply, ReplyBody, StatusCode, header, json_body};
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;

use crate::exchange::{Auth, Fault, Request, Response, Wrapped};
use crate::members::{Members, duration};

/// The largest body, in bytes: Vault's.
pub(crate) const LARGEST_BODY: usize = 32 << 20;

const API: &str = "/v1/";
const NAMESPACE: &str = "x-vault-namespace";
const WRAP: &str = "x-vault-wrap-ttl";
const TOKEN: &str = "x-vault-token";

/// The request that came, or the answer where it is none.
///
/// # Errors
/// What is wrong, ready to be sent.
pub(crate) fn request(received: &Received, id: String, now: Timestamp) -> Result<Request, Reply> {
    let raw = received.uri.path();
    if let Some(place) = cleaned(raw) {
        return Err(redirect(&place, received.uri.query()));
    }
    let mut path = path(raw).map_err(|fault| failed(&fault))?;
    let fields = move || -> Result<Request, Fault> {
        let query = query(received.uri.query().unwrap_or_default())?;
        let operation = operation(&received.method, &query)?;
        match (operation, path.ends_with('/')) {
            // Lists are of folders, also where a client leaves the slash out: policies name what is in them.
            (Operation::List | Operation::Scan, false) if !path.is_empty() => path.push('/'),
            // A policy would take it for another path than the engine.
            (operation, true) if !matches!(operation, Operation::List | Operation::Scan) => return Err(Fault::absent()),
            _ => {}
        }
        let has_body = !matches!(operation, Operation::Read | Operation::List | Operation::Scan);
        let mut data = if has_body { Members::parse(received.body.expose())? } else { Members::default() };
        // A deletion names its versions behind the question mark or in its body.
        if !has_body || (operation == Operation::Delete && data.expose().is_empty()) {
            data = query.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        }
        if text(&received.headers, NAMESPACE)?.is_some_and(|name| !matches!(name.trim_matches('/'), "" | "root")) {
            return Err(Fault::no_handler(&path));
        }
        Ok(Request {
            id,
            path,
            operation,
            data,
            token: token(&received.headers)?,
            wrap_time: wrap_time(&received.headers)?,
            content_type: content_type(&received.headers),
            peer: received.peer.address,
            address: received.peer.address.ip().to_canonical().to_string(),
            now,
        })
    };
    fields().map_err(|fault| failed(&fault))
}

/// Where a path leads that another writes more simply: clients are sent there, as Go's server sends them.
fn cleaned(raw: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    for segment in raw.split('/').skip(1) {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let slash = if raw.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let clean = format!("/{}{slash}", kept.join("/"));
    (clean != raw).then_some(clean)
}

/// The answer of a server that is not the active one: the same path and query at the one that is.
pub(crate) fn elsewhere(address: &str, received: &Received) -> Reply {
    let base = address.trim_end_matches('/');
    redirect(&format!("{base}{}", received.uri.path()), received.uri.query())
}

fn redirect(place: &str, query: Option<&str>) -> Reply {
    let place = query.map_or_else(|| place.to_owned(), |query| format!("{place}?{query}"));
    let location = HeaderValue::try_from(place).map(|place| (header::LOCATION, place));
    Reply {
        status: StatusCode::TEMPORARY_REDIRECT,
        headers: location.into_iter().collect(),
        body: SecretBytes::default().into(),
    }
}

/// The path below `/v1/`, decoded once. What still means another place after that is refused: policies and engines
/// would not read it alike.
fn path(raw: &str) -> Result<String, Fault> {
    let Some(encoded) = raw.strip_prefix(API) else {
        return Err(Fault { errors: Vec::new(), ..Fault::absent() });
    };
    let decoded = percent_decode_str(encoded).decode_utf8();
    let path = decoded.map_err(|_| Fault::invalid("the path is not UTF-8"))?.into_owned();
    let is_tricky = |(place, segment): (usize, &str)| match segment {
        "." | ".." => true,
        // The one behind a slash at the end.
        "" => place == 0 || place + 1 < path.split('/').count(),
        segment => segment.chars().any(char::is_control),
    };
    match path.split('/').enumerate().any(is_tricky) && !path.is_empty() {
        true => Err(Fault::invalid("the path has an empty segment, a dot segment or a control character")),
        false => Ok(path),
    }
}

fn query(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let part = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
        decoded.map_err(|_| Fault::invalid("a parameter behind the question mark is not UTF-8"))
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((part(name)?, part(value)?))
        })
        .collect()
}

fn operation(method: &Method, query: &[(String, String)]) -> Result<Operation, Fault> {
    let flag = |name: &str| -> Result<bool, Fault> {
        match query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()) {
            None | Some("" | "false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some(_) => Err(Fault { status: StatusCode::BAD_REQUEST, ..Fault::absent() }),
        }
    };
    match method.as_str() {
        "GET" | "HEAD" if flag("list")? => Ok(Operation::List),
        "GET" | "HEAD" if flag("scan")? => Ok(Operation::Scan),
        "GET" | "HEAD" => Ok(Operation::Read),
        "LIST" => Ok(Operation::List),
        "SCAN" => Ok(Operation::Scan),
        "PUT" | "POST" => Ok(Operation::Update),
        "PATCH" => Ok(Operation::Patch),
        "DELETE" => Ok(Operation::Delete),
        _ => Err(Fault { status: StatusCode::METHOD_NOT_ALLOWED, ..Fault::absent() }),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Fault> {
    let value = headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| Fault::invalid(format!("the header {name} is not plain text")))
}

/// `X-Vault-Token`, or else `Authorization: Bearer`, whose word is written with a capital letter.
fn token(headers: &HeaderMap) -> Result<Option<SecretBytes>, Fault> {
    let given = match text(headers, TOKEN)? {
        Some(token) => Some(token),
        None => text(headers, header::AUTHORIZATION.as_str())?.and_then(|value| value.strip_prefix("Bearer ")),
    };
    let given = given.map(str::trim).filter(|token| !token.is_empty());
    Ok(given.map(|token| SecretBytes::from(token.to_owned())))
}

fn wrap_time(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let Some(value) = text(headers, WRAP)? else { return Ok(None) };
    let time = duration(value).ok_or_else(|| Fault::invalid("error parsing X-Vault-Wrap-TTL: it is no duration"))?;
    Ok(Some(time).filter(|time| !time.is_zero()))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// An answer that succeeded.
pub(crate) fn answered(id: &str, response: Response) -> Reply {
    let status = response.status();
    if status == StatusCode::NO_CONTENT {
        return Reply { status, headers: Vec::new(), body: SecretBytes::default().into() };
    }
    if let Some((content_type, text)) = response.text {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        return Reply { status, headers: vec![kind], body: SecretBytes::from(text).into() };
    }
    match (&response.data, response.is_bare, response.stream) {
        (_, _, Some(parts)) => {
            let bytes = (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            Reply { status, headers: vec![bytes], body: ReplyBody::Parts(parts) }
        }
        (Some(data), true, None) => reply(status, data.expose()),
        (_, _, None) => reply(status, &Envelope { id, response: &Response { stream: None, text: None, ..response } }),
    }
}

/// An answer that failed.
pub(crate) fn failed(fault: &Fault) -> Reply {
    let mut body = Map::new();
    match &fault.data {
        Some(data) => return with_data(fault, data),
        None => drop(body.insert("errors".to_owned(), json!(fault.errors))),
    }
    if !fault.warnings.is_empty() {
        body.insert("warnings".to_owned(), json!(fault.warnings));
    }
    reply(fault.status, &body)
}

/// A failure whose data are answered all the same, in the envelope of a success.
fn with_data(fault: &Fault, data: &Members) -> Reply {
    let warnings = fault.warnings.clone();
    let response = Response { data: Some(data.clone()), warnings, ..Response::default() };
    reply(fault.status, &Envelope { id: "", response: &response })
}

fn reply<T: serde::Serialize + ?Sized>(status: StatusCode, body: &T) -> Reply {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match json_body(body) {
        Ok(body) => Reply { status, headers: vec![json], body: with_newline(body).into() },
        Err(_) => Reply {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            headers: vec![json],
            body: SecretBytes::new(br#"{"errors":["internal error"]}"#.to_vec()).into(),
        },
    }
}

fn with_newline(body: SecretBytes) -> SecretBytes {
    let mut bytes = Vec::with_capacity(body.len() + 1);
    bytes.extend_from_slice(body.expose());
    bytes.push(b'\n');
    SecretBytes::new(bytes)
}

/// The answer to what never became a request.
pub(crate) fn refused(status: StatusCode, words: &str) -> Reply {
    failed(&Fault::new(status, words))
}

/// What surrounds data.
struct Envelope<'a> {
    id: &'a str,
    response: &'a Response,
}

impl serde::Serialize for Envelope<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let Response { data, repeats_data, auth, unwrapped_auth, wrapped, lease, warnings, .. } = self.response;
        let mut map = serializer.serialize_map(None)?;
        // Nobody but the unwrapper is to know which request it was.
        map.serialize_entry("request_id", if wrapped.is_some() { "" } else { self.id })?;
        let (id, is_renewable, time) = lease
            .as_ref()
            .map_or(("", false, Duration::ZERO), |lease| (lease.id.as_str(), lease.is_renewable, lease.time));
        map.serialize_entry("lease_id", id)?;
        map.serialize_entry("renewable", &is_renewable)?;
        map.serialize_entry("lease_duration", &time.as_secs())?;
        map.serialize_entry("data", &data.as_ref().map(Members::expose))?;
        map.serialize_entry("wrap_info", &wrapped.as_ref().map(wrap_info))?;
        map.serialize_entry("warnings", &Some(warnings).filter(|warnings| !warnings.is_empty()))?;
        match unwrapped_auth {
            Some(auth) => map.serialize_entry("auth", auth.expose())?,
            None => map.serialize_entry("auth", &auth.as_ref().map(Auth::members))?,
        }
        if let (true, Some(data)) = (repeats_data, data) {
            for (name, value) in data.expose() {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

fn wrap_info(wrapped: &Wrapped) -> Map<String, Value> {
    let shown = json!({
        "token": wrapped.token.expose_text().unwrap_or_default(),
        "accessor": wrapped.accessor,
        "ttl": wrapped.ttl,
        "creation_time": wrapped.creation_time.to_string(),
        "creation_path": wrapped.creation_path,
    });
    let mut shown = match shown {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    if let Some(accessor) = &wrapped.wrapped_accessor {
        shown.insert("wrapped_accessor".to_owned(), json!(accessor));
    }
    shown
}
