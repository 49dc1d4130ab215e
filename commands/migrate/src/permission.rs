//! What namespaces allow, as kubernetes-external-secrets reads their annotations, and the same as patterns of a
//! StorePolicy where it can be said.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use strongroom_api::kes::{ExternalSecretSpec, NAMING_ANNOTATION, ROLE_ANNOTATION};
use strongroom_pattern::Pattern;
use strongroom_policy::KeyPattern;

use crate::report::Reliance;
use crate::settings::Settings;

/// What a namespace's annotations say.
pub(crate) struct Permission {
    namespace: String,
    /// The namespace; `None` where it was not given.
    annotations: Option<BTreeMap<String, String>>,
    naming: String,
    role: String,
    is_enforced: bool,
}

/// Something that an object reads or takes, and where it says so.
struct Named<'s> {
    field: String,
    what: &'static str,
    value: &'s str,
}

impl Permission {
    /// Of the namespace `name`, which is `found` where it was given.
    pub(crate) fn new(name: &str, found: Option<&Namespace>, settings: &Settings) -> Self {
        let word = |variable: &str, usual: &str| settings.text(variable).unwrap_or(usual).to_owned();
        Self {
            namespace: name.to_owned(),
            annotations: found.map(|namespace| namespace.annotations().clone()),
            naming: word("NAMING_PERMITTED_ANNOTATION", NAMING_ANNOTATION),
            role: word("ROLE_PERMITTED_ANNOTATION", ROLE_ANNOTATION),
            is_enforced: settings.is_set("ENFORCE_NAMESPACE_ANNOTATIONS"),
        }
    }

    /// The expression for keys, where there is one.
    pub(crate) fn naming(&self) -> Option<&str> {
        self.annotation(&self.naming)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether KES lets the object `name` read what `spec` asks for, and what it relies on.
    ///
    /// # Errors
    /// Why KES refuses it today, in words.
    pub(crate) fn check(&self, name: &str, field: &str, spec: &ExternalSecretSpec) -> Result<Vec<Reliance>, String> {
        let Some(annotations) = &self.annotations else { return Ok(Vec::new()) };
        if annotations.is_empty() {
            let words = "the namespace has no annotations, and ENFORCE_NAMESPACE_ANNOTATIONS wants some";
            return if self.is_enforced { Err(words.to_owned()) } else { Ok(Vec::new()) };
        }
        let mut reliances = Vec::new();
        let mut rely = |annotation: &str, pattern: &str, named: &Named<'_>, is_unchecked| {
            let field = format!("{field}.{}", named.field);
            reliances.push(self.reliance(name, annotation, pattern, field, named.value, is_unchecked));
        };
        self.needs(&self.naming)?;
        if let Some(source) = self.naming() {
            let pattern = understood(&self.naming, source)?;
            for named in keys(spec) {
                if !pattern.is_match(named.value) {
                    return Err(format!("{} {} does not match {}: {source}", named.what, named.value, self.naming));
                }
                if !pattern.matches_whole(named.value) {
                    rely(&self.naming, source, &named, false);
                }
            }
            for named in unchecked_keys(spec).filter(|named| !pattern.matches_whole(named.value)) {
                rely(&self.naming, source, &named, !pattern.is_match(named.value));
            }
        }
        let Some(named) = role(spec) else { return Ok(reliances) };
        self.needs(&self.role)?;
        if let Some(source) = self.annotation(&self.role) {
            let pattern = understood(&self.role, source)?;
            if !pattern.is_match(named.value) {
                return Err(format!("the role {} does not match {}: {source}", named.value, self.role));
            }
            if !pattern.matches_whole(named.value) {
                rely(&self.role, source, &named, false);
            }
        }
        Ok(reliances)
    }

    fn reliance(
        &self,
        name: &str,
        annotation: &str,
        pattern: &str,
        field: String,
        value: &str,
        is_unchecked: bool,
    ) -> Reliance {
        Reliance {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            annotation: annotation.to_owned(),
            pattern: pattern.to_owned(),
            field,
            value: value.to_owned(),
            is_unchecked,
        }
    }

    fn needs(&self, annotation: &str) -> Result<(), String> {
        if self.is_enforced && self.annotation(annotation).is_none() {
            return Err(format!(
                "the namespace has no annotation {annotation}, and ENFORCE_NAMESPACE_ANNOTATIONS wants it"
            ));
        }
        Ok(())
    }
}

fn understood(annotation: &str, source: &str) -> Result<Pattern, String> {
    Pattern::new(source).map_err(|failure| format!("{annotation}: {source} is not understood: {}", failure.words))
}

/// What KES compares with the expression for keys.
fn keys(spec: &ExternalSecretSpec) -> impl Iterator<Item = Named<'_>> {
    let (list, entries) = spec.entries();
    let single = entries.iter().enumerate().flat_map(move |(place, entry)| {
        let named = |name: &str, what, value| Named { field: format!("{list}[{place}].{name}"), what, value };
        let path = entry.path.as_deref().map(|path| named("path", "the path", path));
        path.into_iter().chain(entry.key.as_deref().map(|key| named("key", "the key", key)))
    });
    let many = spec.data_from.iter().flatten().enumerate();
    single.chain(many.map(|(place, key)| Named { field: format!("dataFrom[{place}]"), what: "the key", value: key }))
}

/// What KES forgets to compare.
fn unchecked_keys(spec: &ExternalSecretSpec) -> impl Iterator<Item = Named<'_>> {
    spec.data_from_with_options.iter().flatten().enumerate().filter_map(|(place, entry)| {
        let field = format!("dataFromWithOptions[{place}].key");
        Some(Named { field, what: "the key", value: entry.key.as_deref()? })
    })
}

fn role(spec: &ExternalSecretSpec) -> Option<Named<'_>> {
    let named = |field: &str, value| Named { field: field.to_owned(), what: "the role", value };
    let filled = |value: &'_ &str| !value.is_empty();
    let aws = spec.role_arn.as_deref().filter(filled).map(|role| named("roleArn", role));
    aws.or_else(|| spec.vault_role.as_deref().filter(filled).map(|role| named("vaultRole", role)))
}

/// Patterns of a StorePolicy that admit what the whole expression matches; `None` where these have no way to say it. A
/// dot that stands alone is taken for a dot.
pub(crate) fn key_patterns(expression: &str) -> Option<Vec<String>> {
    let mut patterns = Vec::new();
    for alternative in alternatives(expression)? {
        let alternative = alternative.strip_prefix('^').unwrap_or(alternative);
        let alternative = alternative.strip_suffix('$').unwrap_or(alternative);
        patterns.extend(spelled(&tokens(alternative)?)?);
    }
    let is_sayable = |pattern: &String| KeyPattern::new(pattern).is_ok();
    patterns.iter().all(is_sayable).then_some(patterns)
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(String),
    /// Any letters of one segment.
    Segment,
    /// Any letters.
    Any,
}

/// What an expression offers: `a|b`, or `^(a|b)$`.
fn alternatives(expression: &str) -> Option<Vec<&str>> {
    let inner = expression.strip_prefix('^').unwrap_or(expression);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let in_group =
        inner.strip_prefix("(?:").or_else(|| inner.strip_prefix('(')).and_then(|rest| rest.strip_suffix(')'));
    let offered = match in_group {
        Some(inside) if !inside.contains(['(', ')']) => inside,
        _ => expression,
    };
    (!offered.contains(['(', ')'])).then(|| offered.split('|').collect())
}

fn tokens(expression: &str) -> Option<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = expression;
    while !rest.is_empty() {
        let wild = [(".*", Token::Any), (".+", Token::Any), ("[^/]*", Token::Segment), ("[^/]+", Token::Segment)];
        if let Some((word, token)) = wild.into_iter().find(|(word, _)| rest.starts_with(word)) {
            tokens.push(token);
            rest = &rest[word.len()..];
            continue;
        }
        let mut letters = rest.chars();
        let letter = match letters.next()? {
            '\\' => letters.next().filter(char::is_ascii_punctuation)?,
            '*' | '+' | '?' | '{' | '}' | '[' | ']' | '^' | '$' => return None,
            letter => letter,
        };
        rest = letters.as_str();
        if rest.starts_with(['*', '+', '?', '{']) || "*{}".contains(letter) {
            return None;
        }
        match tokens.last_mut() {
            Some(Token::Text(text)) => text.push(letter),
            _ => tokens.push(Token::Text(letter.to_string())),
        }
    }
    (!tokens.is_empty()).then_some(tokens)
}

/// All spellings: `.*` stands for letters of one segment, and for what goes over several.
fn spelled(tokens: &[Token]) -> Option<Vec<String>> {
    if tokens.iter().filter(|token| **token == Token::Any).count() > 2 {
        return None;
    }
    let mut patterns = vec![String::new()];
    for (place, token) in tokens.iter().enumerate() {
        let begins = place == 0 || matches!(&tokens[place - 1], Token::Text(text) if text.ends_with('/'));
        let ends =
            place + 1 == tokens.len() || matches!(&tokens[place + 1], Token::Text(text) if text.starts_with('/'));
        let added: &[&str] = match (token, begins, ends) {
            (Token::Text(text), ..) => &[text.as_str()],
            (Token::Segment, ..) => &["*"],
            (Token::Any, true, true) => &["**"],
            (Token::Any, true, false) => &["*", "**/*"],
            (Token::Any, false, true) => &["*", "*/**"],
            (Token::Any, false, false) => &["*", "*/*", "*/**/*"],
        };
        patterns = patterns.iter().flat_map(|so_far| added.iter().map(move |more| format!("{so_far}{more}"))).collect();
    }
    Some(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_patterns_where_they_can() {
        let check = |expression: &str, expected: Option<&[&str]>| {
            let got = key_patterns(expression);
            let expected = expected.map(|patterns| patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
            assert_eq!(got, expected, "{expression}");
        };
        check(".*", Some(&["**"]));
        check("dev/team-a/.*", Some(&["dev/team-a/**"]));
        check("^dev/team-a/.*$", Some(&["dev/team-a/**"]));
        check("/permitted/path/.*", Some(&["/permitted/path/**"]));
        check("^team-a.*", Some(&["team-a*", "team-a*/**"]));
        check(".*/shared/.*", Some(&["**/shared/**"]));
        check(".*-team-a", Some(&["*-team-a", "**/*-team-a"]));
        check("a.*b", Some(&["a*b", "a*/*b", "a*/**/*b"]));
        check("^(foo|bar)$", Some(&["foo", "bar"]));
        check("^(?:foo/.*|bar)", Some(&["foo/**", "bar"]));
        check("^foo$|^bar/.*", Some(&["foo", "bar/**"]));
        check("^app/[^/]+/db$", Some(&["app/*/db"]));
        check(r"^tls\.crt$", Some(&["tls.crt"]));
        for unsayable in ["^[a-z]+$", "a?", r"^\d+", "^(a|b)/c", "a{2}", "x*", "(a(b|c))", "", "^$"] {
            check(unsayable, None);
        }
    }

    #[test]
    fn patterns_admit_what_the_whole_expression_matches() {
        let namespace = strongroom_policy::Namespace::default();
        for expression in ["dev/team-a/.*", "^team-a.*", ".*-team-a", "a.*b", "^(foo|bar/.*)$", "^app/[^/]+/db$"] {
            let patterns = key_patterns(expression).unwrap();
            let whole = Pattern::new(expression).unwrap();
            for key in [
                "dev/team-a/x",
                "dev/team-a/x/y",
                "dev/team-b/x",
                "xdev/team-a/x",
                "team-a",
                "team-a-b",
                "team-ax/y/z",
                "my-team-a",
                "x/y/my-team-a",
                "ab",
                "a/b",
                "a1/2/3b",
                "foo",
                "foox",
                "bar/x/y",
                "app/x/db",
                "app/x/y/db",
            ] {
                let admitted = patterns.iter().any(|one| KeyPattern::new(one).unwrap().matches(key, &namespace));
                assert_eq!(admitted, whole.matches_whole(key), "{expression}: {key}");
            }
        }
    }
}
