//! Roles of the token method: what whoever may make tokens by one may make.

use serde::{Deserialize, Serialize};

use crate::cidr::Cidr;

/// What tokens of a role are. The names are those of `auth/token/roles/:name`; policies are in small letters, times in
/// seconds, and 0 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    /// Policies that tokens may have, whatever their maker has.
    pub allowed_policies: Vec<String>,
    /// Policies that they may not have.
    pub disallowed_policies: Vec<String>,
    /// More that they may have: `*` stands for anything.
    pub allowed_policies_glob: Vec<String>,
    /// More that they may not have.
    pub disallowed_policies_glob: Vec<String>,
    /// Whether they outlive their maker.
    pub orphan: bool,
    /// Whether they can be renewed.
    pub renewable: bool,
    /// What their path ends with, so that what an older role made can be revoked by it.
    pub path_suffix: String,
    /// How long they live at the most.
    pub token_explicit_max_ttl: u64,
    /// How long each renewal lasts, without end; 0 where they are not periodic.
    pub token_period: u64,
    /// How often they may be used.
    pub token_num_uses: u64,
    /// Whether they go without the policy `default` unless it is asked for.
    pub token_no_default_policy: bool,
    /// From where they may be used.
    pub token_bound_cidrs: Vec<Cidr>,
}

impl Role {
    /// Whether it says which policies its tokens may have; where it does not, their makers' own are the limit.
    pub(crate) fn names_policies(&self) -> bool {
        self.allows_by_name() || !self.disallowed_policies.is_empty() || !self.disallowed_policies_glob.is_empty()
    }

    /// Whether it says which policies its tokens may have, and no other.
    pub(crate) fn allows_by_name(&self) -> bool {
        !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty()
    }

    /// Whether a policy is among those that are allowed.
    pub(crate) fn allows(&self, policy: &str) -> bool {
        names(&self.allowed_policies, &self.allowed_policies_glob, policy)
    }

    /// Whether a policy is among those that are not.
    pub(crate) fn disallows(&self, policy: &str) -> bool {
        names(&self.disallowed_policies, &self.disallowed_policies_glob, policy)
    }
}

fn names(plain: &[String], globs: &[String], policy: &str) -> bool {
    plain.iter().any(|name| name == policy) || globs.iter().any(|glob| is_like(policy, glob))
}

/// Whether a text is like a pattern, in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        // The first place leaves most for what comes after it.
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_like_patterns_or_not() {
        for (text, pattern, expected) in [
            ("team-a", "team-*", true),
            ("team-a", "*", true),
            ("team-a", "team-a", true),
            ("team-ab", "team-a", false),
            ("a-x-b", "a-*-b", true),
            ("a-b", "a-*-b", false),
            ("a-b", "a*b", true),
            ("a", "a*a", false),
            ("xteam-a", "team-*", false),
            ("one-two-three", "*two*", true),
            ("one-two-three", "*two*two*", false),
            ("abcbc", "a*bc", true),
            ("aXbYb", "a*X*b*b", true),
            ("aXb", "a*X*b*b", false),
            ("", "*", true),
            ("", "", true),
            ("x", "", false),
            ("x", "**", true),
        ] {
            assert_eq!(is_like(text, pattern), expected, "{text} {pattern}");
        }
    }
}
