//! Lists: secrets that fit a search, and the versions of a secret that can be read.

use strongroom_failure::{Class, Failure};
use strongroom_http::form_body;
use strongroom_provider::{Find, Found, RemoteKey};

use crate::SecretManager;
use crate::answer::{self, Described, SecretsPage, VersionsPage};

/// What a search calls, and what must be allowed.
const LIST: &str = "secretmanager.secrets.list";

/// The same for the versions of a secret.
const LIST_VERSIONS: &str = "secretmanager.versions.list";

/// How many a page holds: with names and labels alone, of which a secret has 8 KiB at most, 2 MiB.
const PAGE: &str = "250";

/// The largest page that is read, in bytes: twice what is asked for.
pub(crate) const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The most pages of one list: 25,000 secrets. Whoever has more names keys.
const PAGES: usize = 100;

impl SecretManager {
    pub(crate) async fn search(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        let project = self.ambient_project("failed to search").await?;
        let parent = match &self.settings.location {
            Some(location) => format!("projects/{project}/locations/{location}"),
            None => format!("projects/{project}"),
        };
        let address = format!("{}/v1/{parent}/secrets", self.endpoint(self.settings.location.as_deref()));
        let filter = filter(query);
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES {
            let fields = [("fields", "secrets(name,labels),nextPageToken"), ("filter", &filter), ("pageToken", &token)];
            let response = self.get(&self.lists, LIST, &with_query(&address, &fields)).await?;
            let page: SecretsPage = answer::read(response.body.expose())?;
            found.extend(page.secrets.iter().filter_map(|secret| fitting(secret, query)));
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            token = page.next_page_token;
        }
        Err(too_many("the project has more secrets than a search may go through"))
    }

    /// The newest version of the secret at `address` that can be read.
    pub(crate) async fn newest_enabled(&self, address: &str) -> Result<Option<u64>, Failure> {
        let mut newest = None;
        let mut token = String::new();
        for _ in 0..PAGES {
            let fields = [("filter", "state:ENABLED"), ("pageToken", &token)];
            let address = with_query(&format!("{address}/versions"), &fields);
            let response = self.get(&self.lists, LIST_VERSIONS, &address).await?;
            let page: VersionsPage = answer::read(response.body.expose())?;
            newest = newest.max(page.versions.iter().filter_map(answer::Version::enabled_number).max());
            if page.next_page_token.is_empty() {
                return Ok(newest);
            }
            token = page.next_page_token;
        }
        Err(too_many("the secret has more versions than can be gone through for the newest one that is enabled"))
    }
}

fn too_many(words: &str) -> Failure {
    Failure::new(Class::Invalid, words).with_hint("name what is wanted instead")
}

fn with_query(address: &str, fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut all: Vec<(&str, &[u8])> = vec![("pageSize", PAGE.as_bytes())];
    all.extend(fields.iter().map(|(name, value)| (*name, value.as_bytes())));
    format!("{address}?{}", form_body(&all).expose_text().unwrap_or_default())
}

/// What the server leaves out already. Only words that cannot be mistaken in its language are said; [`fitting`] decides.
fn filter(query: &Find) -> String {
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let tags = query.tags.iter().filter(|(name, value)| is_plain(name) && is_plain(value));
    let tags = tags.map(|(name, value)| format!("labels.{name}={value}"));
    let path = query.path.as_deref().filter(|path| is_plain(path)).map(|path| format!("name:{path}"));
    tags.chain(path).collect::<Vec<_>>().join(" ")
}

/// The secret of a list where it fits `query`.
fn fitting(secret: &Described, query: &Find) -> Option<Found> {
    let name = secret.name.rsplit('/').next().filter(|name| !name.is_empty())?;
    let fits = query.path.as_deref().is_none_or(|path| name.starts_with(path))
        && query.name.as_ref().is_none_or(|pattern| pattern.is_match(name))
        && query.tags.iter().all(|(label, value)| secret.labels.get(label) == Some(value));
    fits.then(|| Found { name: name.to_owned(), key: RemoteKey::current(name), value: None })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_server_is_told_only_what_it_cannot_mistake() {
        let check = |path: Option<&str>, tags: &[(&str, &str)], expected: &str| {
            let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let query = Find { path: path.map(ToOwned::to_owned), name: None, tags: tags.collect::<BTreeMap<_, _>>() };
            assert_eq!(filter(&query), expected);
        };
        check(None, &[], "");
        check(Some("app-"), &[("env", "prod"), ("team", "a_b")], "labels.env=prod labels.team=a_b name:app-");
        check(Some("a OR name:b"), &[("x", "y OR labels.z=1"), ("a b", "c"), ("d", "")], "");
    }
}
