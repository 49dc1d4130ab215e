//! A request, and what was decided about it, with the rule that decided.

use std::fmt;
use std::time::Duration;

use super::capability::{Capability, Operation};
use super::parameters::Argument;
use super::rule::Rule;

/// What somebody asks to do.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The path below `/v1/`, decoded once; with a trailing slash where the request had one. Leading slashes do not
    /// count, and nothing else is resolved, so that the caller must act on the very same text or refuse it (`..`, `//`,
    /// what was encoded twice).
    pub path: &'a str,
    /// What is to be done.
    pub operation: Operation,
    /// Members of the body and of the query, each by its name, repeated ones all of them.
    pub parameters: &'a [(&'a str, Argument<'a>)],
    /// For how long the answer is to be wrapped, if it is.
    pub wrapping: Option<Duration>,
}

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    /// It may be done.
    Allowed(Grant<'a>),
    /// It may not, and why.
    Denied(Refusal<'a>),
}

/// On what terms a request is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The rule that decided; `None` for root, who needs none.
    pub rule: Option<&'a Rule>,
    /// What was asked for.
    pub capability: Capability,
    /// Whether paths that need `sudo` are included. Which ones do, the caller knows.
    pub has_sudo: bool,
    /// The most names that the answer to a list may hold, whatever it asked for.
    pub page_limit: Option<u64>,
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug)]
pub enum Refusal<'a> {
    /// No policy speaks of the path.
    NoRule,
    /// The most specific rule denies everything.
    Deny(&'a Rule),
    /// The most specific rule does not grant this.
    Capability(&'a Rule, Capability),
    /// The answer must be wrapped, for a time within the rule's bounds.
    Wrapping(&'a Rule),
    /// This parameter must be there.
    Required(&'a Rule, &'a str),
    /// This parameter, or its value, is denied.
    DeniedParameter(&'a Rule, &'a str),
    /// This parameter, or its value, is not among those that are allowed.
    NotAllowedParameter(&'a Rule, &'a str),
    /// A list must ask for no more names than this at once.
    Page(&'a Rule, u64),
}

impl Decision<'_> {
    /// Whether it may be done, as far as no `sudo` is needed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

impl<'a> Decision<'a> {
    /// The rule that decided, if one did.
    pub fn rule(&self) -> Option<&'a Rule> {
        match self {
            Self::Allowed(grant) => grant.rule,
            Self::Denied(refusal) => refusal.rule(),
        }
    }
}

impl<'a> Refusal<'a> {
    /// The rule that decided, if one did.
    pub fn rule(&self) -> Option<&'a Rule> {
        match self {
            Self::NoRule => None,
            Self::Deny(rule)
            | Self::Capability(rule, _)
            | Self::Wrapping(rule)
            | Self::Required(rule, _)
            | Self::DeniedParameter(rule, _)
            | Self::NotAllowedParameter(rule, _)
            | Self::Page(rule, _) => Some(rule),
        }
    }
}

impl fmt::Display for Decision<'_> {
    /// One sentence for people; never a parameter's value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(Grant { rule: None, .. }) => formatter.write_str("allowed: root may do everything"),
            Self::Allowed(Grant { rule: Some(rule), capability, .. }) => {
                write!(formatter, "allowed: {rule} grants {}", capability.name())
            }
            Self::Denied(refusal) => write!(formatter, "denied: {refusal}"),
        }
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => formatter.write_str("no policy speaks of the path"),
            Self::Deny(rule) => write!(formatter, "{rule} denies everything"),
            Self::Capability(rule, needed) => {
                write!(formatter, "{rule} is the most specific, and does not grant {}", needed.name())
            }
            Self::Wrapping(rule) => write!(formatter, "{rule} wants the answer wrapped, within its bounds of time"),
            Self::Required(rule, name) => write!(formatter, "{rule} requires the parameter {name:?}"),
            Self::DeniedParameter(rule, name) => {
                write!(formatter, "{rule} denies the parameter {name:?}, or what it is set to")
            }
            Self::NotAllowedParameter(rule, name) => {
                write!(formatter, "{rule} does not allow the parameter {name:?}, or what it is set to")
            }
            Self::Page(rule, limit) => write!(formatter, "{rule} wants lists to ask for at most {limit} names"),
        }
    }
}
