//! What a GeneratorState notes of a lease: enough to renew and revoke it, and never a token.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use strongroom_api::generators::GeneratorState;
use strongroom_generate::Lease;
use strongroom_vault::{Handle, Login};

/// A lease as it is noted, first of all what hangs from the login before anything is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Noted {
    /// What an engine leased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_id: Option<String>,
    /// Of a token that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accessor: Option<String>,
    /// From when durations count: when it was made, or renewed last.
    obtained: Time,
    /// For how long it holds, with the login that it hangs from; 0 where it has no end.
    duration_seconds: u64,
    /// The same when it was made.
    first_duration_seconds: u64,
    /// How much each renewal asks for.
    #[serde(default)]
    increment_seconds: u64,
    renewable: bool,
    /// The login that asked for it.
    login: NotedLogin,
}

/// A login as it is noted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NotedLogin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accessor: Option<String>,
    /// Whether it was made for this lease alone and may be revoked.
    is_own: bool,
    /// Whether what it asked for ends with it.
    holds: bool,
    renewable: bool,
    /// When it ends; never where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
    /// How much each renewal asks for.
    #[serde(default)]
    increment_seconds: u64,
}

impl Noted {
    /// What there is before anything is asked for: whatever is made hangs from this login.
    pub(super) fn before(login: &Login, now: Timestamp) -> Self {
        let remaining = login.remaining.map_or(0, |remaining| remaining.as_secs());
        Self {
            lease_id: None,
            accessor: None,
            obtained: Time(now),
            duration_seconds: remaining,
            first_duration_seconds: remaining,
            increment_seconds: 0,
            renewable: false,
            login: NotedLogin {
                accessor: login.accessor.clone(),
                is_own: login.is_own,
                holds: true,
                renewable: login.renewable && login.is_own,
                until: login.remaining.and_then(|remaining| after(now, remaining)).map(Time),
                increment_seconds: remaining,
            },
        }
    }

    /// The same with what was leased by an answer to what was asked `now`.
    pub(super) fn with(self, lease: &strongroom_vault::Lease, now: Timestamp) -> Self {
        let (lease_id, accessor) = match lease.handle.clone() {
            Some(Handle::Lease(id)) => (Some(id), None),
            Some(Handle::Token(accessor)) => (None, Some(accessor)),
            Some(Handle::Login(_)) | None => (None, None),
        };
        let login = NotedLogin { holds: lease.ends_with_login, ..self.login };
        let increment_seconds = lease.duration.as_secs();
        let noted = Self { lease_id, accessor, increment_seconds, login, ..self };
        let noted = noted.renewed(lease.duration, lease.renewable, now);
        Self { first_duration_seconds: noted.duration_seconds, ..noted }
    }

    /// The same after it was given for `duration` from `now` on.
    pub(super) fn renewed(self, duration: Duration, renewable: bool, now: Timestamp) -> Self {
        let own = (!duration.is_zero()).then_some(duration.as_secs());
        let until = self.login.until.as_ref().filter(|_| self.login.holds);
        let left = until.map(|until| u64::try_from(until.0.as_second().saturating_sub(now.as_second())).unwrap_or(0));
        // What ends with a login that is over has ended; 0 would be no end.
        let duration_seconds = own.into_iter().chain(left.map(|left| left.max(1))).min().unwrap_or(0);
        Self { obtained: Time(now), duration_seconds, renewable, ..self }
    }

    /// The same after the login that it hangs from was given for `duration` from `now` on.
    pub(super) fn with_login_until(mut self, duration: Duration, now: Timestamp) -> Self {
        self.login.until = if duration.is_zero() { None } else { after(now, duration).map(Time) };
        self
    }

    /// The same, not to be renewed again.
    pub(super) fn fixed(self) -> Self {
        Self { renewable: false, ..self }
    }

    /// What `state` notes; nothing where it is not ours.
    pub(super) fn of(state: &GeneratorState) -> Option<Self> {
        serde_json::from_value(state.spec.state.clone()).ok()
    }

    /// Its times.
    pub(super) fn lease(&self) -> Lease {
        Lease {
            obtained: self.obtained.0.as_second(),
            duration: self.duration_seconds,
            first: self.first_duration_seconds,
            renewable: self.renewable,
        }
    }

    /// By what it is renewed and revoked.
    pub(super) fn handle(&self) -> Option<Handle> {
        let token = || self.accessor.clone().map(Handle::Token);
        self.lease_id.clone().map(Handle::Lease).or_else(token)
    }

    /// The login that it hangs from, where that may be revoked with it.
    pub(super) fn own_login(&self) -> Option<Handle> {
        self.login.accessor.clone().filter(|_| self.login.is_own).map(Handle::Login)
    }

    /// The login that must be renewed too, and by how much.
    pub(super) fn login_to_renew(&self) -> Option<(Handle, Duration)> {
        let login = &self.login;
        let is_to_renew = login.holds && login.renewable && login.until.is_some();
        self.own_login().filter(|_| is_to_renew).map(|handle| (handle, Duration::from_secs(login.increment_seconds)))
    }

    /// Whether it hangs from this login, which others gave us: then that one's end is its own.
    pub(super) fn hangs_from(&self, login: &Login) -> bool {
        self.login.holds && !self.login.is_own && login.accessor.is_some() && login.accessor == self.login.accessor
    }

    /// How much a renewal asks for.
    pub(super) fn increment(&self) -> Duration {
        Duration::from_secs(self.increment_seconds)
    }
}

fn after(now: Timestamp, duration: Duration) -> Option<Timestamp> {
    now.checked_add(jiff::SignedDuration::try_from(duration).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(login_seconds: Option<i64>, holds: bool) -> Noted {
        let at = |second| Time(Timestamp::from_second(second).unwrap());
        Noted {
            lease_id: None,
            accessor: None,
            obtained: at(1_000),
            duration_seconds: 0,
            first_duration_seconds: 0,
            increment_seconds: 0,
            renewable: false,
            login: NotedLogin {
                accessor: Some("login".to_owned()),
                is_own: true,
                holds,
                renewable: true,
                until: login_seconds.map(|seconds| at(1_000 + seconds)),
                increment_seconds: 60,
            },
        }
    }

    fn lease(seconds: u64, ends_with_login: bool) -> strongroom_vault::Lease {
        let handle = Some(Handle::Lease("ssh/creds/app/1".to_owned()));
        strongroom_vault::Lease { handle, duration: Duration::from_secs(seconds), renewable: true, ends_with_login }
    }

    #[test]
    fn a_lease_ends_with_its_login_at_the_latest() {
        let check = |login: Option<i64>, seconds: u64, ends_with_login: bool, expected: u64| {
            let now = Timestamp::from_second(1_000).unwrap();
            let noted = noted(login, true).with(&lease(seconds, ends_with_login), now);
            assert_eq!(noted.lease().duration, expected);
            assert_eq!((noted.lease().first, noted.increment().as_secs()), (expected, seconds));
        };
        check(Some(600), 3_600, true, 600);
        check(Some(7_200), 3_600, true, 3_600);
        check(Some(600), 3_600, false, 3_600);
        check(None, 3_600, true, 3_600);
        check(None, 0, true, 0);
        check(Some(600), 0, true, 600);
        check(Some(-5), 3_600, true, 1);
    }

    #[test]
    fn what_is_noted_comes_back_and_what_is_not_ours_does_not() {
        let now = Timestamp::from_second(1_000).unwrap();
        let noted = noted(Some(600), true).with(&lease(60, true), now);
        let mut state = GeneratorState::default();
        state.spec.state = serde_json::to_value(&noted).unwrap();
        assert_eq!(Noted::of(&state), Some(noted));
        state.spec.state = serde_json::json!({"serviceAccountID": 7});
        assert_eq!(Noted::of(&state), None);
    }
}
