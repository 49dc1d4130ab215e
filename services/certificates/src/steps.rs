//! What to do next, from what is there: a pure function, so that any step may be cut off and another replica goes on.
//!
//! A new authority goes through four states, each of which is one write of the Secret or of the configurations:
//!
//! | the Secret holds | bundles hold | what is waited for |
//! |---|---|---|
//! | authority 1, certificate of 1 | 1 | two thirds of 1's time |
//! | authority 2, former 1, certificate of 1 | 1, then 1 and 2 | [`Times::settle`] from when all hold both |
//! | authority 2, former 1, certificate of 2 | 1 and 2 | [`Times::linger`], until no replica serves the old one |
//! | authority 2, certificate of 2 | 1 and 2, then 2 | two thirds of 2's time |
//!
//! What was waited for is measured by who waits, with a clock that only goes forward: who comes new begins again, which
//! costs time and breaks nothing. Whether certificates hold is judged by the API server's time, who judges them too.

use std::fmt;
use std::time::Duration;

use strongroom_crypto::Validity;

use crate::settings::Times;

/// How far back a new certificate begins: API servers whose clocks go behind must take it too.
pub const SKEW: Duration = Duration::from_secs(3600);

/// What is known of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// When its authority holds, or why it cannot sign.
    pub authority: Result<Validity, &'static str>,
    /// Whether former authorities are kept.
    pub has_former: bool,
    /// Its certificate, or why that cannot be served.
    pub serving: Result<Serving, &'static str>,
}

/// A certificate that fits its key and its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// When it and the authority that signed it hold.
    pub validity: Validity,
    /// Who signed it.
    pub signer: Signer,
}

/// Which authority signed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The one that signs now.
    Current,
    /// One that signed before.
    Former,
}

impl Contents {
    /// Why its authority cannot sign now.
    pub fn authority_problem(&self, now: i64) -> Option<&'static str> {
        match self.authority {
            Err(problem) => Some(problem),
            Ok(validity) => validity_problem(validity, now)
                .map(|is_early| if is_early { "its authority is not valid yet" } else { "its authority has expired" }),
        }
    }

    /// Why its certificate cannot be served now.
    pub fn serving_problem(&self, now: i64) -> Option<&'static str> {
        match self.serving {
            Err(problem) => Some(problem),
            Ok(serving) => validity_problem(serving.validity, now).map(|is_early| {
                if is_early { "its certificate is not valid yet" } else { "its certificate has expired" }
            }),
        }
    }

    fn is_good(&self, now: i64) -> bool {
        self.authority_problem(now).is_none() && self.serving_problem(now).is_none()
    }
}

/// `None` where it holds now; otherwise whether it is too early for it.
fn validity_problem(validity: Validity, now: i64) -> Option<bool> {
    match now {
        _ if now < validity.begins => Some(true),
        _ if now > validity.ends => Some(false),
        _ => None,
    }
}

/// How the bundles of all configurations are, as this process has seen them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundles {
    /// Not all configurations have been looked at yet.
    Unknown,
    /// One holds another bundle than the Secret asks for.
    Astray,
    /// All that exist have held what the Secret asks for, for so long.
    InPlace(Duration),
}

/// All that a decision is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What the Secret holds; `None` where there is none.
    pub held: Option<Contents>,
    /// What it held when this process last found it good.
    pub remembered: Option<Contents>,
    /// How the bundles are.
    pub bundles: Bundles,
    /// How long the Secret has held its certificate, as this process has seen it.
    pub served_for: Duration,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the Secret.
    Write(Change, Why),
    /// Put the bundles in place.
    Spread,
    /// Nothing, for so long.
    Wait(Duration),
}

/// How the Secret is changed. No change but [`Change::Retire`] takes an authority out of the bundle while it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new authority and a certificate of it; what authorities are left somewhere become former ones.
    Everything,
    /// What this process remembers, with a new authority, since whoever deletes the Secret wants other keys.
    Restore,
    /// A new authority; the present one becomes a former one.
    Authority,
    /// A new certificate of the present authority.
    Serving,
    /// No former authorities any more.
    Retire,
}

/// Why the Secret is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    Absent,
    /// Something is wrong with it.
    Damaged(&'static str),
    /// Its time has come.
    Due,
    /// All API servers trust the new authority.
    Trusted,
    /// All replicas serve the new certificate.
    Served,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Absent => "there is none",
            Self::Damaged(problem) => problem,
            Self::Due => "a third of its time is left",
            Self::Trusted => "all API servers trust the new authority",
            Self::Served => "all replicas serve what the new authority signed",
        })
    }
}

/// What to do next, where `now` is the API server's time in seconds since 1970.
///
/// Whoever does not lead may do it only where there is no Secret: of many that make it at once one succeeds.
pub fn next(now: i64, state: &State, times: &Times) -> Step {
    let remembers = state.remembered.as_ref().is_some_and(|contents| contents.is_good(now));
    let anew = if remembers { Change::Restore } else { Change::Everything };
    let Some(held) = &state.held else { return Step::Write(anew, Why::Absent) };
    match (held.authority_problem(now), held.serving_problem(now), &held.authority, &held.serving) {
        (None, None, Ok(authority), Ok(serving)) => steady(now, held, *authority, *serving, state, times),
        // Served and trusted, though nothing more can be signed: as if its time had come.
        (Some(problem), None, ..) => Step::Write(Change::Authority, Why::Damaged(problem)),
        (None, Some(problem), ..) if !remembers => Step::Write(Change::Serving, Why::Damaged(problem)),
        (_, problem, ..) => Step::Write(anew, Why::Damaged(problem.unwrap_or("it is not whole"))),
    }
}

fn steady(now: i64, held: &Contents, authority: Validity, serving: Serving, state: &State, times: &Times) -> Step {
    let (authority_due, serving_due) =
        (due(authority, times.authority, now), due(serving.validity, times.serving, now));
    // A certificate by a former authority is replaced below; before that there is no third one.
    if serving.signer == Signer::Current {
        if authority_due.is_zero() {
            return Step::Write(Change::Authority, Why::Due);
        }
        // Its signer is trusted already, whatever the bundles are meanwhile.
        if serving_due.is_zero() {
            return Step::Write(Change::Serving, Why::Due);
        }
    }
    let in_place = match state.bundles {
        // News of them wake us.
        Bundles::Unknown => return Step::Wait(Duration::MAX),
        Bundles::Astray => return Step::Spread,
        Bundles::InPlace(duration) => duration,
    };
    if serving.signer == Signer::Former {
        return match times.settle.saturating_sub(in_place) {
            Duration::ZERO => Step::Write(Change::Serving, Why::Trusted),
            left => Step::Wait(left),
        };
    }
    let due = authority_due.min(serving_due);
    if held.has_former {
        return match times.linger.saturating_sub(in_place.min(state.served_for)) {
            Duration::ZERO => Step::Write(Change::Retire, Why::Served),
            left => Step::Wait(left.min(due)),
        };
    }
    Step::Wait(due)
}

/// How long until something that is made for `life` is replaced: when a third of that is left, or at once where it
/// holds for longer than any made now would.
fn due(validity: Validity, life: Duration, now: i64) -> Duration {
    let left = Duration::from_secs(u64::try_from(validity.ends - now).unwrap_or(0));
    if left > life + SKEW { Duration::ZERO } else { left.saturating_sub(life / 3) }
}

/// Whether a replica takes the Secret's certificate in place of the one that it serves.
///
/// `serves_good` says whether it serves one that holds. `trusted_for` is how long all bundles have held the authority
/// that signed the Secret's (`None`: one does not), `offered_for` how long the Secret has held it. In a rotation it is
/// trusted long before; otherwise somebody has replaced the Secret, and going on is better until bundles have followed,
/// within a bound, since they may never.
pub fn takes(serves_good: bool, trusted_for: Option<Duration>, offered_for: Duration, settle: Duration) -> bool {
    let is_trusted = match serves_good {
        true => trusted_for.is_some_and(|duration| duration >= settle),
        false => trusted_for.is_some(),
    };
    is_trusted || offered_for >= 2 * settle
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 24 * 3600;
    const SETTLE: Duration = Duration::from_secs(30);
    const LINGER: Duration = Duration::from_secs(300);

    fn valid(days: i64) -> Validity {
        Validity { begins: NOW - DAY, ends: NOW + days * DAY }
    }

    /// As it is made: an authority of a year, a certificate of 30 days.
    fn good() -> Contents {
        let serving = Serving { validity: valid(30), signer: Signer::Current };
        Contents { authority: Ok(valid(365)), has_former: false, serving: Ok(serving) }
    }

    fn with(change: impl FnOnce(&mut Contents)) -> Contents {
        let mut contents = good();
        change(&mut contents);
        contents
    }

    fn serving(days: i64, signer: Signer) -> Result<Serving, &'static str> {
        Ok(Serving { validity: valid(days), signer })
    }

    fn check(held: Option<Contents>, bundles: Bundles, served_for: Duration, expected: Step) {
        check_with(held, None, bundles, served_for, expected);
    }

    fn check_with(
        held: Option<Contents>,
        remembered: Option<Contents>,
        bundles: Bundles,
        served_for: Duration,
        expected: Step,
    ) {
        let state = State { held, remembered, bundles, served_for };
        assert_eq!(next(NOW, &state, &Times::default()), expected, "{state:?}");
    }

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 24 * 3600)
    }

    #[test]
    fn what_is_good_waits_for_a_third_of_its_time() {
        let long = Bundles::InPlace(days(9));
        check(Some(good()), long, days(9), Step::Wait(days(20)));
        check(Some(with(|held| held.serving = serving(11, Signer::Current))), long, days(9), Step::Wait(days(1)));
        let due = Step::Write(Change::Serving, Why::Due);
        check(Some(with(|held| held.serving = serving(10, Signer::Current))), long, days(9), due);
        let due = Step::Write(Change::Authority, Why::Due);
        check(Some(with(|held| held.authority = Ok(valid(121)))), long, days(9), due);
        // Made for longer than we are asked for now, or by a clock that was wrong.
        check(Some(with(|held| held.authority = Ok(valid(3650)))), long, days(9), due);
    }

    #[test]
    fn a_renewal_by_the_same_authority_needs_no_bundle() {
        let due = with(|held| held.serving = serving(10, Signer::Current));
        for bundles in [Bundles::Unknown, Bundles::Astray, Bundles::InPlace(Duration::ZERO)] {
            check(Some(due.clone()), bundles, days(9), Step::Write(Change::Serving, Why::Due));
        }
    }

    #[test]
    fn a_new_authority_signs_when_bundles_hold_it_and_have_settled() {
        let held = || {
            Some(with(|held| {
                held.has_former = true;
                held.serving = serving(30, Signer::Former);
            }))
        };
        check(held(), Bundles::Unknown, days(9), Step::Wait(Duration::MAX));
        check(held(), Bundles::Astray, days(9), Step::Spread);
        check(held(), Bundles::InPlace(SETTLE / 3), days(9), Step::Wait(SETTLE * 2 / 3));
        check(held(), Bundles::InPlace(SETTLE), days(9), Step::Write(Change::Serving, Why::Trusted));
    }

    #[test]
    fn a_former_authority_stays_until_all_serve_the_new_certificate() {
        let held = || Some(with(|held| held.has_former = true));
        check(held(), Bundles::Astray, LINGER, Step::Spread);
        check(held(), Bundles::InPlace(LINGER), LINGER / 2, Step::Wait(LINGER / 2));
        check(held(), Bundles::InPlace(LINGER / 3), LINGER, Step::Wait(LINGER * 2 / 3));
        check(held(), Bundles::InPlace(LINGER), LINGER, Step::Write(Change::Retire, Why::Served));
    }

    #[test]
    fn what_is_absent_or_damaged_is_mended_by_the_least_change() {
        let long = Bundles::InPlace(days(9));
        let check = |held: Option<Contents>, remembered: Option<Contents>, change: Change, why: Why| {
            check_with(held, remembered, long, days(9), Step::Write(change, why));
        };
        let no_key = with(|held| held.authority = Err("ca.key is missing"));
        let torn = with(|held| held.serving = Err("tls.key is missing"));
        let empty =
            Contents { authority: Err("ca.crt is missing"), has_former: false, serving: Err("tls.crt is missing") };
        let expired = with(|held| held.serving = serving(-1, Signer::Current));
        let early = with(|held| {
            held.authority = Ok(Validity { begins: NOW + DAY, ends: NOW + 365 * DAY });
            held.serving =
                Ok(Serving { validity: Validity { begins: NOW + DAY, ends: NOW + DAY }, signer: Signer::Current });
        });
        check(None, None, Change::Everything, Why::Absent);
        check(None, Some(expired.clone()), Change::Everything, Why::Absent);
        check(None, Some(good()), Change::Restore, Why::Absent);
        check(Some(no_key.clone()), None, Change::Authority, Why::Damaged("ca.key is missing"));
        check(Some(no_key), Some(good()), Change::Authority, Why::Damaged("ca.key is missing"));
        check(Some(torn.clone()), None, Change::Serving, Why::Damaged("tls.key is missing"));
        check(Some(torn), Some(good()), Change::Restore, Why::Damaged("tls.key is missing"));
        check(Some(empty.clone()), None, Change::Everything, Why::Damaged("tls.crt is missing"));
        check(Some(empty), Some(good()), Change::Restore, Why::Damaged("tls.crt is missing"));
        check(Some(expired), None, Change::Serving, Why::Damaged("its certificate has expired"));
        check(Some(early), None, Change::Everything, Why::Damaged("its certificate is not valid yet"));
    }

    #[test]
    fn a_replica_leaves_a_good_certificate_only_for_one_that_is_trusted() {
        let check = |serves_good, trusted_for: Option<u64>, offered_for: u64, expected: bool| {
            let trusted_for = trusted_for.map(Duration::from_secs);
            assert_eq!(takes(serves_good, trusted_for, Duration::from_secs(offered_for), SETTLE), expected);
        };
        check(true, Some(30), 0, true);
        check(true, Some(29), 0, false);
        check(true, None, 59, false);
        check(true, None, 60, true);
        check(false, Some(0), 0, true);
        check(false, None, 0, false);
        check(false, None, 60, true);
    }
}
