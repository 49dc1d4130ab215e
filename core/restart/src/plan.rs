//! What to do about a workload, from what its pods were started with and what the Secrets hold now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::annotations::{MARK, OBSERVED};
use crate::baseline::{Baseline, Seen};
use crate::consumption::Form;
use crate::fingerprint::{Fingerprints, Key};
use crate::track::{Tracked, Tracking};
use crate::workload::{Kind, Workload};

/// What to do about a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// All is as it was.
    Nothing,
    /// Keep in mind what is seen, and leave the pods alone: it is seen for the first time, is consumed no more, or the
    /// key of fingerprints is another one. `None` forgets.
    Adopt {
        /// The text of the new baseline.
        baseline: Option<String>,
    },
    /// Not now.
    Hold {
        /// Why not.
        hold: Hold,
        /// The Secrets that have changed.
        secrets: Vec<String>,
    },
    /// Replace the pods, and keep in mind what they are started with.
    Roll {
        /// The text of the new baseline.
        baseline: String,
        /// The new mark of the pod template.
        mark: String,
        /// The Secrets that have changed.
        secrets: Vec<String>,
        /// When the pods are replaced.
        effect: Effect,
    },
    /// Tell its owner: nothing restarts it.
    Report {
        /// The text of the new baseline, so that it is told once.
        baseline: String,
        /// The Secrets that have changed.
        secrets: Vec<String>,
    },
    /// Tell its owner that it consumes more than can be kept in mind.
    Refuse,
}

/// When pods are replaced after their template has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At once, as the workload's strategy has it.
    Now,
    /// As somebody deletes them.
    OnDelete,
}

/// Why a restart waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Its owner has paused rollouts.
    Paused,
    /// Something that its pods do not start without is not there now.
    Missing,
    /// The time windows of the ExternalSecret that made the Secret are closed for so long; `None`: no end in sight.
    Closed(Option<Duration>),
    /// It was restarted just now and may be again after so long.
    TooSoon(Duration),
    /// As many roll as may at once.
    Full,
}

impl Hold {
    /// The word for machines.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Missing => "missing",
            Self::Closed(_) => "window",
            Self::TooSoon(_) => "pause",
            Self::Full => "limit",
        }
    }
}

/// Decides about `workload`: `baseline` is what its pods were started with, `tracked` the Secrets that count, `current`
/// what those of them that exist hold now.
///
/// A value that is gone restarts nothing: the pods that come would not start, and those that are have it. What comes
/// back the same is no change. What was optional and absent and is there now is one.
pub fn plan(
    workload: &Workload,
    baseline: Option<&Baseline>,
    tracked: &Tracked,
    current: &BTreeMap<Box<str>, Fingerprints>,
    key: &Key,
) -> Action {
    let baseline = baseline.filter(|baseline| baseline.is_under(key.id()));
    let mut next = Baseline::new(key.id());
    let mut changed = BTreeSet::new();
    for (name, tracking) in tracked {
        if look(name, tracking, current.get(name), baseline, &mut next) {
            changed.insert(name.to_string());
        }
    }
    let Some(text) = next.text() else { return Action::Refuse };
    if changed.is_empty() {
        return match baseline {
            Some(baseline) if *baseline == next => Action::Nothing,
            // Also one that nobody can read, or of another key.
            _ if next.is_empty() && workload.observed.is_none() && baseline.is_none() => Action::Nothing,
            _ => Action::Adopt { baseline: (!next.is_empty()).then_some(text) },
        };
    }
    let secrets: Vec<String> = changed.into_iter().collect();
    if !workload.kind.can_restart() {
        return Action::Report { baseline: text, secrets };
    }
    if let Some(hold) = held(workload, tracked, current) {
        return Action::Hold { hold, secrets };
    }
    let mark = key.mark(&workload.uid, workload.mark.as_deref().unwrap_or_default(), &text);
    let effect = if workload.is_on_delete { Effect::OnDelete } else { Effect::Now };
    Action::Roll { baseline: text, mark, secrets, effect }
}

/// Why the pods cannot be replaced, whenever that would be.
fn held(workload: &Workload, tracked: &Tracked, current: &BTreeMap<Box<str>, Fingerprints>) -> Option<Hold> {
    if workload.is_paused {
        return Some(Hold::Paused);
    }
    // New pods would not start, and a rollout takes old ones away.
    let is_missing = tracked.iter().any(|(name, tracking)| {
        let needed = tracking.slots.iter().filter(|(_, used)| !used.is_optional && used.is_consumed());
        let current = current.get(name);
        needed.into_iter().any(|(slot, _)| current.and_then(|current| current.of_slot(slot)).is_none())
    });
    is_missing.then_some(Hold::Missing)
}

/// Notes in `next` what is seen of one Secret; whether it has changed.
fn look(
    name: &str,
    tracking: &Tracking,
    current: Option<&Fingerprints>,
    baseline: Option<&Baseline>,
    next: &mut Baseline,
) -> bool {
    let mut has_changed = false;
    for (slot, used) in &tracking.slots {
        let before = baseline.and_then(|baseline| baseline.of_slot(name, slot));
        match (current.and_then(|current| current.of_slot(slot)), before) {
            (Some(now), before) => {
                has_changed |= before.is_some_and(|before| before != Seen::Value(now));
                next.note(name, slot, Seen::Value(now));
            }
            (None, Some(before)) => next.note(name, slot, before),
            (None, None) if used.is_optional && tracking.is_certain => next.note(name, slot, Seen::Absent),
            (None, None) => {}
        }
    }
    has_changed
}

impl Action {
    /// The merge patch that carries it out, of annotations alone; `None` where nothing is written. It names the
    /// version that was seen: whoever wrote in between makes it fail, and it is planned again.
    pub fn patch(&self, workload: &Workload) -> Option<Value> {
        if !workload.kind.can_restart() {
            return None;
        }
        let metadata = |baseline: Option<&str>| json!({"resourceVersion": &*workload.resource_version, "annotations": {OBSERVED: baseline}});
        match self {
            Self::Adopt { baseline } => Some(json!({"metadata": metadata(baseline.as_deref())})),
            Self::Roll { baseline, mark, .. } => Some(json!({
                "metadata": metadata(Some(baseline)),
                "spec": {"template": {"metadata": {"annotations": {MARK: mark}}}},
            })),
            Self::Nothing | Self::Hold { .. } | Self::Report { .. } | Self::Refuse => None,
        }
    }

    /// What its owner is told: a reason for machines and a sentence; `None` where there is nothing to say.
    pub fn words(&self, workload: &Workload) -> Option<(&'static str, String)> {
        let kind = workload.kind;
        Some(match self {
            Self::Nothing | Self::Adopt { .. } => return None,
            Self::Hold { hold, secrets } => ("RestartWaits", format!("{}; {}", changed(secrets), waits(*hold, kind))),
            Self::Roll { secrets, effect: Effect::Now, .. } => {
                ("Restarted", format!("{}; the pods are replaced", changed(secrets)))
            }
            Self::Roll { secrets, effect: Effect::OnDelete, .. } => {
                let words = "the pods take it as they are deleted, since the update strategy is OnDelete";
                ("Restarted", format!("{}; {words}", changed(secrets)))
            }
            Self::Report { secrets, .. } => {
                ("NotRestarted", format!("{}; {}", changed(secrets), goes_on(workload, secrets)))
            }
            Self::Refuse => {
                let words = "it consumes more keys of Secrets than can be remembered; their changes do not restart it";
                ("RestartImpossible", words.to_owned())
            }
        })
    }
}

/// The most Secrets that a sentence names: as many as fit in a line.
const NAMED: usize = 5;

fn changed(secrets: &[String]) -> String {
    let named: Vec<String> = secrets.iter().take(NAMED).map(|name| format!("\"{name}\"")).collect();
    let word = if secrets.len() == 1 { "Secret" } else { "Secrets" };
    match secrets.len().saturating_sub(NAMED) {
        0 => format!("{word} {} changed", named.join(", ")),
        more => format!("{word} {} and {more} more changed", named.join(", ")),
    }
}

fn waits(hold: Hold, kind: Kind) -> String {
    match hold {
        Hold::Paused => format!("the {kind} is paused, and is restarted when it goes on"),
        Hold::Missing => {
            "the pods are replaced when all that they need is there: a Secret or a key is missing".to_owned()
        }
        Hold::Closed(_) => "the pods are replaced when the sync windows of the ExternalSecret open".to_owned(),
        Hold::TooSoon(_) => "the pods were replaced just now, and are again a little later".to_owned(),
        Hold::Full => "the pods are replaced when others have been: as many roll as may at once".to_owned(),
    }
}

fn goes_on(workload: &Workload, secrets: &[String]) -> String {
    let slots = secrets.iter().filter_map(|name| workload.consumption.of_secret(name)).flatten();
    let forms: Vec<Form> = slots.flat_map(|(_, used)| used.forms()).collect();
    match workload.kind {
        Kind::CronJob => "the next run reads it".to_owned(),
        kind if forms.iter().any(|form| matches!(form, Form::Variable | Form::Environment)) => {
            format!("nothing restarts a {kind}, and its variables keep the former values")
        }
        kind if forms.is_empty() => format!("nothing restarts a {kind}"),
        kind => format!("nothing restarts a {kind}; mounted files are replaced in place"),
    }
}
