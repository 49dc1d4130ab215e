//! Which Secrets a pod's containers read, which keys of them, and how.

use std::collections::BTreeMap;

use serde_json::Value;

/// Stands for every key of a Secret, where a workload takes all of them. No key of a Secret can look like this.
pub const EVERY_KEY: &str = "*";

/// How a value reaches a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `env[].valueFrom.secretKeyRef`.
    Variable,
    /// `envFrom[].secretRef`.
    Environment,
    /// `volumes[].secret`.
    Volume,
    /// `volumes[].projected.sources[].secret`.
    Projected,
}

impl Form {
    const ALL: [Self; 4] = [Self::Variable, Self::Environment, Self::Volume, Self::Projected];

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// How one key is used, by all containers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Whether the pod starts without it.
    pub is_optional: bool,
    /// A bit for each form: thousands of workloads are kept.
    forms: u8,
}

impl Use {
    /// Used in one form.
    pub fn new(form: Form, is_optional: bool) -> Self {
        Self { is_optional, forms: form.bit() }
    }

    /// Asked for by its owner though no container reads it.
    pub fn named() -> Self {
        Self { is_optional: false, forms: 0 }
    }

    /// Whether a container reads it.
    pub fn is_consumed(self) -> bool {
        self.forms != 0
    }

    /// The forms in which it is used.
    pub fn forms(self) -> impl Iterator<Item = Form> {
        Form::ALL.into_iter().filter(move |form| self.forms & form.bit() != 0)
    }

    fn join(&mut self, other: Self) {
        // A pod that needs it in one place does not start without it.
        self.is_optional &= other.is_optional;
        self.forms |= other.forms;
    }
}

/// The keys of one Secret that are used; [`EVERY_KEY`] for all of them.
pub type Slots = BTreeMap<Box<str>, Use>;

/// What the containers of a pod consume, by the names of Secrets in the pod's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumption(BTreeMap<Box<str>, Slots>);

impl Consumption {
    /// What a pod with this `spec` consumes: its containers, its init containers, ephemeral ones, and its volumes.
    /// What only kubelet or a driver reads (pull secrets, credentials of volumes) is not consumed.
    pub fn of(spec: &Value) -> Self {
        let mut consumption = Self::default();
        for kind in ["initContainers", "containers", "ephemeralContainers"] {
            for container in list(spec, kind) {
                consumption.add_container(container);
            }
        }
        for volume in list(spec, "volumes") {
            consumption.add_volume(&volume["secret"], "secretName", Form::Volume);
            for source in list(&volume["projected"], "sources") {
                consumption.add_volume(&source["secret"], "name", Form::Projected);
            }
        }
        consumption
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The Secrets' names with what is used of each, in the order of their names.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Slots)> {
        self.0.iter().map(|(name, slots)| (&**name, slots))
    }

    /// What is used of one Secret.
    pub fn of_secret(&self, name: &str) -> Option<&Slots> {
        self.0.get(name)
    }

    fn add_container(&mut self, container: &Value) {
        for variable in list(container, "env") {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            if let Some(key) = reference["key"].as_str() {
                self.add(&reference["name"], key, Form::Variable, is_optional(reference));
            }
        }
        for source in list(container, "envFrom") {
            let reference = &source["secretRef"];
            self.add(&reference["name"], EVERY_KEY, Form::Environment, is_optional(reference));
        }
    }

    fn add_volume(&mut self, source: &Value, name: &str, form: Form) {
        let mut keys = list(source, "items").iter().filter_map(|item| item["key"].as_str()).peekable();
        if keys.peek().is_none() {
            return self.add(&source[name], EVERY_KEY, form, is_optional(source));
        }
        for key in keys {
            self.add(&source[name], key, form, is_optional(source));
        }
    }

    fn add(&mut self, name: &Value, key: &str, form: Form, is_optional: bool) {
        let Some(name) = name.as_str().filter(|name| !name.is_empty()) else { return };
        let used = Use::new(form, is_optional);
        let slots = self.0.entry(name.into()).or_default();
        slots.entry(key.into()).and_modify(|known| known.join(used)).or_insert(used);
    }
}

fn list<'value>(value: &'value Value, name: &str) -> &'value [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn is_optional(reference: &Value) -> bool {
    reference["optional"].as_bool().unwrap_or(false)
}
