//! Which objects and properties may be read. Pure.

use strongroom_provider::Pattern;

/// Allows everything where there is no rule, else what at least one rule allows.
#[derive(Clone, Debug, Default)]
pub struct Whitelist(pub Vec<Rule>);

/// Allows what matches in all the fields that it names. Patterns match anywhere unless they are anchored.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// For the object's name, without its namespace.
    pub name: Option<Pattern>,
    /// For the object's namespace; objects without one do not match.
    pub namespace: Option<Pattern>,
    /// For the property, which must match one of them; the whole object does not match.
    pub properties: Vec<Pattern>,
}

impl Whitelist {
    /// Whether `property` (the whole object, where there is none) of this object may be read.
    pub(crate) fn allows(&self, name: &str, namespace: Option<&str>, property: Option<&str>) -> bool {
        self.0.is_empty() || self.0.iter().any(|rule| rule.allows(name, namespace, property))
    }
}

impl Rule {
    fn allows(&self, name: &str, namespace: Option<&str>, property: Option<&str>) -> bool {
        let fits = |pattern: &Pattern, text: Option<&str>| text.is_some_and(|text| pattern.is_match(text));
        self.name.as_ref().is_none_or(|pattern| pattern.is_match(name))
            && self.namespace.as_ref().is_none_or(|pattern| fits(pattern, namespace))
            && (self.properties.is_empty() || self.properties.iter().any(|pattern| fits(pattern, property)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: Option<&str>, namespace: Option<&str>, properties: &[&str]) -> Rule {
        let pattern = |source: &str| Pattern::new(source).unwrap();
        Rule {
            name: name.map(pattern),
            namespace: namespace.map(pattern),
            properties: properties.iter().map(|source| pattern(source)).collect(),
        }
    }

    #[test]
    fn one_rule_must_match_in_all_that_it_names() {
        let check = |rules: &[Rule], name: &str, namespace: Option<&str>, property: Option<&str>, expected: bool| {
            let whitelist = Whitelist(rules.to_vec());
            assert_eq!(
                whitelist.allows(name, namespace, property),
                expected,
                "{rules:?} {name} {namespace:?} {property:?}"
            );
        };
        check(&[], "any", Some("n"), None, true);
        let named = [rule(Some("^app-"), None, &[])];
        check(&named, "app-1", None, None, true);
        check(&named, "app-1", None, Some("spec"), true);
        check(&named, "my-app-1", None, None, false);
        let placed = [rule(None, Some("^team-a$"), &[])];
        check(&placed, "x", Some("team-a"), None, true);
        check(&placed, "x", Some("team-ab"), None, false);
        check(&placed, "x", None, None, false);
        let parts = [rule(None, None, &[r"^spec\.password$", r"^spec\.user$"])];
        check(&parts, "x", None, Some("spec.user"), true);
        check(&parts, "x", None, Some("spec.user2"), false);
        check(&parts, "x", None, Some("@this|spec.user"), false);
        check(&parts, "x", None, None, false);
        let all = [rule(Some("^a$"), Some("^n$"), &["^p$"]), rule(Some("^b$"), None, &[])];
        check(&all, "a", Some("n"), Some("p"), true);
        check(&all, "a", Some("n"), Some("q"), false);
        check(&all, "a", Some("m"), Some("p"), false);
        check(&all, "b", Some("m"), Some("q"), true);
        check(&all, "b", None, None, true);
    }
}
