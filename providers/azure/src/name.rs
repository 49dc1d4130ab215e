//! How objects are named. Pure.

use strongroom_failure::{Class, Failure};
use strongroom_secret::{RemoteKey, Version};

/// What a vault keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Secret,
    Key,
    Certificate,
}

impl Kind {
    /// The path of its collection.
    pub(crate) fn collection(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }

    /// What is called, for metrics.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Secret => "keyvault:GetSecret",
            Self::Key => "keyvault:GetKey",
            Self::Certificate => "keyvault:GetCertificate",
        }
    }

    /// The role that allows reading it.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Secret => "Key Vault Secrets User",
            Self::Key => "Key Vault Crypto User",
            Self::Certificate => "Key Vault Certificate User",
        }
    }

    /// The role that allows writing it.
    #[cfg(feature = "push")]
    pub(crate) fn writing_role(self) -> &'static str {
        match self {
            Self::Secret => "Key Vault Secrets Officer",
            Self::Key => "Key Vault Crypto Officer",
            Self::Certificate => "Key Vault Certificates Officer",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }
}

/// An object as a key names it: `NAME` or `secret/NAME`, `key/NAME`, `cert/NAME`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ObjectName {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

impl ObjectName {
    /// Reads a key. Every part is checked letter by letter: they become a path.
    pub(crate) fn parse(key: &RemoteKey) -> Result<Self, Failure> {
        if key.request.is_some() {
            return Err(Failure::new(Class::Invalid, "Azure Key Vault takes no request"));
        }
        let (kind, name) = match key.name.split_once('/') {
            None => (Kind::Secret, key.name.as_str()),
            Some(("secret", name)) => (Kind::Secret, name),
            Some(("key", name)) => (Kind::Key, name),
            Some(("cert", name)) => (Kind::Certificate, name),
            Some(_) => return Err(malformed()),
        };
        let version = match &key.version {
            Some(Version::Id(version) | Version::Stage(version)) => Some(version.as_str()),
            None => None,
        };
        if !is_name(name) || !version.is_none_or(is_name) {
            return Err(malformed());
        }
        Ok(Self { kind, name: name.to_owned(), version: version.map(ToOwned::to_owned) })
    }

    /// The path below the vault's address.
    pub(crate) fn path(&self) -> String {
        let (collection, name) = (self.kind.collection(), &self.name);
        match &self.version {
            Some(version) => format!("{collection}/{name}/{version}"),
            None => format!("{collection}/{name}"),
        }
    }
}

/// Whether this may be an object's name, which has at most 127 letters, or a version, which has 32.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len()) && text.bytes().all(is_letter)
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn malformed() -> Failure {
    Failure::new(Class::Invalid, "this does not name an object of a vault")
        .with_hint("write secret/NAME (or NAME alone), key/NAME or cert/NAME; the version stands beside it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        let check = |name: &str, version: Option<&str>, expected: &str| {
            let key =
                RemoteKey { version: version.map(|it| Version::Stage(it.to_owned())), ..RemoteKey::current(name) };
            assert_eq!(ObjectName::parse(&key).unwrap().path(), expected);
        };
        check("db", None, "secrets/db");
        check("secret/db", None, "secrets/db");
        check("secret/db-1", Some("0a1b"), "secrets/db-1/0a1b");
        check("key/signing", None, "keys/signing");
        check("cert/web", Some("ff"), "certificates/web/ff");
        // A secret may have the name of a kind.
        check("cert", None, "secrets/cert");
    }

    #[test]
    fn what_is_no_name_goes_nowhere() {
        let long = "x".repeat(128);
        for name in [
            "",
            "/",
            "secret/",
            "certificate/x",
            "secret/a/b",
            "a b",
            "a_b",
            "..",
            "secret/..",
            "a?x",
            "a%2fb",
            "ü",
            &long,
        ] {
            assert_eq!(ObjectName::parse(&RemoteKey::current(name)).unwrap_err().class, Class::Invalid, "{name}");
        }
        let version = RemoteKey::at("s", Version::Id("../keys/x".to_owned()));
        assert_eq!(ObjectName::parse(&version).unwrap_err().class, Class::Invalid);
        let request = RemoteKey { request: Some("{}".to_owned()), ..RemoteKey::current("s") };
        assert_eq!(ObjectName::parse(&request).unwrap_err().class, Class::Invalid);
    }
}
