//! Versions as Masterminds' semver reads them: `v1.2` is `1.2.0`.

mod constraint;

use std::cmp::Ordering;

pub(crate) use self::constraint::satisfies;

/// A semantic version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pub(crate) prerelease: String,
    pub(crate) metadata: String,
    pub(crate) original: String,
}

/// Reads a version; `None` where it is none.
pub(crate) fn parse(text: &str) -> Option<Version> {
    let (numbers, prerelease, metadata) = split(text)?;
    let mut parts = numbers.split('.');
    let mut next = || parts.next().map_or(Some(0), number);
    let (major, minor, patch) = (next()?, next()?, next()?);
    if parts.next().is_some() || has_leading_zero(prerelease) {
        return None;
    }
    let owned = |part: &str| part.to_owned();
    Some(Version {
        major,
        minor,
        patch,
        prerelease: owned(prerelease),
        metadata: owned(metadata),
        original: owned(text),
    })
}

/// The numbers without a `v`, the prerelease and the metadata.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = match text.split_once('+') {
        Some((rest, metadata)) => (rest, Some(metadata)),
        None => (text, None),
    };
    let (numbers, prerelease) = match rest.split_once('-') {
        Some((numbers, prerelease)) => (numbers, Some(prerelease)),
        None => (rest, None),
    };
    let fits = [prerelease, metadata].into_iter().flatten().all(are_identifiers);
    fits.then_some((numbers, prerelease.unwrap_or_default(), metadata.unwrap_or_default()))
}

fn are_identifiers(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_letter))
}

fn has_leading_zero(prerelease: &str) -> bool {
    prerelease.split('.').any(|part| part.len() > 1 && part.starts_with('0') && number(part).is_some())
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The version in full: `1.2.3-beta+1`.
pub(crate) fn text(version: &Version) -> String {
    let Version { major, minor, patch, prerelease, metadata, .. } = version;
    let with = |sign: &str, part: &str| if part.is_empty() { String::new() } else { format!("{sign}{part}") };
    format!("{major}.{minor}.{patch}{}{}", with("-", prerelease), with("+", metadata))
}

/// The order of versions; metadata does not count.
pub(crate) fn compare(left: &Version, right: &Version) -> Ordering {
    let numbers = |version: &Version| (version.major, version.minor, version.patch);
    numbers(left).cmp(&numbers(right)).then_with(|| compare_prereleases(&left.prerelease, &right.prerelease))
}

fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(other)) => match (number(one), number(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => one.cmp(other),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}
