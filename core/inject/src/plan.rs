//! The patch.

use serde_json::{Value, json};

use crate::annotations::INJECTION;
use crate::draft::Draft;
use crate::explanation::{Explanation, Note};
use crate::found::Found;
use crate::image::Images;
use crate::patch::{Operation, set};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::survey::Survey;
use crate::{aws, vault, wrap};

/// How a pod is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// An RFC 6902 patch; empty where the pod stays as it is.
    pub patch: Vec<Operation>,
    /// What is done to each container and why.
    pub explanation: Explanation,
}

/// Plans how `pod` is changed. `found` answers [`crate::lookups`], and `images` answers [`crate::images`]. The same for
/// a dry run (KI-10); a pod that a plan has changed already is not changed again.
///
/// # Errors
/// Whatever would let the pod start without its secrets, or make the API server refuse what we made of it. It names the
/// container, the field and the cure.
pub fn plan(pod: &Value, found: &Found, images: &Images, settings: &Settings) -> Result<Plan, Refusal> {
    let survey = Survey::of(pod, found, settings)?;
    let mut draft = Draft::new(survey.candidates.pod, survey.verdicts.len());
    wrap::draft(&survey, images, settings, &mut draft)?;
    vault::draft(&survey, found, settings, &mut draft)?;
    aws::draft(&survey, settings, &mut draft)?;
    let Survey { candidates, verdicts } = survey;
    let containers = candidates.containers.into_iter().map(|(container, _)| container);
    let notes = containers.clone().zip(verdicts).zip(&mut draft.edits).map(|((container, verdict), edit)| Note {
        container: container.name.to_owned(),
        outcome: verdict.outcome,
        files: std::mem::take(&mut edit.files),
    });
    let explanation = Explanation { opt_out: candidates.opt_out, notes: notes.collect() };
    let mut patch = draft.operations(containers);
    if !patch.is_empty() {
        annotate(&mut patch, pod, explanation.annotation());
    }
    Ok(Plan { patch, explanation })
}

fn annotate(patch: &mut Vec<Operation>, pod: &Value, text: String) {
    match pod.get("metadata") {
        Some(metadata @ Value::Object(_)) => match metadata.get("annotations") {
            Some(annotations @ Value::Object(_)) => {
                set(patch, annotations, "/metadata/annotations", INJECTION, Value::from(text));
            }
            _ => set(patch, metadata, "/metadata", "annotations", json!({ INJECTION: text })),
        },
        _ => set(patch, pod, "", "metadata", json!({"annotations": { INJECTION: text }})),
    }
}
