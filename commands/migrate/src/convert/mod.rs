//! From one object of kubernetes-external-secrets to an ExternalSecret and the store that it reads.

mod aws;
mod azure;
mod entries;
mod google;
mod stores;
mod target;
mod vault;

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use strongroom_api::external_secrets::provider::SecretStoreProvider;
use strongroom_api::external_secrets::{
    ExternalSecret, ExternalSecretSpec, RefreshPolicy, SecretStoreKind, SecretStoreRef,
};
use strongroom_api::kes::{self, Backend};
use strongroom_api::{GoDuration, StorePolicy};
use strongroom_failure::Failure;
use strongroom_kube::failure::checked_name;

use crate::permission::Permission;
use crate::read::{Found, Input};
use crate::report::{Notes, ObjectReport, Outcome, Report};
use crate::settings::Settings;

use stores::{Context, Stores};
pub(crate) use stores::{Copied, Store, leave_out_defaults};

/// Annotations that say how an object was applied, and not what it is.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is made otherwise on demand.
pub(crate) struct Options {
    pub(crate) store_kind: SecretStoreKind,
    pub(crate) refresh_interval: GoDuration,
    /// Whether credentials that are written out in KES's Deployment are copied into Secrets.
    pub(crate) include_credentials: bool,
}

/// All that was made.
pub(crate) struct Made {
    pub(crate) external_secrets: Vec<ExternalSecret>,
    pub(crate) stores: Vec<Store>,
    pub(crate) policies: Vec<StorePolicy>,
    /// Secrets with credentials that were written out; none without the option.
    pub(crate) secrets: Vec<Copied>,
    pub(crate) report: Report,
}

/// Converts all objects of `input`. The same input gives the same output, to the byte.
pub(crate) fn convert(input: &Input, settings: &Settings, options: &Options) -> Made {
    let mut stores = Stores::default();
    let mut report = Report { remarks: remarks(input, settings), ..Report::default() };
    report.unreadable = input.failures.iter().map(Failure::to_string).collect();
    let mut external_secrets = Vec::new();
    let mut seen = BTreeSet::new();
    for found in &input.objects {
        let mut notes = Notes::default();
        if !seen.insert((found.object.namespace(), found.object.name_any())) {
            notes.refuse("another object of the same namespace and name was found before", "give it once");
        }
        let one = One { found, settings, options, input };
        let made = one.convert(&mut stores, &mut report, &mut notes);
        let store = made.as_ref().and_then(|made| made.spec.secret_store_ref.as_ref()?.name.clone());
        report.objects.push(ObjectReport {
            place: found.place.clone(),
            namespace: found.object.namespace(),
            name: found.object.name_any(),
            outcome: notes.outcome(),
            store,
            notes,
        });
        external_secrets.extend(made);
    }
    let finished = stores.finish(input, settings, options);
    report.stores = finished.reports;
    let (stores, policies, secrets) = (finished.stores, finished.policies, finished.secrets);
    Made { external_secrets, stores, policies, secrets, report }
}

/// What holds for everything.
fn remarks(input: &Input, settings: &Settings) -> Vec<String> {
    let mut remarks = Vec::new();
    if !settings.is_found {
        remarks.push(
            "KES's Deployment, or its container, was not found: its defaults count, and what --set says. Give its \
             manifest with --input, or its name with --kes-namespace and --kes-deployment-name"
                .to_owned(),
        );
    }
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    for found in &input.objects {
        match found.object.namespace() {
            Some(namespace) if input.around.namespaces.contains_key(&namespace) => {}
            Some(namespace) => drop(unknown.insert(namespace)),
            None => {}
        }
    }
    if !unknown.is_empty() {
        let names = unknown.into_iter().collect::<Vec<_>>().join(", ");
        remarks.push(format!(
            "the annotations of these namespaces are not known, so what they permit was not looked at: {names}. Give \
             the Namespaces with --input, or read from the cluster"
        ));
    }
    remarks
}

/// One object on its way.
struct One<'i> {
    found: &'i Found,
    settings: &'i Settings,
    options: &'i Options,
    input: &'i Input,
}

impl One<'_> {
    /// The ExternalSecret, or reasons among `notes`.
    fn convert(&self, stores: &mut Stores, report: &mut Report, notes: &mut Notes) -> Option<ExternalSecret> {
        let spec = self.checked(report, notes)?;
        let backend = spec.backend()?;
        let entries = entries::entries(backend, spec, notes);
        let name = self.found.object.name_any();
        let target = target::target(&name, spec, notes);
        let namespace = self.found.object.namespace();
        let mut context = Context::new(self.settings, self.options, namespace.as_deref());
        let provider = provider(backend, spec, &mut context, notes)?;
        let store = stores::store_name(backend, &provider, notes)?;
        let mut made = ExternalSecret::new(&name, ExternalSecretSpec::default());
        made.metadata = self.metadata();
        made.spec = ExternalSecretSpec {
            secret_store_ref: Some(SecretStoreRef { name: Some(store), kind: Some(self.options.store_kind) }),
            target: Some(target),
            refresh_policy: self.settings.is_set("DISABLE_POLLING").then_some(RefreshPolicy::OnChange),
            refresh_interval: Some(self.options.refresh_interval.clone()),
            data: entries.data,
            data_from: entries.data_from,
            ..ExternalSecretSpec::default()
        };
        // Where a part is missing already, what is missing by it needs no words.
        let problems = if notes.reasons.is_empty() { made.problems() } else { Vec::new() };
        for problem in problems {
            let cure = problem.hint.clone().unwrap_or_default();
            notes.refuse(format!("what would be made is not allowed: {problem}"), cure);
        }
        if notes.outcome() == Outcome::NotCarried {
            return None;
        }
        stores.add(&made, backend, provider, entries.keys, context);
        Some(made)
    }

    /// What the object asks for, where KES itself would read it; else why not is among `notes`.
    fn checked(&self, report: &mut Report, notes: &mut Notes) -> Option<&kes::ExternalSecretSpec> {
        let object = &self.found.object;
        let (name, namespace) = (object.name_any(), object.namespace());
        for name in [Some(&name), namespace.as_ref()].into_iter().flatten() {
            if let Err(failure) = checked_name(name) {
                notes.refuse(failure.words, "correct the object's metadata");
            }
        }
        for problem in object.problems() {
            let cure = problem.hint.clone().unwrap_or_default();
            notes.refuse(problem.to_string(), cure);
        }
        let (field, spec) = object.asked()?;
        self.check_served(field, spec, notes);
        if let Some(namespace) = &namespace {
            let permission = Permission::new(namespace, self.input.around.namespaces.get(namespace), self.settings);
            match permission.check(&name, field, spec) {
                Ok(reliances) => report.reliances.extend(reliances),
                Err(words) => {
                    let cure = "nothing is lost: correct the annotation first if it should be read";
                    notes.refuse(format!("KES refuses it today: {words}"), cure);
                }
            }
        }
        (notes.outcome() != Outcome::NotCarried).then_some(spec)
    }

    /// Whether this KES serves the object at all.
    fn check_served(&self, field: &str, spec: &kes::ExternalSecretSpec, notes: &mut Notes) {
        let filled = |text: &'_ &str| !text.is_empty();
        let mine = self.settings.text("INSTANCE_ID");
        let wanted = spec.controller_id.as_deref().filter(filled);
        // Objects in the first spelling are every controller's.
        if field == "spec" && mine != wanted {
            let named = |id: Option<&str>| id.map_or_else(|| "none".to_owned(), |id| format!("\"{id}\""));
            let (wanted, mine) = (named(wanted), named(mine));
            let why = format!("another KES serves it: its controllerId is {wanted}, this one's INSTANCE_ID is {mine}");
            notes.refuse(why, "run this again with that one's settings, or with --set INSTANCE_ID=…");
        }
        let watched = self.settings.text("WATCHED_NAMESPACES").unwrap_or_default();
        let mut watched = watched.split(',').map(str::trim).filter(filled).peekable();
        if let Some(namespace) = self.found.object.namespace()
            && watched.peek().is_some()
            && !watched.any(|watched| watched == namespace)
        {
            let cure = "nothing is lost: KES writes no Secret for it";
            notes.refuse("KES does not serve its namespace (WATCHED_NAMESPACES)", cure);
        }
    }

    fn metadata(&self) -> ObjectMeta {
        let given = &self.found.object.metadata;
        let mut annotations = given.annotations.clone().unwrap_or_default();
        annotations.remove(APPLIED);
        ObjectMeta {
            name: given.name.clone(),
            namespace: given.namespace.clone(),
            labels: given.labels.clone().filter(|labels| !labels.is_empty()),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        }
    }
}

/// The provider of the store that `spec` reads; `None` where that is among `notes`.
fn provider(
    backend: Backend,
    spec: &kes::ExternalSecretSpec,
    context: &mut Context<'_>,
    notes: &mut Notes,
) -> Option<SecretStoreProvider> {
    let mut provider = SecretStoreProvider::default();
    match backend {
        Backend::SecretsManager | Backend::SystemManager => {
            provider.aws = Some(Box::new(aws::provider(backend, spec, context, notes)?));
        }
        Backend::Vault => provider.vault = Some(Box::new(vault::provider(spec, context, notes)?)),
        Backend::AzureKeyVault => provider.azure = Some(Box::new(azure::provider(spec, context, notes)?)),
        Backend::GcpSecretsManager => provider.google = Some(Box::new(google::provider(spec, context, notes)?)),
        Backend::AlicloudSecretsManager | Backend::IbmcloudSecretsManager | Backend::Akeyless => {
            let why = format!("no store here reads {}", backend.name());
            notes.refuse(why, "move its secrets to a store that is served, or keep KES or External Secrets for it");
            return None;
        }
    }
    Some(provider)
}
