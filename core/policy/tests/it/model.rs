//! A naive model: every rule is tried by brute force, letter by letter, and compared by the sentences of
//! governance.md §8.1. The engine must agree with it on policies and paths by chance.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use proptest::prelude::*;
use strongroom_policy::acl::{Capability, Operation, Policy};

use super::{OPERATIONS, acl, is_allowed};

type Rule = (String, BTreeSet<&'static str>);

/// Whether `pattern` stands for `path`.
fn stands_for(pattern: &str, path: &str) -> bool {
    let has_pluses = pattern.split('/').any(|segment| segment == "+");
    let Some(beginning) = pattern.strip_suffix('*') else {
        return same_segments(pattern, path, has_pluses);
    };
    // Some beginning of the path must be what stands before the star.
    (0..=path.len())
        .filter(|end| path.is_char_boundary(*end))
        .any(|end| same_segments(beginning, &path[..end], has_pluses))
}

fn same_segments(pattern: &str, path: &str, has_pluses: bool) -> bool {
    if !has_pluses {
        return pattern == path;
    }
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == parts.len() && patterns.iter().zip(&parts).all(|(one, part)| *one == "+" || one == part)
}

/// Segments that begin with a plus count as wildcards for the order, as Vault has it.
fn is_plain(pattern: &str) -> bool {
    pattern != "+" && !pattern.starts_with("+/") && !pattern.contains("/+")
}

fn first_wildcard(pattern: &str) -> usize {
    let stars = pattern.strip_suffix('*').map(str::len);
    if is_plain(pattern) { stars.unwrap_or(usize::MAX) } else { pattern.find('+').unwrap() }
}

/// P1 has lower priority than P2 if its first wildcard is earlier; if it ends in `*` and P2 does not; if it has more
/// `+`; if it is shorter; if it is smaller.
fn priority(one: &str, other: &str) -> Ordering {
    let pluses = |pattern: &str| pattern.split('/').filter(|segment| *segment == "+").count();
    let bare = |pattern: &str| pattern.strip_suffix('*').unwrap_or(pattern).to_owned();
    first_wildcard(one)
        .cmp(&first_wildcard(other))
        .then(other.ends_with('*').cmp(&one.ends_with('*')))
        .then(pluses(other).cmp(&pluses(one)))
        .then(bare(one).len().cmp(&bare(other).len()))
        .then(bare(one).cmp(&bare(other)))
}

fn is_exact(pattern: &str) -> bool {
    is_plain(pattern) && !pattern.ends_with('*')
}

/// The rules that decide: all that name the most specific pattern.
fn decides(rules: &[Rule], path: &str, operation: Operation) -> Option<BTreeSet<&'static str>> {
    let path = path.trim_start_matches('/');
    let is_list = matches!(operation, Operation::List | Operation::Scan);
    let folder = path.strip_suffix('/').filter(|_| is_list);
    let exact = |path: &str| rules.iter().map(|rule| rule.0.as_str()).find(|one| is_exact(one) && *one == path);
    let wild = |path: &str| {
        let patterns = rules.iter().map(|rule| rule.0.as_str());
        patterns.filter(|one| !is_exact(one) && stands_for(one, path)).max_by(|one, other| priority(one, other))
    };
    let pattern = exact(path).or_else(|| exact(folder?)).or_else(|| wild(path)).or_else(|| wild(folder?))?;
    Some(rules.iter().filter(|rule| rule.0 == pattern).flat_map(|rule| rule.1.iter().copied()).collect())
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]{0,2}",
        3 => Just("+".to_owned()),
        1 => Just("+a".to_owned()),
        1 => Just("a+".to_owned()),
        1 => Just("é".to_owned()),
        1 => Just("..".to_owned()),
        1 => Just("*".to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 1..5), any::<bool>()).prop_filter_map("+*", |(segments, has_star)| {
        let pattern = format!("{}{}", segments.join("/"), if has_star { "*" } else { "" });
        let pattern = pattern.strip_prefix('/').unwrap_or(&pattern).to_owned();
        (!pattern.contains("+*") && !pattern.starts_with('/')).then_some(pattern)
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let words = Capability::ALL.map(Capability::name).to_vec();
    (pattern(), prop::collection::btree_set(prop::sample::select(words), 0..4))
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![6 => "[ab]{0,2}", 1 => "[+*]a?", 1 => Just("é".to_owned()), 1 => Just("..".to_owned())];
    (prop::collection::vec(segment, 1..6), any::<bool>())
        .prop_map(|(segments, has_slash)| format!("{}{}", segments.join("/"), if has_slash { "/" } else { "" }))
}

fn written(rules: &[Rule]) -> String {
    let block = |(path, words): &Rule| {
        let words: Vec<&str> = words.iter().copied().collect();
        format!("path {path:?} {{ capabilities = {words:?} }}\n")
    };
    rules.iter().map(block).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_decides_as_the_naive_model(
        policies in prop::collection::vec(prop::collection::vec(rule(), 0..8), 1..4),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let texts: Vec<String> = policies.iter().map(|rules| written(rules)).collect();
        let acl = acl(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let rules: Vec<Rule> = policies.into_iter().flatten().collect();
        for path in &paths {
            for operation in OPERATIONS {
                let granted = decides(&rules, path, operation).unwrap_or_default();
                let expected = !granted.contains("deny") && granted.contains(operation.capability().name());
                prop_assert_eq!(is_allowed(&acl, operation, path), expected, "{:?} {} of {:#?}", operation, path, texts);
            }
            let granted = decides(&rules, path, Operation::List).unwrap_or_default();
            let expected = if granted.is_empty() || granted.contains("deny") { BTreeSet::from(["deny"]) } else { granted };
            let got: BTreeSet<&str> = acl.capability_names(path).into_iter().collect();
            prop_assert_eq!(got, expected, "{} of {:#?}", path, texts);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-b\"{}\\[\\]=,<\\-#/*\\\\$\n +é0-9x.:]{0,60}", nested in 0..40usize) {
        let _ = Policy::parse("p", &text);
        let _ = Policy::parse("p", &format!("path \"{text}\" {{ capabilities = [\"read\"] }}"));
        let _ = Policy::parse("p", &format!("{}{text}", "{\"path\":".repeat(nested)));
    }
}
