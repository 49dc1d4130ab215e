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

#[cfg(test)]
mod tests {
    use strongroom_provider::RemoteValue;

    use super::*;

    const DOCUMENT: &str = r#"{"plain":"some text","encoded":"aGVsbG8=","empty":null}"#;

    /// What `text` comes to when its store answers `answer`; a failure is shown by its class.
    fn rendered(text: &str, answer: Result<&str, Class>) -> Result<Option<String>, &'static str> {
        let reference = strongroom_reference::parse(text).map_err(|_| "no reference")?;
        let read = |value: &str| RemoteValue::new(SecretBytes::from(value.to_owned()), None);
        let answer = answer.map(read).map_err(|class| Failure::new(class, "scripted"));
        let text = |value: SecretBytes| value.expose_text().unwrap_or_default().to_owned();
        render(&reference, answer).map(|value| value.map(text)).map_err(|failure| failure.class.reason())
    }

    #[test]
    fn a_property_is_selected_then_decoded() {
        let check = |text: &str, expected: Result<&str, &'static str>| {
            assert_eq!(rendered(text, Ok(DOCUMENT)), expected.map(|value| Some(value.to_owned())), "{text}");
        };
        check("sr://aws-sm/a", Ok(DOCUMENT));
        check("sr://aws-sm/a#plain", Ok("some text"));
        check("sr://aws-sm/a?decode=base64#encoded", Ok("hello"));
        check("sr://aws-sm/a?decode=auto#plain", Ok("some text"));
        check("sr://aws-sm/a?select=jsonpath#%24.plain", Ok("some text"));
        check("sr://aws-sm/a#missing", Err("NotFound"));
        check("sr://aws-sm/a?decode=base64#plain", Err("Invalid"));
    }

    #[test]
    fn only_what_does_not_exist_meets_its_default() {
        let check = |text: &str, answer: Result<&str, Class>, expected: Result<Option<&str>, &'static str>| {
            let expected = expected.map(|value| value.map(str::to_owned));
            assert_eq!(rendered(text, answer), expected, "{text} {answer:?}");
        };
        let throttled = Class::Throttled { retry_after: None };
        check("sr://aws-sm/a", Err(Class::NotFound), Err("NotFound"));
        check("sr://aws-sm/a?optional", Err(Class::NotFound), Ok(None));
        check("sr://aws-sm/a?default=b", Err(Class::NotFound), Ok(Some("b")));
        check("sr://aws-sm/a?default=b&optional", Err(Class::NotFound), Ok(Some("b")));
        check("sr://aws-sm/a?optional#missing", Ok(DOCUMENT), Ok(None));
        check("sr://aws-sm/a?default=b#missing", Ok(DOCUMENT), Ok(Some("b")));
        for class in [Class::Denied, Class::Unauthenticated, throttled, Class::Unavailable, Class::Invalid] {
            check("sr://aws-sm/a?default=b&optional", Err(class), Err(class.reason()));
        }
    }
}
