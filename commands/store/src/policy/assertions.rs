//! What policies are to grant and not to grant, and whether they do: without a store, a clock or a file.

use std::fmt;

use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_policy::acl::{Acl, Found, Identity, Operation, Policy, Request};

use super::known::{Policies, ROOT};

/// All operations, by the word of their capability.
const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Delete,
    Operation::List,
    Operation::Patch,
    Operation::Read,
    Operation::Scan,
    Operation::Update,
];

/// One entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    policies: Option<Words>,
    nobody: Option<Nobody>,
    may: Option<Words>,
    may_not: Option<Words>,
    path: Words,
}

/// `nobody: {except: [team-a]}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nobody {
    #[serde(default)]
    except: Words,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    More(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl Words {
    fn all(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::More(words) => words,
        }
    }
}

/// Whom something is said about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    /// Somebody who has all these policies.
    With(Vec<String>),
    /// Everybody who has none of these.
    AllBut(Vec<String>),
}

/// One thing that is to be so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The place of its entry in the file, from 1.
    pub(super) number: usize,
    subject: Subject,
    is_allowed: bool,
    operation: Operation,
    path: String,
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.operation.capability().name();
        match &self.subject {
            Subject::With(names) => {
                let verb = if self.is_allowed { "may" } else { "may not" };
                write!(formatter, "{} {verb} {word} {}", names.join("+"), self.path)
            }
            Subject::AllBut(names) if names.is_empty() => write!(formatter, "nobody may {word} {}", self.path),
            Subject::AllBut(names) => write!(formatter, "nobody but {} may {word} {}", names.join(", "), self.path),
        }
    }
}

/// Reads a file of assertions; an entry that names several paths and operations makes several claims.
///
/// # Errors
/// Where it is no such file, with the place, or an entry says nothing.
pub(super) fn claims(source: &str, text: &str) -> Result<Vec<Claim>, Failure> {
    let entries: Vec<Entry> = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!("{source}:{}:{}", at.line(), at.column()));
        Failure::new(Class::Invalid, format!("is no list of assertions: {}", error.without_snippet()))
            .in_field(place.unwrap_or_else(|| source.to_owned()))
    })?;
    let mut claims = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let number = place + 1;
        let of_entry = of_entry(number, entry);
        claims.extend(
            of_entry.map_err(|words| {
                Failure::new(Class::Invalid, words).in_field(format!("{source}, assertion {number}"))
            })?,
        );
    }
    match claims.is_empty() {
        true => Err(Failure::new(Class::Invalid, "holds no assertion").in_field(source)),
        false => Ok(claims),
    }
}

fn of_entry(number: usize, entry: &Entry) -> Result<Vec<Claim>, String> {
    let (words, is_allowed) = match (&entry.may, &entry.may_not) {
        (Some(words), None) => (words, true),
        (None, Some(words)) => (words, false),
        _ => return Err("says either may or may_not".to_owned()),
    };
    let subject = || match (&entry.policies, &entry.nobody) {
        (Some(names), None) if !names.all().is_empty() => Ok(Subject::With(lowercase(names))),
        (None, Some(nobody)) if is_allowed => Ok(Subject::AllBut(lowercase(&nobody.except))),
        (None, Some(_)) => Err("says nobody … may, and not may_not".to_owned()),
        _ => Err("names either policies or nobody".to_owned()),
    };
    let mut claims = Vec::new();
    for word in words.all() {
        let operation = operation(word)?;
        for path in entry.path.all() {
            let path = target(path, operation)?;
            claims.push(Claim { number, subject: subject()?, is_allowed, operation, path });
        }
    }
    if claims.is_empty() { Err("names no operation or no path".to_owned()) } else { Ok(claims) }
}

fn lowercase(words: &Words) -> Vec<String> {
    words.all().iter().map(|name| name.to_lowercase()).collect()
}

/// The operation that a word means.
///
/// # Errors
/// Words for whoever typed it.
pub(super) fn operation(word: &str) -> Result<Operation, String> {
    let name = |operation: &Operation| operation.capability().name();
    OPERATIONS.into_iter().find(|operation| name(operation) == word).ok_or_else(|| {
        format!("{word:?} is no operation: there are {}", OPERATIONS.iter().map(name).collect::<Vec<_>>().join(", "))
    })
}

/// A path as policies are asked about it. Names are asked for with a slash at the end.
pub(super) fn target(path: &str, operation: Operation) -> Result<String, String> {
    let path = path.trim_start_matches('/');
    if path.is_empty() || path.contains("{{") || path.contains("+*") {
        return Err(format!("{path:?} is no path: it has segments, + for one of them, and * at its end"));
    }
    let is_names = matches!(operation, Operation::List | Operation::Scan);
    let slash = if is_names && !path.ends_with(['/', '*']) { "/" } else { "" };
    Ok(format!("{path}{slash}"))
}

impl Claim {
    /// Why it is not so: nothing where it is.
    ///
    /// # Errors
    /// Where it names a policy that there is not.
    pub(super) fn judge(&self, policies: &Policies, now: i64) -> Result<Vec<String>, Failure> {
        let named = match &self.subject {
            Subject::With(names) | Subject::AllBut(names) => names,
        };
        if let Some(name) = named.iter().find(|name| *name != ROOT && !policies.contains_key(*name)) {
            return Err(Failure::new(Class::Invalid, format!("there is no policy {name:?}"))
                .in_field(format!("assertion {} ({self})", self.number)));
        }
        match &self.subject {
            Subject::With(names) => {
                let some: Vec<&Policy> = names.iter().filter_map(|name| policies.get(name)).collect();
                let acl = match names.iter().any(|name| name == ROOT) {
                    true => Acl::root(),
                    false => Acl::new(some.iter().copied(), &Identity::default(), now),
                };
                Ok(if self.is_allowed { self.not_allowed(&acl, &some) } else { self.allowed(&acl, &some) })
            }
            // Whatever a set of policies grants, one of them grants by itself: more of them never grant more.
            Subject::AllBut(names) => {
                let others = policies.iter().filter(|(name, _)| !names.contains(name));
                let reasons = others
                    .flat_map(|(_, policy)| self.allowed(&Acl::new([policy], &Identity::default(), now), &[policy]));
                Ok(reasons.collect())
            }
        }
    }

    /// What of it is not granted.
    fn not_allowed(&self, acl: &Acl, policies: &[&Policy]) -> Vec<String> {
        let has_wildcard = self.path.ends_with('*') || self.path.split('/').any(|segment| segment == "+");
        let path = match has_wildcard {
            true => acl.misses(&self.path, self.operation).map(|found| found.path),
            false => Some(self.path.clone()),
        };
        let Some(path) = path else { return Vec::new() };
        let request = Request { path: &path, operation: self.operation, parameters: &[], wrapping: None };
        let decision = acl.check(&request);
        if decision.is_allowed() {
            return Vec::new();
        }
        let mut reasons = vec![format!("{path}: {decision}")];
        reasons
            .extend(self.templates(policies).map(|place| {
                format!("{place} has a template there: what it says is known only when somebody logs in")
            }));
        reasons
    }

    /// What of it is granted all the same.
    fn allowed(&self, acl: &Acl, policies: &[&Policy]) -> Vec<String> {
        let word = self.operation.capability().name();
        let reached = acl.reaches(&self.path, self.operation).map(|Found { path, rule }| match rule {
            Some(rule) => format!("{path}: {rule} grants {word}"),
            None => format!("{path}: root may do everything"),
        });
        let by_template = self
            .templates(policies)
            .map(|place| format!("{place} grants {word} where its template stands for the path"));
        reached.into_iter().chain(by_template).collect()
    }

    fn templates<'a>(&'a self, policies: &'a [&'a Policy]) -> impl Iterator<Item = String> + 'a {
        policies.iter().flat_map(|policy| {
            let lines = policy.lines_that_may_fill(&self.path, self.operation);
            lines.into_iter().map(|line| format!("policy {:?}, line {line}", policy.name()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: [(&str, &str); 5] = [
        (
            "reader",
            "path \"secret/data/*\" { capabilities = [\"read\"] }\npath \"secret/metadata/*\" { capabilities = [\"list\"] }",
        ),
        ("team-a", "path \"secret/data/team-a/*\" { capabilities = [\"read\", \"update\"] }"),
        (
            "narrow",
            "path \"secret/data/*\" { capabilities = [\"read\"] }\npath \"secret/data/team-a/*\" { capabilities = [\"deny\"] }",
        ),
        ("own", "path \"home/{{identity.entity.name}}/*\" { capabilities = [\"read\"] }"),
        ("bound", "path \"secret/data/x\" { capabilities = [\"update\"]\n required_parameters = [\"y\"] }"),
    ];

    fn check(entry: &str, expected: &[&str]) {
        let policies: Policies =
            POLICIES.iter().map(|(name, text)| ((*name).to_owned(), Policy::parse(name, text).unwrap())).collect();
        let claims = claims("a.yaml", &format!("- {{{entry}}}")).unwrap();
        let reasons: Vec<String> = claims.iter().flat_map(|claim| claim.judge(&policies, 0).unwrap()).collect();
        assert_eq!(reasons.len(), expected.len(), "{entry}: {reasons:#?}");
        for (reason, expected) in reasons.iter().zip(expected) {
            assert!(reason.contains(expected), "{entry}: {reason}");
        }
    }

    #[test]
    fn what_policies_grant_is_compared_with_what_they_are_to_grant() {
        check("policies: [reader], may: read, path: secret/data/app", &[]);
        check("policies: reader, may: update, path: secret/data/app", &["does not grant update"]);
        check("policies: [reader, team-a], may: update, path: secret/data/team-a/x", &[]);
        check("policies: reader, may_not: [update, delete], path: [secret/data/*, other]", &[]);
        check("policies: reader, may_not: read, path: secret/data/+/x", &["policy \"reader\", line 1"]);
        check("policies: reader, may: read, path: 'secret/data/*'", &[]);
        check("policies: narrow, may: read, path: 'secret/data/*'", &["secret/data/team-a/…: denied"]);
        check("policies: reader, may: list, path: secret/metadata/app", &[]);
        check("policies: root, may: delete, path: anything", &[]);
        check("policies: [root, reader], may_not: delete, path: anything", &["root may do everything"]);
        check("policies: bound, may: update, path: secret/data/x", &["requires the parameter"]);
    }

    #[test]
    fn nobody_means_every_policy_but_those_that_are_excepted() {
        let of_reader = "secret/data/team-a/…: path \"secret/data/*\" (policy \"reader\", line 1) grants read";
        check("nobody: {except: [team-a]}, may: read, path: secret/data/team-a/*", &[of_reader]);
        check("nobody: {except: [team-a, reader]}, may: read, path: secret/data/team-a/*", &[]);
        check("nobody: {}, may: update, path: secret/data/team-a/*", &["policy \"team-a\""]);
        check("nobody: {}, may: delete, path: '*'", &[]);
    }

    #[test]
    fn a_template_may_stand_for_any_path() {
        check("nobody: {}, may: read, path: home/ann/*", &["policy \"own\", line 1"]);
        check("policies: own, may: read, path: home/ann/x", &["no policy speaks", "known only when somebody logs in"]);
        check("policies: own, may_not: read, path: secret/*", &[]);
    }

    #[test]
    fn a_file_that_says_something_else_is_refused() {
        let check = |text: &str, words: &str| {
            let failure = claims("a.yaml", text).unwrap_err().to_string();
            assert!(failure.contains(words), "{text}: {failure}");
        };
        check("[]", "holds no assertion");
        check("- {policies: a, path: b}", "assertion 1: says either may or may_not");
        check("- {may: read, path: b}", "names either policies or nobody");
        check("- {nobody: {}, may_not: read, path: b}", "not may_not");
        check("- {policies: a, may: write, path: b}", "\"write\" is no operation: there are create");
        check("- {policies: a, may: read, path: 'a/{{x}}'}", "is no path");
        check("- {policies: a, may: read, pth: b}", "a.yaml:1");
        let nobody = claims("a", "- {policies: nope, may: read, path: b}").unwrap();
        assert!(nobody[0].judge(&Policies::new(), 0).unwrap_err().to_string().contains("no policy \"nope\""));
    }
}
