//! How pods are changed, by tables.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod aws_injector;
mod bank_vaults;
mod explanation;
mod files;
mod fit;
mod json_patch;
mod kube_secrets_init;
mod nase;
mod own_annotations;
mod properties;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_inject::{
    Candidates, Found, ImageConfig, ImageNeeded, Images, Lookup, Plan, Refusal, Settings, Source, SourceKind, Survey,
};
use strongroom_secret::SecretBytes;

const SECRET: &str = "arn:aws:secretsmanager:us-west-2:111122223333:secret:prod/db-Ab12Cd";
const PARAMETER: &str = "arn:aws:ssm:us-west-2:111122223333:parameter/x";
const VAULT: &str = "vault:secret/data/app#password";

/// A pod with these containers and nothing else.
fn pod(containers: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}})
}

/// The same with members of its `spec` besides.
fn pod_with(containers: &[Value], spec: &Value) -> Value {
    let mut pod = pod(containers);
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn annotated(mut pod: Value, annotations: &Value) -> Value {
    pod["metadata"]["annotations"] = annotations.clone();
    pod
}

/// A container that starts `app a` with a variable of this value.
fn container(name: &str, value: &str) -> Value {
    json!({"name": name, "image": "app:1", "command": ["app"], "args": ["a"], "env": [{"name": "X", "value": value}]})
}

fn values(pairs: &[(&str, &str)]) -> Source {
    let value = |(key, value): &(&str, &str)| ((*key).to_owned(), SecretBytes::from((*value).to_owned()));
    Source::Values(pairs.iter().map(value).collect())
}

fn found(kind: SourceKind, name: &str, source: Source) -> Found {
    let mut found = Found::default();
    found.insert(kind, name, source);
    found
}

fn image(entrypoint: &[&str], command: &[&str]) -> ImageConfig {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ImageConfig { entrypoint: owned(entrypoint), command: owned(command) }
}

fn images(pairs: &[(&str, ImageConfig)]) -> Images {
    pairs.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect()
}

/// What a pod's variables come from.
fn lookups(pod: &Value, settings: &Settings) -> Result<Vec<Lookup>, Refusal> {
    Ok(Candidates::of(pod, settings)?.lookups())
}

/// The containers whose images must be known.
fn needed(pod: &Value, found: &Found, settings: &Settings) -> Result<Vec<ImageNeeded>, Refusal> {
    Ok(Survey::of(Candidates::of(pod, settings)?, found)?.images())
}

/// What is planned of these answers.
fn plan(pod: &Value, found: &Found, images: &Images, settings: &Settings) -> Result<Plan, Refusal> {
    Survey::of(Candidates::of(pod, settings)?, found)?.plan(images)
}

/// What a plan with nothing from outside of the pod makes of it.
fn planned(pod: &Value) -> Result<Plan, Refusal> {
    plan(pod, &Found::default(), &Images::default(), &Settings::default())
}

/// The pod after that plan.
fn changed(pod: &Value) -> Value {
    changed_by(pod, &planned(pod).unwrap())
}

/// The pod after `plan`, which the API server would take.
fn changed_by(pod: &Value, plan: &Plan) -> Value {
    let changed = json_patch::apply(pod, &plan.patch);
    json_patch::validate(&changed);
    changed
}

/// The names of elements of a list.
fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|element| element["name"].as_str().unwrap()).collect()
}

/// The literal variables of a container.
fn variables(container: &Value) -> BTreeMap<&str, &str> {
    let entries = container["env"].as_array().into_iter().flatten();
    entries.filter_map(|entry| Some((entry["name"].as_str()?, entry["value"].as_str()?))).collect()
}

/// Whether the Pod Security standard `restricted` admits this container, whose pod says nothing.
fn is_restricted(container: &Value) -> bool {
    let context = &container["securityContext"];
    context["runAsNonRoot"] == true
        && context["allowPrivilegeEscalation"] == false
        && context["capabilities"] == json!({"drop": ["ALL"]})
        && context["seccompProfile"]["type"] == "RuntimeDefault"
        && context["runAsUser"] != 0
}
