//! All policies of one login as one structure that is asked many times.

use std::collections::HashMap;
use std::sync::Arc;

use super::capability::{Capabilities, Capability, Operation};
use super::decision::{Decision, Grant, Refusal, Request};
use super::identity::Identity;
use super::lookup::Lookup;
use super::parameters::{Argument, EVERY, is_allowed, is_denied};
use super::pattern::Pattern;
use super::policy::Policy;
use super::rule::{Rule, Source};

/// The parameter that bounds a list.
const LIMIT: &str = "limit";

/// What one login may do.
///
/// Of all patterns that match a path, the most specific alone decides; the blocks of that one pattern add up. What no
/// rule grants is denied. Asking costs a few look-ups, however many policies there are; making it reads all of them,
/// so that it is kept for as long as policies and identity stay the same, and [`Acl::valid_until`].
#[derive(Debug)]
pub struct Acl {
    is_root: bool,
    /// From the least specific to the most.
    rules: Vec<Rule>,
    lookup: Lookup,
    skipped: Vec<Skipped>,
    valid_until: Option<i64>,
}

/// A block that says nothing to this login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The line of its text on which the block begins, from 1.
    pub line: u32,
    /// Whether its time has passed; else its templates ask for what the identity does not have.
    pub is_expired: bool,
}

impl Acl {
    /// What root may do: everything. Vault has it for the policy `root`, which stands alone and has no text.
    pub fn root() -> Self {
        Self { is_root: true, ..Self::new([], &Identity::default(), 0) }
    }

    /// Puts the policies of one login together, at the time `now` (seconds since 1970).
    pub fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>, identity: &Identity, now: i64) -> Self {
        let mut by_pattern: HashMap<Pattern, Rule> = HashMap::new();
        let mut skipped = Vec::new();
        let mut valid_until: Option<i64> = None;
        for policy in policies {
            for block in &policy.blocks {
                let is_expired = block.expires.is_some_and(|end| end < now);
                let filled = if is_expired { None } else { block.path.fill(identity) };
                let Some(filled) = filled else {
                    skipped.push(Skipped { policy: policy.name.clone(), line: block.line, is_expired });
                    continue;
                };
                valid_until = valid_until.into_iter().chain(block.expires).min();
                let pattern = Pattern::new(&filled);
                let rule = by_pattern.entry(pattern.clone()).or_insert_with(|| Rule::new(pattern));
                let capabilities = block.capabilities;
                rule.add(Source { policy: policy.name.clone(), line: block.line, capabilities }, &block.limits);
            }
        }
        let mut rules: Vec<Rule> = by_pattern.into_values().collect();
        rules.sort_unstable_by(|one, other| {
            let order = one.pattern.cmp_specificity(&other.pattern);
            // Equal ones differ in what an identity's values hold; whichever it is must not change from run to run.
            order.then_with(|| format!("{:?}", one.pattern).cmp(&format!("{:?}", other.pattern)))
        });
        let lookup = Lookup::new(rules.iter().map(|rule| &rule.pattern).enumerate());
        Self { is_root: false, rules, lookup, skipped, valid_until }
    }

    /// The last second for which this stands; after it a block has expired, and the list must be made anew.
    pub fn valid_until(&self) -> Option<i64> {
        self.valid_until
    }

    /// Whether this is root's.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// All rules, from the least specific to the most: for `sys/internal/ui/resultant-acl`.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Blocks that say nothing, to be shown where somebody wonders why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Decides about a request. Help texts need no asking; which paths need `sudo` the caller knows.
    pub fn check<'a>(&'a self, request: &Request<'a>) -> Decision<'a> {
        let capability = request.operation.capability();
        if self.is_root {
            return Decision::Allowed(Grant { rule: None, capability, has_sudo: true, page_limit: None });
        }
        let Some(rule) = self.deciding(request.path, request.operation) else {
            return Decision::Denied(Refusal::NoRule);
        };
        match refusal(rule, request) {
            Some(refusal) => Decision::Denied(refusal),
            None => {
                let page_limit = rule.limits.page.filter(|_| is_list(request.operation));
                let has_sudo = rule.capabilities.contain(Capability::Sudo);
                Decision::Allowed(Grant { rule: Some(rule), capability, has_sudo, page_limit })
            }
        }
    }

    /// The words that `sys/capabilities*` answers with, in their order: `root` alone, `deny` alone, or what is granted.
    pub fn capability_names(&self, path: &str) -> Vec<&'static str> {
        if self.is_root {
            return vec!["root"];
        }
        let granted = self.capabilities(path);
        if granted.is_empty() { vec![Capability::Deny.name()] } else { granted.iter().map(Capability::name).collect() }
    }

    /// What the most specific rule of `path` grants; of a folder with a slash, what the one without it grants, as a
    /// list has it. Nothing for root, who has no rules.
    pub fn capabilities(&self, path: &str) -> Capabilities {
        self.deciding(path, Operation::List).map(Rule::capabilities).unwrap_or_default()
    }

    /// Whether anything is granted on a mount or below it: then its existence is no secret (trap T9: the CLI asks for
    /// the mount before it asks for the path). `mount` ends in a slash.
    pub fn reaches_into(&self, mount: &str) -> bool {
        self.is_root
            || self.capabilities(mount).allow_something()
            || self.rules.iter().any(|rule| rule.capabilities.allow_something() && rule.pattern.reaches_into(mount))
    }

    /// All rules that match, the most specific first, for who explains a decision. Takes time in proportion to the
    /// number of rules.
    pub fn matching(&self, path: &str, operation: Operation) -> Vec<&Rule> {
        let path = path.trim_start_matches('/');
        let folder = path.strip_suffix('/').filter(|_| is_list(operation));
        let is_match =
            |rule: &&Rule| rule.pattern.matches(path) || folder.is_some_and(|path| rule.pattern.matches(path));
        let mut rules: Vec<&Rule> = self.rules.iter().rev().filter(is_match).collect();
        // A folder's exact rule decides about its names, however specific others are about its slash.
        let deciding = self.deciding(path, operation);
        rules.sort_by_key(|rule| !deciding.is_some_and(|deciding| std::ptr::eq(deciding, *rule)));
        rules
    }

    /// The rule that decides about a path, for questions about many.
    pub(super) fn decider(&self, path: &str, operation: Operation) -> Option<&Rule> {
        self.deciding(path, operation)
    }

    /// The rule that decides: the exact one, else the most specific with a wildcard. Where names of `folder/` are
    /// asked for, `folder` stands in where nothing speaks of `folder/`, among exact rules first and then among the
    /// others. To ask wildcards for `folder` first, as was done before OpenBao 2.7, would pass by a denied `folder/*`
    /// (GHSA-xp3c-3jw3-4vcr).
    fn deciding(&self, path: &str, operation: Operation) -> Option<&Rule> {
        let path = path.trim_start_matches('/');
        let folder = path.strip_suffix('/').filter(|_| is_list(operation));
        let exact = self.lookup.exact(path).or_else(|| self.lookup.exact(folder?));
        let found = exact.or_else(|| self.lookup.glob(path)).or_else(|| self.lookup.glob(folder?))?;
        self.rules.get(found)
    }
}

fn is_list(operation: Operation) -> bool {
    matches!(operation, Operation::List | Operation::Scan)
}

/// Why the rule that decides does not allow the request.
fn refusal<'a>(rule: &'a Rule, request: &Request<'a>) -> Option<Refusal<'a>> {
    let needed = request.operation.capability();
    if rule.capabilities.contain(Capability::Deny) {
        return Some(Refusal::Deny(rule));
    }
    if !rule.capabilities.contain(needed) {
        return Some(Refusal::Capability(rule, needed));
    }
    let limits = &rule.limits;
    let is_too_long = limits.max_wrapping.is_some_and(|max| request.wrapping.is_none_or(|time| time > max));
    let is_too_short = limits.min_wrapping.is_some_and(|min| request.wrapping.is_none_or(|time| time < min));
    if is_too_long || is_too_short {
        return Some(Refusal::Wrapping(rule));
    }
    if request.operation.has_parameters() {
        return refused_parameter(rule, request.parameters);
    }
    if is_list(request.operation) { refused_page(rule, request.parameters) } else { None }
}

fn refused_parameter<'a>(rule: &'a Rule, parameters: &[(&'a str, Argument<'a>)]) -> Option<Refusal<'a>> {
    let limits = &rule.limits;
    // Names ignore case, but a required one must come in small letters, as in Vault.
    let is_missing = |name: &&String| !parameters.iter().any(|(given, _)| given == name);
    if let Some(name) = limits.required.iter().find(is_missing) {
        return Some(Refusal::Required(rule, name));
    }
    let denies_all = limits.denied.contains_key(EVERY);
    let allows_all = limits.allowed.is_empty() || limits.allowed.contains_key(EVERY);
    if limits.denied.is_empty() && limits.allowed.is_empty() {
        return None;
    }
    for (name, argument) in parameters {
        let key = name.to_lowercase();
        if denies_all || limits.denied.get(&key).is_some_and(|values| is_denied(*argument, values)) {
            return Some(Refusal::DeniedParameter(rule, name));
        }
        if !limits.allowed.get(&key).map_or(allows_all, |values| is_allowed(*argument, values)) {
            return Some(Refusal::NotAllowedParameter(rule, name));
        }
    }
    None
}

fn refused_page<'a>(rule: &'a Rule, parameters: &[(&'a str, Argument<'a>)]) -> Option<Refusal<'a>> {
    let limit = rule.limits.page?;
    let mut asked = parameters.iter().filter(|(name, _)| *name == LIMIT).peekable();
    if asked.peek().is_none() {
        // Who knows nothing of pages gets the first one, unless the policy wants to be asked for it.
        return rule.limits.required.contains(LIMIT).then_some(Refusal::Page(rule, limit));
    }
    let is_within = |argument: &Argument<'_>| match argument.text() {
        Some(text) if text == "max" => true,
        // Zero and less ask for everything; the grant's limit caps them.
        Some(text) => text.parse::<i64>().is_ok_and(|number| u64::try_from(number).unwrap_or(0) <= limit),
        None => false,
    };
    if asked.all(|(_, argument)| is_within(argument)) { None } else { Some(Refusal::Page(rule, limit)) }
}
