//! `strongroom kamus keys retire`: an old key leaves the ring, once nothing needs it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt as _};
use strongroom_api::kamus::KamusSecret;
use strongroom_decrypt::Decrypter;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::{KeyId, Text};

use crate::keys::{listed, there};
use crate::marks;
use crate::objects::Pages;
use crate::options::{ClusterOptions, KeyOptions, Lookup};
use crate::ring::check_old;

const EXAMPLES: &str = "\
Examples:
  strongroom kamus keys retire 0f1e2d3c4b5a6978 --keys-secret kamus/kamus-keys --key-management transit --key transit/kamus
  git ls-files | xargs strongroom kamus keys retire 0f1e2d3c4b5a6978 --yes --keys-secret kamus/kamus-keys ...";

/// Take an old key out, so that what was encrypted for it opens no more
///
/// Looks first for what needs the key: in the KamusSecrets and ConfigMaps of the cluster, and in the files that are named.
/// Names that, and takes nothing out then. Texts elsewhere, such as in other branches, are not seen.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RetireOptions {
    /// The key's name, as `strongroom kamus keys list` shows it
    #[arg(value_name = "KEY")]
    retired: String,

    /// Files that are looked at, too, of whichever form
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Take it out; without this nothing changes
    #[arg(long)]
    yes: bool,

    /// Look at the cluster also where the keys lie in a file
    #[arg(long = "cluster")]
    in_cluster: bool,

    /// Take it out though texts need it: nobody opens them any more. For a key that others have
    #[arg(long)]
    lose_texts: bool,

    #[command(flatten)]
    keys: KeyOptions,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// What needs the key, told as it is found.
struct Needs<'a> {
    key: &'a KeyId,
    count: usize,
}

impl RetireOptions {
    pub(crate) async fn run(self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let is_seen = self.in_cluster || self.keys.needs_cluster();
        let connection = if is_seen { Some(self.cluster.connect(lookup).await?) } else { None };
        let cluster = connection.as_ref().map(|connection| (connection.client(), connection.namespace()));
        let place = self.keys.place(cluster)?;
        let ring = there(&place).await?;
        let key = KeyId::read(&self.retired).ok_or_else(|| invalid("this is no key's name").in_field(&self.retired))?;
        check_old(&ring, &key)?;
        let mut needs = Needs { key: &key, count: 0 };
        if let Some(connection) = &connection {
            // Where texts are lost, so may marks be; the key management may be what is gone.
            let keys = if self.lose_texts { None } else { Some(self.keys.opening(ring, lookup)?) };
            needs.look_at_objects(&connection.client(), keys.as_ref()).await?;
            needs.look_at_config_maps(&connection.client()).await?;
        }
        for file in &self.files {
            needs.look_at_file(file)?;
        }
        if needs.count > 0 && !self.lose_texts {
            let words = format!("the key {key} stays: {} texts and marks need it", needs.count);
            return Err(invalid(words).with_hint("encrypt them anew: strongroom kamus rewrap"));
        }
        if !self.yes {
            let found = if needs.count > 0 { "nothing else" } else { "nothing" };
            say(&format!("{found} of what was looked at needs the key {key}; --yes takes it out\n"));
            return Ok(());
        }
        say(&listed(&place.retire(&key).await?));
        Ok(())
    }
}

impl Needs<'_> {
    async fn look_at_objects(&mut self, client: &Client, keys: Option<&Decrypter>) -> Result<(), Failure> {
        let key = self.key;
        let mut pages = Pages::of(Api::<KamusSecret>::all(client.clone()), "KamusSecrets");
        loop {
            let page = match pages.next().await {
                Err(failure) if failure.class == Class::NotFound => return Ok(()),
                page => page?,
            };
            let Some(objects) = page else { return Ok(()) };
            for object in &objects {
                let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
                for (list, values) in [("data", &object.data), ("stringData", &object.string_data)] {
                    for (field, _) in values.iter().filter(|(_, text)| is_under(key, text)) {
                        self.found(&format!("KamusSecret {name}: {list}[{field:?}]"));
                    }
                }
                if let Some(keys) = keys
                    && marks::bearer(keys, object).await?.as_ref() == Some(self.key)
                {
                    self.found(&format!("KamusSecret {name}: its mark"));
                }
            }
        }
    }

    /// Where an init container finds its texts.
    async fn look_at_config_maps(&mut self, client: &Client) -> Result<(), Failure> {
        let key = self.key;
        let mut pages = Pages::of(Api::<ConfigMap>::all(client.clone()), "ConfigMaps");
        while let Some(page) = pages.next().await? {
            for map in page {
                let name = format!("{}/{}", map.namespace().unwrap_or_default(), map.name_any());
                for (field, _) in map.data.iter().flatten().filter(|(_, text)| is_in(text, key)) {
                    self.found(&format!("ConfigMap {name}: data[{field:?}]"));
                }
            }
        }
        Ok(())
    }

    fn look_at_file(&mut self, file: &Path) -> Result<(), Failure> {
        let unread = |error| invalid(format!("cannot be read: {error}")).in_field(file.display().to_string());
        let bytes = std::fs::read(file).map_err(unread)?;
        if is_in(&String::from_utf8_lossy(&bytes), self.key) {
            self.found(&file.display().to_string());
        }
        Ok(())
    }

    fn found(&mut self, place: &str) {
        self.count += 1;
        say(&format!("{place} needs the key\n"));
    }
}

fn is_under(key: &KeyId, text: &str) -> bool {
    matches!(Text::read(text), Ok(Text::Sealed(sealed)) if sealed.key() == key)
}

/// Whether a text under the key stands anywhere in this one.
fn is_in(text: &str, key: &KeyId) -> bool {
    text.contains(&format!("sr1.{key}."))
}

fn say(text: &str) {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}
