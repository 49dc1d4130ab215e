//! Who may do what: the namespaces that a store admits, the rules of store policies, and, for the built-in store,
//! Vault's ACL policies ([`acl`]).
//!
//! Decides by what is passed in and asks nobody; whoever reads for somebody asks here first, before it joins the
//! reads of others and before it looks into a cache (design invariant 6). What no rule allows is denied, and what
//! cannot be understood allows nothing.

#![forbid(unsafe_code)]

pub mod acl;
mod key_pattern;
mod namespace;
mod selector;
mod store_policy;

pub use key_pattern::{KEY_LIMIT, KeyPattern, NamePattern};
pub use namespace::{ConditionSource, Namespace, NamespaceConditions};
pub use selector::{Expression, LabelSelector, SelectorSource};
pub use store_policy::{Decision, Policy, PolicySource, RuleSource, StorePolicies, TargetKind};
