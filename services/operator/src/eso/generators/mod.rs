//! Generators: objects that make values. [`Operator::generator`] finds the one that a `generatorRef` means,
//! [`Operator::generate`] lets it make its values, and [`Kept`] stores them before anybody uses them. Values that end have
//! a GeneratorState (`states`), by which they are renewed in time (`leases`) and ended.
//!
//! Generators are not watched: as with External Secrets Operator, a change is seen when somebody's refresh is due.

mod kept;
mod leases;
mod noted;
pub(crate) mod states;
mod vault;

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
use crate::names::StoreName;
use crate::operator::Operator;
use crate::reader::Reader;

impl Operator {
    /// The generator that `reference` means to somebody in `namespace`.
    ///
    /// # Errors
    /// `Invalid` where it is of a kind that is not served or its spec is wrong, `Denied` for a ClusterGenerator where
    /// the operator serves some namespaces alone. That it does not exist is `Unavailable`: it is no store without the
    /// secret, and what was delivered stays (design invariant 7).
    pub(crate) async fn generator(&self, reference: &GeneratorRef, namespace: &str) -> Result<Generator, Failure> {
        let ours = format!("{GROUP}/{VERSION}");
        if let Some(other) = reference.api_version.as_deref().filter(|version| !version.is_empty() && *version != ours)
        {
            let words = format!("generators of {other:?} are not known");
            return Err(Failure::new(Class::Invalid, words).with_hint(format!("leave apiVersion out, or set {ours}")));
        }
        let kind = reference.kind.as_str();
        let generator = if kind == CLUSTER_KIND {
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
            None => Ok(generator),
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
        generator: Generator,
        namespace: &str,
        now: Timestamp,
        maker: &Maker<'_>,
    ) -> Result<Made, Failure> {
        let values: Result<Values, Failure> = match generator {
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
                let reader = Reader::new(self.connection.clone(), Arc::clone(&self.variables));
                // Also a ClusterGenerator's seed lies in the namespace of who uses it, and nowhere else.
                let name = StoreName { namespace: Some(namespace.into()), name: "generator".into() };
                let scope = self.scope(&name, namespace, reader);
                let seed =
                    scope.secret("spec.secret", &spec.secret, "").await.map_err(|failure| match failure.class {
                        Class::NotFound => Failure { class: Class::Unavailable, ..failure },
                        _ => failure,
                    })?;
                one_time_password(&spec, &seed, now.as_second())
            }
            Generator::VaultDynamicSecret(spec) => return maker.make(&spec).await,
        };
        values.map(Made::from)
    }

    /// Whether one of `references` means a generator of another controller's class, to somebody in `namespace`.
    pub(crate) async fn leaves_to_others(&self, references: &[&GeneratorRef], namespace: &str) -> bool {
        for reference in references {
            // Of those that are served, these alone have a class.
            if !matches!(reference.kind.as_str(), "Fake" | "VaultDynamicSecret" | CLUSTER_KIND) {
                continue;
            }
            // What is wrong is told when it is asked for values.
            let Ok(generator) = self.generator(reference, namespace).await else { continue };
            if !self.is_ours(generator.controller()) {
                return true;
            }
        }
        false
    }
}
