//! Generators: objects that make values. [`Operator::generator`] finds the one that a `generatorRef` means,
//! [`Operator::generate`] lets it make its values, and [`Kept`] stores them before anybody uses them. Values that end have
//! a GeneratorState (`states`), by which they are renewed in time (`leases`) and ended.
//!
//! Generators are not watched: as with External Secrets Operator, a change is seen when somebody's refresh is due.

mod aws;
mod kept;
mod leases;
mod noted;
pub(crate) mod states;
mod vault;
mod webhook;

use std::sync::Arc;

use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::Value;
use strongroom_api::external_secrets::GeneratorRef;
use strongroom_api::generators::{CLUSTER_KIND, ClusterGeneratorSpec, GROUP, Generator, SERVED, VERSION, not_served};
use strongroom_crypto::random_below;
use strongroom_failure::{Class, Failure};
use strongroom_generate::{one_time_password, password, ssh_key, uuid};
use strongroom_kube::failure::{checked_name, failure};
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;

pub(crate) use self::kept::{GENERATED_FOR, Kept, Term, Wanted};
pub(crate) use self::leases::Tended;
use self::leases::{Made, Maker};
use crate::eso::stores::{Scope, StoreIdentity};
use crate::operator::Operator;
use crate::reader::Reader;

/// A generator that somebody named.
pub(crate) struct Chosen {
    generator: Generator,
    /// Whether a ClusterGenerator holds it, which an administrator wrote.
    is_for_cluster: bool,
}

impl Operator {
    /// The generator that `reference` means to somebody in `namespace`.
    ///
    /// # Errors
    /// `Invalid` where it is of a kind that is not served or its spec is wrong, `Denied` for a ClusterGenerator where
    /// the operator serves some namespaces alone. That it does not exist is `Unavailable`: it is no store without the
    /// secret, and what was delivered stays (design invariant 7).
    pub(crate) async fn generator(&self, reference: &GeneratorRef, namespace: &str) -> Result<Chosen, Failure> {
        let ours = format!("{GROUP}/{VERSION}");
        if let Some(other) = reference.api_version.as_deref().filter(|version| !version.is_empty() && *version != ours)
        {
            let words = format!("generators of {other:?} are not known");
            return Err(Failure::new(Class::Invalid, words).with_hint(format!("leave apiVersion out, or set {ours}")));
        }
        let kind = reference.kind.as_str();
        let is_for_cluster = kind == CLUSTER_KIND;
        let generator = if is_for_cluster {
            let spec = self.generator_spec(CLUSTER_KIND, "clustergenerators", None, &reference.name).await?;
            let unreadable = |_| Failure::new(Class::Invalid, format!("the spec is not that of a {CLUSTER_KIND}"));
            serde_json::from_value::<ClusterGeneratorSpec>(spec).map_err(unreadable)?.generator()?
        } else {
            let served = SERVED.iter().find(|(served, _)| *served == kind);
            let (_, plural) = served.ok_or_else(|| not_served(kind))?;
            Generator::read(kind, self.generator_spec(kind, plural, Some(namespace), &reference.name).await?)?
        };
        match generator.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Chosen { generator, is_for_cluster }),
        }
    }

    async fn generator_spec(
        &self,
        kind: &str,
        plural: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, Failure> {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
        let client = self.connection.client();
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None if self.settings.serves_cluster_kinds() => Api::all_with(client, &resource),
            None => {
                let words = format!("a {CLUSTER_KIND} cannot be used while the operator serves some namespaces alone");
                return Err(Failure::new(Class::Denied, words).with_hint("use a generator of the namespace"));
            }
        };
        let found = api.get_opt(checked_name(name)?).await;
        let found = found.map_err(|error| failure(&error, &format!("read the {kind} \"{name}\""), &[]))?;
        let missing = || {
            Failure::new(Class::Unavailable, format!("the {kind} \"{name}\" does not exist"))
                .with_hint(format!("create it; kubectl get crd {plural}.{GROUP} says whether its kind is installed"))
        };
        let mut object = found.ok_or_else(missing)?;
        Ok(object.data.get_mut("spec").map(Value::take).unwrap_or_default())
    }

    /// Lets `generator` make its values, for somebody in `namespace`; what ends is made by `maker`. The same call again
    /// makes others: who uses them keeps them first.
    ///
    /// # Errors
    /// Why none could be made; never `NotFound`.
    pub(crate) async fn generate(
        &self,
        chosen: Chosen,
        namespace: &str,
        now: Timestamp,
        maker: &Maker<'_>,
    ) -> Result<Made, Failure> {
        let scope = || self.generators_scope(namespace, chosen.is_for_cluster);
        let values: Result<Values, Failure> = match chosen.generator {
            Generator::Password(spec) => password(&spec, &mut random_below),
            Generator::Uuid => uuid(&mut random_below),
            Generator::Fake(spec) => {
                Ok(spec.data.into_iter().map(|(key, value)| (key, SecretBytes::from(value))).collect())
            }
            Generator::SshKey(spec) => {
                // Seconds of arithmetic, for large keys.
                let made = tokio::task::spawn_blocking(move || ssh_key(&spec)).await;
                made.unwrap_or_else(|_| Err(Failure::new(Class::Unavailable, "the key could not be made")))
            }
            Generator::Mfa(spec) => {
                let seed = scope().secret("spec.secret", &spec.secret, "").await.map_err(no_absence)?;
                one_time_password(&spec, &seed, now.as_second())
            }
            Generator::EcrAuthorizationToken(spec) => aws::registry_login(&spec, &scope()).await.map_err(no_absence),
            Generator::StsSessionToken(spec) => aws::session_token(&spec, &scope()).await.map_err(no_absence),
            Generator::Webhook(spec) => webhook::values(&spec, &scope()).await.map_err(no_absence),
            Generator::VaultDynamicSecret(spec) => return maker.make(&spec).await,
        };
        values.map(Made::from)
    }

    /// What a generator may use, for somebody in `namespace`. Also what a ClusterGenerator refers to lies there, and
    /// nowhere else; but an administrator chose that it may be the operator itself who asks.
    fn generators_scope(&self, namespace: &str, is_for_cluster: bool) -> Scope {
        let reader = Reader::new(self.connection.clone(), Arc::clone(&self.variables));
        let identity = StoreIdentity {
            namespace: Some(namespace.to_owned()),
            name: "generator".to_owned(),
            asker: namespace.to_owned(),
        };
        let is_ambient_allowed = is_for_cluster || self.settings.ambient_credentials == "all";
        // Templates of addresses see Secrets of that namespace, whoever wrote them.
        let are_local_allowed = self.settings.allow_local_addresses;
        Scope::new(reader, identity, is_ambient_allowed, are_local_allowed, Arc::clone(&self.meter))
    }

    /// Whether one of `references` means a generator of another controller's class, to somebody in `namespace`.
    pub(crate) async fn leaves_to_others(&self, references: &[&GeneratorRef], namespace: &str) -> bool {
        for reference in references {
            // Of those that are served, these alone have a class.
            if !matches!(reference.kind.as_str(), "Fake" | "VaultDynamicSecret" | CLUSTER_KIND) {
                continue;
            }
            // What is wrong is told when it is asked for values.
            let Ok(chosen) = self.generator(reference, namespace).await else { continue };
            if !self.is_ours(chosen.generator.controller()) {
                return true;
            }
        }
        false
    }
}

/// That something is not there is no answer of a store: what was delivered stays (design invariant 7).
fn no_absence(failure: Failure) -> Failure {
    match failure.class {
        Class::NotFound => Failure { class: Class::Unavailable, ..failure },
        _ => failure,
    }
}

/// A failure about the spec of a store at `slot`, in the words of a generator's.
fn of_spec(failure: Failure, slot: &str) -> Failure {
    let field = failure.subject.field.as_deref().and_then(|field| field.strip_prefix(slot));
    match field.map(|rest| format!("spec{rest}")) {
        Some(field) => failure.in_field(field),
        None => failure,
    }
}
