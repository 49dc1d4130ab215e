//! One token: how long it lives, and what a renewal gives.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::cidr::Cidr;

/// What a token is wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewToken {
    /// All policies, in small letters.
    pub policies: Vec<String>,
    /// What is known of whoever has it.
    pub metadata: BTreeMap<String, String>,
    /// A name for people.
    pub display_name: String,
    /// The path that made it: `auth/token/create`.
    pub path: String,
    /// The id of the token that it ends with; none for an orphan.
    pub parent: Option<String>,
    /// How long it lives.
    pub ttl: Ttl,
    /// How often it may be used; 0 for any number.
    pub num_uses: u64,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// From where it may be used; from anywhere where there is none.
    pub bound_cidrs: Vec<Cidr>,
    /// Whether it stands for one wrapped answer.
    pub is_wrapping: bool,
    /// The role that made it, of the token method.
    pub role: String,
    /// The login that it comes from; a token that another one made has that one's.
    pub alias: Option<Alias>,
}

/// Who logged in, as one auth method knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The accessor of the auth mount.
    pub accessor: String,
    /// The name there: a service account's uid, a user's name.
    pub name: String,
    /// What the login gave.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// How long a token lives, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ttl {
    /// From when it is made, and at each renewal that asks for nothing else; 0 for ever.
    pub first: u64,
    /// From when it is made, whatever renewals ask for; 0 for no limit of its own.
    pub longest: u64,
    /// At each renewal, without end; 0 where it is not periodic.
    pub period: u64,
}

impl Ttl {
    /// What somebody asked for, within what is allowed: of the mount, or of the system. `usual` stands where nothing is
    /// asked for. The second is whether less is given than was asked for.
    pub fn within(asked: Self, usual: u64, most: u64) -> (Self, bool) {
        let most = stricter(most, asked.longest);
        if asked.period > 0 {
            let period = stricter(asked.period, most);
            return (Self { first: period, longest: asked.longest, period }, period < asked.period);
        }
        let wanted = if asked.first == 0 { usual } else { asked.first };
        let first = stricter(wanted, most);
        (Self { first, longest: asked.longest, period: 0 }, first < wanted && asked.first > 0)
    }
}

/// A token as it is kept. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names it to others, and lets nobody use it.
    pub accessor: String,
    /// All policies.
    pub policies: Vec<String>,
    /// What is known of whoever has it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// A name for people.
    #[serde(default)]
    pub display_name: String,
    /// The path that made it.
    #[serde(default)]
    pub path: String,
    /// The id of the token that it ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made.
    pub created: i64,
    /// When it was renewed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<i64>,
    /// When it ends; never where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// How long it lives.
    #[serde(default)]
    pub ttl: Ttl,
    /// How often it may be used in all; 0 for any number.
    #[serde(default)]
    pub num_uses: u64,
    /// How often it may be used still, where that is counted.
    #[serde(default)]
    pub uses_left: u64,
    /// Whether it can be renewed.
    #[serde(default)]
    pub is_renewable: bool,
    /// From where it may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<Cidr>,
    /// The login that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// Whether it stands for one wrapped answer.
    #[serde(default)]
    pub is_wrapping: bool,
    /// The role that made it, of the token method.
    #[serde(default)]
    pub role: String,
    /// Whether it was revoked, and is being taken away.
    #[serde(default)]
    pub is_revoked: bool,
}

impl Token {
    /// Of what is wanted, from `now` on.
    pub(crate) fn new(new: NewToken, accessor: String, now: i64) -> Self {
        let expires = (new.ttl.first > 0).then(|| now.saturating_add_unsigned(new.ttl.first));
        Self {
            accessor,
            policies: new.policies,
            metadata: new.metadata,
            display_name: new.display_name,
            path: new.path,
            parent: new.parent,
            created: now,
            renewed: None,
            expires,
            ttl: new.ttl,
            num_uses: new.num_uses,
            uses_left: new.num_uses,
            is_renewable: new.is_renewable && new.ttl.first > 0,
            bound_cidrs: new.bound_cidrs,
            alias: new.alias,
            is_wrapping: new.is_wrapping,
            role: new.role,
            is_revoked: false,
        }
    }

    /// Whether it is neither over at `now` nor revoked.
    pub fn is_live(&self, now: i64) -> bool {
        !self.is_revoked && self.expires.is_none_or(|end| now < end)
    }

    /// Whether it may be used once more.
    pub fn has_uses(&self) -> bool {
        self.num_uses == 0 || self.uses_left > 0
    }

    /// Whether it can be used from an address.
    pub fn may_come_from(&self, address: IpAddr) -> bool {
        self.bound_cidrs.is_empty() || self.bound_cidrs.iter().any(|range| range.contains(address))
    }

    /// Seconds that it lives from `now` on; 0 for ever.
    pub fn rest(&self, now: i64) -> u64 {
        self.expires.map_or(0, |end| u64::try_from(end.saturating_sub(now)).unwrap_or_default())
    }

    /// The same, renewed at `now` by `increment` seconds (0 for what it was made with), and whether that is less than
    /// what was asked for. `most` is the longest time of its mount, in seconds.
    pub fn renewed(&self, increment: u64, most: u64, now: i64) -> (Self, bool) {
        let wanted = match (self.ttl.period, increment) {
            (0, 0) => self.ttl.first,
            (0, increment) => increment,
            (period, _) => stricter(period, most),
        };
        let limit = if self.ttl.period == 0 { stricter(self.ttl.longest, most) } else { self.ttl.longest };
        let end = now.saturating_add_unsigned(wanted);
        let last = if limit == 0 { end } else { self.created.saturating_add_unsigned(limit).min(end) };
        let renewed = Self { expires: Some(last), renewed: Some(now), ..self.clone() };
        (renewed, last < end)
    }
}

/// The smaller of two limits, of which 0 is none.
pub(crate) fn stricter(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, limit) | (limit, 0) => limit,
        (one, other) => one.min(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(first: u64, longest: u64, period: u64) -> Ttl {
        Ttl { first, longest, period }
    }

    #[test]
    fn a_time_that_is_asked_for_is_given_within_what_is_allowed() {
        let check = |asked: Ttl, expected: Ttl, is_less: bool| {
            assert_eq!(Ttl::within(asked, 100, 1000), (expected, is_less), "{asked:?}");
        };
        check(ttl(0, 0, 0), ttl(100, 0, 0), false);
        check(ttl(50, 0, 0), ttl(50, 0, 0), false);
        check(ttl(5000, 0, 0), ttl(1000, 0, 0), true);
        check(ttl(500, 200, 0), ttl(200, 200, 0), true);
        check(ttl(0, 50, 0), ttl(50, 50, 0), false);
        check(ttl(7, 0, 30), ttl(30, 0, 30), false);
        check(ttl(0, 0, 5000), ttl(1000, 0, 1000), true);
        check(ttl(0, 20, 30), ttl(20, 20, 20), true);
    }

    #[test]
    fn a_renewal_counts_from_now_and_ends_at_the_limit() {
        let token = |ttl: Ttl| {
            let new = NewToken { ttl, is_renewable: true, ..NewToken::default() };
            Token::new(new, "a".to_owned(), 1000)
        };
        let check = |ttl: Ttl, increment: u64, now: i64, expected: i64, is_less: bool| {
            let (renewed, less) = token(ttl).renewed(increment, 600, now);
            assert_eq!((renewed.expires, less), (Some(expected), is_less), "{ttl:?} by {increment} at {now}");
        };
        check(ttl(100, 0, 0), 0, 1050, 1150, false);
        check(ttl(100, 0, 0), 30, 1050, 1080, false);
        check(ttl(100, 0, 0), 9000, 1050, 1600, true);
        check(ttl(100, 200, 0), 0, 1150, 1200, true);
        check(ttl(60, 0, 60), 5, 9000, 9060, false);
        check(ttl(60, 100, 60), 0, 1080, 1100, true);
        check(ttl(900, 0, 900), 0, 9000, 9600, false);
        assert!(token(ttl(100, 0, 0)).is_live(1099) && !token(ttl(100, 0, 0)).is_live(1100));
        assert_eq!((token(ttl(0, 0, 0)).rest(5000), token(ttl(100, 0, 0)).rest(1040)), (0, 60));
    }
}
