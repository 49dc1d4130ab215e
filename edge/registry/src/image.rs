//! Names of images, read as containerd and kubelet read them.

use std::fmt;

use strongroom_failure::{Class, Failure};

use crate::bytes::Digest;

/// Where images without a registry in their name come from.
const DEFAULT_DOMAIN: &str = "docker.io";

/// Its older name.
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";

/// The longest repository, in characters; registries take no longer ones.
const LONGEST_REPOSITORY: usize = 255;

/// The longest tag, in characters.
const LONGEST_TAG: usize = 128;

/// A name of an image with nothing left out, shown as `docker.io/library/nginx:1.27`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    domain: String,
    repository: String,
    pub(crate) reference: Reference,
}

/// What of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reference {
    /// A name that may come to mean another image.
    Tag(String),
    /// One image for ever.
    Digest(Digest),
}

impl Image {
    /// Reads a name as it stands in a pod. Without a registry it is one of `docker.io`, without a tag it is `latest`,
    /// and where a tag and a digest are given, the digest decides.
    ///
    /// # Errors
    /// `Invalid` where no node would take the name either.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        Self::parts(name).map_err(|why| Failure::new(Class::Invalid, why).on_key(name).with_hint(HINT))
    }

    fn parts(name: &str) -> Result<Self, &'static str> {
        if name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err("64 hexadecimal digits are an image's id and not its name");
        }
        let (domain, rest) = split_domain(name);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let is_official = domain == DEFAULT_DOMAIN && !path.contains('/');
        let repository = if is_official { format!("library/{path}") } else { path.to_owned() };
        check(domain, path, tag)?;
        if repository.len() > LONGEST_REPOSITORY {
            return Err("the repository's name has more than 255 characters");
        }
        let reference = match digest {
            Some(digest) => Reference::Digest(Digest::parse(digest).ok_or("what stands after @ is no digest")?),
            None => Reference::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Ok(Self { domain: domain.to_owned(), repository, reference })
    }

    /// The registry as the name has it, with its port: `docker.io`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository inside of the registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Whether the tag is `latest`, for which a pod without `imagePullPolicy` is taken to say `Always`.
    pub fn is_latest(&self) -> bool {
        self.reference == Reference::Tag("latest".to_owned())
    }
}

const HINT: &str = "write it as REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST";

impl fmt::Display for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.domain, self.repository)?;
        match &self.reference {
            Reference::Tag(tag) => write!(formatter, ":{tag}"),
            Reference::Digest(digest) => write!(formatter, "@{digest}"),
        }
    }
}

/// The registry and what follows it. What stands before the first slash is a registry only where it looks like one.
fn split_domain(name: &str) -> (&str, &str) {
    let looks_like_one =
        |first: &str| first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase);
    match name.split_once('/') {
        Some((LEGACY_DEFAULT_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest)) if looks_like_one(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn check(domain: &str, path: &str, tag: Option<&str>) -> Result<(), &'static str> {
    if path.chars().any(char::is_uppercase) {
        return Err("the repository's name must be in lower case");
    }
    // Nodes take a host with underscores, which no host should have, as the first part of a repository's name.
    if !is_domain(domain) && !is_component(domain) {
        return Err("what stands before the first slash is no registry's host");
    }
    if !path.split('/').all(is_component) {
        return Err("the repository's name is not one that registries take");
    }
    match tag {
        Some(tag) if !is_tag(tag) => Err("what stands after the colon is no tag"),
        _ => Ok(()),
    }
}

/// A host name, an IPv4 address or an IPv6 address in brackets, with or without a port.
fn is_domain(domain: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((address, port)) = domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        let are_fit = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        are_fit && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lower-case letters and digits, with separators between them: one `.`, one or two `_`, or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    if !component.starts_with(is_plain) || !component.ends_with(is_plain) {
        return false;
    }
    component
        .split(is_plain)
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= LONGEST_TAG
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn names_mean_what_they_mean_to_nodes() {
        let check = |name: &str, expected: &str| {
            assert_eq!(Image::parse(name).map(|image| image.to_string()), Ok(expected.to_owned()), "{name}");
        };
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.27", "docker.io/library/nginx:1.27");
        check("team/app", "docker.io/team/app:latest");
        check("docker.io/nginx", "docker.io/library/nginx:latest");
        check("index.docker.io/team/app:1", "docker.io/team/app:1");
        check("localhost/app", "localhost/app:latest");
        check("localhost:5000/app:1", "localhost:5000/app:1");
        check("registry:5000/img", "registry:5000/img:latest");
        check("registry:5000/img:v1", "registry:5000/img:v1");
        check("ghcr.io/a/b/c:x_1.2-3", "ghcr.io/a/b/c:x_1.2-3");
        check("Registry/app", "Registry/app:latest");
        check("10.0.0.1/app", "10.0.0.1/app:latest");
        check("[fd00::1]:5000/app", "[fd00::1]:5000/app:latest");
        check("[fd00::1]/app", "[fd00::1]/app:latest");
        check("my_registry.local/app", "my_registry.local/app:latest");
        check("x/a__b.c---d/e", "docker.io/x/a__b.c---d/e:latest");
        check("a__b/c", "docker.io/a__b/c:latest");
        check(&format!("nginx@{DIGEST}"), &format!("docker.io/library/nginx@{DIGEST}"));
        check(&format!("r.io:1/a:tag@{DIGEST}"), &format!("r.io:1/a@{DIGEST}"));
        check(&format!("a.b/{}", "x".repeat(255)), &format!("a.b/{}:latest", "x".repeat(255)));
    }

    #[test]
    fn a_name_that_no_node_takes_is_refused() {
        let check = |name: &str, expected: &str| {
            let failure = Image::parse(name).unwrap_err();
            assert_eq!((failure.class, failure.words.contains(expected)), (Class::Invalid, true), "{name}: {failure}");
        };
        check("", "repository");
        check(":1", "repository");
        check("Nginx", "lower case");
        check("a.b/Nginx", "lower case");
        check("a//b", "repository");
        check("a.b/", "repository");
        check("/a", "repository");
        check("a.b/c/", "repository");
        check("a___b/c", "repository");
        check("a..b/c", "host");
        check("-a.b/c", "host");
        check("a.b:x/c", "host");
        check("a.b:/c", "host");
        check("user@a.b/c", "host");
        check("[fd00::1%eth0]/c", "host");
        check("https://a.b/c", "host");
        check("a.b/c?d", "repository");
        check("a.b/../c", "repository");
        check("nginx:", "tag");
        check("nginx:.1", "tag");
        check("x/nginx:a/b", "tag");
        check("nginx:a/b", "host");
        check(&format!("nginx:{}", "x".repeat(129)), "tag");
        check("nginx@sha256:abc", "digest");
        check(&format!("nginx@{}", DIGEST.to_uppercase()), "digest");
        check(&format!("nginx@{DIGEST}@{DIGEST}"), "digest");
        check(&DIGEST["sha256:".len()..], "id");
        check(&format!("a.b/{}", "x".repeat(256)), "255");
    }

    #[test]
    fn only_the_tag_latest_is_latest() {
        let check =
            |name: &str, expected: bool| assert_eq!(Image::parse(name).unwrap().is_latest(), expected, "{name}");
        check("nginx", true);
        check("nginx:latest", true);
        check("nginx:1", false);
        check(&format!("nginx:latest@{DIGEST}"), false);
    }
}
