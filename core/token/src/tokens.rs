//! All tokens of a store.

use std::fmt;
use std::sync::Arc;

use strongroom_barrier::{Changes, View, ViewError};
use strongroom_crypto::{hmac_sha256, random_below};
use strongroom_secret::SecretBytes;
use strongroom_storage::{Outcome, Revision, StorageError};

use crate::ends::{ASKED, Due, Ends};
use crate::error::TokenError;
use crate::ready::Ready;
use crate::token::{NewToken, Token};

const TOKENS: &str = "token/";
const ACCESSORS: &str = "accessor/";
const CHILDREN: &str = "children/";
const WRAPPED: &str = "wrapped/";

/// What a service token begins with, as OpenBao's do.
const PREFIX: &str = "s.";
/// Letters of a token behind its prefix, and of an accessor: 143 bits.
const LETTERS: usize = 24;

/// Records that are read at once.
const AT_ONCE: usize = 1000;

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
    ready: Ready,
    ends: Ends,
}

impl Tokens {
    /// The tokens in `view`, whose ids are made under `id_key`. Reads all of them once, to know when they end.
    ///
    /// # Errors
    /// The view's.
    pub async fn load(view: View, cubbyholes: View, id_key: SecretBytes) -> Result<Self, TokenError> {
        let tokens = Self { view, cubbyholes, id_key, ready: Ready::default(), ends: Ends::default() };
        let ids = tokens.view.list(TOKENS).await?;
        for ids in ids.chunks(AT_ONCE) {
            for (id, token) in tokens.read(ids).await? {
                // Whatever was being taken away is due.
                if let Some(end) = if token.is_revoked { Some(ASKED) } else { token.expires } {
                    tokens.ends.note(&id, end);
                }
            }
        }
        Ok(tokens)
    }

    /// The id of a token.
    pub fn id(&self, token: &SecretBytes) -> String {
        let hash = hmac_sha256(self.id_key.expose(), token.expose());
        let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
    }

    /// Makes a token at `now`.
    ///
    /// # Errors
    /// The view's; [`TokenError::Unknown`] where its parent is gone.
    pub async fn create(&self, new: NewToken, now: i64) -> Result<Created, TokenError> {
        self.create_with(new, None, now).await
    }

    /// Makes a token at `now` that holds something, for whoever comes with it first.
    ///
    /// # Errors
    /// As [`Tokens::create`].
    pub async fn wrap(&self, new: NewToken, held: SecretBytes, now: i64) -> Result<Created, TokenError> {
        self.create_with(NewToken { num_uses: 1, is_wrapping: true, ..new }, Some(held), now).await
    }

    async fn create_with(&self, new: NewToken, held: Option<SecretBytes>, now: i64) -> Result<Created, TokenError> {
        let token = SecretBytes::from(format!("{PREFIX}{}", letters()?));
        let id = self.id(&token);
        let record = Token::new(new, letters()?, now);
        let mut changes = Changes { conditions: vec![(token_key(&id), None)], ..Changes::default() };
        changes.puts.push((token_key(&id), written(&record)?));
        changes.puts.push((accessor_key(&record.accessor), SecretBytes::from(id.clone())));
        changes.puts.extend(held.map(|held| (wrapped_key(&id), held)));
        changes.puts.extend(record.parent.as_ref().map(|parent| (child_key(parent, &id), SecretBytes::default())));
        if let Some(end) = record.expires {
            self.ends.note(&id, end);
        }
        for _ in 0..ATTEMPTS {
            let mut changes = changes.clone();
            if let Some(parent) = &record.parent {
                // A parent that is revoked meanwhile takes this one with it, or it is not made.
                let (found, revision) = self.kept(parent).await?.ok_or(TokenError::Unknown)?;
                if !found.is_live(now) {
                    return Err(TokenError::Unknown);
                }
                changes.conditions.push((token_key(parent), Some(revision)));
            }
            if self.view.commit(&changes).await? != Outcome::Conflict {
                return Ok(Created { token, id, record: Arc::new(record) });
            }
        }
        Err(TokenError::Busy)
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
        let record = match self.ready.get(id) {
            Ok(record) => record,
            Err(moment) => {
                let (record, _) = self.kept(id).await?.ok_or(TokenError::Unknown)?;
                let record = Arc::new(record);
                // Counted uses are in the storage alone.
                if record.is_live(now) && record.num_uses == 0 {
                    self.ready.keep(id, &record, moment);
                }
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
        let changed = self.change(id, None, |token| {
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
        let renewed = self.change(id, None, |token| {
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

    /// What a wrapping token holds, which stays there.
    ///
    /// # Errors
    /// [`TokenError::Unknown`] where it is no wrapping token, or over, or was taken; the view's.
    pub async fn held(&self, id: &str, now: i64) -> Result<SecretBytes, TokenError> {
        let (held, _) = self.wrapped(id, now).await?;
        Ok(held.value)
    }

    /// Takes what a wrapping token holds, and ends it with the same commit: of all who come at once, one gets it.
    ///
    /// # Errors
    /// As [`Tokens::held`]. [`StorageError::Unknown`] where it may be taken, and nobody has it.
    pub async fn unwrap(&self, id: &str, now: i64) -> Result<SecretBytes, TokenError> {
        let (held, (token, revision)) = self.wrapped(id, now).await?;
        let changes = Changes {
            conditions: vec![(token_key(id), Some(revision)), (wrapped_key(id), Some(held.revision))],
            puts: vec![(token_key(id), written(&Token { is_revoked: true, ..token })?)],
            deletes: vec![wrapped_key(id)],
        };
        let changing = self.ready.change(id);
        let outcome = self.view.commit(&changes).await;
        if is_certain(&outcome) {
            changing.over();
        }
        if outcome? == Outcome::Conflict {
            return Err(TokenError::Unknown);
        }
        // What it held is had whatever becomes of the rest, which is due.
        self.ends.note(id, ASKED);
        self.take_away(id).await.ok();
        Ok(held.value)
    }

    async fn wrapped(&self, id: &str, now: i64) -> Result<(strongroom_barrier::Found, (Token, Revision)), TokenError> {
        let mut found = self.view.read(&[&wrapped_key(id), &token_key(id)]).await?;
        let (Some(Some(token)), Some(Some(held))) = (found.pop(), found.pop()) else { return Err(TokenError::Unknown) };
        let kept = (record(&token.value)?, token.revision);
        if kept.0.is_wrapping && kept.0.is_live(now) { Ok((held, kept)) } else { Err(TokenError::Unknown) }
    }

    /// Ends a token, and with it all that it made. What is absent is no fault.
    ///
    /// # Errors
    /// The view's. Whoever asked and got none, or gave up, has it done by [`Tokens::expire`].
    pub async fn revoke(&self, id: &str) -> Result<(), TokenError> {
        if self.mark(id).await?.is_some() {
            self.take_away(id).await?;
        }
        Ok(())
    }

    /// Ends a token alone: what it made goes on without a parent.
    ///
    /// # Errors
    /// The view's.
    pub async fn revoke_orphan(&self, id: &str) -> Result<(), TokenError> {
        for child in self.view.list(&format!("{CHILDREN}{id}/")).await? {
            let orphaned = |token: &Token| Ok(Token { parent: None, ..token.clone() });
            match self.change(&child, Some(child_key(id, &child)), orphaned).await {
                Ok(_) | Err(TokenError::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        self.revoke(id).await
    }

    /// Ends all tokens that were made by the path `prefix` or one below it: `auth/userpass`. Reads all tokens.
    ///
    /// # Errors
    /// The view's.
    pub async fn revoke_made_by(&self, prefix: &str) -> Result<(), TokenError> {
        let is_below = |path: &str| {
            let below = path.strip_prefix(prefix.trim_end_matches('/'));
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let ids = self.view.list(TOKENS).await?;
        for ids in ids.chunks(AT_ONCE) {
            for (id, token) in self.read(ids).await? {
                if is_below(&token.path) {
                    self.revoke(&id).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes away up to `limit` tokens that are over at `now`, and those that were cut off while they were taken away;
    /// how many. One that cannot be taken away holds up no other.
    ///
    /// # Errors
    /// The view's, of the first that was not taken away; what is due stays due.
    pub async fn expire(&self, now: i64, limit: usize) -> Result<usize, TokenError> {
        let mut first = None;
        let mut count = 0;
        for due in self.ends.due(now, limit) {
            match self.end(&due, now).await {
                Ok(next) => {
                    self.ends.settle(&due, next);
                    count += usize::from(next.is_none());
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(count), Err)
    }

    /// Takes away a token whose time may have come, or says when it will.
    async fn end(&self, due: &Due, now: i64) -> Result<Option<i64>, TokenError> {
        match self.kept(&due.id).await? {
            Some((token, _)) if due.time > ASKED && token.is_live(now) => Ok(token.expires),
            Some(_) => self.revoke(&due.id).await.map(|()| None),
            None => Ok(None),
        }
    }

    /// Ends a token with one commit; nothing where there is none.
    async fn mark(&self, id: &str) -> Result<Option<Arc<Token>>, TokenError> {
        let marked = self.change(id, None, |token| {
            // Whoever is cut off here, or whose storage fails, is due at once.
            self.ends.note(id, ASKED);
            Ok(Token { is_revoked: true, ..token.clone() })
        });
        match marked.await {
            Err(TokenError::Unknown) => Ok(None),
            marked => marked.map(Some),
        }
    }

    /// Deletes a token that is marked, after all that it made. Each of them is marked before it is looked at, so that it
    /// makes no more.
    async fn take_away(&self, root: &str) -> Result<(), TokenError> {
        let mut left = vec![Doomed { id: root.to_owned(), parent: None, is_alone: false }];
        while let Some(doomed) = left.last_mut() {
            let id = doomed.id.clone();
            if std::mem::replace(&mut doomed.is_alone, true) {
                self.delete(&id).await?;
                left.pop();
                continue;
            }
            if let Some(parent) = doomed.parent.clone()
                && self.mark(&id).await?.is_none()
            {
                let deletes = vec![child_key(&parent, &id)];
                self.view.commit(&Changes { deletes, ..Changes::default() }).await?;
            }
            let children = self.view.list(&format!("{CHILDREN}{id}/")).await?;
            left.extend(children.into_iter().map(|child| Doomed {
                id: child,
                parent: Some(id.clone()),
                is_alone: false,
            }));
        }
        Ok(())
    }

    /// Deletes one token without children, and what belongs to it.
    async fn delete(&self, id: &str) -> Result<(), TokenError> {
        for _ in 0..ATTEMPTS {
            let Some((token, revision)) = self.kept(id).await? else {
                self.gone(id);
                return Ok(());
            };
            self.cubbyholes.erase(&format!("{id}/")).await?;
            let mut deletes = vec![token_key(id), accessor_key(&token.accessor)];
            deletes.extend(token.parent.as_ref().map(|parent| child_key(parent, id)));
            deletes.extend(token.is_wrapping.then(|| wrapped_key(id)));
            let conditions = vec![(token_key(id), Some(revision))];
            if self.view.commit(&Changes { conditions, deletes, ..Changes::default() }).await? != Outcome::Conflict {
                self.gone(id);
                return Ok(());
            }
        }
        Err(TokenError::Busy)
    }

    /// Forgets what is known of a token that is deleted.
    fn gone(&self, id: &str) {
        self.ready.forget(id);
        self.ends.forget(id);
    }

    /// Changes a token, and takes one key away with the same commit.
    async fn change(
        &self,
        id: &str,
        delete: Option<String>,
        mut with: impl FnMut(&Token) -> Result<Token, TokenError>,
    ) -> Result<Arc<Token>, TokenError> {
        for _ in 0..ATTEMPTS {
            let (before, revision) = self.kept(id).await?.ok_or(TokenError::Unknown)?;
            let after = with(&before)?;
            if after == before && delete.is_none() {
                return Ok(Arc::new(after));
            }
            if let Some(end) = after.expires {
                self.ends.note(id, end);
            }
            let changes = Changes {
                conditions: vec![(token_key(id), Some(revision))],
                puts: vec![(token_key(id), written(&after)?)],
                deletes: delete.iter().cloned().collect(),
            };
            let changing = self.ready.change(id);
            let outcome = self.view.commit(&changes).await;
            if is_certain(&outcome) {
                changing.over();
            }
            if outcome? != Outcome::Conflict {
                return Ok(Arc::new(after));
            }
        }
        Err(TokenError::Busy)
    }

    async fn kept(&self, id: &str) -> Result<Option<(Token, Revision)>, TokenError> {
        let Some(found) = self.view.read_one(&token_key(id)).await? else { return Ok(None) };
        Ok(Some((record(&found.value)?, found.revision)))
    }

    /// The tokens with these ids that are there still.
    async fn read(&self, ids: &[String]) -> Result<Vec<(String, Token)>, TokenError> {
        let keys: Vec<String> = ids.iter().map(|id| token_key(id)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = self.view.read(&keys).await?;
        let found = ids.iter().zip(found).filter_map(|(id, found)| Some((id, found?)));
        found.map(|(id, found)| Ok((id.clone(), record(&found.value)?))).collect()
    }
}

/// A token that is about to be deleted.
struct Doomed {
    id: String,
    /// Whose child it was found as.
    parent: Option<String>,
    /// Whether all that it made was found before.
    is_alone: bool,
}

/// Whether it is known what came of a commit.
fn is_certain(outcome: &Result<Outcome, ViewError>) -> bool {
    !matches!(outcome, Err(ViewError::Storage(StorageError::Unknown(_))))
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

fn token_key(id: &str) -> String {
    format!("{TOKENS}{id}")
}

fn wrapped_key(id: &str) -> String {
    format!("{WRAPPED}{id}")
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
