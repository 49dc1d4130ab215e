//! `strongroom why`: the whole chain of one ExternalSecret, walked as the operator walks it and without a write.
//!
//! An operator is put together and its index filled by single reads, with the rights of whoever asks; then the same
//! functions decide, ask, render and plan as in service. What may not be read is said to be so, and is no verdict.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use strongroom_api::StorePolicy;
use strongroom_api::external_secrets::{ClusterSecretStore, ExternalSecret, SecretStore};
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::{checked_name, failure};
use strongroom_kube::{Recorder, RecorderSettings};
use strongroom_policy::StorePolicies;
use strongroom_reconcile::{Backoff, Settings as LoopSettings};
use strongroom_sync::hash::DataHash;

use crate::eso::external_secret::rehearse;
use crate::index::{Store, stores_of, target_of};
use crate::names::{Name, StoreName};
use crate::operator::{Operator, Parts};
use crate::run::{LIMITS, LONGEST, captured, connect};
use crate::settings::OperatorSettings;

/// How a step of the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Wrong.
    Wrong,
    /// Not looked at, since something before it is wrong.
    Skipped,
    /// Not looked at, since whoever asks may not.
    Unseen,
}

impl Mark {
    /// Two characters for the beginning of a line.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "!!",
            Self::Skipped => "--",
            Self::Unseen => "??",
        }
    }
}

/// One step of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How it stands.
    pub mark: Mark,
    /// What was looked at: `object`, `condition`, `store`, `login`, `policy`, `key`, `value`, `template`, `target`,
    /// `refresh`.
    pub what: &'static str,
    /// What was found, in one sentence without a value.
    pub words: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What was found out about one ExternalSecret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether nothing is wrong, as far as could be seen.
    pub is_well: bool,
    /// What is wrong, or that nothing is.
    pub verdict: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The chain, in its order.
    pub steps: Vec<Step>,
}

/// What would be written, without a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The Secret's type, where the template names one.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<String>,
    /// The keys of its data, each with its value's length in bytes.
    pub data: BTreeMap<String, usize>,
    /// The names of its labels. Their values may come from templates, and so from a store.
    pub labels: Vec<String>,
    /// The names of its annotations.
    pub annotations: Vec<String>,
}

/// Whose cluster is looked at, and which operator is to be thought of.
#[derive(Clone, Debug, Default)]
pub struct Inquiry {
    /// A kubeconfig file; what kubectl finds, where there is none.
    pub kubeconfig: Option<PathBuf>,
    /// The flags that the operator is started with.
    pub flags: Vec<String>,
    /// The process's own variables.
    pub variables: BTreeMap<String, String>,
}

/// Where questions about a cluster are asked.
pub struct Desk {
    operator: Arc<Operator>,
    /// Who asks, as the API server knows them.
    me: Option<String>,
}

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Flags {
    #[command(flatten)]
    settings: OperatorSettings,
}

impl Desk {
    /// Connects as whoever asks.
    ///
    /// # Errors
    /// `Invalid` for flags that the operator would not take, and where no cluster is known.
    pub async fn open(inquiry: Inquiry) -> Result<Self, Failure> {
        let flags = Flags::try_parse_from(&inquiry.flags).map_err(|error| {
            let first = error.to_string().lines().next().unwrap_or_default().replace("error: ", "");
            Failure::new(Class::Invalid, first).in_field("the operator's flags")
        })?;
        let mut settings = flags.settings;
        settings.kubeconfig = inquiry.kubeconfig.or(settings.kubeconfig);
        settings.check()?;
        let connection = connect(&settings, &inquiry.variables).await?;
        let recorder = RecorderSettings { component: "external-secrets", instance: "why".to_owned(), queue_limit: 1 };
        // The task that would write events is never run: nothing is told to the cluster.
        let (recorder, _) = Recorder::new(connection.client(), recorder);
        let loop_settings = LoopSettings { limits: LIMITS, backoff: Backoff::default(), longest: LONGEST };
        // Hashes are only compared with what an operator wrote, whose key is not at hand.
        let parts =
            Parts { settings, connection, variables: inquiry.variables, recorder, data_hash: DataHash::Compatible };
        let operator = Operator::new(parts, &loop_settings)?;
        let me = who_am_i(operator.connection.client()).await;
        Ok(Self { operator, me })
    }

    /// A client with the rights of whoever asks.
    pub fn client(&self) -> Client {
        self.operator.connection.client()
    }

    /// The namespace that is meant where none is named.
    pub fn namespace(&self) -> &str {
        self.operator.connection.namespace()
    }

    /// Walks the chain of the ExternalSecret `name`.
    ///
    /// # Errors
    /// `NotFound` where there is no such ExternalSecret or kind, and where the API server does not answer.
    pub async fn why(&self, name: &Name) -> Result<Report, Failure> {
        let client = self.client();
        let api: Api<ExternalSecret> = Api::namespaced(client, checked_name(&name.namespace)?);
        let asked = format!("read ExternalSecret {name}");
        let object = api.get(checked_name(&name.name)?).await.map_err(|error| missing(&error, &asked))?;
        let (notes, _) = self.rehearse(name, object, true).await?;
        Ok(notes.report(name))
    }

    /// What would be written for `object`, which comes from a file and is for the namespace that it names.
    ///
    /// # Errors
    /// Where the API server does not answer.
    pub async fn preview(&self, mut object: ExternalSecret) -> Result<(Report, Option<Preview>), Failure> {
        let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone());
        let name = Name::new(&namespace.unwrap_or_else(|| self.namespace().to_owned()), &name.unwrap_or_default());
        let api: Api<ExternalSecret> = Api::namespaced(self.client(), checked_name(&name.namespace)?);
        object.metadata.namespace = Some(name.namespace.to_string());
        let asked = format!("read ExternalSecret {name}");
        match api.get_opt(checked_name(&name.name)?).await {
            // With its identity, so that a Secret that it owns is its own here too.
            Ok(live) => object.metadata.uid = live.and_then(|live| live.metadata.uid),
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(missing(&error, &asked)),
        }
        let (notes, preview) = self.rehearse(&name, object, false).await?;
        Ok((notes.report(&name), preview))
    }

    async fn rehearse(
        &self,
        name: &Name,
        object: ExternalSecret,
        is_live: bool,
    ) -> Result<(Notes, Option<Preview>), Failure> {
        let mut notes = Notes { me: self.me.clone(), ..Notes::default() };
        self.gather(name, &object, &mut notes).await?;
        let preview = rehearse::rehearse(&self.operator, name, &object, is_live, &mut notes).await;
        Ok((notes, preview))
    }

    /// Reads what the chain of `object` goes through into the index.
    async fn gather(&self, name: &Name, object: &ExternalSecret, notes: &mut Notes) -> Result<(), Failure> {
        let (operator, client) = (&self.operator, self.client());
        operator.learn(|index| index.apply_external_secret(object.clone()));
        for store in stores_of(name, object) {
            let read = read_store(&client, &store).await;
            if let Some(Some(found)) = notes.seen(Thing::Store(store), read)? {
                operator.learn(|index| index.apply_store(found));
            }
        }
        let api: Api<Namespace> = Api::all(client.clone());
        let read = api.get_metadata_opt(&name.namespace).await;
        let read = read.map_err(|error| failure(&error, &format!("read Namespace {}", name.namespace), &[]));
        if let Some(Some(found)) = notes.seen(Thing::Namespace, read)? {
            operator.learn(|index| index.apply_namespace(&found.metadata));
        }
        let target = target_of(name, object);
        let api: Api<Secret> = Api::namespaced(client.clone(), &target.namespace);
        let read = api.get_metadata_opt(checked_name(&target.name)?).await;
        let read = read.map_err(|error| failure(&error, &format!("read Secret {target}"), &[]));
        if let Some(Some(found)) = notes.seen(Thing::Target, read)? {
            operator.learn(|index| index.apply_secret(&found.metadata));
        }
        self.gather_policies(&client, notes).await
    }

    async fn gather_policies(&self, client: &Client, notes: &mut Notes) -> Result<(), Failure> {
        let settings = &self.operator.settings;
        if settings.store_policies == "off" || !settings.serves_cluster_kinds() {
            return Ok(());
        }
        let listed = Api::<StorePolicy>::all(client.clone()).list(&ListParams::default()).await;
        let listed = match listed {
            // The kind is not installed.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            listed => listed.map_err(|error| failure(&error, "list StorePolicies", &[])),
        };
        if let Some(policies) = notes.seen(Thing::Policies, listed)? {
            let policies = StorePolicies::new(policies.items.iter().map(StorePolicy::policy));
            self.operator.set_policies(policies);
        }
        Ok(())
    }
}

async fn read_store(client: &Client, store: &StoreName) -> Result<Option<Store>, Failure> {
    let failed = |error: kube::Error| failure(&error, &format!("read {store}"), &[]);
    let name = checked_name(&store.name)?;
    match &store.namespace {
        Some(namespace) => {
            let api: Api<SecretStore> = Api::namespaced(client.clone(), namespace);
            Ok(api.get_opt(name).await.map_err(failed)?.and_then(Store::of_namespace))
        }
        None => {
            let api: Api<ClusterSecretStore> = Api::all(client.clone());
            Ok(api.get_opt(name).await.map_err(failed)?.and_then(Store::of_cluster))
        }
    }
}

/// Why there is no such object: also where its kind is missing.
fn missing(error: &kube::Error, asked: &str) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound" && status.details.is_some() => {
            Failure::new(Class::NotFound, format!("cannot {asked}: it does not exist"))
                .with_hint("kubectl get externalsecrets -A lists those that do")
        }
        kube::Error::Api(status) if status.code == 404 => {
            Failure::new(Class::NotFound, format!("cannot {asked}: the cluster has no such kind"))
                .with_hint("strongroom crds | kubectl apply --server-side -f -")
        }
        error => failure(error, asked, &[]),
    }
}

/// The name by which the API server knows us; nothing where it does not say.
async fn who_am_i(client: Client) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(client);
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    review.status?.user_info?.username
}

/// What is read before the chain is walked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    /// A store.
    Store(StoreName),
    /// The namespace's labels.
    Namespace,
    /// The StorePolicies.
    Policies,
    /// The target's metadata.
    Target,
}

/// Steps as they are taken down.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    steps: Vec<Step>,
    me: Option<String>,
    unseen: BTreeMap<Thing, Failure>,
}

impl Notes {
    /// Takes down that something is as it should be.
    pub(crate) fn ok(&mut self, what: &'static str, words: impl Into<String>) {
        self.push(Mark::Ok, what, words.into(), None);
    }

    /// Takes down that something was not looked at, since something before it is wrong.
    pub(crate) fn skipped(&mut self, what: &'static str, words: impl Into<String>) {
        self.push(Mark::Skipped, what, words.into(), None);
    }

    /// Takes down that something is wrong, or, where only rights are missing, that it could not be seen. `context` goes
    /// before the failure's own words.
    pub(crate) fn failed(&mut self, what: &'static str, context: &str, failure: &Failure) {
        if self.is_mine(failure) {
            self.push(Mark::Unseen, what, format!("{context}you may not look: {}", failure.words), None);
            return;
        }
        let words = format!("{context}{failure} [{}]", failure.class.reason());
        self.push(Mark::Wrong, what, words, failure.hint.clone());
    }

    /// Takes down something wrong that is no failure.
    pub(crate) fn wrong(&mut self, what: &'static str, words: impl Into<String>, hint: Option<&str>) {
        self.push(Mark::Wrong, what, words.into(), hint.map(str::to_owned));
    }

    /// Takes down that `thing` could not be seen; whether that is so.
    pub(crate) fn is_unseen(&mut self, what: &'static str, thing: &Thing) -> bool {
        let Some(failure) = self.unseen.get(thing) else { return false };
        let words = format!("you may not look: {}", failure.words);
        self.push(Mark::Unseen, what, words, None);
        true
    }

    fn push(&mut self, mark: Mark, what: &'static str, words: String, hint: Option<String>) {
        self.steps.push(Step { mark, what, words, hint });
    }

    /// What was read; nothing, and a note of it, where whoever asks may not read it.
    fn seen<T>(&mut self, thing: Thing, read: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match read {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.class == Class::Denied => {
                self.unseen.insert(thing, failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether a refusal is of whoever asks and not of the operator or a store's own identity.
    fn is_mine(&self, failure: &Failure) -> bool {
        let Some(me) = &self.me else { return false };
        failure.words.contains(&format!("User \"{me}\" cannot"))
    }

    fn report(self, name: &Name) -> Report {
        let wrong = |step: &&Step| step.mark == Mark::Wrong;
        let place = self.steps.iter().position(|step| wrong(&step) && step.what != "condition");
        // A store that is not ready is opened all the same: what that says is newer than the store's own words.
        let opened =
            place.and_then(|place| self.steps.get(place + 1)).filter(|next| wrong(next) && next.what == "login");
        let cause = opened.or(place.and_then(|place| self.steps.get(place)));
        let condition = self.steps.iter().find(wrong);
        let unseen = self.steps.iter().filter(|step| step.mark == Mark::Unseen).count();
        let target = self.steps.iter().rfind(|step| step.what == "target");
        let refresh = format!("strongroom es refresh {} -n {}", name.name, name.namespace);
        let (verdict, hint) = match (cause, condition) {
            (Some(cause), _) => (cause.words.clone(), cause.hint.clone()),
            (None, Some(_)) if unseen > 0 => {
                let words = "the operator says that it is not ready; what you may look at is right";
                (
                    format!("{words}, and {unseen} could not be looked at"),
                    Some("ask somebody with more rights".to_owned()),
                )
            }
            (None, Some(_)) => {
                let words = "nothing is wrong now, and the operator has not said so yet".to_owned();
                (words, Some(format!("is it running? Have it look again: {refresh}")))
            }
            (None, None) if unseen > 0 => {
                (format!("nothing wrong was seen; {unseen} could not be looked at with your rights"), None)
            }
            (None, None) => (target.map_or("all is well", |target| &target.words).to_owned(), None),
        };
        Report {
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
            is_well: condition.is_none(),
            verdict,
            hint,
            steps: self.steps,
        }
    }
}

impl Inquiry {
    /// With the process's own variables, as far as they are text.
    #[must_use]
    pub fn with_variables(mut self, entries: &[OsString]) -> Self {
        self.variables = captured(entries);
        self
    }
}
