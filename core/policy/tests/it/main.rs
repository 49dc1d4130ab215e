//! Vault's ACL language, whole: texts to decisions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod explanations;
mod hostile;
mod language;
mod model;
mod openbao;
mod parameters;
mod precedence;
mod reach;
mod speed;
mod templates;

use strongroom_policy::acl::{Acl, Identity, Operation, Policy, Request};

/// The access list of these policies, named `p0`, `p1`, …, for nobody in particular, in 1970.
fn acl(policies: &[&str]) -> Acl {
    acl_of(policies, &Identity::default())
}

fn acl_of(policies: &[&str], identity: &Identity) -> Acl {
    let parsed: Vec<Policy> = policies.iter().enumerate().map(|(place, text)| parsed(place, text)).collect();
    Acl::new(&parsed, identity, 0)
}

fn parsed(place: usize, text: &str) -> Policy {
    Policy::parse(&format!("p{place}"), text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn is_allowed(acl: &Acl, operation: Operation, path: &str) -> bool {
    acl.check(&Request { path, operation, parameters: &[], wrapping: None }).is_allowed()
}

const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Read,
    Operation::Update,
    Operation::Patch,
    Operation::Delete,
    Operation::List,
    Operation::Scan,
];
