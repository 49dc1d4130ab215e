//! Which syntax a text is written in, if it is a reference at all.

use strongroom_failure::Failure;

use crate::escape::invalid;
use crate::{Reference, bank_vaults, canonical, secrets_init};

/// The longest foreign reference, in bytes: eight times Amazon's longest ARN (2,048), which leaves room for a query and
/// for the body of a request.
const FOREIGN_LIMIT: usize = 16 * 1024;

/// Whose way of writing a reference it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Our own URI, `sr://…`.
    Canonical,
    /// doitintl/secrets-init: ARNs of Secrets Manager and Parameter Store, `gcp:secretmanager:…`.
    SecretsInit,
    /// bank-vaults' `vault:…`, `bao:…`, `>>vault:…` and `azure:keyvault:…`.
    BankVaults,
}

impl Syntax {
    /// The syntax that claims `text`, by how it begins; `None` for an ordinary value.
    ///
    /// A claimed text need not be well formed. Costs a few comparisons and one scan for `${`.
    pub fn of(text: &str) -> Option<Self> {
        if text.starts_with(canonical::SCHEME) {
            Some(Self::Canonical)
        } else if secrets_init::claims(text) {
            Some(Self::SecretsInit)
        } else if bank_vaults::claims(text) {
            Some(Self::BankVaults)
        } else {
            None
        }
    }

    /// The name of the system that people know it from.
    pub fn name(self) -> &'static str {
        match self {
            Self::Canonical => "strongroom",
            Self::SecretsInit => "secrets-init",
            Self::BankVaults => "bank-vaults",
        }
    }

    /// Reads `text`, which this syntax claims. Failures are `Invalid` and never repeat the text.
    pub fn parse(self, text: &str) -> Result<Reference, Failure> {
        if self != Self::Canonical {
            check_foreign_length(text)?;
        }
        match self {
            Self::Canonical => canonical::parse(text),
            Self::SecretsInit => secrets_init::parse(text),
            Self::BankVaults => bank_vaults::parse(text),
        }
    }
}

/// # Errors
/// A foreign reference that is too long.
pub(crate) fn check_foreign_length(text: &str) -> Result<(), Failure> {
    if text.len() <= FOREIGN_LIMIT {
        return Ok(());
    }
    Err(invalid(
        format!("the reference is longer than {FOREIGN_LIMIT} bytes"),
        "write it as sr://…, which may be longer",
    ))
}

/// The reference that `text` is, in any syntax; `None` where it is an ordinary value.
///
/// For values that may or may not be references, such as environment variables. What begins like a reference but is
/// malformed is a failure, not an ordinary value: a workload never starts with a raw reference in place of a secret.
pub fn detect(text: &str) -> Option<Result<Reference, Failure>> {
    Syntax::of(text).map(|syntax| syntax.parse(text))
}

/// The reference that `text` must be, in any syntax: where a person was asked for one.
pub fn parse(text: &str) -> Result<Reference, Failure> {
    detect(text).unwrap_or_else(|| {
        Err(invalid(
            "this is not a reference of any known syntax",
            "write sr://PROVIDER/KEY, an ARN of Secrets Manager or Parameter Store, gcp:secretmanager:NAME, \
             vault:PATH#KEY or azure:keyvault:NAME",
        ))
    })
}
