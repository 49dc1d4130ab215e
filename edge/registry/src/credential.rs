//! Who may pull from where.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::sha256;
use strongroom_http::{HeaderValue, secret_header};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

/// Docker Hub's place in docker configs: `https://index.docker.io/v1/`.
const DEFAULT_REGISTRY: &str = "index.docker.io";

/// A login to a registry, and for which of its images it is.
#[derive(Clone)]
pub struct Credential {
    place: Place,
    login: Login,
}

#[derive(Clone)]
pub(crate) enum Login {
    /// User and password.
    Basic { user: SecretBytes, password: SecretBytes },
    /// A token that the token service takes instead of a password.
    Identity(SecretBytes),
}

/// Whose answers may be shared: whoever logs in alike sees alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity([u8; 32]);

impl Credential {
    /// A user and password for `place`: a host, with `*` in its labels, an optional port and the beginning of a
    /// path, as docker configs have it. For node credentials: ECR (`AWS`), Google (`oauth2accesstoken`).
    pub fn with_password(place: &str, user: impl Into<SecretBytes>, password: impl Into<SecretBytes>) -> Self {
        let login = Login::Basic { user: user.into(), password: password.into() };
        Self { place: Place::parse(place), login }
    }

    /// A token for `place` that the registry's token service changes for one to pull with: what Azure calls a refresh
    /// token, `identitytoken` in docker configs.
    pub fn with_identity_token(place: &str, token: impl Into<SecretBytes>) -> Self {
        Self { place: Place::parse(place), login: Login::Identity(token.into()) }
    }

    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Everything that must be in no text.
    pub(crate) fn secrets(&self) -> Vec<&SecretBytes> {
        match &self.login {
            Login::Basic { user, password } => vec![user, password],
            Login::Identity(token) => vec![token],
        }
    }

    pub(crate) fn is_basic(&self) -> bool {
        matches!(self.login, Login::Basic { .. })
    }

    /// `Authorization: Basic`, where it is a user and password that a header can carry.
    pub(crate) fn basic_header(&self) -> Option<HeaderValue> {
        let Login::Basic { user, password } = &self.login else { return None };
        let mut pair = Zeroizing::new(Vec::with_capacity(user.len() + 1 + password.len()));
        pair.extend_from_slice(user.expose());
        pair.push(b':');
        pair.extend_from_slice(password.expose());
        secret_header("Basic ", &SecretBytes::from(STANDARD.encode(&*pair))).ok()
    }

    fn add_to(&self, content: &mut Vec<u8>) {
        content.push(match self.login {
            Login::Basic { .. } => b'b',
            Login::Identity(_) => b'i',
        });
        for secret in self.secrets() {
            content.extend_from_slice(&(secret.len() as u64).to_le_bytes());
            content.extend_from_slice(secret.expose());
        }
    }
}

impl Identity {
    /// Of whoever tries these logins in this order.
    pub(crate) fn of<'a>(credentials: impl Iterator<Item = &'a Credential> + Clone) -> Self {
        // At its full size at once: a vector that moves leaves parts of passwords behind.
        let each =
            |credential: &Credential| credential.secrets().iter().map(|secret| secret.len() + 8).sum::<usize>() + 1;
        let mut content = Zeroizing::new(Vec::with_capacity(credentials.clone().map(each).sum()));
        credentials.for_each(|credential| credential.add_to(&mut content));
        Self(sha256(&content))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credential({})", self.place.key)
    }
}

/// The credentials that are for `repository` on `host`, the most specific first; of equals, the earlier given. As
/// kubelet chooses: those of Docker Hub's old address are taken for `docker.io` where nothing else is for it.
pub(crate) fn matching<'a>(credentials: &'a [Credential], host: &str, repository: &str) -> Vec<&'a Credential> {
    let path = format!("/{repository}");
    let mut found: Vec<_> = credentials.iter().filter(|credential| credential.place.covers(host, &path)).collect();
    found.sort_by(|one, other| other.place.key.cmp(&one.place.key));
    if found.is_empty() && host == "docker.io" {
        found.extend(credentials.iter().filter(|credential| credential.place.key == DEFAULT_REGISTRY));
    }
    found
}

/// Where a credential is for.
#[derive(Clone)]
struct Place {
    host: String,
    port: String,
    path: String,
    /// All of it, without scheme and user.
    key: String,
}

impl Place {
    fn parse(text: &str) -> Self {
        let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let text = text.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = text.find('/').map_or((text, ""), |slash| text.split_at(slash));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
        let is_api = path.starts_with("/v1/") || path.starts_with("/v2/");
        let path = if is_api { &path[3..] } else { path };
        let path = if path == "/" { "" } else { path };
        let (host, port) = split_port(authority);
        Self { host: host.to_owned(), port: port.to_owned(), path: path.to_owned(), key: format!("{authority}{path}") }
    }

    fn covers(&self, authority: &str, path: &str) -> bool {
        let (host, port) = split_port(authority);
        self.port == port
            && path.starts_with(&self.path)
            && self.host.split('.').count() == host.split('.').count()
            && self
                .host
                .split('.')
                .zip(host.split('.'))
                .all(|(pattern, label)| fits(pattern.as_bytes(), label.as_bytes()))
    }
}

fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (authority, ""),
    }
}

/// Whether `label` fits a pattern with `*`. Of the stars only the last one seen is ever tried again, so that the
/// time is at most the product of both lengths.
fn fits(pattern: &[u8], label: &[u8]) -> bool {
    let (mut at, mut place, mut star) = (0, 0, None);
    while place < label.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == label[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, place) = (star_at + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(place: &str) -> Credential {
        Credential::with_password(place, "canary-user".to_owned(), format!("canary-{place}"))
    }

    #[test]
    fn credentials_are_found_by_host_and_path_as_kubelet_finds_them() {
        let check = |places: &[&str], host: &str, repository: &str, expected: &[&str]| {
            let given: Vec<_> = places.iter().map(|place| credential(place)).collect();
            let found: Vec<_> =
                matching(&given, host, repository).iter().map(|found| found.place.key.clone()).collect();
            assert_eq!(found, expected, "{host}/{repository}");
        };
        check(&["quay.io", "quay.io/coreos"], "quay.io", "coreos/etcd", &["quay.io/coreos", "quay.io"]);
        check(&["quay.io", "quay.io/coreos"], "quay.io", "other/etcd", &["quay.io"]);
        check(&["https://gcr.io/", "http://gcr.io/v2/", "gcr.io"], "gcr.io", "a", &["gcr.io", "gcr.io", "gcr.io"]);
        check(&["https://index.docker.io/v1/"], "docker.io", "library/nginx", &["index.docker.io"]);
        check(&["docker.io", "https://index.docker.io/v1/"], "docker.io", "library/nginx", &["docker.io"]);
        check(&["https://index.docker.io/v1/"], "quay.io", "a", &[]);
        check(&["*.example.com", "a*.example.com"], "ab.example.com", "x", &["a*.example.com", "*.example.com"]);
        check(&["*.example.com", "example.com", "*"], "a.b.example.com", "x", &[]);
        check(&["r.io"], "r.io:5000", "x", &[]);
        check(&["r.io:5000"], "r.io:5000", "x", &["r.io:5000"]);
        check(&["[fd00::1]:5000", "[fd00::1]"], "[fd00::1]:5000", "x", &["[fd00::1]:5000"]);
        check(&["https://user:pass@r.io/x?y#z"], "r.io", "x", &["r.io/x"]);
        check(&["r.io.evil.com", "evil.com/r.io", ""], "r.io", "x", &[]);
    }

    #[test]
    fn patterns_fit_whole_labels() {
        let check = |pattern: &str, label: &str, expected: bool| {
            assert_eq!(fits(pattern.as_bytes(), label.as_bytes()), expected, "{pattern} {label}");
        };
        check("*", "", true);
        check("a*b*c", "axxbyyc", true);
        check("a*b*c", "axxbyy", false);
        check("*ab", "aab", true);
        check("?", "a", false);
        check("", "a", false);
        check("***", "abc", true);
    }

    #[test]
    fn equal_logins_are_one_identity_and_no_others() {
        let of = |credentials: &[Credential]| Identity::of(credentials.iter());
        let basic = |user: &str, password: &str| Credential::with_password("r", user.to_owned(), password.to_owned());
        assert_eq!(of(&[basic("a", "b")]), of(&[Credential { place: Place::parse("*"), ..basic("a", "b") }]));
        let all = [
            of(&[]),
            of(&[basic("a", "b")]),
            of(&[basic("ab", "")]),
            of(&[basic("a", "b"), basic("c", "d")]),
            of(&[basic("c", "d"), basic("a", "b")]),
            of(&[Credential::with_identity_token("r", "ab".to_owned())]),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn debug_never_shows_a_login() {
        let shown = format!("{:?} {:?}", credential("r.io"), credential("r.io").basic_header());
        assert!(shown.contains("r.io") && !shown.contains("canary") && !shown.contains("Basic"), "{shown}");
    }
}
