//! Where a registry's images are asked for, and what the settings allow a host.

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};
use strongroom_http::Uri;

/// Where Docker Hub's images are, which are called `docker.io/...`.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// One place that is asked: a registry, or a mirror of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// What stands before `/v2/`.
    pub(crate) base: String,
    /// Host and port.
    pub(crate) authority: String,
    /// The registry that a mirror is asked about.
    mirrored: Option<String>,
}

impl Endpoint {
    /// The address of `path` in `repository`.
    pub(crate) fn address(&self, repository: &str, path: &str) -> Result<Uri, Failure> {
        let query = self.mirrored.as_ref().map(|registry| format!("?ns={registry}")).unwrap_or_default();
        let address = format!("{}/v2/{repository}/{path}{query}", self.base);
        address.parse().map_err(|_| Failure::new(Class::Invalid, "the image's name makes no address"))
    }

    /// Whether it is asked by http without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.starts_with("http://")
    }

    /// Whether it stands for another registry.
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirrored.is_some()
    }
}

/// What the operator allowed.
#[derive(Debug)]
pub(crate) struct Rules {
    plain: Vec<String>,
    local: Vec<String>,
    mirrors: BTreeMap<String, Vec<Endpoint>>,
}

impl Rules {
    /// `plain` and `local` are hosts with or without a port; mirrors are addresses by the registry that they stand for.
    pub(crate) fn new(
        plain: &[String],
        local: &[String],
        mirrors: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, Failure> {
        let lower = |hosts: &[String]| hosts.iter().map(|host| host.to_lowercase()).collect();
        let mut rules = Self { plain: lower(plain), local: lower(local), mirrors: BTreeMap::new() };
        for (registry, addresses) in mirrors {
            let mut endpoints = Vec::new();
            for (place, address) in addresses.iter().enumerate() {
                let mirror = mirror(registry, address).map_err(|words| {
                    Failure::new(Class::Invalid, words).in_field(format!("mirrors[{registry}][{place}]"))
                })?;
                // The operator chose it: it may be anywhere.
                rules.local.push(mirror.authority.to_lowercase());
                rules.plain.extend(mirror.is_plain().then(|| mirror.authority.to_lowercase()));
                endpoints.push(mirror);
            }
            rules.mirrors.insert(registry.to_lowercase(), endpoints);
        }
        Ok(rules)
    }

    /// Whom to ask for images of `domain`, in this order.
    pub(crate) fn endpoints(&self, domain: &str) -> Vec<Endpoint> {
        let mirrors = self.mirrors.get(&domain.to_lowercase()).into_iter().flatten().cloned();
        let authority = if domain == "docker.io" { DOCKER_HUB } else { domain };
        let scheme = if self.may_be_plain(authority) { "http" } else { "https" };
        let own = Endpoint { base: format!("{scheme}://{authority}"), authority: authority.to_owned(), mirrored: None };
        mirrors.chain([own]).collect()
    }

    /// Whether a host may be asked without TLS.
    pub(crate) fn may_be_plain(&self, authority: &str) -> bool {
        is_named(&self.plain, authority)
    }

    /// Whether a host may have a local address.
    pub(crate) fn may_be_local(&self, authority: &str) -> bool {
        is_named(&self.local, authority)
    }
}

fn is_named(hosts: &[String], authority: &str) -> bool {
    let authority = authority.to_lowercase();
    let host = match authority.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => host,
        _ => &authority,
    };
    hosts.iter().any(|named| *named == authority || named == host)
}

fn mirror(registry: &str, address: &str) -> Result<Endpoint, &'static str> {
    let uri: Uri = address.parse().map_err(|_| "it is no address")?;
    let authority = uri.authority().ok_or("it names no host")?.as_str();
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it must begin with http:// or https://");
    }
    if authority.contains('@') || uri.query().is_some() {
        return Err("it must have neither user nor query");
    }
    let base = address.trim_end_matches('/').to_owned();
    Ok(Endpoint { base, authority: authority.to_owned(), mirrored: Some(registry.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(plain: &[&str], local: &[&str], mirrors: &[(&str, &[&str])]) -> Result<Rules, Failure> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mirrors = mirrors.iter().map(|(registry, addresses)| ((*registry).to_owned(), owned(addresses))).collect();
        Rules::new(&owned(plain), &owned(local), &mirrors)
    }

    #[test]
    fn mirrors_are_asked_before_the_registry() {
        let rules = rules(&["Plain.io:80"], &[], &[("docker.io", &["https://m.io/hub/", "http://n:5000"])]).unwrap();
        let check = |domain: &str, expected: &[&str]| {
            let endpoints = rules.endpoints(domain);
            let addresses: Vec<_> = endpoints.iter().map(|each| each.address("a/b", "manifests/1").unwrap()).collect();
            assert_eq!(addresses, expected, "{domain}");
        };
        check(
            "docker.io",
            &[
                "https://m.io/hub/v2/a/b/manifests/1?ns=docker.io",
                "http://n:5000/v2/a/b/manifests/1?ns=docker.io",
                "https://registry-1.docker.io/v2/a/b/manifests/1",
            ],
        );
        check("plain.io:80", &["http://plain.io:80/v2/a/b/manifests/1"]);
        check("plain.io", &["https://plain.io/v2/a/b/manifests/1"]);
        check("localhost:5000", &["https://localhost:5000/v2/a/b/manifests/1"]);
        assert!(rules.may_be_plain("n:5000") && !rules.may_be_plain("n") && !rules.may_be_plain("m.io"));
        assert!(rules.may_be_local("m.io") && !rules.may_be_local("plain.io:80"));
    }

    #[test]
    fn a_host_is_named_with_or_without_its_port() {
        let rules = rules(&[], &["a", "b:1", "[::1]"], &[]).unwrap();
        for (authority, expected) in
            [("a", true), ("A:7", true), ("b:1", true), ("b", false), ("b:2", false), ("[::1]:5", true), ("x.a", false)]
        {
            assert_eq!(rules.may_be_local(authority), expected, "{authority}");
        }
    }

    #[test]
    fn a_mirror_that_is_none_is_told_by_its_field() {
        for address in ["m.io", "ftp://m.io", "/x", "", "https://u:canary@m.io", "https://m.io/?canary"] {
            let failure = rules(&[], &[], &[("docker.io", &["https://ok.io", address])]).unwrap_err();
            assert!(failure.to_string().starts_with("mirrors[docker.io][1]: it "), "{failure}");
            assert!(!format!("{failure:?}").contains("canary"));
        }
    }
}
