//! What a pod that exists asks for and was not given.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::annotations::INJECTION;
use crate::explanation::bounded;
use crate::found::{Found, Source};
use crate::image::ImageConfig;
use crate::plan::Plan;
use crate::pod::{Container, Pod};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::survey::{Candidates, Survey};

/// The longest answer, in bytes: an event has 1024, and says besides what to do.
const LIMIT: usize = 500;

/// Programs that resolve the references of their environment: a container whose command is one of them needs nobody.
const RESOLVING: [&str; 3] = ["secrets-init", "strongroom-init", "vault-env"];

/// What `pod`, which exists, asks for itself and would have been given when it was created, in one line of at most 500
/// bytes that shows no value; what would have been refused says so. `None` where nothing is missing: it asks for nothing,
/// opts out, or was changed.
///
/// It is the plan of such a pod, without a look into ConfigMaps, Secrets or images: what only they ask for is not seen.
pub fn missed(pod: &Value, settings: &Settings) -> Option<String> {
    let read = Pod::read(pod).ok()?;
    if read.annotation(INJECTION).is_some() {
        return None;
    }
    let explanation = match planned(pod, settings) {
        Ok(plan) => plan.explanation,
        Err(refusal) => return Some(bounded(refusal.to_string(), LIMIT)),
    };
    let told = read.containers().zip(&explanation.notes).filter_map(|(container, note)| {
        let is_served = note.files.is_empty() && resolves(&container);
        let asks = note.asks().filter(|_| !is_served)?;
        Some(format!("container {}: {asks}", note.container))
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| bounded(told.join("; "), LIMIT))
}

fn planned(pod: &Value, settings: &Settings) -> Result<Plan, Refusal> {
    let candidates = Candidates::of(pod, settings)?;
    let mut found = Found::default();
    for lookup in candidates.lookups() {
        // As if no reference were in it: nobody looks.
        found.insert(lookup.kind, lookup.name, Source::Values(BTreeMap::new()));
    }
    let survey = Survey::of(candidates, &found)?;
    let something = ImageConfig { entrypoint: vec!["unknown".to_owned()], command: Vec::new() };
    let images = survey.images().into_iter().map(|needed| (needed.container, something.clone())).collect();
    survey.plan(&images)
}

/// Whether the container starts a program that resolves references.
fn resolves(container: &Container<'_>) -> bool {
    let program = container.words("command").next().and_then(|path| path.rsplit('/').next());
    program.is_some_and(|program| RESOLVING.contains(&program))
}
