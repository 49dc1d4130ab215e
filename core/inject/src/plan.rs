//! The patch.

use serde_json::{Value, json};

use crate::annotations::INJECTION;
use crate::draft::Draft;
use crate::explanation::{Explanation, Note};
use crate::image::Images;
use crate::patch::{Operation, set};
use crate::refusal::Refusal;
use crate::survey::Survey;
use crate::{aws, files, role, vault, wrap};

/// How a pod is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// An RFC 6902 patch; empty where the pod stays as it is.
    pub patch: Vec<Operation>,
    /// What is done to each container and why.
    pub explanation: Explanation,
}

impl Survey<'_> {
    /// Plans how the pod is changed. `images` answers [`Survey::images`]. The same for a dry run (KI-10); a pod that a plan
    /// has changed already is not changed again.
    ///
    /// # Errors
    /// Whatever would let the pod start without its secrets, or make the API server refuse what we made of it. It names
    /// the container, the field and the cure.
    pub fn plan(self, images: &Images) -> Result<Plan, Refusal> {
        let mut draft = Draft::new(self.candidates.pod, self.verdicts.len());
        wrap::draft(&self, images, &mut draft)?;
        vault::draft(&self, &mut draft)?;
        role::draft(&self, &mut draft)?;
        files::draft(&self, &mut draft)?;
        aws::draft(&self, &mut draft)?;
        let Self { candidates, verdicts, .. } = self;
        let containers = candidates.containers.into_iter().map(|(container, _)| container);
        let notes = containers.clone().zip(verdicts).zip(&mut draft.edits).map(|((container, verdict), edit)| Note {
            container: container.name.to_owned(),
            outcome: verdict.outcome,
            files: std::mem::take(&mut edit.files),
            has_new_files: edit.has_new_files,
        });
        let explanation = Explanation { opt_out: candidates.opt_out, notes: notes.collect() };
        let mut patch = draft.operations(containers);
        if !patch.is_empty() {
            annotate(&mut patch, candidates.pod.object, explanation.annotation());
        }
        Ok(Plan { patch, explanation })
    }
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
