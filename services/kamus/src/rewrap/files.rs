//! Files: edited where their values stand, and put in place whole.

use std::path::{Path, PathBuf};

use strongroom_decrypt::Decrypter;
use strongroom_deliver_files::replace;
use strongroom_failure::Failure;
use strongroom_kamus::manifest::{self, Edit, Entry, Kind, Manifest, Standing, apply};
use strongroom_kamus::{Identity, KeyId};
use strongroom_secret::SecretBytes;

use super::progress::Progress;
use super::{Outcome, invalid};

/// How files are gone through.
pub(super) struct Files<'a> {
    /// Of objects that name none.
    pub(super) namespace: Option<&'a str>,
    pub(super) keys: &'a Decrypter,
    pub(super) newest: KeyId,
    pub(super) is_rehearsal: bool,
}

impl Files<'_> {
    /// Goes through `files`; how many texts and files stay as they were against their owner's will.
    pub(super) async fn run(&self, files: &[PathBuf]) -> usize {
        let mut progress = Progress::of(files.len(), "files");
        let mut failed = 0;
        for file in files {
            let outcome = self.file(file).await;
            failed += outcome.failures.len();
            outcome.tell(&file.display().to_string(), self.is_rehearsal);
            progress.step(failed);
        }
        failed
    }

    async fn file(&self, file: &Path) -> Outcome {
        let mut outcome = Outcome::default();
        if let Err(failure) = self.rewrapped(file, &mut outcome).await {
            outcome.rewrapped = 0;
            outcome.failures.push(failure);
        }
        outcome
    }

    async fn rewrapped(&self, file: &Path, outcome: &mut Outcome) -> Result<(), Failure> {
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
                    Standing::Sealed(text) if text.key() == &self.newest => {}
                    Standing::Sealed(_) | Standing::Legacy => match self.anew(manifest, entry).await {
                        Ok(edit) => edits.push(edit),
                        Err(failure) => {
                            outcome.failures.push(failure.in_field(format!("{}: {}", manifest.name, entry.field())));
                        }
                    },
                }
            }
        }
        outcome.rewrapped = edits.len();
        if edits.is_empty() || self.is_rehearsal {
            return Ok(());
        }
        replace(file, &SecretBytes::from(apply(&text, edits)?))
    }

    async fn anew(&self, manifest: &Manifest, entry: &Entry) -> Result<Edit, Failure> {
        entry.check_editable()?;
        let missing = |what: &str| invalid(format!("its {what} is not known"));
        let account = manifest.account.as_deref().ok_or_else(|| missing("service account"))?;
        let namespace = manifest.namespace.as_deref().or(self.namespace);
        let namespace = namespace.ok_or_else(|| missing("namespace").with_hint("give --namespace"))?;
        let identity = Identity::new(namespace, account).map_err(|error| invalid(error.to_string()))?;
        let value = self.keys.decrypt(&entry.value.text, &identity).await?;
        Edit::encrypted(&entry.value, self.keys.encrypt(&identity, &value)?.to_string())
    }
}
