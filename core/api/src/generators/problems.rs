//! What is wrong with a generator before it makes anything.

use std::collections::BTreeSet;

use strongroom_failure::{Class, Failure};

use super::{Generator, MfaSpec, PasswordSpec, SshKeySpec, SshKeyType};

/// The longest password. A Secret holds a mebibyte; nobody types as much, and making one takes time in proportion to
/// the square of it.
const LONGEST_PASSWORD: i64 = 4096;

/// The most digits that a one-time password has: what is cut from the digest has ten.
const MOST_DIGITS: i64 = 10;

impl Generator {
    /// What is wrong with it; each problem names its field and says what to do. Nothing is made while there are any.
    pub fn problems(&self) -> Vec<Failure> {
        match self {
            Self::Password(spec) => password(spec),
            Self::SshKey(spec) => ssh_key(spec),
            Self::Mfa(spec) => mfa(spec),
            Self::VaultDynamicSecret(spec) => spec.problems(),
            Self::EcrAuthorizationToken(spec) => spec.problems(),
            Self::StsSessionToken(spec) => spec.problems(),
            Self::Webhook(spec) => spec.problems(),
            Self::Uuid | Self::Fake(_) => Vec::new(),
        }
    }
}

pub(super) fn problem(field: &str, words: impl Into<String>, cure: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("spec.{field}")).with_hint(cure)
}

fn password(spec: &PasswordSpec) -> Vec<Failure> {
    let mut problems = Vec::new();
    if spec.length.is_some_and(|length| length > LONGEST_PASSWORD) {
        problems.push(problem("length", format!("is more than {LONGEST_PASSWORD}"), "ask for fewer characters"));
    }
    for (field, count) in [("digits", spec.digits), ("symbols", spec.symbols)] {
        if count.is_some_and(|count| count < 0) {
            problems.push(problem(field, "is less than nothing", "set 0 or more"));
        }
    }
    if spec.symbol_characters.as_deref().is_some_and(|characters| !characters.is_ascii()) {
        problems.push(problem("symbolCharacters", "holds more than ASCII", "name symbols of ASCII"));
    }
    let distinct: BTreeSet<&String> = spec.secret_keys.iter().collect();
    if distinct.len() < spec.secret_keys.len() || distinct.iter().any(|key| key.is_empty()) {
        problems.push(problem("secretKeys", "names a key twice, or none", "name each key once"));
    }
    problems
}

fn ssh_key(spec: &SshKeySpec) -> Vec<Failure> {
    let sizes: &[i64] = match spec.key_type.unwrap_or_default() {
        SshKeyType::Rsa => &[2048, 3072, 4096, 8192],
        SshKeyType::Ecdsa => &[256, 384, 521],
        // Any is taken and none counts.
        SshKeyType::Ed25519 => return line_of(spec),
    };
    let mut problems = line_of(spec);
    if spec.key_size.is_some_and(|size| !sizes.contains(&size)) {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        problems.push(problem("keySize", "is no size of such keys", &format!("set one of {}", sizes.join(", "))));
    }
    problems
}

/// A line break would make a second line of `authorized_keys`.
fn line_of(spec: &SshKeySpec) -> Vec<Failure> {
    let breaks = spec.comment.as_deref().is_some_and(|comment| comment.contains(['\n', '\r', '\0']));
    breaks.then(|| problem("comment", "is not one line", "write it in one line")).into_iter().collect()
}

fn mfa(spec: &MfaSpec) -> Vec<Failure> {
    let mut problems = Vec::new();
    if spec.length.is_some_and(|length| length > MOST_DIGITS) {
        problems.push(problem("length", format!("is more than {MOST_DIGITS}"), "most services ask for 6 or 8 digits"));
    }
    let known = ["", "sha1", "sha256", "sha512"];
    if spec.algorithm.as_deref().is_some_and(|name| !known.contains(&name.to_ascii_lowercase().as_str())) {
        problems.push(problem("algorithm", "is no known hash function", "set sha1, sha256 or sha512"));
    }
    problems
}
