//! What a namespace's annotations allow its objects to read (KE-11). KES overlooked some of the ways to a key; here
//! every one of them is asked about: `data`, `dataFrom`, `dataFromWithOptions`, and the default role of Vault.

use std::collections::BTreeMap;

use strongroom_api::kes::{Backend, ExternalSecretSpec};
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;

use crate::Settings;

/// Whether objects of a namespace with these annotations may read what `spec` asks for; `name` is the object's, as
/// `NAMESPACE/NAME`.
///
/// # Errors
/// `Denied`, in KES's words: `not allowed to fetch secret: NAMESPACE/NAME: ` and the last reason found. `Invalid` where
/// the namespace's pattern is none that can be matched in bounded time, which allows nothing.
pub fn check(
    name: &str,
    annotations: &BTreeMap<String, String>,
    spec: &ExternalSecretSpec,
    settings: &Settings,
) -> Result<(), Failure> {
    let namespace = name.split('/').next().unwrap_or_default();
    let rules = Rules { annotations, namespace, settings };
    let reasons = [rules.of_keys(spec)?, rules.of_role(spec)?];
    match reasons.into_iter().flatten().next_back() {
        None => Ok(()),
        Some(reason) => {
            let words = format!("not allowed to fetch secret: {name}: {reason}");
            Err(Failure::new(Class::Denied, words).with_hint(format!(
                "the annotations {} and {} of the namespace say what is allowed",
                settings.naming_annotation, settings.role_annotation
            )))
        }
    }
}

struct Rules<'a> {
    annotations: &'a BTreeMap<String, String>,
    namespace: &'a str,
    settings: &'a Settings,
}

impl Rules<'_> {
    fn of_keys(&self, spec: &ExternalSecretSpec) -> Result<Option<String>, Failure> {
        let annotation = &self.settings.naming_annotation;
        let Some(pattern) = self.pattern(annotation)? else {
            return Ok(self.missing(annotation));
        };
        let admits = |key: &str| pattern.admits(key);
        let source = pattern.source();
        let keys = keys(spec).filter(|(_, key)| !admits(key));
        let reason = |(what, key): (&str, &str)| format!("{what} {key} does not match naming convention {source}");
        Ok(keys.map(reason).last())
    }

    fn of_role(&self, spec: &ExternalSecretSpec) -> Result<Option<String>, Failure> {
        let Some(role) = self.role(spec) else { return Ok(None) };
        let annotation = &self.settings.role_annotation;
        let Some(pattern) = self.pattern(annotation)? else {
            return Ok(self.missing(annotation));
        };
        Ok((!pattern.admits(role)).then(|| format!("namespace does not allow to assume role {role}")))
    }

    /// The role that is taken for the object, whoever names it.
    fn role<'b>(&'b self, spec: &'b ExternalSecretSpec) -> Option<&'b str> {
        let named = [&spec.role_arn, &spec.vault_role].into_iter().flatten().find(|role| !role.is_empty());
        let is_vault = spec.backend() == Some(Backend::Vault);
        named.or(self.settings.vault_role.as_ref().filter(|_| is_vault)).map(String::as_str)
    }

    fn missing(&self, annotation: &str) -> Option<String> {
        let words = || format!("Missing required annotation {annotation} on namespace {}", self.namespace);
        self.settings.is_enforced.then(words)
    }

    /// The pattern of an annotation; none where it is missing or empty.
    fn pattern(&self, annotation: &str) -> Result<Option<Allowed>, Failure> {
        let text = self.annotations.get(annotation).filter(|text| !text.is_empty());
        let compiled = text.map(|text| Pattern::new(text)).transpose().map_err(|failure| {
            let words = format!("the annotation {annotation} of namespace {}: {}", self.namespace, failure.words);
            Failure { words, ..failure }
                .with_hint("patterns are regular expressions without look-around and backreferences")
        })?;
        Ok(compiled.map(|pattern| Allowed { pattern, is_anchored: self.settings.are_patterns_anchored }))
    }
}

/// What a pattern lets through.
struct Allowed {
    pattern: Pattern,
    is_anchored: bool,
}

impl Allowed {
    fn admits(&self, text: &str) -> bool {
        if self.is_anchored { self.pattern.matches_whole(text) } else { self.pattern.is_match(text) }
    }

    fn source(&self) -> &str {
        self.pattern.source()
    }
}

/// Every way to a key, in the order in which KES looks at them.
fn keys(spec: &ExternalSecretSpec) -> impl Iterator<Item = (&'static str, &str)> {
    let entries = spec.entries().1.iter().flat_map(|entry| {
        let path = entry.path.as_deref().map(|path| ("path", path));
        path.into_iter().chain(entry.key.as_deref().map(|key| ("key name", key)))
    });
    let whole = spec.data_from.iter().flatten().map(|key| ("key name", key.as_str()));
    let versioned = spec.data_from_with_options.iter().flatten().filter_map(|entry| entry.key.as_deref());
    entries.chain(whole).chain(versioned.map(|key| ("key name", key)))
}
