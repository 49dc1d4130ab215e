//! `strongroom kamus rewrap`: texts in files, or in a cluster, under the newest key.

mod cluster;
mod files;
mod progress;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use strongroom_failure::{Class, Failure};

use crate::keys::there;
use crate::options::{ClusterOptions, KeyOptions, Lookup};
use crate::rewrap::cluster::Cluster;
use crate::rewrap::files::Files;

const EXAMPLES: &str = "\
Examples:
  strongroom kamus rewrap --keys-secret kamus/kamus-keys --key-management transit --key transit/kamus deploy/*.yaml
  strongroom kamus rewrap --cluster --keys-secret kamus/kamus-keys --key-management transit --key transit/kamus
  git ls-files '*.yaml' | xargs strongroom kamus rewrap --keys-file ring.json --local-key-file key \\
    --kamus-aes-key-file old-key --insecure-any-account-reads-kamus-texts";

/// Encrypt anew, in files or in a cluster, every text that is under an older key or in a form of Kamus' own
///
/// Comments and order of files stay; a file or an object changes whole or not at all. It can be stopped and begun again:
/// what is under the newest key already stays as it is. What cannot be opened is named, stays, and makes the end a bad one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("what").required(true).args(["files", "in_cluster"])))]
pub(crate) struct RewrapCommand {
    /// YAML files; those without a KamusSecret are passed over
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The KamusSecrets of the cluster, in place of files
    #[arg(long = "cluster")]
    in_cluster: bool,

    /// The namespace of objects in files that name none; with --cluster, the only one that is looked at
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// Change nothing, and tell what would change
    #[arg(long)]
    dry_run: bool,

    /// With --cluster: encrypt anew also what nobody has verified, as an operator with this flag reads it. Admission, where
    /// it is asked, verifies these objects by your right to act as their service accounts
    #[arg(long, requires = "in_cluster")]
    kamus_allow_unverified: bool,

    #[command(flatten)]
    keys: KeyOptions,

    #[command(flatten)]
    cluster: ClusterOptions,
}

impl RewrapCommand {
    pub(crate) async fn run(self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let is_asked = self.in_cluster || self.keys.needs_cluster();
        let connection = if is_asked { Some(self.cluster.connect(lookup).await?) } else { None };
        let cluster = connection.as_ref().map(|connection| (connection.client(), connection.namespace()));
        // Keys that were made only now could not open anything, and nobody would read what they encrypt.
        let ring = there(&self.keys.place(cluster)?).await?;
        let keys = self.keys.opening(ring, lookup)?;
        let (newest, _) = keys.ring().sealing_key().map_err(|error| invalid(error.to_string()))?;
        let (keys, namespace, is_rehearsal) = (&keys, self.namespace.as_deref(), self.dry_run);
        let failed = match connection.as_ref().filter(|_| self.in_cluster) {
            Some(connection) => {
                let are_marks_needed = !self.kamus_allow_unverified;
                let client = connection.client();
                Cluster { client, namespace, keys, newest, are_marks_needed, is_rehearsal }.run().await?
            }
            None => Files { namespace, keys, newest, is_rehearsal }.run(&self.files).await,
        };
        if failed == 0 { Ok(()) } else { Err(invalid(format!("{failed} texts, objects or files are as they were"))) }
    }
}

/// What became of the values of one file or object.
#[derive(Default)]
struct Outcome {
    rewrapped: usize,
    /// Whether its mark alone was made anew.
    is_marked: bool,
    plain: usize,
    failures: Vec<Failure>,
}

impl Outcome {
    /// A line for what was done, and one for each text that stays against its owner's will.
    fn tell(&self, what: &str, is_rehearsal: bool) {
        for failure in &self.failures {
            let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            complain(&format!("{what}: {failure}{hint}\n"));
        }
        let verb = if is_rehearsal { "would be " } else { "" };
        let plain = if self.plain > 0 { format!(", {} are not encrypted", self.plain) } else { String::new() };
        let done = match (self.rewrapped, self.is_marked) {
            (0, true) => format!("{what}: {verb}marked anew\n"),
            (0, false) if plain.is_empty() => return,
            (count, _) => format!("{what}: {count} {verb}encrypted anew{plain}\n"),
        };
        // A reader that has gone away has read enough.
        let _ = std::io::stdout().write_all(done.as_bytes());
    }
}

/// Says something on standard error.
fn complain(text: &str) {
    // Standard error that is gone cannot be told so.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}
