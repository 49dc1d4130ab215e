//! Which of an image's variants a node would run.

use std::fmt;
use std::str::FromStr;

use strongroom_failure::{Class, Failure};

/// What a node runs on, in the words of OCI: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

impl Default for Platform {
    fn default() -> Self {
        Self::new("linux", "amd64", "")
    }
}

impl FromStr for Platform {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture] if !os.is_empty() && !architecture.is_empty() => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] if parts.iter().all(|part| !part.is_empty()) => {
                Ok(Self::new(os, architecture, variant))
            }
            _ => Err(Failure::new(Class::Invalid, "a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")
                .in_field(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.variant) }
    }
}

impl Platform {
    /// A platform by its parts, other spellings of them put right (`x86_64`, `aarch64`, `armhf`); the variant may be
    /// empty.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let (os, architecture, variant) = (os.to_lowercase(), architecture.to_lowercase(), variant.to_lowercase());
        let numbered = |variant: &str| {
            let number = variant.trim_start_matches('v').trim_end_matches(".0");
            if number.is_empty() { String::new() } else { format!("v{number}") }
        };
        let (architecture, variant) = match architecture.as_str() {
            "i386" => ("386", String::new()),
            "amd64" | "x86_64" | "x86-64" => ("amd64", numbered(&variant).replace("v1", "")),
            "arm64" | "aarch64" if matches!(variant.as_str(), "8" | "v8" | "v8.0") => ("arm64", String::new()),
            "arm64" | "aarch64" => ("arm64", numbered(&variant)),
            "armhf" => ("arm", "v7".to_owned()),
            "armel" => ("arm", "v6".to_owned()),
            "arm" if variant.is_empty() => ("arm", "v7".to_owned()),
            "arm" => ("arm", numbered(&variant)),
            other => (other, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant }
    }

    /// How well what is `offered` runs here, 0 best; `None` where it does not. As containerd has it: a newer processor
    /// runs what an older one of its family does, and 64 bits run 32.
    pub(crate) fn rank(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os {
            return None;
        }
        match (self.architecture.as_str(), offered.architecture.as_str()) {
            ("amd64", "386") => Some(NARROWER),
            ("amd64", "amd64") => level(&self.variant, 1)?.checked_sub(level(&offered.variant, 1)?),
            ("arm", "arm") => level(&self.variant, 7)?.checked_sub(level(&offered.variant, 7)?),
            ("arm64", "arm") => 8_u32.checked_sub(level(&offered.variant, 7)?).map(|older| NARROWER + older),
            ("arm64", "arm64") => arm64_rank(arm64_level(&self.variant)?, arm64_level(&offered.variant)?),
            (wanted, same) if wanted == same && self.variant == offered.variant => Some(0),
            _ => None,
        }
    }
}

/// Above every rank of the same width.
const NARROWER: u32 = 100;

/// The number of a variant such as `v7`.
fn level(variant: &str, default: u32) -> Option<u32> {
    if variant.is_empty() { Some(default) } else { variant.strip_prefix('v')?.parse().ok() }
}

/// Major and minor number of a variant such as `v8.2`.
fn arm64_level(variant: &str) -> Option<(u32, u32)> {
    if variant.is_empty() {
        return Some((8, 0));
    }
    let (major, minor) = variant.strip_prefix('v')?.split_once('.').unwrap_or((variant.strip_prefix('v')?, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// v9.x has everything of v8.(x+5).
fn arm64_rank(wanted: (u32, u32), offered: (u32, u32)) -> Option<u32> {
    match (wanted, offered) {
        ((mine, minor), (theirs, other)) if mine == theirs => minor.checked_sub(other),
        ((9, minor), (8, other)) => (minor + 5).min(9).checked_sub(other).map(|older| 50 + older),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_read_in_every_spelling() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                text.parse::<Platform>().map(|platform| platform.to_string()),
                Ok(expected.to_owned()),
                "{text}"
            );
        };
        check("linux/amd64", "linux/amd64");
        check("Linux/x86_64/v1", "linux/amd64");
        check("linux/amd64/v3", "linux/amd64/v3");
        check("linux/aarch64/v8", "linux/arm64");
        check("linux/arm64/v9.0", "linux/arm64/v9");
        check("linux/arm", "linux/arm/v7");
        check("linux/armel", "linux/arm/v6");
        check("windows/amd64", "windows/amd64");
        for text in ["linux", "", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert_eq!(text.parse::<Platform>().unwrap_err().class, Class::Invalid, "{text}");
        }
        assert_eq!(Platform::default().to_string(), "linux/amd64");
    }

    #[test]
    fn a_node_runs_what_is_older_and_narrower_and_nothing_else() {
        let check = |wanted: &str, offered: &[&str]| {
            let wanted: Platform = wanted.parse().unwrap();
            let ranks: Vec<_> = offered.iter().map(|offered| wanted.rank(&offered.parse().unwrap())).collect();
            assert!(ranks.iter().all(Option::is_some) && ranks.is_sorted(), "{wanted}: {offered:?} are {ranks:?}");
        };
        check("linux/amd64", &["linux/amd64/v1", "linux/386"]);
        check("linux/amd64/v3", &["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]);
        check("linux/arm64", &["linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v5"]);
        check("linux/arm64/v9", &["linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64", "linux/arm/v8"]);
        check("linux/arm/v7", &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]);
        check("linux/s390x", &["linux/s390x"]);
        for (wanted, offered) in [
            ("linux/amd64", "windows/amd64"),
            ("linux/amd64", "linux/amd64/v2"),
            ("linux/amd64", "linux/arm64"),
            ("linux/amd64", "unknown/unknown"),
            ("linux/arm64", "linux/arm64/v8.1"),
            ("linux/arm64/v9", "linux/arm64/v8.6"),
            ("linux/arm/v6", "linux/arm/v7"),
            ("linux/386", "linux/amd64"),
            ("linux/amd64", "linux/amd64/huge"),
        ] {
            let rank = wanted.parse::<Platform>().unwrap().rank(&offered.parse().unwrap());
            assert_eq!(rank, None, "{wanted} does not run {offered}");
        }
    }
}
