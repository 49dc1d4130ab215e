//! When a token holds.

use crate::{Claims, JwtError};

/// Seconds that a token lasts which says when it was made and not when it ends, as OpenBao has it.
const USUAL: i64 = 150;

/// How much clocks may differ, in seconds: OpenBao's figures where nobody says others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Behind `exp`, where a token has none: [`USUAL`] where this is 0.
    pub expiration_leeway: i64,
    /// Before `nbf`, where a token has none.
    pub not_before_leeway: i64,
    /// Around both.
    pub skew: i64,
}

impl Default for Times {
    fn default() -> Self {
        Self { expiration_leeway: USUAL, not_before_leeway: USUAL, skew: 60 }
    }
}

impl Times {
    /// When a token ends that holds at `now`, in seconds since 1970. One without `exp` ends a while after it was made, and one
    /// without `nbf` begins when it was made; one that says nothing of the kind is not taken.
    ///
    /// # Errors
    /// [`JwtError::Expired`], [`JwtError::NotYet`] or [`JwtError::NoTime`].
    pub fn check(&self, claims: &Claims, now: i64) -> Result<i64, JwtError> {
        let [made, begins, ends] = ["iat", "nbf", "exp"].map(|name| claims.moment(name));
        if made.is_none() && begins.is_none() && ends.is_none() {
            return Err(JwtError::NoTime);
        }
        let ends = ends.unwrap_or_else(|| made.max(begins).unwrap_or_default().saturating_add(self.expiration_leeway));
        let begins = begins.or(made).unwrap_or_else(|| ends.saturating_sub(self.not_before_leeway));
        if now >= ends.saturating_add(self.skew) {
            return Err(JwtError::Expired);
        }
        if begins > now.saturating_add(self.skew) {
            return Err(JwtError::NotYet);
        }
        Ok(ends)
    }
}
