//! All tokens of a store.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_barrier::{Changes, View};
use strongroom_crypto::{hmac_sha256, random_below};
use strongroom_secret::SecretBytes;
use strongroom_storage::{Outcome, Revision};

use crate::error::TokenError;
use crate::token::{NewToken, Token};

const TOKENS: &str = "token/";
const ACCESSORS: &str = "accessor/";
const CHILDREN: &str = "children/";

/// What a service token begins with, as OpenBao's do.
const PREFIX: &str = "s.";
/// Letters of a token behind its prefix, and of an accessor: 143 bits.
const LETTERS: usize = 24;

/// Tokens that are kept ready: some megabytes.
const READY: usize = 20_000;

/// How often a change begins again because another came between.
const ATTEMPTS: usize = 32;

/// A token that was just made. Nobody can read it again.
pub struct Created {
    /// The token itself.
    pub token: SecretBytes,
    /// The id that it is kept under.
    pub id: String,
    /// As it is kept.
    pub record: Arc<Token>,
}

impl fmt::Debug for Created {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Created").field("accessor", &self.record.accessor).finish_non_exhaustive()
    }
}

/// A token that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The id that it is kept under.
    pub id: String,
    /// As it is kept.
    pub record: Arc<Token>,
}

/// All tokens, and when they end.
pub struct Tokens {
    view: View,
    /// What private data of tokens lie in, below their ids.
    cubbyholes: View,
    id_key: SecretBytes,
    ready: Mutex<HashMap<String, Arc<Token>>>,
    /// When each token that ends does, with its id.
    ends: Mutex<BTreeSet<(i64, String)>>,
}

impl Tokens {
    /// The tokens in `view`, whose ids are made under `id_key`. Reads all of them once, to know when they end.
    ///
    /// # Errors
    /// The view's.
    pub async fn load(view: View, cubbyholes: View, id_key: SecretBytes) -> Result<Self, TokenError> {
        let mut ends = BTreeSet::new();
        for (id, found) in view.read_folder(TOKENS).await? {
            let token = record(&found.value)?;
            match (token.is_revoked, token.expires) {
                // Whatever was being taken away is due.
                (true, _) => drop(ends.insert((i64::MIN, id))),
                (false, Some(end)) => drop(ends.insert((end, id))),
                (false, None) => {}
            }
        }
        Ok(Self { view, cubbyholes, id_key, ready: Mutex::default(), ends: Mutex::new(ends) })
    }

    /// The id of a token.
    pub fn id(&self, token: &SecretBytes) -> String {
        let hash = hmac_sha256(self.id_key.expose(), token.expose());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes a token at `now`.
    ///
    /// # Errors
    /// The view's; [`TokenError::Unknown`] where its parent is gone.
    pub async fn create(&self, new: NewToken, now: i64) -> Result<Created, TokenError> {
        let token = SecretBytes::from(format!("{PREFIX}{}", letters()?));
        self.create_as(token, new, now).await
    }

    async fn create_as(&self, token: SecretBytes, new: NewToken, now: i64) -> Result<Created, TokenError> {
        let id = self.id(&token);
        let record = Token::new(new, letters()?, now);
        let mut changes = Changes { conditions: vec![(token_key(&id), None)], ..Changes::default() };
        if let Some(parent) = &record.parent {
            // A parent that is revoked meanwhile takes this one with it, or it is not made.
            let (found, revision) = self.kept(parent).await?.ok_or(TokenError::Unknown)?;
            if !found.is_live(now) {
                return Err(TokenError::Unknown);
            }
            changes.conditions.push((token_key(parent), Some(revision)));
            changes.puts.push((child_key(parent, &id), SecretBytes::default()));
        }
        changes.puts.push((token_key(&id), written(&record)?));
        changes.puts.push((accessor_key(&record.accessor), SecretBytes::from(id.clone())));
        if self.view.commit(&changes).await? == Outcome::Conflict {
            return Err(TokenError::Unknown);
        }
        let record = Arc::new(record);
        self.note(&id, None, Some(&record));
        Ok(Created { token, id, record })
    }

    /// The token, where it is live at `now` and may be used.
    ///
    /// # Errors
    /// [`TokenError::Unknown`]; the view's.
    pub async fn find(&self, token: &SecretBytes, now: i64) -> Result<Found, TokenError> {
        let found = self.find_id(&self.id(token), now).await?;
        if found.record.has_uses() { Ok(found) } else { Err(TokenError::Unknown) }
    }

    /// The token with this id, where it is live at `now`; also one whose last use is under way.
    ///
    /// # Errors
    /// As [`Tokens::find`].
    pub async fn find_id(&self, id: &str, now: i64) -> Result<Found, TokenError> {
        let ready = self.ready().get(id).cloned();
        let record = match ready {
            Some(record) => record,
            None => {
                let (record, _) = self.kept(id).await?.ok_or(TokenError::Unknown)?;
                let record = Arc::new(record);
                self.keep_ready(id, &record);
                record
            }
        };
        if !record.is_live(now) {
            return Err(TokenError::Unknown);
        }
        Ok(Found { id: id.to_owned(), record })
    }

    /// The token with this accessor.
    ///
    /// # Errors
    /// As [`Tokens::find`].
    pub async fn find_accessor(&self, accessor: &str, now: i64) -> Result<Found, TokenError> {
        if accessor.is_empty() || accessor.contains('/') {
            return Err(TokenError::Unknown);
        }
        let found = self.view.read_one(&accessor_key(accessor)).await?.ok_or(TokenError::Unknown)?;
        let id = found.value.expose_text().ok_or(TokenError::Unknown)?.to_owned();
        self.find_id(&id, now).await
    }

    /// The accessors of all tokens.
    ///
    /// # Errors
    /// The view's.
    pub async fn accessors(&self) -> Result<Vec<String>, TokenError> {
        Ok(self.view.list(ACCESSORS).await?)
    }

    /// Counts one use of a token whose uses are counted, before it is used: how many are left.
    ///
    /// # Errors
    /// [`TokenError::Unknown`] where none is left; the view's.
    pub async fn use_up(&self, id: &str, now: i64) -> Result<u64, TokenError> {
        let changed = self.change(id, |token| {
            if !token.is_live(now) || !token.has_uses() {
                return Err(TokenError::Unknown);
            }
            Ok(Token { uses_left: token.uses_left.saturating_sub(1), ..token.clone() })
        });
        Ok(changed.await?.uses_left)
    }

    /// Renews a token by `increment` seconds (0 for what it was made with) within `most`: the token, and whether that is
    /// less than was asked for.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] where it cannot be renewed.
    pub async fn renew(&self, id: &str, increment: u64, most: u64, now: i64) -> Result<(Arc<Token>, bool), TokenError> {
        let mut is_less = false;
        let renewed = self.change(id, |token| {
            if !token.is_live(now) {
                return Err(TokenError::Unknown);
            }
            if !token.is_renewable {
                return Err(TokenError::Invalid("lease is not renewable".to_owned()));
            }
            let (renewed, less) = token.renewed(increment, most, now);
            is_less = less;
            Ok(renewed)
        });
        let renewed = renewed.await?;
        Ok((renewed, is_less))
    }

    /// Ends a token, and with it all that it made. What is absent is no fault.
    ///
    /// # Errors
    /// The view's; the token is over all the same, where it was marked already.
    pub async fn revoke(&self, id: &str) -> Result<(), TokenError> {
        let marked = self.change(id, |token| Ok(Token { is_revoked: true, ..token.clone() })).await;
        match marked {
            Err(TokenError::Unknown) => return Ok(()),
            marked => drop(marked?),
        }
        // Whoever is cut off here, or whose storage fails, is due at once.
        self.ends().insert((i64::MIN, id.to_owned()));
        self.take_away(id).await
    }

    /// Ends a token alone: what it made goes on without a parent.
    ///
    /// # Errors
    /// The view's.
    pub async fn revoke_orphan(&self, id: &str) -> Result<(), TokenError> {
        for child in self.view.list(&format!("{CHILDREN}{id}/")).await? {
            match self.change(&child, |token| Ok(Token { parent: None, ..token.clone() })).await {
                Ok(_) | Err(TokenError::Unknown) => {}
                Err(error) => return Err(error),
            }
            let deletes = vec![child_key(id, &child)];
            self.view.commit(&Changes { deletes, ..Changes::default() }).await?;
        }
        self.revoke(id).await
    }

    /// Ends all tokens that were made by the path `prefix` or one below it: `auth/userpass`. Reads all tokens.
    ///
    /// # Errors
    /// The view's.
    pub async fn revoke_made_by(&self, prefix: &str) -> Result<(), TokenError> {
        for (id, found) in self.view.read_folder(TOKENS).await? {
            let path = record(&found.value)?.path;
            let below = path.strip_prefix(prefix.trim_end_matches('/'));
            if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                self.revoke(&id).await?;
            }
        }
        Ok(())
    }

    /// Takes away up to `limit` tokens that are over at `now`, and those that were cut off while they were taken away;
    /// how many.
    ///
    /// # Errors
    /// The view's; what is due stays due.
    pub async fn expire(&self, now: i64, limit: usize) -> Result<usize, TokenError> {
        let due: Vec<(i64, String)> =
            self.ends().range(..=(now, String::from(char::MAX))).take(limit).cloned().collect();
        for (end, id) in &due {
            match self.kept(id).await? {
                // It was renewed meanwhile, and is known under another time.
                Some((token, _)) if !token.is_revoked && token.expires.is_some_and(|expires| expires > now) => {}
                Some(_) => self.revoke(id).await?,
                None => {}
            }
            self.ends().remove(&(*end, id.clone()));
        }
        Ok(due.len())
    }

    /// Deletes a token that is marked, after all that it made.
    async fn take_away(&self, root: &str) -> Result<(), TokenError> {
        let mut path = vec![root.to_owned()];
        while let Some(id) = path.last().cloned() {
            // The deepest first, so that whoever is cut off finds the rest below what is marked.
            if let Some(child) = self.view.list(&format!("{CHILDREN}{id}/")).await?.into_iter().next() {
                match self.kept(&child).await? {
                    Some(_) => path.push(child),
                    None => {
                        let deletes = vec![child_key(&id, &child)];
                        self.view.commit(&Changes { deletes, ..Changes::default() }).await?;
                    }
                }
                continue;
            }
            self.delete(&id).await?;
            path.pop();
        }
        Ok(())
    }

    /// Deletes one token without children, and what belongs to it.
    async fn delete(&self, id: &str) -> Result<(), TokenError> {
        for _ in 0..ATTEMPTS {
            let Some((token, revision)) = self.kept(id).await? else { return Ok(()) };
            // Out of use before anything of it goes.
            self.ready().remove(id);
            self.cubbyholes.erase(&format!("{id}/")).await?;
            let mut deletes = vec![token_key(id), accessor_key(&token.accessor)];
            deletes.extend(token.parent.as_ref().map(|parent| child_key(parent, id)));
            let conditions = vec![(token_key(id), Some(revision))];
            if self.view.commit(&Changes { conditions, deletes, ..Changes::default() }).await? != Outcome::Conflict {
                self.note(id, Some(&token), None);
                self.ends().remove(&(i64::MIN, id.to_owned()));
                return Ok(());
            }
        }
        Err(TokenError::Busy)
    }

    async fn change(
        &self,
        id: &str,
        mut with: impl FnMut(&Token) -> Result<Token, TokenError>,
    ) -> Result<Arc<Token>, TokenError> {
        for _ in 0..ATTEMPTS {
            let (before, revision) = self.kept(id).await?.ok_or(TokenError::Unknown)?;
            let after = with(&before)?;
            let changes = Changes {
                conditions: vec![(token_key(id), Some(revision))],
                puts: vec![(token_key(id), written(&after)?)],
                deletes: Vec::new(),
            };
            if self.view.commit(&changes).await? != Outcome::Conflict {
                let after = Arc::new(after);
                self.note(id, Some(&before), Some(&after));
                return Ok(after);
            }
        }
        Err(TokenError::Busy)
    }

    async fn kept(&self, id: &str) -> Result<Option<(Token, Revision)>, TokenError> {
        let Some(found) = self.view.read_one(&token_key(id)).await? else { return Ok(None) };
        Ok(Some((record(&found.value)?, found.revision)))
    }

    /// Takes in what was committed.
    fn note(&self, id: &str, before: Option<&Token>, after: Option<&Arc<Token>>) {
        let mut ends = self.ends();
        if let Some(end) = before.and_then(|token| token.expires) {
            ends.remove(&(end, id.to_owned()));
        }
        if let Some(end) = after.and_then(|token| token.expires) {
            ends.insert((end, id.to_owned()));
        }
        drop(ends);
        match after {
            Some(token) => self.keep_ready(id, token),
            None => drop(self.ready().remove(id)),
        }
    }

    fn keep_ready(&self, id: &str, token: &Arc<Token>) {
        let mut ready = self.ready();
        if ready.len() >= READY && !ready.contains_key(id) {
            ready.clear();
        }
        ready.insert(id.to_owned(), Arc::clone(token));
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<String, Arc<Token>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, BTreeSet<(i64, String)>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").field("ready", &self.ready().len()).finish_non_exhaustive()
    }
}

fn token_key(id: &str) -> String {
    format!("{TOKENS}{id}")
}

fn accessor_key(accessor: &str) -> String {
    format!("{ACCESSORS}{accessor}")
}

fn child_key(parent: &str, child: &str) -> String {
    format!("{CHILDREN}{parent}/{child}")
}

/// Letters and digits that nobody guesses.
fn letters() -> Result<String, TokenError> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = || {
        let place = random_below(ALPHABET.len() as u64).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| ALPHABET.get(place)).map(|letter| char::from(*letter))
    };
    (0..LETTERS).map(|_| letter()).collect::<Option<String>>().ok_or(TokenError::NoRandomness)
}

fn record(bytes: &SecretBytes) -> Result<Token, TokenError> {
    serde_json::from_slice(bytes.expose())
        .map_err(|_| TokenError::Invalid("a token's record is a newer version's".to_owned()))
}

fn written(token: &Token) -> Result<SecretBytes, TokenError> {
    serde_json::to_vec(token)
        .map(SecretBytes::new)
        .map_err(|_| TokenError::Invalid("a token's record cannot be written".to_owned()))
}
