//! Vault's ACL policy language: who may do what on which path of the built-in store (governance.md §8.1).
//!
//! The modules stand in the order in which a policy flows: its text ([`Policy::parse`]: `lexer`, `document`, then
//! `fields`) becomes blocks; the blocks of all policies of one login, with its [`Identity`] in the place of templates,
//! become one [`Acl`] (`pattern`, `lookup`); [`Acl::check`] decides about a request and names the rule that decided.
//! For people who wonder there are [`Acl::explain`] (`explanation`) and, about all paths of a pattern, [`Acl::reaches`]
//! and [`Acl::misses`] (`reach`).
//!
//! What differs from OpenBao, always so that nothing is granted that a reader of the policy would think denied:
//! - An identity's value is text: a `*` or `+` in it is no wildcard, and an empty one is as none.
//! - A `denied_parameters` value matches the number as well as its text, and inside of a list; an
//!   `allowed_parameters` number matches equal numbers (in OpenBao no number ever matches).
//! - `limit=0` and negative ones ask for everything, and are capped by `pagination_limit`.
//! - Refused when written: an argument twice in a block, two labels, `${…}`, templates that name nothing, and what is
//!   not served (`mfa_methods`, `control_group`, `list_scan_response_keys_filter_path`): ignoring it would grant more.

mod access;
mod capability;
mod decision;
mod document;
mod explanation;
mod fields;
mod identity;
mod lexer;
mod lookup;
mod parameters;
mod pattern;
mod policy;
mod reach;
mod rule;

pub use access::{Acl, Skipped};
pub use capability::{Capabilities, Capability, Operation};
pub use decision::{Decision, Grant, Refusal, Request};
pub use document::{DEPTH_LIMIT, SIZE_LIMIT};
pub use explanation::{Explanation, PassedOver, Precedence};
pub use identity::{Alias, Entity, Group, Identity};
pub use parameters::Argument;
pub use policy::{PATH_LIMIT, Policy, RULE_LIMIT};
pub use reach::Found;
pub use rule::{Rule, Source};
