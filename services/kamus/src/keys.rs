//! `strongroom kamus keys`: an installation's keys, by hand.

use std::io::Write as _;

use clap::{Args, Subcommand};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::KeyRing;

use crate::options::{ClusterOptions, KeyOptions, Lookup};
use crate::retire::RetireOptions;
use crate::ring::RingPlace;

/// Make, rotate, show and retire the keys that values are encrypted for
#[derive(Args, Debug)]
pub(crate) struct KeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make the keys, where there are none yet
    Create(KeysOptions),
    /// Add a key: new values are encrypted for it, and old ones still open
    Rotate(KeysOptions),
    /// Show names and dates of the keys
    List(KeysOptions),
    /// Print what `strongroom encrypt` needs to work without the encryptor: a JSON document without secrets
    Public(KeysOptions),
    Retire(RetireOptions),
}

#[derive(Args, Clone, Debug)]
struct KeysOptions {
    #[command(flatten)]
    keys: KeyOptions,

    #[command(flatten)]
    cluster: ClusterOptions,
}

impl KeysCommand {
    pub(crate) async fn run(self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let options = match &self.action {
            Action::Create(options) | Action::Rotate(options) | Action::List(options) | Action::Public(options) => {
                options
            }
            Action::Retire(retire) => return Box::pin(retire.clone().run(lookup)).await,
        };
        let KeysOptions { keys: options, cluster } = options;
        let connection = if options.needs_cluster() { Some(cluster.connect(lookup).await?) } else { None };
        let cluster = connection.as_ref().map(|connection| (connection.client(), connection.namespace()));
        let place = options.place(cluster)?;
        let text = match &self.action {
            Action::Create(_) => {
                let management = options.management(lookup)?;
                listed(&place.ensure(&options.installation()?, &*management).await?)
            }
            Action::Rotate(_) => listed(&place.rotate(&*options.management(lookup)?).await?),
            Action::List(_) => listed(&there(&place).await?),
            Action::Public(_) | Action::Retire(_) => {
                let document = crate::encryptor::public_document(&there(&place).await?)?;
                format!("{document}\n")
            }
        };
        // A reader that has gone away has read enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(())
    }
}

/// The ring, where there is one.
pub(crate) async fn there(place: &RingPlace) -> Result<KeyRing, Failure> {
    let none = || Failure::new(Class::NotFound, "there are no keys yet").with_hint("strongroom kamus keys create");
    place.read().await?.ok_or_else(none)
}

/// A line for each key, the newest last.
pub(crate) fn listed(ring: &KeyRing) -> String {
    let mut text = format!("installation {}\n", ring.installation);
    for (place, record) in ring.keys.iter().enumerate() {
        let id = record.id().map(|id| id.to_string()).unwrap_or_default();
        let use_ = if place + 1 == ring.keys.len() { "encrypts and opens" } else { "opens" };
        text.push_str(&format!("{id}  {}  {use_}\n", record.created));
    }
    text
}
