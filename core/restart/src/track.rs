//! Which Secrets count for a workload now: what it consumes and what is asked for, joined.

use std::collections::BTreeMap;

use crate::baseline::Baseline;
use crate::consumption::{EVERY_KEY, Slots, Use};
use crate::demand::{Concern, Wish};
use crate::secret::SecretFacts;
use crate::workload::Workload;

/// One Secret that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Its keys that count.
    pub slots: Slots,
    /// Whether there is such a Secret now.
    pub exists: bool,
    /// Whether it certainly counts. Otherwise what was seen of it stays, until it exists and says so.
    pub is_certain: bool,
}

/// The Secrets of a namespace, by name.
pub type Secrets = BTreeMap<Box<str>, SecretFacts>;

/// The Secrets that count for a workload, by name.
pub type Tracked = BTreeMap<Box<str>, Tracking>;

/// The Secrets that count for `workload`; `secrets` are those of its namespace that exist, by name.
pub fn track(workload: &Workload, of_namespace: &Wish, baseline: Option<&Baseline>, secrets: &Secrets) -> Tracked {
    let mut tracked = Tracked::new();
    for (name, slots) in workload.consumption.secrets() {
        let secret = secrets.get(name);
        let concern = workload.demand.concern(of_namespace, name, secret, true);
        if concern != Concern::Unwanted {
            let is_certain = concern == Concern::Wanted;
            tracked.insert(name.into(), Tracking { slots: slots.clone(), exists: secret.is_some(), is_certain });
        }
    }
    if !workload.demand.names_any(of_namespace) {
        return tracked;
    }
    // Those that were seen and are gone are kept in mind: they may come back as something else.
    let known = baseline.into_iter().flat_map(Baseline::secrets);
    for name in secrets.keys().map(|name| &**name).chain(known) {
        let secret = secrets.get(name);
        if !tracked.contains_key(name) && workload.demand.concern(of_namespace, name, secret, false) == Concern::Wanted
        {
            let slots = Slots::from([(EVERY_KEY.into(), Use::named())]);
            tracked.insert(name.into(), Tracking { slots, exists: secret.is_some(), is_certain: true });
        }
    }
    tracked
}
