//! What would be read, for people: names, addresses, calls and identities, never values.

use std::collections::BTreeMap;
use std::io::{self, Write};

use strongroom_failure::Failure;
use strongroom_read::Reader;
use strongroom_resolve::PlannedCall;

use crate::delivery::Delivery;

/// Prints where each variable and file would come from, and the calls that it would cost.
///
/// # Errors
/// Every malformed reference, or the store that cannot be opened.
pub(crate) fn print(delivery: &Delivery, reader: &Reader) -> Result<(), Vec<Failure>> {
    delivery.check()?;
    let calls = reader.cost(&delivery.references()).map_err(|failure| vec![failure])?;
    let lines = lines(delivery, &calls);
    // A reader that has gone away has read enough.
    let _ = io::stdout().write_all(lines.as_bytes());
    Ok(())
}

fn lines(delivery: &Delivery, calls: &[PlannedCall]) -> String {
    let mut lines = Vec::new();
    for wanted in &delivery.variables {
        lines.push(format!("{} <- {}", wanted.name, wanted.value));
    }
    for spread in &delivery.spread {
        lines.push(format!("each key ({}) <- {}", spread.origin, spread.reference));
    }
    for (target, reference) in &delivery.files {
        lines.push(format!("{} (mode {:04o}) <- {reference}", target.path.display(), target.mode));
    }
    // Calls of one kind to one store are told together.
    let mut kinds: BTreeMap<(&str, &str, &str), (usize, usize)> = BTreeMap::new();
    for call in calls {
        let count = kinds.entry((&call.store, &call.identity, &call.operation)).or_default();
        *count = (count.0 + 1, count.1 + call.keys.len());
    }
    for ((store, identity, operation), (count, keys)) in &kinds {
        lines.push(format!("{count} x {operation} for {keys} keys: {store}, as {identity}"));
    }
    lines.push(format!("{} references, {} calls", delivery.references().len(), calls.len()));
    lines.join("\n") + "\n"
}
