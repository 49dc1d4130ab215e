//! From what was read for a variable to its value: parts of a longer value are put in their places.

use jiff::Timestamp;
use strongroom_failure::Failure;
use strongroom_reference::{Composition, Slot};
use strongroom_secret::SecretBytes;

use crate::{Entry, Resolved, Wanted, invalid};

/// What `wanted`, found in `entry`, comes to; `values` are what its references came to, in their order, `None` for one
/// that is optional and does not exist. `now` is the time for templates.
///
/// # Errors
/// A template that cannot be parsed or rendered, or a secret without the keys that one needs. Never holds a value.
pub fn fill(
    entry: &Entry,
    wanted: &Wanted,
    values: Vec<Option<SecretBytes>>,
    now: Timestamp,
) -> Result<Resolved, Failure> {
    let Some(values) = values.into_iter().collect::<Option<Vec<_>>>() else { return Ok(Resolved::Absent) };
    let slots = match &wanted.value {
        Composition::Whole(_) => return Ok(values.into_iter().next().map_or(Resolved::Absent, Resolved::Value)),
        Composition::Parts(slots) => slots,
    };
    let parts = slots.iter().zip(values).map(|(slot, value)| match &slot.template {
        None => Ok(value),
        Some(template) => render(wanted, slot, template, &value, now),
    });
    let parts: Vec<SecretBytes> = parts.collect::<Result<_, _>>()?;
    let around = entry.expose_value().unwrap_or_default();
    Ok(Resolved::Value(joined(around, slots, &parts)))
}

/// `around` with `parts` in the place of `slots`; allocated once, so that no piece of it is left behind.
fn joined(around: &str, slots: &[Slot], parts: &[SecretBytes]) -> SecretBytes {
    let gone: usize = slots.iter().map(|slot| slot.span.len()).sum();
    let come: usize = parts.iter().map(SecretBytes::len).sum();
    let mut whole = Vec::with_capacity(around.len().saturating_sub(gone) + come);
    let mut end = 0;
    for (slot, part) in slots.iter().zip(parts) {
        whole.extend_from_slice(around.get(end..slot.span.start).unwrap_or_default().as_bytes());
        whole.extend_from_slice(part.expose());
        end = slot.span.end;
    }
    whole.extend_from_slice(around.get(end..).unwrap_or_default().as_bytes());
    SecretBytes::new(whole)
}

#[cfg(feature = "templates")]
fn render(
    wanted: &Wanted,
    slot: &Slot,
    template: &str,
    value: &SecretBytes,
    now: Timestamp,
) -> Result<SecretBytes, Failure> {
    use strongroom_reference::KEY_TEMPLATE_DELIMITERS;
    use strongroom_template::{Settings, Template, Value};

    let about = |failure: Failure| failure.on_key(&slot.reference.key.name);
    let Some(members) = Value::members(value) else {
        return Err(about(invalid("the secret has no keys, which the template takes")));
    };
    let (left, right) = KEY_TEMPLATE_DELIMITERS;
    let settings = Settings { left_delimiter: left.to_owned(), right_delimiter: right.to_owned(), ..Settings::at(now) };
    let template = Template::parse(&wanted.name, template, &settings).map_err(|failure| about(failure.into()))?;
    template.render(&Value::Map(members)).map_err(|failure| about(failure.into()))
}

#[cfg(not(feature = "templates"))]
fn render(_: &Wanted, slot: &Slot, _: &str, _: &SecretBytes, _: Timestamp) -> Result<SecretBytes, Failure> {
    Err(invalid("this build has no templates in keys")
        .with_hint("use the full strongroom-init, or a variable for each key")
        .on_key(&slot.reference.key.name))
}
