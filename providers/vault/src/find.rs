//! Where a search begins, and how what it finds is called.

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Facet, RemoteKey};

use crate::mounts::Mount;
use crate::path::{below, clean, first_segment, joined, segment, target};
use crate::{KvVersion, Settings};

/// The most secrets that one search may find, and the most folders that it may look into. Each secret found costs a
/// read, and a Secret of Kubernetes (1 MiB) holds fewer values: more is a mistaken search.
pub(crate) const SEARCH_LIMIT: usize = 10_000;

/// A folder inside a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    mount: String,
    /// Below the mount; empty for all of it.
    folder: String,
    pub(crate) version: KvVersion,
    /// What stands before the names that are found: the search's path as it was written.
    prefix: String,
}

/// Where a search begins, as far as that is known without asking the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Known(Root),
    /// At this path; whose mount it is in must be asked.
    Unknown {
        path: String,
        prefix: String,
    },
}

/// Where a search for secrets below `path` begins.
pub(crate) fn start(path: Option<&str>, settings: &Settings) -> Result<Start, Failure> {
    let path = path.map(|path| path.trim_matches('/')).filter(|path| !path.is_empty());
    let prefix = path.map(clean).transpose()?.unwrap_or_default().to_owned();
    let mount = settings.mount.as_deref().map(|mount| mount.trim_matches('/'));
    let (mount, folder) = match (mount, settings.kv_version) {
        (None, _) if prefix.is_empty() => {
            let words = "neither the store names a mount nor the search a path, so there is nowhere to search";
            return Err(Failure::new(Class::Invalid, words).with_hint("give one of them"));
        }
        (Some(mount), None) if prefix != mount && below(&prefix, mount).is_none() => {
            return Ok(Start::Unknown { path: joined(&[mount, &prefix]), prefix });
        }
        (_, None) => return Ok(Start::Unknown { path: prefix.clone(), prefix }),
        (Some(mount), Some(version)) if prefix == mount => (mount, folder_of("", version)),
        (Some(mount), Some(version)) => match below(&prefix, mount) {
            Some(folder) => (mount, folder_of(folder, version)),
            None => (mount, prefix.as_str()),
        },
        (None, Some(KvVersion::One)) => (first_segment(&prefix), after_first(&prefix)),
        (None, Some(KvVersion::Two)) => match prefix.split_once("/data/") {
            Some((mount, folder)) => (mount, folder),
            None => match prefix.strip_suffix("/data") {
                Some(mount) => (mount, ""),
                None => (first_segment(&prefix), after_first(&prefix)),
            },
        },
    };
    let version = settings.kv_version.unwrap_or(KvVersion::Two);
    Ok(Start::Known(Root { mount: mount.to_owned(), folder: folder.to_owned(), version, prefix: prefix.clone() }))
}

/// A folder that was written after its mount: there it may be in the API's form.
fn folder_of(folder: &str, version: KvVersion) -> &str {
    match version {
        KvVersion::One => folder,
        KvVersion::Two if folder == "data" => "",
        KvVersion::Two => folder.strip_prefix("data/").unwrap_or(folder),
    }
}

fn after_first(path: &str) -> &str {
    path.split_once('/').map_or("", |(_, rest)| rest)
}

impl Root {
    /// The folder `path` of a mount that the server told about.
    pub(crate) fn inside(mount: &Mount, path: &str, prefix: String) -> Result<Self, Failure> {
        let version = mount.version.ok_or_else(|| {
            Failure::new(Class::Invalid, format!("{} is no KV engine, and only those can be searched", mount.path))
        })?;
        let folder = folder_of(below(path, &mount.path).unwrap_or_default(), version).to_owned();
        Ok(Self { mount: mount.path.clone(), folder, version, prefix })
    }

    /// The API's path of what is listed, or of the metadata of a secret.
    pub(crate) fn metadata(&self, name: &str) -> String {
        match self.version {
            KvVersion::One => joined(&[&self.mount, &self.folder, name]),
            KvVersion::Two => joined(&[&self.mount, segment(Facet::Metadata), &self.folder, name]),
        }
    }

    /// What a secret is called in the result.
    pub(crate) fn name(&self, name: &str) -> String {
        joined(&[&self.prefix, name])
    }

    /// The key that reads a secret: its name, where that leads there and nowhere else.
    pub(crate) fn key(&self, name: &str, settings: &Settings) -> RemoteKey {
        let path = match self.version {
            KvVersion::One => joined(&[&self.mount, &self.folder, name]),
            KvVersion::Two => joined(&[&self.mount, segment(Facet::Value), &self.folder, name]),
        };
        let key = RemoteKey::current(self.name(name));
        let leads_there = settings.kv_version.is_some() && target(&key, settings).is_ok_and(|found| found.path == path);
        if leads_there { key } else { RemoteKey::current(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Auth, Credential, Token};

    fn settings(mount: Option<&str>, kv_version: Option<KvVersion>) -> Settings {
        let auth = Auth::Token(Token(Credential::File("/t".into())));
        Settings { mount: mount.map(str::to_owned), kv_version, ..Settings::new("http://v", auth) }
    }

    #[test]
    fn a_search_begins_at_the_mount_or_below_it() {
        use KvVersion::{One, Two};
        let check = |mount: Option<&str>, kv, path: Option<&str>, listed: &str, name: &str, key: &str| {
            let settings = settings(mount, Some(kv));
            let Start::Known(root) = start(path, &settings).unwrap() else { panic!("{mount:?} {path:?}") };
            let got = (root.metadata(""), root.name("a/b"), root.key("a/b", &settings).name);
            assert_eq!(got, (listed.to_owned(), name.to_owned(), key.to_owned()), "{mount:?} {path:?}");
        };
        check(Some("kv"), Two, None, "kv/metadata", "a/b", "a/b");
        check(Some("team/kv/"), Two, Some("/x/"), "team/kv/metadata/x", "x/a/b", "x/a/b");
        check(Some("kv"), Two, Some("kv/x"), "kv/metadata/x", "kv/x/a/b", "kv/x/a/b");
        check(Some("kv"), Two, Some("kv/data/x"), "kv/metadata/x", "kv/data/x/a/b", "kv/data/x/a/b");
        check(Some("kv"), Two, Some("kv"), "kv/metadata", "kv/a/b", "kv/a/b");
        check(None, Two, Some("kv/x"), "kv/metadata/x", "kv/x/a/b", "kv/x/a/b");
        check(None, Two, Some("team/kv/data/x"), "team/kv/metadata/x", "team/kv/data/x/a/b", "team/kv/data/x/a/b");
        check(None, Two, Some("team/kv/data"), "team/kv/metadata", "team/kv/data/a/b", "team/kv/data/a/b");
        check(Some("kv"), One, None, "kv", "a/b", "a/b");
        check(Some("kv"), One, Some("data"), "kv/data", "data/a/b", "data/a/b");
        check(None, One, Some("kv/x"), "kv/x", "kv/x/a/b", "kv/x/a/b");
        assert_eq!(start(None, &settings(None, Some(Two))).unwrap_err().class, Class::Invalid);
        assert_eq!(start(Some("../sys"), &settings(Some("kv"), Some(Two))).unwrap_err().class, Class::Invalid);
    }

    #[test]
    fn a_name_that_begins_like_the_mount_is_read_by_its_whole_path() {
        let settings = settings(Some("kv"), Some(KvVersion::Two));
        let Start::Known(root) = start(None, &settings).unwrap() else { panic!() };
        assert_eq!(root.key("kv/a", &settings).name, "kv/data/kv/a");
        assert_eq!(root.key("data/a", &settings).name, "data/a");
    }

    #[test]
    fn without_a_version_the_server_is_asked() {
        let check = |mount, path, expected: &str| match start(path, &settings(mount, None)).unwrap() {
            Start::Unknown { path, .. } => assert_eq!(path, expected),
            Start::Known(root) => panic!("{root:?}"),
        };
        check(Some("kv"), None, "kv");
        check(Some("kv"), Some("x"), "kv/x");
        check(Some("kv"), Some("kv/x"), "kv/x");
        check(None, Some("team/kv/x"), "team/kv/x");
        let mount = Mount { path: "team/kv".to_owned(), version: Some(KvVersion::Two) };
        let root = Root::inside(&mount, "team/kv/x", "team/kv/x".to_owned()).unwrap();
        assert_eq!(root.metadata("a"), "team/kv/metadata/x/a");
        assert_eq!(root.key("a", &settings(None, None)).name, "team/kv/data/x/a");
        let other = Mount { path: "db".to_owned(), version: None };
        assert_eq!(Root::inside(&other, "db", String::new()).unwrap_err().class, Class::Invalid);
    }
}
