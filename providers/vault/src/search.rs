use std::collections::BTreeMap;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_http::Response;
use strongroom_provider::{Find, Found};

use crate::api::{Ask, Query, failure_of};
use crate::find::{Root, SEARCH_LIMIT, Start, start};
use crate::vault::{NO_ENGINE, Vault, no_engine, refused};
use crate::{KvVersion, metadata};

/// Lists and metadata reads of one search under way at once: half of what reads may take, so that those find room.
const CONCURRENCY: usize = 16;

impl Vault {
    /// What fits `query`: folders are listed level by level, then metadata is read where tags are asked for.
    pub(crate) async fn search(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        let root = self.root(query.path.as_deref()).await?;
        if root.version == KvVersion::One && !query.tags.is_empty() {
            let words = "a search by tags needs metadata, which only KV version 2 keeps";
            return Err(Failure::new(Class::Invalid, words));
        }
        let mut names = self.list_all(&root).await?;
        names.retain(|name| query.name.as_ref().is_none_or(|pattern| pattern.is_match(&root.name(name))));
        if !query.tags.is_empty() {
            names = self.tagged(&root, names, &query.tags).await?;
        }
        names.sort_unstable();
        let found = |name: &String| Found { name: root.name(name), key: root.key(name, &self.settings), value: None };
        Ok(names.iter().map(found).collect())
    }

    async fn root(&self, path: Option<&str>) -> Result<Root, Failure> {
        let (path, prefix) = match start(path, &self.settings)? {
            Start::Known(root) => return Ok(root),
            Start::Unknown { path, prefix } => (path, prefix),
        };
        let token = self.session.token(&self.api).await?;
        match self.mounts.of(&self.api, &path, &token.value).await? {
            Some(mount) => Root::inside(&mount, &path, prefix),
            None => Err(Failure::new(Class::Invalid, format!("which secrets engine {path} belongs to is not known"))
                .with_hint("name the mount and the version of KV in the store's settings")),
        }
    }

    /// The names of all secrets below `root`, folder by folder.
    async fn list_all(&self, root: &Root) -> Result<Vec<String>, Failure> {
        let (mut names, mut folders, mut looked_into) = (Vec::new(), vec![String::new()], 0);
        while !folders.is_empty() {
            let lists: Vec<_> = folders.iter().map(|folder| self.list(root, folder).boxed()).collect();
            let lists: Vec<_> = stream::iter(lists).buffered(CONCURRENCY).try_collect().await?;
            let mut below = Vec::new();
            for (folder, entries) in folders.iter().zip(lists) {
                // No path can lead to a name that is empty or only dots.
                for entry in entries.iter().filter(|entry| !matches!(entry.trim_end_matches('/'), "" | "." | "..")) {
                    let place = if folder.is_empty() { entry.clone() } else { format!("{folder}/{entry}") };
                    match place.strip_suffix('/') {
                        Some(folder) => below.push(folder.to_owned()),
                        None => names.push(place),
                    }
                }
            }
            looked_into += folders.len();
            if looked_into + below.len() > SEARCH_LIMIT || names.len() > SEARCH_LIMIT {
                let words = format!("the search leads to more than {SEARCH_LIMIT} secrets or folders");
                return Err(Failure::new(Class::Invalid, words).with_hint("give it a path, or one that is narrower"));
            }
            folders = below;
        }
        Ok(names)
    }

    /// The names in one folder; those of folders end with a slash.
    async fn list(&self, root: &Root, folder: &str) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct Listed {
            data: Keys,
        }
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        let path = root.metadata(folder);
        let response = self.ask_about(&path, "list", Query::List).await?;
        match response {
            Some(response) => Ok(response.json::<Listed>()?.data.keys),
            // Emptied while we looked.
            None if !folder.is_empty() => Ok(Vec::new()),
            None => Err(Failure::new(Class::NotFound, format!("there are no secrets below the path {path}"))),
        }
    }

    /// Those of `names` whose metadata has all of `tags`.
    async fn tagged(
        &self,
        root: &Root,
        names: Vec<String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Failure> {
        let asks: Vec<_> = names.iter().map(|name| self.facts(root, name).boxed()).collect();
        let all: Vec<_> = stream::iter(asks).buffered(CONCURRENCY).try_collect().await?;
        let fits = |facts: &BTreeMap<String, String>| tags.iter().all(|(name, value)| facts.get(name) == Some(value));
        Ok(names.into_iter().zip(all).filter(|(_, facts)| fits(facts)).map(|(name, _)| name).collect())
    }

    /// What a secret's metadata says; nothing where it was removed while we looked.
    async fn facts(&self, root: &Root, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        match self.ask_about(&root.metadata(name), "read", Query::Nothing).await? {
            Some(response) => metadata::facts(&response),
            None => Ok(BTreeMap::new()),
        }
    }

    /// One question of a search; nothing where there is nothing.
    async fn ask_about(&self, path: &str, capability: &str, query: Query<'_>) -> Result<Option<Response>, Failure> {
        let operation = if query == Query::List { "vault:list" } else { "vault:metadata" };
        self.with_fresh_token(|token| async move {
            let response = self.api.send(Ask { query, ..Ask::get(operation, path, &token.value) }).await?;
            if response.status.is_success() {
                return Ok(Some(response));
            }
            let failure = failure_of(&response, &[&token.value]);
            match failure.class {
                Class::NotFound if failure.words.contains(NO_ENGINE) => Err(no_engine(path, failure)),
                Class::NotFound => Ok(None),
                Class::Denied => Err(refused(capability, path, capability, &failure.words)),
                _ => Err(failure),
            }
        })
        .await
    }
}
