//! Tokens that are kept ready, so that a request with one needs no storage: never one that changed meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::token::Token;

/// Tokens of each of two generations: some megabytes in all.
const GENERATION: usize = 10_000;

/// Tokens whose changes were given up. A storage that leaves so many in doubt has everything read from it.
const DOUBTFUL: usize = 10_000;

/// Tokens by their ids, the ones that are used least forgotten first.
///
/// What was read before a change began must not come in after it, whoever is faster. Each change counts on
/// [`State::moment`], and whoever reads says at which one. A change that never tells its end (its request was given up,
/// or the storage does not know) can reach the disk at any time later: its token is read from there from now on.
#[derive(Default)]
pub(crate) struct Ready(Mutex<State>);

#[derive(Default)]
struct State {
    young: HashMap<String, Arc<Token>>,
    old: HashMap<String, Arc<Token>>,
    /// Changes that began so far.
    moment: u64,
    /// Tokens that are being changed, and by how many.
    changing: HashMap<String, usize>,
    doubtful: HashSet<String>,
}

/// When whoever reads began to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Ready {
    /// The token with this id, where it is ready; or when whoever reads it now begins to.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Token>, Moment> {
        let mut state = self.state();
        if let Some(token) = state.young.get(id) {
            return Ok(Arc::clone(token));
        }
        let Some(token) = state.old.remove(id) else { return Err(Moment(state.moment)) };
        state.put(id, Arc::clone(&token));
        Ok(token)
    }

    /// Keeps what was read from `moment` on, unless anything changed since.
    pub(crate) fn keep(&self, id: &str, token: &Arc<Token>, moment: Moment) {
        let mut state = self.state();
        let is_doubtful = state.doubtful.contains(id) || state.doubtful.len() >= DOUBTFUL;
        if state.moment == moment.0 && !state.changing.contains_key(id) && !is_doubtful {
            state.put(id, Arc::clone(token));
        }
    }

    /// Forgets a token that is about to change, before anything of it is read for that.
    pub(crate) fn change<'a>(&'a self, id: &'a str) -> Changing<'a> {
        let mut state = self.state();
        state.moment += 1;
        state.young.remove(id);
        state.old.remove(id);
        *state.changing.entry(id.to_owned()).or_default() += 1;
        Changing { ready: self, id, is_over: false }
    }

    /// Forgets a token whose record is gone: its id never comes again.
    pub(crate) fn forget(&self, id: &str) {
        self.state().doubtful.remove(id);
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.young.len() + state.old.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, id: &str, token: Arc<Token>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id.to_owned(), token);
    }
}

/// A change that is under way. Dropped before [`Changing::over`], it may yet happen.
pub(crate) struct Changing<'a> {
    ready: &'a Ready,
    id: &'a str,
    is_over: bool,
}

impl Changing<'_> {
    /// It happened, or it is sure that it never will.
    pub(crate) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut state = self.ready.state();
        if !self.is_over {
            state.doubtful.insert(self.id.to_owned());
        }
        let others = state.changing.get(self.id).map_or(0, |count| count.saturating_sub(1));
        match others {
            0 => drop(state.changing.remove(self.id)),
            others => drop(state.changing.insert(self.id.to_owned(), others)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::NewToken;

    fn token() -> Arc<Token> {
        Arc::new(Token::new(NewToken::default(), "a".to_owned(), 0))
    }

    fn began(ready: &Ready, id: &str) -> Moment {
        ready.get(id).unwrap_err()
    }

    #[test]
    fn what_was_read_before_a_change_or_during_one_is_not_kept() {
        let ready = Ready::default();
        let before = began(&ready, "a");
        let change = ready.change("a");
        let during = began(&ready, "a");
        ready.keep("a", &token(), before);
        ready.keep("a", &token(), during);
        assert!(ready.get("a").is_err());
        let other = ready.change("a");
        other.over();
        ready.keep("a", &token(), began(&ready, "a"));
        assert!(ready.get("a").is_err(), "the first is under way still");
        change.over();
        ready.keep("a", &token(), during);
        assert!(ready.get("a").is_err());
        ready.keep("a", &token(), began(&ready, "a"));
        assert!(ready.get("a").is_ok());
    }

    #[test]
    fn a_token_whose_change_was_given_up_is_not_kept_until_it_is_gone() {
        let ready = Ready::default();
        drop(ready.change("a"));
        ready.change("a").over();
        for id in ["a", "b"] {
            ready.keep(id, &token(), began(&ready, id));
        }
        assert!(ready.get("a").is_err() && ready.get("b").is_ok());
        ready.forget("a");
        ready.keep("a", &token(), began(&ready, "a"));
        assert!(ready.get("a").is_ok());
    }

    #[test]
    fn a_bounded_number_is_kept_and_what_is_used_stays() {
        let ready = Ready::default();
        for number in 0..5 * GENERATION {
            let id = number.to_string();
            ready.keep(&id, &token(), began(&ready, &id));
            assert!(ready.get("0").is_ok(), "after {number}");
        }
        assert!(ready.len() <= 2 * GENERATION);
        assert!(ready.get("1").is_err());
    }
}
