//! Constraints: `>= 1.2, < 2 || ~3.1`.

use super::{Version, compare, parse};
use crate::limits::Fault;

/// One comparison with a version, parts of which may be left open.
struct Constraint {
    operator: String,
    version: Version,
    is_minor_open: bool,
    is_patch_open: bool,
    is_open: bool,
}

const OPERATORS: &[&str] = &["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^"];

/// Whether `version` satisfies `constraints`.
pub(crate) fn satisfies(constraints: &str, version: &Version) -> Result<bool, Fault> {
    let mut holds = false;
    for alternative in constraints.split("||") {
        let all = alternatives(alternative).ok_or_else(|| Fault::new("improper constraint"))?;
        holds |= all.iter().all(|constraint| constraint.holds(version));
    }
    Ok(holds)
}

fn alternatives(text: &str) -> Option<Vec<Constraint>> {
    if text.trim().is_empty() {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator)).copied().unwrap_or("");
        rest = rest.get(operator.len()..)?.trim_start();
        let end = rest.find([' ', ',', '\t', '\n', '>', '<', '=', '!', '~', '^']).unwrap_or(rest.len());
        let (written, after) = rest.split_at(end);
        let (separated, next) = (after.starts_with([' ', ',', '\t', '\n']), after.trim_start());
        // `1.2 - 1.4` is a range.
        if let Some(upper) = next.strip_prefix("- ").filter(|_| operator.is_empty() && separated) {
            let upper = upper.trim_start();
            let end = upper.find([' ', ',']).unwrap_or(upper.len());
            let (upper, after) = upper.split_at(end);
            found.push(constraint(">=", written)?);
            found.push(constraint("<=", upper)?);
            rest = after.trim_start_matches([' ', ',']);
            continue;
        }
        found.push(constraint(operator, written)?);
        if !next.is_empty() && !separated {
            return None;
        }
        rest = next.strip_prefix(',').unwrap_or(next).trim_start();
        if next.starts_with(',') && rest.is_empty() {
            return None;
        }
    }
    Some(found)
}

fn constraint(operator: &str, written: &str) -> Option<Constraint> {
    let (numbers, prerelease, _) = super::split(written)?;
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_any = |index: usize| parts.get(index).is_none_or(|part| matches!(*part, "x" | "X" | "*"));
    let fits = parts.len() <= 3
        && parts.iter().enumerate().all(|(index, part)| is_any(index) || super::number(part).is_some());
    if !fits {
        return None;
    }
    let (is_major_open, is_minor_open, is_patch_open) = (is_any(0), is_any(1), is_any(2));
    let known = |index: usize| parts.get(index).copied().unwrap_or("0");
    let numbers = match (is_major_open, is_minor_open, is_patch_open) {
        (true, ..) => "0.0.0".to_owned(),
        (_, true, _) => format!("{}.0.0", known(0)),
        (_, _, true) => format!("{}.{}.0", known(0), known(1)),
        _ => format!("{}.{}.{}", known(0), known(1), known(2)),
    };
    let written = if prerelease.is_empty() { numbers } else { format!("{numbers}-{prerelease}") };
    Some(Constraint {
        operator: operator.to_owned(),
        version: parse(&written)?,
        is_minor_open: !is_major_open && is_minor_open,
        is_patch_open: !is_major_open && !is_minor_open && is_patch_open,
        is_open: is_major_open || is_minor_open || is_patch_open,
    })
}

impl Constraint {
    fn holds(&self, version: &Version) -> bool {
        // A prerelease is meant only where a prerelease is named.
        let is_unexpected = !version.prerelease.is_empty() && self.version.prerelease.is_empty();
        if is_unexpected && (self.operator != "!=" || self.is_open) {
            return false;
        }
        let order = compare(version, &self.version);
        match self.operator.as_str() {
            "" | "=" if self.is_open => self.tilde(version),
            "" | "=" => order.is_eq(),
            "!=" => self.differs(version),
            ">" => self.is_above(version),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" => self.is_at_most(version),
            "~" | "~>" => self.tilde(version),
            _ => self.caret(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.is_open {
            return !compare(version, own).is_eq();
        }
        if own.major != version.major {
            return true;
        }
        if self.is_minor_open {
            return false;
        }
        if own.minor != version.minor {
            return true;
        }
        if self.is_patch_open {
            return super::compare_prereleases(&version.prerelease, &own.prerelease).is_ne();
        }
        own.patch != version.patch
    }

    fn is_above(&self, version: &Version) -> bool {
        if !self.is_open {
            return compare(version, &self.version).is_gt();
        }
        match version.major.cmp(&self.version.major) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            _ if self.is_minor_open => false,
            _ if self.is_patch_open => version.minor > self.version.minor,
            _ => compare(version, &self.version).is_gt(),
        }
    }

    fn is_at_most(&self, version: &Version) -> bool {
        if !self.is_open {
            return compare(version, &self.version).is_le();
        }
        let own = &self.version;
        version.major < own.major || (version.major == own.major && (version.minor <= own.minor || self.is_minor_open))
    }

    fn tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        if compare(version, own).is_lt() {
            return false;
        }
        let is_zero = own.major == 0 && own.minor == 0 && own.patch == 0;
        if is_zero && !self.is_minor_open && !self.is_patch_open {
            return true;
        }
        version.major == own.major && (version.minor == own.minor || self.is_minor_open)
    }

    fn caret(&self, version: &Version) -> bool {
        let own = &self.version;
        if compare(version, own).is_lt() {
            return false;
        }
        if own.major > 0 || self.is_minor_open {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || self.is_patch_open {
            return version.minor == own.minor;
        }
        version.minor == 0 && own.patch == version.patch
    }
}
