//! What is counted of events, by the kind of source: `sqs`, `pubsub`, `webhook`.

use strongroom_telemetry::{Counters, Metrics as Registry};

const SOURCE: &[&str] = &["source"];

pub(crate) struct Metrics {
    received: Counters,
    matched: Counters,
    refused: Counters,
    failed: Counters,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str| registry.counters(name, help, SOURCE);
        Self {
            received: counters("strongroom_events_received_total", "Messages about changes that came"),
            matched: counters("strongroom_events_matched_total", "Objects that read what a message says has changed"),
            refused: counters("strongroom_events_refused_total", "Messages that cannot be read, or are forged"),
            failed: counters("strongroom_events_failures_total", "Tries to receive messages that failed"),
        }
    }

    pub(super) fn received(&self, source: &'static str) {
        self.received.increment(&[source]);
    }

    pub(super) fn matched(&self, source: &'static str, objects: usize) {
        self.matched.add(&[source], u64::try_from(objects).unwrap_or(u64::MAX));
    }

    pub(super) fn refused(&self, source: &'static str) {
        self.refused.increment(&[source]);
    }

    pub(super) fn failed(&self, source: &'static str) {
        self.failed.increment(&[source]);
    }
}
