use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Write as _, stderr};
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use strongroom_api::GoDuration;
use strongroom_api::external_secrets::vocabulary::{annotation, condition};
use strongroom_api::external_secrets::{Condition, ExternalSecret, RefreshPolicy};
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_kube::{WriteFailure, merge_patch};
use strongroom_operator::Name;
use strongroom_sync::hash::synced_version;

use crate::cluster::ClusterOptions;
use crate::print::{print, wrapped};

/// Who writes the annotation.
const FIELD_MANAGER: &str = "strongroom-cli";

/// How often it is looked whether the operator is done. A sync takes tens of milliseconds at a fast store.
const POLL: Duration = Duration::from_millis(250);

/// Annotations that are written at once: an API server takes more, and everybody else wants some of it.
const AT_ONCE: usize = 16;

/// Objects of one page of a list.
const PAGE: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  strongroom es refresh app -n team-a
  strongroom es refresh --all -n team-a --wait 2m
  strongroom es refresh -A --wait 0

Exit status: 0 all are synced, 1 one is not (or not yet).";

/// Have the operator read values again now
///
/// Sets the annotation external-secrets.io/force-sync and waits until the operator has synced.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("which").required(true).multiple(false))]
pub(crate) struct Refresh {
    /// The ExternalSecret
    #[arg(value_name = "NAME", group = "which")]
    name: Option<String>,

    /// All of the namespace
    #[arg(long, group = "which")]
    all: bool,

    /// All of the cluster
    #[arg(short = 'A', long, group = "which", conflicts_with = "namespace")]
    all_namespaces: bool,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// How long to wait for the operator, in seconds or as 2m; 0 does not wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    wait: Duration,
}

/// How it ended for one object.
enum Ending {
    Synced(String),
    Failed(String),
    /// A refresh does nothing for it.
    Never(&'static str),
}

/// One object on its way.
struct Waiting {
    /// Its Ready condition before.
    before: Option<Condition>,
}

impl Refresh {
    /// Annotates, waits and prints; whether all are synced.
    ///
    /// # Errors
    /// `NotFound` where there is no such ExternalSecret, and where the cluster does not answer.
    pub(crate) async fn run(self, variables: &[OsString]) -> Result<bool, Failure> {
        let desk = self.cluster.desk(&[], variables).await?;
        let client = desk.client();
        let namespace = (!self.all_namespaces).then(|| self.cluster.namespace(&desk).to_owned());
        let objects = match &self.name {
            Some(name) => vec![one(&client, namespace.as_deref().unwrap_or_default(), name).await?],
            None => list(&client, namespace.as_deref()).await?,
        };
        let mut endings = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        for object in objects {
            let name = name_of(&object);
            match never(&object) {
                Some(why) => drop(endings.insert(name.to_string(), Ending::Never(why))),
                None => drop(waiting.insert(name, Waiting { before: ready(&object).cloned() })),
            }
        }
        for (name, refused) in annotate(&client, waiting.keys().cloned().collect()).await {
            waiting.remove(&name);
            endings.insert(name.to_string(), Ending::Failed(refused.to_string()));
        }
        let asked = waiting.len();
        if self.wait.is_zero() {
            report(&endings)?;
            print(&format!("{asked} ExternalSecrets are asked to be read again\n"))?;
            return Ok(endings.is_empty());
        }
        self.wait_for(&client, namespace.as_deref(), waiting, &mut endings).await?;
        report(&endings)
    }

    async fn wait_for(
        &self,
        client: &Client,
        namespace: Option<&str>,
        mut waiting: BTreeMap<Name, Waiting>,
        endings: &mut BTreeMap<String, Ending>,
    ) -> Result<(), Failure> {
        let (start, all) = (Instant::now(), waiting.len());
        while !waiting.is_empty() {
            tokio::time::sleep(POLL.max(POLL * u32::try_from(all / 100).unwrap_or(1))).await;
            let objects = match &self.name {
                Some(name) => vec![one(client, namespace.unwrap_or_default(), name).await?],
                None => list(client, namespace).await?,
            };
            for object in objects {
                let name = name_of(&object);
                let Some(ending) = waiting.get(&name).and_then(|known| ended(&object, known)) else { continue };
                waiting.remove(&name);
                endings.insert(name.to_string(), ending);
            }
            progress(all - waiting.len(), all);
            if start.elapsed() > self.wait {
                for (name, known) in std::mem::take(&mut waiting) {
                    endings.insert(name.to_string(), late(&known, self.wait));
                }
            }
        }
        Ok(())
    }
}

fn name_of(object: &ExternalSecret) -> Name {
    Name::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

async fn one(client: &Client, namespace: &str, name: &str) -> Result<ExternalSecret, Failure> {
    let asked = format!("read ExternalSecret {namespace}/{name}");
    let api: Api<ExternalSecret> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(Failure::new(Class::NotFound, format!("cannot {asked}: it does not exist"))
            .with_hint(format!("kubectl get externalsecrets -n {namespace} lists those that do"))),
        Err(error) => Err(failure(&error, &asked, &[])),
    }
}

async fn list(client: &Client, namespace: Option<&str>) -> Result<Vec<ExternalSecret>, Failure> {
    let api: Api<ExternalSecret> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let mut found = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&parameters).await.map_err(|error| failure(&error, "list ExternalSecrets", &[]))?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// Why a refresh would do nothing, as far as the object says.
fn never(object: &ExternalSecret) -> Option<&'static str> {
    let is_synced = object.status.as_ref().is_some_and(|status| status.synced_resource_version.is_some());
    let interval = object.spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok());
    match object.spec.refresh_policy.unwrap_or_default() {
        RefreshPolicy::CreatedOnce if is_synced => Some("refreshPolicy CreatedOnce reads values once"),
        RefreshPolicy::Periodic if is_synced && interval.is_some_and(|interval| interval.is_zero()) => {
            Some("refreshInterval 0 reads values once")
        }
        _ => None,
    }
}

/// Annotates all of them; those for which that failed.
async fn annotate(client: &Client, names: Vec<Name>) -> Vec<(Name, WriteFailure)> {
    let now = Timestamp::now().as_millisecond().to_string();
    let patch = json!({ "metadata": { "annotations": { annotation::FORCE_SYNC: now } } });
    let patch = &patch;
    let write = |name: Name| async move {
        let api: Api<ExternalSecret> = Api::namespaced(client.clone(), &name.namespace);
        let written = merge_patch(&api, &name.name, patch, FIELD_MANAGER).await;
        written.err().map(|refused| (name, refused))
    };
    stream::iter(names).map(write).buffer_unordered(AT_ONCE).filter_map(async |ended| ended).collect().await
}

fn ready(object: &ExternalSecret) -> Option<&Condition> {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().find(|one| one.kind == condition::READY)
}

/// How it ended for an object, once that shows: the operator notes which edition it has synced.
fn ended(object: &ExternalSecret, known: &Waiting) -> Option<Ending> {
    let metadata = &object.metadata;
    let version = synced_version(
        metadata.generation.unwrap_or_default(),
        metadata.labels.as_ref(),
        metadata.annotations.as_ref(),
    );
    let synced = object.status.as_ref().and_then(|status| status.synced_resource_version.as_deref());
    let ready = ready(object)?;
    let words = format!(
        "{}: {}",
        ready.reason.as_deref().unwrap_or("no reason"),
        ready.message.as_deref().unwrap_or("no message")
    );
    if synced == Some(&version) && ready.status == "True" {
        return Some(Ending::Synced(words));
    }
    // A failure is written where it is another one than before.
    (ready.status == "False" && known.before.as_ref() != Some(ready)).then_some(Ending::Failed(words))
}

/// What to say of an object for which nothing changed in time.
fn late(known: &Waiting, wait: Duration) -> Ending {
    let message = known.before.as_ref().filter(|ready| ready.status == "False").and_then(|ready| ready.message.clone());
    Ending::Failed(match message {
        Some(message) => format!("as before: {message}"),
        None => format!("nothing happened within {} s; is the operator running?", wait.as_secs()),
    })
}

/// Says how far it is, to people who watch.
fn progress(done: usize, all: usize) {
    if all > 1 && stderr().is_terminal() {
        let _ = write!(stderr(), "\r{done} of {all}");
        if done == all {
            let _ = writeln!(stderr());
        }
    }
}

/// Prints how each one ended; whether all are synced.
fn report(endings: &BTreeMap<String, Ending>) -> Result<bool, Failure> {
    let mut is_well = true;
    for (name, ending) in endings {
        let (mark, words) = match ending {
            Ending::Synced(words) => ("ok", words.as_str()),
            Ending::Failed(words) => ("!!", words.as_str()),
            Ending::Never(words) => ("--", *words),
        };
        is_well &= mark == "ok";
        print(&wrapped(&format!("{mark}  {name}  "), words))?;
    }
    Ok(is_well)
}

/// A time as Go writes it, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => GoDuration::from(text).duration().map_err(|_| "use a time such as 30s or 2m".to_owned()),
    }
}
