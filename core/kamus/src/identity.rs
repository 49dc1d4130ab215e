use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::KamusError;

/// The longest name of a namespace (RFC 1123 label) and of a service account (RFC 1123 subdomain).
const LONGEST_NAMESPACE: usize = 63;
const LONGEST_ACCOUNT: usize = 253;

/// What an API server calls a service account, before `NAMESPACE:NAME`.
const USER_PREFIX: &str = "system:serviceaccount:";

/// One service account, shown as Kamus does: `NAMESPACE:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    namespace: String,
    account: String,
}

impl Identity {
    /// The service account `account` of `namespace`.
    ///
    /// # Errors
    /// [`KamusError::BadName`]: nobody could ever read what was encrypted for such a name.
    pub fn new(namespace: &str, account: &str) -> Result<Self, KamusError> {
        let is_good =
            is_name(namespace, LONGEST_NAMESPACE) && !namespace.contains('.') && is_name(account, LONGEST_ACCOUNT);
        let identity = Self { namespace: namespace.to_owned(), account: account.to_owned() };
        if is_good { Ok(identity) } else { Err(KamusError::BadName) }
    }

    /// The account that an API server's user name stands for (a TokenReview's `status.user.username`); `None` for users
    /// of other kinds.
    pub fn of_user(name: &str) -> Option<Self> {
        let (namespace, account) = name.strip_prefix(USER_PREFIX)?.split_once(':')?;
        Self::new(namespace, account).ok()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name in the namespace.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// # Errors
    /// [`KamusError::DefaultAccount`]: every pod that names no account is this one.
    pub fn check_not_default(&self) -> Result<(), KamusError> {
        if self.account == "default" { Err(KamusError::DefaultAccount) } else { Ok(()) }
    }

    /// By what Kamus names this identity's key at a cloud's key management (KA-01): SHA-256 of `NAMESPACE:NAME` in
    /// base64 for URLs, with dashes for its underscores.
    pub fn key_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(strongroom_crypto::sha256(self.to_string().as_bytes())).replace('_', "-")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.namespace, self.account)
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let is_inside = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let ends_well = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= longest
        && bytes.iter().all(is_inside)
        && ends_well(bytes.first().copied())
        && ends_well(bytes.last().copied())
}
