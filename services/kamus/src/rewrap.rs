//! `strongroom kamus rewrap`: texts in files under the newest key.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use strongroom_decrypt::Decrypter;
use strongroom_deliver_files::replace;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::manifest::{self, Edit, Entry, Kind, Manifest, Standing, apply};
use strongroom_kamus::{Identity, KeyId};
use strongroom_secret::SecretBytes;

use crate::options::{ClusterOptions, KeyOptions, Lookup};

const EXAMPLES: &str = "\
Examples:
  strongroom kamus rewrap --keys-secret kamus/kamus-keys --key-management transit --key transit/kamus deploy/*.yaml
  git ls-files '*.yaml' | xargs strongroom kamus rewrap --keys-file ring.json --local-key-file key \\
    --kamus-aes-key-file old-key --insecure-any-account-reads-kamus-texts";

/// Encrypt anew, in files, every text that is under an older key or in a form of Kamus' own
///
/// Comments and order stay, and each file changes whole or not at all. It can be stopped and begun again: what is under the
/// newest key already stays as it is. What cannot be opened is named, stays, and makes the end a bad one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RewrapCommand {
    /// YAML files; those without a KamusSecret are passed over
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// Change nothing, and tell what would change
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    keys: KeyOptions,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// What became of the values of one file.
#[derive(Default)]
struct Outcome {
    rewrapped: usize,
    plain: usize,
    failures: Vec<Failure>,
}

impl RewrapCommand {
    pub(crate) async fn run(self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let connection = if self.keys.needs_cluster() { Some(self.cluster.connect(lookup).await?) } else { None };
        let cluster = connection.as_ref().map(|connection| (connection.client(), connection.namespace()));
        let place = self.keys.place(cluster)?;
        let keys = self.keys.decrypter(&place, lookup).await?;
        let (newest, _) = keys.ring().sealing_key().map_err(|error| invalid(error.to_string()))?;
        let mut failed = 0;
        for file in &self.files {
            let outcome = self.file(file, &keys, &newest).await;
            failed += outcome.failures.len();
            tell(file, &outcome, self.dry_run);
        }
        if failed == 0 { Ok(()) } else { Err(invalid(format!("{failed} texts or files are as they were"))) }
    }

    async fn file(&self, file: &Path, keys: &Decrypter, newest: &KeyId) -> Outcome {
        let mut outcome = Outcome::default();
        let done = self.rewrapped(file, keys, newest, &mut outcome).await;
        if let Err(failure) = done {
            outcome.rewrapped = 0;
            outcome.failures.push(failure);
        }
        outcome
    }

    async fn rewrapped(
        &self,
        file: &Path,
        keys: &Decrypter,
        newest: &KeyId,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let text = std::fs::read_to_string(file).map_err(|error| invalid(format!("cannot be read: {error}")))?;
        // Templates of other things need not be YAML.
        if !text.contains("KamusSecret") {
            return Ok(());
        }
        let manifests = manifest::read(&text)?;
        let mut edits = Vec::new();
        for manifest in manifests.iter().filter(|manifest| manifest.kind == Kind::KamusSecret) {
            for entry in &manifest.values {
                match entry.standing(manifest.kind) {
                    Standing::Plain => outcome.plain += 1,
                    Standing::Sealed(text) if text.key() == newest => {}
                    Standing::Sealed(_) | Standing::Legacy => match self.anew(manifest, entry, keys).await {
                        Ok(edit) => edits.push(edit),
                        Err(failure) => {
                            outcome.failures.push(failure.in_field(format!("{}: {}", manifest.name, entry.field())));
                        }
                    },
                }
            }
        }
        outcome.rewrapped = edits.len();
        if edits.is_empty() || self.dry_run {
            return Ok(());
        }
        replace(file, &SecretBytes::from(apply(&text, edits)?))
    }

    async fn anew(&self, manifest: &Manifest, entry: &Entry, keys: &Decrypter) -> Result<Edit, Failure> {
        entry.check_editable()?;
        let missing = |what: &str| invalid(format!("its {what} is not known"));
        let account = manifest.account.as_deref().ok_or_else(|| missing("service account"))?;
        let namespace = manifest.namespace.as_deref().or(self.namespace.as_deref());
        let namespace = namespace.ok_or_else(|| missing("namespace").with_hint("give --namespace"))?;
        let identity = Identity::new(namespace, account).map_err(|error| invalid(error.to_string()))?;
        let value = keys.decrypt(&entry.value.text, &identity).await?;
        Edit::encrypted(&entry.value, keys.encrypt(&identity, &value)?.to_string())
    }
}

/// A line for each file with texts in it, and for each text that stays against its owner's will.
fn tell(file: &Path, outcome: &Outcome, is_rehearsal: bool) {
    let file = file.display();
    for failure in &outcome.failures {
        let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        // Standard error that is gone cannot be told so.
        let _ = std::io::stderr().write_all(format!("{file}: {failure}{hint}\n").as_bytes());
    }
    let (count, plain) = (outcome.rewrapped, outcome.plain);
    let verb = if is_rehearsal { "would be " } else { "" };
    let plain = if plain > 0 { format!(", {plain} are not encrypted") } else { String::new() };
    if count > 0 || !plain.is_empty() {
        // A reader that has gone away has read enough.
        let _ = std::io::stdout().write_all(format!("{file}: {count} {verb}encrypted anew{plain}\n").as_bytes());
    }
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}
