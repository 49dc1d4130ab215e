//! What `deny.toml` accepts among dependencies, checked against what is really built: no tool to install, no network.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::metadata::{Metadata, Package};

#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
    reason: String,
    /// Packages that may use it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

/// Findings about licences, bans and sources of everything that is built.
pub(crate) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let path = metadata.workspace_root.join("deny.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let deny: Deny = toml::from_str(&text).context("cannot read deny.toml")?;
    let mut findings = Vec::new();
    let compiled = Metadata::compiled()?;
    let is_compiled = |package: &&Package| compiled.contains(&(package.name.clone(), package.version.clone()));
    for package in metadata.packages.iter().filter(is_compiled) {
        findings.extend(license(package, &deny.licenses.allow));
        findings.extend(source(package));
        findings.extend(
            deny.bans.deny.iter().find(|ban| ban.name == package.name).and_then(|ban| banned(metadata, package, ban)),
        );
    }
    for (package, folder) in metadata.members() {
        let wild = package.dependencies.iter().filter(|dependency| dependency.path.is_none() && dependency.req == "*");
        findings.extend(wild.map(|dependency| {
            format!(
                "{folder} takes any version of {}: name one in the root's [workspace.dependencies]",
                dependency.name
            )
        }));
    }
    Ok(findings)
}

fn license(package: &Package, allowed: &[String]) -> Option<String> {
    let expression = package.license.as_deref().unwrap_or_default();
    (!is_accepted(expression, allowed)).then(|| {
        format!(
            "{} {} has the licence \"{expression}\": read it, then add it to deny.toml or do without",
            package.name, package.version
        )
    })
}

/// Whether an SPDX expression of `OR`, `AND` and brackets holds with the licences that are allowed.
fn is_accepted(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    let alternatives = split_outside_brackets(&expression, " OR ");
    if alternatives.len() > 1 {
        return alternatives.iter().any(|part| is_accepted(part, allowed));
    }
    let parts = split_outside_brackets(&expression, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| is_accepted(part, allowed));
    }
    let one = expression.trim();
    match one.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_accepted(inner, allowed),
        None => allowed.iter().any(|license| license == one),
    }
}

fn split_outside_brackets<'text>(text: &'text str, separator: &str) -> Vec<&'text str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (at, character) in text.char_indices() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        if depth == 0 && at >= start && text[at..].starts_with(separator) {
            parts.push(&text[start..at]);
            start = at + separator.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

fn source(package: &Package) -> Option<String> {
    let source = package.source.as_deref()?;
    (!source.starts_with("registry+https://github.com/rust-lang/crates.io-index"))
        .then(|| format!("{} comes from {source}: use a release on crates.io", package.name))
}

fn banned(metadata: &Metadata, package: &Package, ban: &Ban) -> Option<String> {
    let users =
        metadata.resolve.nodes.iter().filter(|node| node.deps.iter().any(|dependency| dependency.pkg == package.id));
    let names: Vec<&str> = users.filter_map(|node| metadata.package(&node.id)).map(|user| user.name.as_str()).collect();
    let wrong: Vec<&str> =
        names.into_iter().filter(|name| !ban.wrappers.iter().any(|wrapper| wrapper == name)).collect();
    (!wrong.is_empty()).then(|| {
        format!(
            "{} is banned ({}) and used by {}: switch off the feature that asks for it",
            ban.name,
            ban.reason,
            wrong.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_understood() {
        let allowed = ["MIT".to_owned(), "Apache-2.0".to_owned(), "ISC".to_owned()];
        let check = |expression, expected| assert_eq!(is_accepted(expression, &allowed), expected, "{expression}");
        check("MIT", true);
        check("GPL-3.0", false);
        check("", false);
        check("MIT OR GPL-3.0", true);
        check("MIT/Apache-2.0", true);
        check("MIT AND GPL-3.0", false);
        check("ISC AND (Apache-2.0 OR GPL-3.0)", true);
        check("(MIT OR GPL-3.0) AND (GPL-3.0)", false);
        check("(GPL-3.0 OR BSD-1-Clause) AND MIT", false);
    }
}
