use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::Error;

/// Which proxy, if any, stands before which host.
///
/// `NO_PROXY` entries are names (with their subdomains), `*`, addresses, networks (`10.0.0.0/8`), each but networks
/// with an optional `:PORT`. Loopback is not special: who sets a proxy and wants it left out for localhost names it.
#[derive(Clone, Default)]
pub struct Proxy(Option<Arc<Rules>>);

struct Rules {
    matcher: Matcher,
    /// `NO_PROXY` entries with a port, each with the rule for its host alone.
    with_port: Vec<(Matcher, u16)>,
}

/// The proxy to take for one request.
#[derive(Clone)]
pub struct Hop {
    /// Where the proxy listens: `http://` or `https://`, without user and password.
    pub uri: Uri,
    /// The value of `Proxy-Authorization`, where the proxy's address carried a user.
    pub authorization: Option<HeaderValue>,
}

impl Proxy {
    /// No proxy at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Proxies for `http` and `https` targets, except for the hosts of the comma-separated list `no_proxy`.
    ///
    /// # Errors
    /// Where an address is none, or names a kind of proxy other than HTTP (SOCKS); a silently ignored proxy would
    /// send requests where nobody wants them.
    pub fn new(http: Option<&str>, https: Option<&str>, no_proxy: &str) -> Result<Self, Error> {
        let set = |address: Option<&str>| address.filter(|address| !address.is_empty()).map(checked).transpose();
        let (http, https) = (set(http)?, set(https)?);
        if http.is_none() && https.is_none() {
            return Ok(Self::none());
        }
        let mut portless = Vec::new();
        let mut with_port = Vec::new();
        for entry in no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let entry = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
            match split_port(entry) {
                Some((host, port)) => with_port.push((excluding(host), port)),
                None => portless.push(bare(entry)),
            }
        }
        let matcher = Matcher::builder()
            .http(http.unwrap_or_default())
            .https(https.unwrap_or_default())
            .no(portless.join(","))
            .build();
        Ok(Self(Some(Arc::new(Rules { matcher, with_port }))))
    }

    /// The rules of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, upper case before lower case.
    /// `HTTP_PROXY` is left out where `REQUEST_METHOD` is set: there it is a request's header (CGI).
    ///
    /// # Errors
    /// Where a variable holds no proxy's address; it is named.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let find = |name: &str| {
            let found = lookup(name).or_else(|| lookup(&name.to_ascii_lowercase())).filter(|value| !value.is_empty());
            match found.as_deref().map(checked) {
                Some(Err(error)) => Err(Error::invalid(format!("{name}: {error}"))),
                _ => Ok(found),
            }
        };
        let all = find("ALL_PROXY")?;
        let http = if lookup("REQUEST_METHOD").is_some() { None } else { find("HTTP_PROXY")?.or_else(|| all.clone()) };
        let https = find("HTTPS_PROXY")?.or(all);
        let no_proxy = lookup("NO_PROXY").or_else(|| lookup("no_proxy")).unwrap_or_default();
        Self::new(http.as_deref(), https.as_deref(), &no_proxy)
    }

    /// The proxy to take to `target`; `None` for the direct way.
    pub fn hop(&self, target: &Uri) -> Option<Hop> {
        let rules = self.0.as_ref()?;
        let port = port_of(target);
        let intercept = rules.matcher.intercept(target)?;
        let left_out = |(rule, excluded): &(Matcher, u16)| *excluded == port && rule.intercept(target).is_none();
        if rules.with_port.iter().any(left_out) {
            return None;
        }
        Some(Hop { uri: intercept.uri().clone(), authorization: intercept.basic_auth().cloned() })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => formatter.write_str("Proxy(none)"),
            // The matcher's own Debug leaves user and password out.
            Some(rules) => formatter.debug_tuple("Proxy").field(&rules.matcher).finish(),
        }
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hop({})", self.uri)
    }
}

/// The port that a request to `target` goes to.
pub(crate) fn port_of(target: &Uri) -> u16 {
    target.port_u16().unwrap_or(if target.scheme_str() == Some("https") { 443 } else { 80 })
}

/// `address` if it is a proxy's; the words show neither user nor password.
fn checked(address: &str) -> Result<String, Error> {
    let uri: Uri = address.parse().map_err(|_| Error::invalid("this is not a proxy's address"))?;
    match uri.scheme_str() {
        None | Some("http" | "https") if uri.authority().is_some_and(|authority| !authority.host().is_empty()) => {
            Ok(address.to_owned())
        }
        None | Some("http" | "https") => Err(Error::invalid("this is not a proxy's address")),
        Some(other) => {
            Err(Error::invalid(format!("proxies of the kind {other}:// are not supported, only http and https")))
        }
    }
}

/// A rule that lets every request through a proxy except those to `host`.
fn excluding(host: &str) -> Matcher {
    Matcher::builder().all("http://proxy.invalid").no(bare(host)).build()
}

/// Host and port of an entry such as `db.internal:8443` or `[::1]:80`; a bare IPv6 address has no port.
fn split_port(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let is_bare_v6 = host.contains(':') && !host.ends_with(']');
    if is_bare_v6 { None } else { Some((host, port.parse().ok()?)) }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<Proxy, Error> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Proxy::from_environment(&move |name| {
            pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn the_environment_says_which_proxy_stands_before_which_host() {
        let check = |pairs: &[(&str, &str)], target: &str, expected: Option<&str>| {
            let hop = environment(pairs).unwrap().hop(&target.parse().unwrap());
            assert_eq!(hop.map(|hop| hop.uri.to_string()).as_deref(), expected, "{pairs:?} {target}");
        };
        let https = ("HTTPS_PROXY", "http://p:3128");
        check(&[], "https://a", None);
        check(&[https], "https://a", Some("http://p:3128/"));
        check(&[https], "http://a", None);
        check(&[("https_proxy", "p:3128")], "https://a", Some("http://p:3128/"));
        check(&[("ALL_PROXY", "https://p")], "http://a", Some("https://p/"));
        check(&[("HTTP_PROXY", "http://p"), ("REQUEST_METHOD", "GET")], "http://a", None);
        check(&[("HTTP_PROXY", "")], "http://a", None);
        for (no_proxy, target, direct) in [
            ("a.b", "https://a.b", true),
            ("a.b", "https://x.a.b", true),
            (".a.b", "https://x.a.b", true),
            ("*.a.b", "https://x.a.b", true),
            ("a.b", "https://xa.b", false),
            ("*", "https://a", true),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("::1", "https://[::1]", true),
            ("[::1]:444", "https://[::1]:444", true),
            ("[::1]:444", "https://[::1]", false),
            ("a.b:8443", "https://a.b:8443", true),
            ("a.b:8443", "https://a.b", false),
            (" x , a.b:443 ", "https://a.b", true),
        ] {
            check(&[https, ("NO_PROXY", no_proxy)], target, (!direct).then_some("http://p:3128/"));
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable() {
        for address in ["socks5://p:1080", "http://", "::", "http://user:canary@"] {
            let error = environment(&[("HTTPS_PROXY", address)]).unwrap_err();
            assert!(error.to_string().starts_with("HTTPS_PROXY: "), "{error}");
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn credentials_go_to_the_proxy_and_into_no_output() {
        let proxy = environment(&[("HTTPS_PROXY", "http://user:canary%21@p:3128")]).unwrap();
        let hop = proxy.hop(&"https://a".parse().unwrap()).unwrap();
        assert_eq!(hop.authorization.as_ref().unwrap(), "Basic dXNlcjpjYW5hcnkh");
        let shown = format!("{proxy:?} {hop:?} {:?}", hop.authorization);
        assert!(!shown.contains("canary") && !shown.contains("dXNlc"), "{shown}");
    }
}
