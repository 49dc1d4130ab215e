//! Which failures are told, and when. Pure: the caller brings the time.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use strongroom_failure::Failure;
use tokio::time::Instant;

/// Nobody who waits for a first delivery looks for its reason longer than this.
const REPEATED_AFTER: Duration = Duration::from_secs(60);

/// Failures of one kind: the same class at the same store, or at none. One of them speaks for the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    pub(crate) first: &'a Failure,
    /// How many more there are of this kind.
    pub(crate) others: usize,
}

/// What makes two failures one cause, whatever words a store found each time: class and store.
type Cause = (&'static str, Option<String>);

fn cause(failure: &Failure) -> Cause {
    (failure.class.reason(), failure.subject.store.clone())
}

/// The failures of one round by their kinds, in the order in which these came up.
pub(crate) fn kinds(failures: &[Failure]) -> Vec<Kind<'_>> {
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for failure in failures {
        match kinds.iter_mut().find(|kind| cause(kind.first) == cause(failure)) {
            Some(kind) => kind.others += 1,
            None => kinds.push(Kind { first: failure, others: 0 }),
        }
    }
    kinds
}

/// Something is wrong, since when and what of it was told.
#[derive(Debug)]
struct Trouble {
    since: Timestamp,
    told: BTreeSet<Cause>,
    last: Instant,
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub(crate) struct Telling(Option<Trouble>);

impl Telling {
    /// Since when something is wrong.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|trouble| trouble.since)
    }

    /// Whether the failures of a round are told: a cause that is new, and while nothing is delivered yet the same again
    /// after a minute. Once something is delivered, new causes wait for that minute, so that trouble is told when it
    /// begins and not whenever it changes its face.
    pub(crate) fn failed(&mut self, failures: &[Failure], is_delivered: bool, now: Instant, clock: Timestamp) -> bool {
        let causes: BTreeSet<Cause> = failures.iter().map(cause).collect();
        let Some(trouble) = &mut self.0 else {
            self.0 = Some(Trouble { since: clock, told: causes, last: now });
            return true;
        };
        let (is_new, is_late) = (!causes.is_subset(&trouble.told), now - trouble.last >= REPEATED_AFTER);
        let tells = if is_delivered { is_new && is_late } else { is_new || is_late };
        if tells {
            trouble.told.extend(causes);
            trouble.last = now;
        }
        tells
    }

    /// A round went well: since when that was not so, where it was not.
    pub(crate) fn succeeded(&mut self) -> Option<Timestamp> {
        self.0.take().map(|trouble| trouble.since)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_failure::Class;

    use super::*;

    fn failures(kinds: &[(Class, &str)]) -> Vec<Failure> {
        let failure = |&(class, store): &(Class, &str)| Failure::new(class, "words").from_store(store);
        kinds.iter().map(failure).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_delivery_a_new_cause_is_told_at_once_and_the_same_every_minute() {
        let (begin, mut telling) = (Instant::now(), Telling::default());
        let mut check = |seconds: u64, kinds: &[(Class, &str)], expected: bool| {
            let at = begin + Duration::from_secs(seconds);
            assert_eq!(telling.failed(&failures(kinds), false, at, Timestamp::UNIX_EPOCH), expected, "{seconds}");
        };
        check(0, &[(Class::Unavailable, "a")], true);
        check(1, &[(Class::Unavailable, "a")], false);
        check(2, &[(Class::Unavailable, "a"), (Class::Denied, "a")], true);
        check(3, &[(Class::Denied, "a")], false);
        check(4, &[(Class::Denied, "b")], true);
        check(63, &[(Class::Denied, "b")], false);
        check(64, &[(Class::Denied, "b")], true);
        check(65, &[(Class::Unavailable, "a")], false);
    }

    #[tokio::test(start_paused = true)]
    async fn after_it_trouble_is_told_when_it_begins_and_when_it_is_over() {
        let (begin, mut telling) = (Instant::now(), Telling::default());
        assert_eq!(telling.succeeded(), None);
        let mut told = 0;
        for seconds in 0..3600 {
            let at = begin + Duration::from_secs(seconds);
            let clock = Timestamp::from_second(seconds.cast_signed()).unwrap();
            told += u32::from(telling.failed(&failures(&[(Class::Unavailable, "a")]), true, at, clock));
        }
        assert_eq!(told, 1);
        let later = begin + Duration::from_secs(3600);
        assert!(telling.failed(&failures(&[(Class::Denied, "a")]), true, later, Timestamp::UNIX_EPOCH));
        assert_eq!(telling.succeeded(), Some(Timestamp::UNIX_EPOCH));
        assert!(telling.failed(&failures(&[(Class::Denied, "a")]), true, later, Timestamp::UNIX_EPOCH), "anew");
    }

    #[test]
    fn one_failure_speaks_for_its_kind() {
        let failures = failures(&[
            (Class::Unavailable, "a"),
            (Class::Unavailable, "a"),
            (Class::Unavailable, "b"),
            (Class::Denied, "a"),
            (Class::Unavailable, "a"),
        ]);
        let counts: Vec<usize> = kinds(&failures).iter().map(|kind| kind.others).collect();
        assert_eq!(counts, [2, 0, 0]);
    }
}
