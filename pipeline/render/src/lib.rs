//! From what was read to what is wanted: the property is selected, then decoded; absence meets its default.
//!
//! The fourth step of the pipeline. Pure.

#![forbid(unsafe_code)]

use strongroom_failure::{Class, Failure};
use strongroom_provider::Answer;
use strongroom_reference::Reference;
use strongroom_secret::SecretBytes;

/// The value that `reference` stands for, given what its store answered; `None` where it does not exist and is
/// optional.
///
/// Only what does not exist (a key, a version, a property) meets `default` and `optional`: a store that is away or
/// refuses is a failure all the same (design invariant 7).
///
/// # Errors
/// The store's own failure, or a [`Class::Invalid`] one when the value cannot be selected from or decoded.
pub fn render(reference: &Reference, answer: Answer) -> Result<Option<SecretBytes>, Failure> {
    let rendered = answer.and_then(|read| shape(reference, read.value).map_err(|failure| on_key(failure, reference)));
    match (rendered, &reference.default) {
        (Err(failure), Some(default)) if failure.class == Class::NotFound => {
            Ok(Some(SecretBytes::from(default.clone())))
        }
        (Err(failure), None) if failure.class == Class::NotFound && reference.optional => Ok(None),
        (rendered, _) => rendered.map(Some),
    }
}

fn shape(reference: &Reference, value: SecretBytes) -> Result<SecretBytes, Failure> {
    let selected = match &reference.property {
        Some(property) => strongroom_select::select(reference.language, &value, property)?
            .ok_or_else(|| Failure::new(Class::NotFound, format!("property \"{property}\" does not exist")))?,
        None => value,
    };
    Ok(strongroom_select::decode(reference.decode, selected)?)
}

fn on_key(failure: Failure, reference: &Reference) -> Failure {
    if failure.subject.key.is_some() { failure } else { failure.on_key(&reference.key.name) }
}
