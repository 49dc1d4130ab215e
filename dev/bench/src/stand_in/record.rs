use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What came to the stand-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Connections accepted.
    pub(crate) connections: usize,
    /// Requests received.
    pub(crate) requests: usize,
    /// The most requests that waited for their answers at one moment.
    pub(crate) in_flight_peak: usize,
    /// The longest chain of requests of which each came after the one before was answered.
    pub(crate) round_trips: usize,
    /// Requests by AWS's name of the operation.
    pub(crate) by_operation: BTreeMap<String, usize>,
}

/// Counts requests as they come and go.
#[derive(Debug, Default)]
pub(super) struct Record {
    counts: Counts,
    in_flight: usize,
    /// The longest chain that has been answered.
    answered: usize,
}

impl Record {
    pub(super) fn connect(&mut self) {
        self.counts.connections += 1;
    }

    /// A request came. Gives how long the chain is that it ends, for [`Record::leave`].
    pub(super) fn arrive(&mut self, operation: &str) -> usize {
        let counts = &mut self.counts;
        counts.requests += 1;
        *counts.by_operation.entry(operation.to_owned()).or_default() += 1;
        self.in_flight += 1;
        counts.in_flight_peak = counts.in_flight_peak.max(self.in_flight);
        let chain = self.answered + 1;
        counts.round_trips = counts.round_trips.max(chain);
        chain
    }

    /// The request that ended a chain of this length is answered.
    pub(super) fn leave(&mut self, chain: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answered = self.answered.max(chain);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a request, `-` the answer to the oldest that waits.
    fn check(events: &str, requests: usize, in_flight_peak: usize, round_trips: usize) {
        let (mut record, mut waiting) = (Record::default(), std::collections::VecDeque::new());
        for event in events.chars() {
            match event {
                '+' => waiting.push_back(record.arrive("Get")),
                _ => record.leave(waiting.pop_front().unwrap()),
            }
        }
        let counts = record.counts();
        let got = (counts.requests, counts.in_flight_peak, counts.round_trips);
        assert_eq!(got, (requests, in_flight_peak, round_trips), "{events}");
    }

    #[test]
    fn round_trips_are_requests_that_waited_for_answers() {
        check("", 0, 0, 0);
        check("+-", 1, 1, 1);
        check("+++---", 3, 3, 1);
        check("+-+-+-", 3, 1, 3);
        check("++--+++---", 5, 3, 2);
        check("++-+--", 3, 2, 2);
    }
}
