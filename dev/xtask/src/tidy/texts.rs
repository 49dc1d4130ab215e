//! Texts: whatever git would publish.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Longer files are asked whether they hold one idea; generated ones and lock files are not.
const LONGEST_SOURCE: usize = 800;

/// Findings in the files that git tracks, or would.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let output = command.output().context("cannot run git ls-files")?;
    ensure!(output.status.success(), "git ls-files failed");
    let names = String::from_utf8(output.stdout)?;
    let mut findings = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // A file that was removed and not committed yet, or that is no text, has nothing to check.
        let Ok(text) = std::fs::read_to_string(root.join(name)) else { continue };
        findings.extend(check_file(name, &text));
    }
    Ok(findings)
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let is_data = |part: &&str| name.contains(*part);
    if ["/fixtures/", "/seeds/", ".jsonl", ".lock", ".sum"].iter().any(is_data) {
        return findings;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(format!("{name} does not end with a line end"));
    }
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        if line.ends_with([' ', '\t']) && !name.ends_with(".md") {
            findings.push(format!("{place} ends with blanks"));
        }
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            findings.push(format!("{place} holds a conflict that was not settled"));
        }
    }
    if name.ends_with(".rs") && text.lines().count() > LONGEST_SOURCE {
        findings.push(format!("{name} has more than {LONGEST_SOURCE} lines: split it along its ideas"));
    }
    if is_crate_root(name) && !text.contains("#![forbid(unsafe_code)]") && !name.starts_with("edge/process/") {
        findings.push(format!("{name} does not forbid unsafe code: add #![forbid(unsafe_code)]"));
    }
    if name.starts_with("apps/") && name.ends_with("src/main.rs") && !text.contains("hide_panic_messages()") {
        findings
            .push(format!("{name} lets a panic show its message, which may hold a value: call hide_panic_messages()"));
    }
    if is_crate_root(name) && !text.starts_with("//!") {
        findings.push(format!("{name} does not open with what the crate is for"));
    }
    findings
}

fn is_crate_root(name: &str) -> bool {
    (name.ends_with("src/lib.rs") || name.ends_with("src/main.rs")) && !name.contains("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked() {
        let check = |name, text: &str, count| assert_eq!(check_file(name, text).len(), count, "{name}: {text:?}");
        check("a.rs", "fn a() {}\n", 0);
        check("a.rs", "fn a() {} \n", 1);
        check("a.md", "two blanks  \n", 0);
        check("a.rs", "no end", 1);
        check("x/src/lib.rs", "//! For.\n#![forbid(unsafe_code)]\n", 0);
        check("x/src/lib.rs", "pub fn a() {}\n", 2);
        check("apps/x/src/main.rs", "//! For.\n#![forbid(unsafe_code)]\n", 1);
        check("a.rs", &"x\n".repeat(801), 1);
        check("x/fixtures/a.txt", "anything", 0);
    }
}
