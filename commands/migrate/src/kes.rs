//! `strongroom migrate kes`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use strongroom_api::GoDuration;
use strongroom_api::external_secrets::SecretStoreKind;
use strongroom_failure::{Class, Failure};
use strongroom_read::{Audience, report};

use crate::cluster::{blocking, connect};
use crate::convert::{Made, Options, convert};
use crate::output::{documents, print, write, write_file};
use crate::ownership::{Moved, Whose, kes_runs, move_ownership};
use crate::read::Input;
use crate::settings::{Names, SecretKey, Settings};

const EXAMPLES: &str = "\
Examples:
  strongroom migrate kes --from-cluster -A --kes-namespace kes -o eso/
  strongroom migrate kes -i manifests/ --set AWS_REGION=eu-west-1 --to-stdout | kubectl apply --dry-run=server -f -
  strongroom migrate kes --move-ownership -A            # says what it would do
  strongroom migrate kes --move-ownership -A --yes

Exit status: 0 everything is carried over (the report tells of differences), 1 something is not.";

/// Move from kubernetes-external-secrets to ExternalSecrets of external-secrets.io
///
/// Reads ExternalSecrets of kubernetes-client.io/v1, and KES's settings from its Deployment, and writes ExternalSecrets
/// and stores of external-secrets.io/v1 that fetch the same values into the same Secrets. What became of each object
/// is told on standard error. Nothing is changed in the cluster but by --move-ownership --yes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("source").required(true).args(["input", "from_cluster", "move_ownership"]))]
#[command(group = ArgGroup::new("sink").args(["output", "to_stdout"]))]
pub(crate) struct Kes {
    /// Secrets to take from KES; all of the namespace when none is named
    #[arg(value_name = "SECRET", requires = "move_ownership")]
    #[arg(conflicts_with_all = ["all_namespaces", "input", "from_cluster", "sink"])]
    secrets: Vec<String>,

    /// YAML or JSON files, or folders of them; - is standard input. KES's Deployment, its ServiceAccount and ConfigMaps
    /// and the Namespaces may be among them
    #[arg(short, long, value_name = "PATH")]
    input: Vec<PathBuf>,

    /// Read from the cluster
    #[arg(long, conflicts_with = "input")]
    from_cluster: bool,

    /// The namespace; the kubeconfig's when absent. With --input, of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// All namespaces of the cluster
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "input"])]
    all_namespaces: bool,

    /// kubeconfig file; KUBECONFIG, the pod's service account or ~/.kube/config when absent
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Write a file for each object below this folder
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    /// Write all objects to standard output
    #[arg(long)]
    to_stdout: bool,

    /// The kind of the stores that are made
    #[arg(long, value_enum, value_name = "KIND", default_value = "ClusterSecretStore")]
    store_kind: StoreKind,

    /// How often values are read again. KES's own interval (10s when it says nothing) is for all of its objects
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    refresh_interval: GoDuration,

    /// The namespace of KES's Deployment
    #[arg(long, value_name = "NAME", default_value = "default")]
    kes_namespace: String,

    /// KES's Deployment
    #[arg(long, value_name = "NAME", default_value = "kubernetes-external-secrets")]
    kes_deployment_name: String,

    /// The container in it; the only one counts by any name
    #[arg(long, value_name = "NAME", default_value = "kubernetes-external-secrets")]
    kes_container_name: String,

    /// A variable that KES was started with, over that of its Deployment. Repeatable
    #[arg(long, value_name = "VARIABLE=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,

    /// A variable that lies in a Secret of KES's namespace. Repeatable
    #[arg(long, value_name = "VARIABLE=SECRET/KEY", value_parser = secret_assignment)]
    set_secret: Vec<(String, SecretKey)>,

    /// Write Secrets with credentials that are written out in KES's Deployment
    #[arg(long)]
    include_credentials: bool,

    /// How the report is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    report: Form,

    /// Write the report to this file, and not to standard error
    #[arg(long, value_name = "FILE")]
    report_file: Option<PathBuf>,

    /// Take KES's owner references off Secrets, so that they stay when KES's objects go. Says what it would do
    #[arg(long, conflicts_with = "sink")]
    move_ownership: bool,

    /// Do it
    #[arg(long, requires = "move_ownership", conflicts_with_all = ["input", "from_cluster", "sink"])]
    yes: bool,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    #[value(name = "ClusterSecretStore")]
    ClusterSecretStore,
    #[value(name = "SecretStore")]
    SecretStore,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

fn duration(text: &str) -> Result<GoDuration, String> {
    let duration = GoDuration::from(text);
    duration.duration().map_err(|failure| failure.words)?;
    Ok(duration)
}

/// The words never repeat what was written: it may be a credential.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write VARIABLE=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn secret_assignment(text: &str) -> Result<(String, SecretKey), String> {
    let parts = text.split_once('=').and_then(|(name, place)| Some((name, place.split_once('/')?)));
    let (variable, (name, key)) = parts.ok_or("write VARIABLE=SECRET/KEY")?;
    Ok((variable.to_owned(), SecretKey { name: name.to_owned(), key: key.to_owned() }))
}

impl Kes {
    /// Runs; `variables` are the process's own.
    pub(crate) fn run(self, variables: &[OsString]) -> ExitCode {
        let done = if self.move_ownership { self.take_ownership(variables) } else { self.carry_over(variables) };
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(failure) => {
                report(Audience::Person, "", &[failure]);
                ExitCode::FAILURE
            }
        }
    }

    fn names(&self) -> Names {
        Names {
            namespace: self.kes_namespace.clone(),
            deployment: self.kes_deployment_name.clone(),
            container: self.kes_container_name.clone(),
        }
    }

    /// Reads, converts, writes and reports; whether everything was carried over.
    fn carry_over(&self, variables: &[OsString]) -> Result<bool, Failure> {
        if self.output.is_none() && !self.to_stdout {
            let words = "it is not said where to write";
            return Err(Failure::new(Class::Invalid, words).with_hint("add --output FOLDER, or --to-stdout"));
        }
        let names = self.names();
        let input = if self.from_cluster {
            blocking(self.read_cluster(variables, &names))?
        } else {
            let mut input = Input::from_files(&self.input)?;
            input.place_in(self.namespace.as_deref());
            input
        };
        let settings = Settings::find(&input.around, &names, &self.set, &self.set_secret);
        let options = Options {
            store_kind: match self.store_kind {
                StoreKind::ClusterSecretStore => SecretStoreKind::ClusterSecretStore,
                StoreKind::SecretStore => SecretStoreKind::SecretStore,
            },
            refresh_interval: self.refresh_interval.clone(),
            include_credentials: self.include_credentials,
        };
        let made = convert(&input, &settings, &options);
        let documents = documents(&made)?;
        match &self.output {
            Some(folder) => write(&documents, folder)?,
            None => print(&documents)?,
        }
        self.tell(&made)?;
        Ok(made.report.is_complete())
    }

    async fn read_cluster(&self, variables: &[OsString], names: &Names) -> Result<Input, Failure> {
        let connection = connect(self.kubeconfig.as_ref(), variables).await?;
        let usual = connection.namespace().to_owned();
        let namespace = (!self.all_namespaces).then(|| self.namespace.clone().unwrap_or(usual));
        Box::pin(Input::from_cluster(&connection.client(), namespace.as_deref(), names)).await
    }

    fn tell(&self, made: &Made) -> Result<(), Failure> {
        let text = match self.report {
            Form::Text => made.report.text(),
            Form::Json => made
                .report
                .json()
                .map_err(|error| Failure::new(Class::Invalid, format!("cannot write the report as JSON: {error}")))?,
        };
        match &self.report_file {
            Some(file) => write_file(file, text.as_bytes(), 0o644),
            None => {
                say(&text);
                Ok(())
            }
        }
    }

    /// Takes KES's references off, or says what would be taken off; whether all went well.
    fn take_ownership(&self, variables: &[OsString]) -> Result<bool, Failure> {
        blocking(async {
            let connection = connect(self.kubeconfig.as_ref(), variables).await?;
            let usual = connection.namespace().to_owned();
            let namespace = (!self.all_namespaces).then(|| self.namespace.clone().unwrap_or(usual));
            let whose = Whose { namespace, names: self.secrets.clone() };
            let client = connection.client();
            // A Deployment that may not be looked at is no reason to stop.
            let runs = kes_runs(&client, &self.kes_namespace, &self.kes_deployment_name).await.unwrap_or(false);
            let moved = move_ownership(&client, &whose, !self.yes).await?;
            say(&told(&moved, self.yes, runs));
            Ok(moved.iter().all(|moved| moved.failure.is_none()))
        })
    }
}

/// What was done, for people.
fn told(moved: &[Moved], is_done: bool, runs: bool) -> String {
    let mut text = String::new();
    for one in moved {
        let Moved { namespace, name, removed, kept, failure } = one;
        let owners = removed.join(", ");
        text += &match (failure, is_done) {
            (Some(words), _) => format!("{namespace}/{name}: FAILED: {words}\n"),
            (None, true) => format!("{namespace}/{name}: no longer owned by {owners}; {kept} other owners stay\n"),
            (None, false) => format!("{namespace}/{name}: would no longer be owned by {owners}; {kept} others stay\n"),
        };
    }
    if runs {
        text += "note: KES still runs, and makes itself the owner again when a value changes: scale it to 0 first\n";
    }
    let failed = moved.iter().filter(|one| one.failure.is_some()).count();
    text += &match (moved.len(), is_done) {
        (0, _) => "no Secret is owned by KES's objects\n".to_owned(),
        (count, true) => format!("{} Secrets changed, {failed} failed\n", count - failed),
        (count, false) => format!("{count} Secrets would be changed; nothing was: add --yes\n"),
    };
    text
}

/// Standard output is for objects. Standard error that is gone cannot be told so.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
