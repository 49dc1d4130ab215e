//! Addresses as Go's `net/url` takes them apart and puts them together.

use std::net::Ipv6Addr;

/// An address's parts, decoded; `query` and `opaque` as they were written.
#[derive(Clone, Default)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    pub(crate) opaque: String,
    /// Name and password, percent-encoded.
    pub(crate) userinfo: Option<String>,
    pub(crate) host: String,
    pub(crate) path: Vec<u8>,
    pub(crate) query: String,
    pub(crate) fragment: Vec<u8>,
}

/// The part of an address that is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Path,
    Userinfo,
    Host,
    Query,
    Fragment,
}

/// Takes `text` apart; the reason where it is no address, without the text.
pub(crate) fn parse(text: &str) -> Result<Url, &'static str> {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("invalid control character in URL");
    }
    let mut url = Url { fragment: decode(fragment)?, ..Url::default() };
    if text == "*" {
        url.path = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (mut rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    url.query = query.to_owned();
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon");
        }
    }
    let has_authority = !url.scheme.is_empty() || !rest.starts_with("///");
    if let Some(after) = rest.strip_prefix("//").filter(|_| has_authority) {
        let end = after.find('/').unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(self::userinfo(userinfo)?), host),
            None => (None, authority),
        };
        url.userinfo = userinfo;
        url.host = self::host(host)?;
        rest = path;
    }
    url.path = decode(rest)?;
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), &'static str> {
    for (index, letter) in text.char_indices() {
        match letter {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return Err("missing protocol scheme"),
            ':' => return Ok((text.get(..index).unwrap_or_default(), text.get(index + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok(("", text))
}

/// Name and password, encoded as they are printed.
pub(crate) fn userinfo(text: &str) -> Result<String, &'static str> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(letter);
    if !text.chars().all(is_allowed) {
        return Err("invalid userinfo");
    }
    let encoded = |part: &str| decode(part).map(|bytes| encode(&bytes, Part::Userinfo));
    Ok(match text.split_once(':') {
        Some((name, password)) => format!("{}:{}", encoded(name)?, encoded(password)?),
        None => encoded(text)?,
    })
}

fn host(text: &str) -> Result<String, &'static str> {
    let port = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, port) = inner.rsplit_once(']').ok_or("missing ']' in host")?;
            let address = address.split_once("%25").map_or(address, |(address, _)| address);
            address.parse::<Ipv6Addr>().map_err(|_| "invalid host")?;
            port
        }
        None if text.contains('[') => return Err("invalid IP-literal"),
        None => text.rfind(':').and_then(|at| text.get(at..)).unwrap_or_default(),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || (port == digits && !port.is_empty()) {
        return Err("invalid port after host");
    }
    if text.bytes().any(|byte| byte.is_ascii() && byte != b'%' && is_encoded(byte, Part::Host)) {
        return Err("invalid character in host name");
    }
    String::from_utf8(decode(text)?).map_err(|_| "invalid character in host name")
}

/// The host without its port and brackets.
pub(crate) fn hostname(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']').map_or(inner, |(address, _)| address),
        None => match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        },
    }
}

/// Puts an address together.
pub(crate) fn join(url: &Url) -> Vec<u8> {
    let mut made = String::new();
    if !url.scheme.is_empty() {
        made.push_str(&url.scheme);
        made.push(':');
    }
    if url.opaque.is_empty() {
        let path = encode(&url.path, Part::Path);
        if !url.scheme.is_empty() || !url.host.is_empty() || url.userinfo.is_some() {
            if !url.host.is_empty() || !url.path.is_empty() || url.userinfo.is_some() {
                made.push_str("//");
            }
            if let Some(userinfo) = &url.userinfo {
                made.push_str(userinfo);
                made.push('@');
            }
            made.push_str(&encode(url.host.as_bytes(), Part::Host));
        }
        if !path.is_empty() && !path.starts_with('/') && !url.host.is_empty() {
            made.push('/');
        }
        // A first segment with a colon would be taken for a scheme.
        if made.is_empty() && path.split('/').next().is_some_and(|segment| segment.contains(':')) {
            made.push_str("./");
        }
        made.push_str(&path);
    } else {
        made.push_str(&url.opaque);
    }
    if !url.query.is_empty() {
        made.push('?');
        made.push_str(&url.query);
    }
    if !url.fragment.is_empty() {
        made.push('#');
        made.push_str(&encode(&url.fragment, Part::Fragment));
    }
    made.into_bytes()
}

/// Percent-decodes.
fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut made = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            made.push(*first);
            rest = after;
            continue;
        }
        let code = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok()).ok_or("invalid URL escape")?;
        made.push(u8::from_str_radix(code, 16).map_err(|_| "invalid URL escape")?);
        rest = after.get(2..).unwrap_or_default();
    }
    Ok(made)
}

/// Percent-encodes what `part` does not hold as it is.
pub(crate) fn encode(bytes: &[u8], part: Part) -> String {
    let mut made = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' ' if part == Part::Query => made.push('+'),
            _ if is_encoded(*byte, part) => made.push_str(&format!("%{byte:02X}")),
            _ => made.push(char::from(*byte)),
        }
    }
    made
}

fn is_encoded(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let kept: &[u8] = match part {
        Part::Host => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::Userinfo => b"$&+,;=",
        Part::Query => b"",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !kept.contains(&byte)
}
