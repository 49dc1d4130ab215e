//! What is decided about restarts, by tables.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod baseline;
mod consumption;
mod demand;
mod every_combination;
mod fingerprint;
mod plan;
mod secret;
mod workload;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_restart::{
    Action, Baseline, Fingerprints, Key, Kind, Scope, SecretFacts, Tracked, Wish, Workload, plan as decide, track,
};
use strongroom_secret::SecretBytes;

const NAMESPACE: &str = "team";

fn key() -> Key {
    Key::new(SecretBytes::new(vec![7; 32])).unwrap()
}

/// A workload object of `kind` whose pods have this spec.
fn object(kind: Kind, annotations: &Value, pod: &Value) -> Value {
    let template = json!({"metadata": {}, "spec": pod});
    let spec = match kind {
        Kind::CronJob => json!({"jobTemplate": {"spec": {"template": template}}}),
        Kind::Pod => pod.clone(),
        _ => json!({"template": template}),
    };
    json!({
        "metadata": {"name": "app", "namespace": NAMESPACE, "uid": "u-1", "resourceVersion": "10", "generation": 3,
            "annotations": annotations},
        "spec": spec,
    })
}

fn workload(kind: Kind, annotations: &Value, pod: &Value) -> Workload {
    Workload::read(kind, &object(kind, annotations, pod)).unwrap()
}

/// A pod whose container has this variable.
fn variable(secret: &str, key: &str) -> Value {
    let reference = json!({"name": secret, "key": key});
    json!({"containers": [{"env": [{"name": "V", "valueFrom": {"secretKeyRef": reference}}]}]})
}

type Data = BTreeMap<String, SecretBytes>;
type Annotations = BTreeMap<String, String>;

/// The Secrets of a namespace with their values and annotations.
#[derive(Clone, Default)]
struct Secrets(BTreeMap<String, (Data, Annotations)>);

impl Secrets {
    fn with(mut self, name: &str, data: &[(&str, &str)]) -> Self {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::from((*value).to_owned())));
        self.0.entry(name.to_owned()).or_default().0 = data.collect();
        self
    }

    fn annotated(mut self, name: &str, annotations: &[(&str, &str)]) -> Self {
        let annotations = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.0.entry(name.to_owned()).or_default().1 = annotations.collect();
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    fn facts(&self) -> BTreeMap<Box<str>, SecretFacts> {
        let of = |(name, (_, annotations)): (&String, &(_, BTreeMap<String, String>))| {
            let metadata = json!({"name": name, "namespace": NAMESPACE, "annotations": annotations});
            (name.as_str().into(), SecretFacts::of(&serde_json::from_value(metadata).unwrap(), Scope::All))
        };
        self.0.iter().map(of).collect()
    }

    fn fingerprints(&self, tracked: &Tracked, key: &Key) -> BTreeMap<Box<str>, Fingerprints> {
        let of = |(name, (data, _)): (&String, &(BTreeMap<_, _>, _))| {
            (name.as_str().into(), key.fingerprints(NAMESPACE, name, data))
        };
        let mut all: BTreeMap<Box<str>, _> = self.0.iter().map(of).collect();
        all.retain(|name, _| tracked.contains_key(name));
        all
    }

    /// What is decided about `workload`, whose namespace wishes `wish`, with `baseline` seen before.
    fn decide(&self, workload: &Workload, wish: &Wish, baseline: Option<&Baseline>) -> Action {
        let key = key();
        let tracked = track(workload, wish, baseline, &self.facts());
        decide(workload, baseline, &tracked, &self.fingerprints(&tracked, &key), &key)
    }

    /// The baseline of a workload that is seen for the first time.
    fn adopted(&self, workload: &Workload) -> Option<Baseline> {
        match self.decide(workload, &Wish::Unsaid, None) {
            Action::Adopt { baseline } => Some(Baseline::parse(&baseline.unwrap()).unwrap()),
            Action::Nothing => None,
            other => panic!("{other:?}"),
        }
    }
}

/// What an action is, in one word.
fn word(action: &Action) -> &'static str {
    match action {
        Action::Nothing => "nothing",
        Action::Adopt { baseline: Some(_) } => "adopt",
        Action::Adopt { baseline: None } => "forget",
        Action::Hold { hold, .. } => hold.reason(),
        Action::Roll { .. } => "roll",
        Action::Report { .. } => "report",
        Action::Refuse => "refuse",
    }
}
