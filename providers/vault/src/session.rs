use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_http::{StatusCode, json_body};
use strongroom_provider::SecretBytes;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::Auth;
use crate::api::{Api, Ask, denied_by_policy, failure_of};
use crate::login::{Grant, log_in};

/// A token younger than this is looked up before it is thrown away after a 403: a key that is denied for good, asked
/// again and again, costs at most one login in this time.
const YOUNG: Duration = Duration::from_secs(60);

/// How long a look-up's "this token lives" holds: a batch of denied keys looks up once.
const LOOK_UP_HOLDS: Duration = Duration::from_secs(10);

/// As [`YOUNG`], for a token that values hang from: a login ends them, and all the same a role that was given another
/// policy must be noticed some time.
const YOUNG_WITH_LEASES: Duration = Duration::from_secs(3600);

/// After a renewal or look-up that failed for now, the token is used as it is for this long, or for a tenth of its life
/// where that is shorter.
const RESTS: Duration = Duration::from_secs(10);

/// A given token's lifetime is asked after this long: programs that only start another one never ask.
const LEARN_AFTER: Duration = Duration::from_secs(60);

/// The one token of an identity: got on first use, by one login however many wait for it, renewed when it is used in
/// the last third of its life, replaced once when the server refuses it.
#[derive(Debug)]
pub(crate) struct Session {
    auth: Auth,
    state: Mutex<State>,
    /// Held by whoever renews: the others use the token as it is meanwhile.
    renewing: Mutex<()>,
    /// The login whose token values hang from; 0 where none do.
    leasing: AtomicU64,
    /// Logins that failed so far: who waited through one shares its failure and does not try again.
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    /// The last failed login.
    failure: Option<Failure>,
    /// Which token was looked up and found alive, and when.
    alive: Option<(u64, Instant)>,
    /// What a wrapping token held.
    unwrapped: Option<SecretBytes>,
    logins: u64,
}

/// A token as one login gave it.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) value: SecretBytes,
    /// By what others can renew or revoke it; empty where no login told it.
    pub(crate) accessor: String,
    /// Which login it came from; a renewal keeps it.
    login: u64,
    /// When that login was.
    born: Instant,
    /// Since when `lifetime` counts.
    since: Instant,
    /// How long it lasts; unknown for a given token, or endless.
    lifetime: Option<Duration>,
    /// The lifetime that the login gave, before any renewal.
    first_lifetime: Option<Duration>,
    renewable: bool,
    /// Whether `lifetime` is what the server said.
    is_known: bool,
    /// When the server last could not say, or not renew it for now.
    put_off: Option<Instant>,
}

/// What to do with a token before it is used.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// Ask how long it lasts.
    Learn,
    Renew,
    LogIn,
}

impl Session {
    pub(crate) fn new(auth: Auth) -> Self {
        let (leasing, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { auth, state: Mutex::default(), renewing: Mutex::default(), leasing, failed }
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// A token to use now.
    pub(crate) async fn token(&self, api: &Api) -> Result<Arc<Token>, Failure> {
        let failed_before = self.failed.load(Ordering::SeqCst);
        let (token, due) = {
            let mut state = self.state.lock().await;
            let due =
                state.token.as_ref().map_or(Due::LogIn, |token| token.due(Instant::now(), self.auth.can_log_in()));
            if due == Due::LogIn {
                return self.log_in(api, &mut state, failed_before).await;
            }
            let Some(token) = state.token.clone() else { return self.log_in(api, &mut state, failed_before).await };
            (token, due)
        };
        match (due, self.renewing.try_lock()) {
            (Due::Learn, Ok(_turn)) => self.learn(api, token).await,
            (Due::Renew, Ok(_turn)) => self.renew(api, token).await,
            _ => Ok(token),
        }
    }

    /// A token to renew with what hangs from it. Where it is in the last third of its life and cannot be renewed, a new
    /// one is got while what hangs from the old one still lives.
    pub(crate) async fn lasting_token(&self, api: &Api) -> Result<Arc<Token>, Failure> {
        let failed_before = self.failed.load(Ordering::SeqCst);
        let token = self.token(api).await?;
        if !self.auth.can_log_in() || !token.is_last(Instant::now()) {
            return Ok(token);
        }
        let mut state = self.state.lock().await;
        if let Some(newer) = state.token.as_ref().filter(|newer| newer.login != token.login) {
            return Ok(Arc::clone(newer));
        }
        self.log_in(api, &mut state, failed_before).await
    }

    /// Notes that a value hangs from `token`; how long the token lasts from now on, nothing where it has no end or may
    /// not be asked.
    pub(crate) async fn hang_from(&self, api: &Api, token: &Token) -> Option<Duration> {
        self.leasing.store(token.login, Ordering::SeqCst);
        if token.is_known {
            return token.remaining();
        }
        let _turn = self.renewing.lock().await;
        let current = self.state.lock().await.token.clone().filter(|current| current.login == token.login)?;
        let known = if current.is_known { current } else { self.learn(api, current).await.ok()? };
        known.remaining().filter(|_| known.login == token.login)
    }

    /// After a 403: the token to try once more with, or nothing where `refused` is good and the denial stands.
    pub(crate) async fn after_refusal(&self, api: &Api, refused: &Token) -> Result<Option<Arc<Token>>, Failure> {
        let failed_before = self.failed.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        if let Some(newer) = state.token.as_ref().filter(|token| token.login != refused.login) {
            return Ok(Some(Arc::clone(newer)));
        }
        let has_leases = self.leasing.load(Ordering::SeqCst) == refused.login;
        let is_young = refused.born.elapsed() < if has_leases { YOUNG_WITH_LEASES } else { YOUNG };
        if (is_young || !self.auth.can_log_in()) && self.is_alive(api, &mut state, refused).await? {
            return Ok(None);
        }
        if self.auth.can_log_in() {
            return self.log_in(api, &mut state, failed_before).await.map(Some);
        }
        self.reread(api, &mut state, refused, failed_before).await.map(Some)
    }

    /// A given token that the server no longer knows: its file may hold a newer one.
    async fn reread(
        &self,
        api: &Api,
        state: &mut State,
        refused: &Token,
        failed_before: u64,
    ) -> Result<Arc<Token>, Failure> {
        let token = self.log_in(api, state, failed_before).await?;
        if token.value.expose() == refused.value.expose() {
            state.token = None;
            // An agent's token begins with an article of its own.
            let token = self.auth.to_string();
            let token = token.trim_start_matches("the ");
            let words = format!("the {token} is refused: it has expired, was revoked or is none of this server's");
            return Err(Failure::new(Class::Unauthenticated, words).with_hint("get a new token"));
        }
        Ok(token)
    }

    async fn log_in(&self, api: &Api, state: &mut State, failed_before: u64) -> Result<Arc<Token>, Failure> {
        let was_shared = self.failed.load(Ordering::SeqCst) != failed_before;
        if let Some(failure) = state.failure.as_ref().filter(|_| was_shared) {
            return Err(failure.clone());
        }
        // The token that is being replaced stays until there is another: it may still do for other keys.
        let asked = Instant::now();
        match log_in(api, &self.auth, &mut state.unwrapped).await {
            Ok(grant) => {
                state.logins += 1;
                // An agent's own token is its own business; of one that was given we may want to know more.
                let is_known = !matches!(self.auth, Auth::Token(_));
                let token = Arc::new(Token::granted(grant, state.logins, asked, is_known));
                debug!(identity = %self.auth, lifetime = ?token.lifetime, "logged in to Vault");
                state.token = Some(Arc::clone(&token));
                state.failure = None;
                Ok(token)
            }
            Err(failure) => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                state.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    async fn renew(&self, api: &Api, token: Arc<Token>) -> Result<Arc<Token>, Failure> {
        let body = json_body(&serde_json::json!({}))?;
        let ask = Ask::log_in("vault:renew-self", "auth/token/renew-self", Some(&token.value), body);
        let asked = Instant::now();
        let renewed = match api.send(ask).await {
            Ok(response) if response.status.is_success() => {
                #[derive(Deserialize)]
                struct Renewed {
                    auth: Grant,
                }
                response.json::<Renewed>().map(|renewed| renewed.auth).map_err(Failure::from)
            }
            Ok(response) => Err(failure_of(&response, &[&token.value])),
            Err(failure) => Err(failure),
        };
        match renewed {
            Ok(grant) => self.replace(api, &token, token.renewed(&grant, asked)).await,
            // The token still works; where it does not, the read is refused and a login follows.
            Err(failure) => {
                warn!(identity = %self.auth, reason = failure.class.reason(), "Vault does not renew the token: {failure}");
                let as_it_is = match failure.class.can_retry() {
                    true => token.put_off(),
                    false => Token { renewable: false, ..token.copied() },
                };
                self.replace(api, &token, as_it_is).await
            }
        }
    }

    async fn learn(&self, api: &Api, token: Arc<Token>) -> Result<Arc<Token>, Failure> {
        #[derive(Deserialize)]
        struct LookedUp {
            data: Grant,
        }
        let asked = Instant::now();
        let response = api.send(Ask::look_up(&token.value)).await;
        let learned = match response {
            Ok(response) if response.status.is_success() => {
                let LookedUp { data } = response.json()?;
                Token { first_lifetime: lifetime(&data), ..token.renewed(&data, asked) }
            }
            // It may not look itself up: then nobody renews it.
            Ok(response) if !failure_of(&response, &[&token.value]).class.can_retry() => {
                Token { is_known: true, ..token.copied() }
            }
            Ok(_) | Err(_) => token.put_off(),
        };
        self.replace(api, &token, learned).await
    }

    /// Puts `newer` in the place of `token`, unless a login was faster. A token that nears the end of what renewals
    /// can give is replaced by a new one where that can be had.
    async fn replace(&self, api: &Api, token: &Token, newer: Token) -> Result<Arc<Token>, Failure> {
        let failed_before = self.failed.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        if let Some(current) = state.token.as_ref().filter(|current| current.login != token.login) {
            return Ok(Arc::clone(current));
        }
        if self.auth.can_log_in() && newer.nears_its_end() {
            return self.log_in(api, &mut state, failed_before).await;
        }
        let newer = Arc::new(newer);
        state.token = Some(Arc::clone(&newer));
        Ok(newer)
    }

    /// Proves that the server knows us, by a login where there was none yet.
    pub(crate) async fn prove(&self, api: &Api) -> Result<(), Failure> {
        let token = self.token(api).await?;
        let response = api.send(Ask::look_up(&token.value)).await?;
        match response.status {
            status if status.is_success() => Ok(()),
            // It may not look itself up, which only a token that lives is told.
            StatusCode::FORBIDDEN if denied_by_policy(&response) => Ok(()),
            StatusCode::FORBIDDEN => self.after_refusal(api, &token).await.map(|_| ()),
            _ => Err(failure_of(&response, &[&token.value])),
        }
    }

    /// Whether the server knows the token. Where it cannot say, the token is taken to live: the denial stands.
    async fn is_alive(&self, api: &Api, state: &mut State, token: &Token) -> Result<bool, Failure> {
        let holds = |&(login, at): &(u64, Instant)| login == token.login && at.elapsed() < LOOK_UP_HOLDS;
        if state.alive.as_ref().is_some_and(holds) {
            return Ok(true);
        }
        let response = api.send(Ask::look_up(&token.value)).await?;
        let is_alive = response.status != StatusCode::FORBIDDEN || denied_by_policy(&response);
        state.alive = is_alive.then(|| (token.login, Instant::now()));
        Ok(is_alive)
    }
}

impl Token {
    fn granted(grant: Grant, login: u64, asked: Instant, is_known: bool) -> Self {
        let lifetime = lifetime(&grant);
        let Grant { client_token: value, renewable, accessor, .. } = grant;
        Self {
            value,
            accessor,
            login,
            born: asked,
            since: asked,
            lifetime,
            first_lifetime: lifetime,
            renewable,
            is_known,
            put_off: None,
        }
    }

    fn renewed(&self, grant: &Grant, asked: Instant) -> Self {
        let (lifetime, renewable) = (lifetime(grant), grant.renewable);
        Self { since: asked, lifetime, renewable, is_known: true, put_off: None, ..self.copied() }
    }

    fn put_off(&self) -> Self {
        Self { put_off: Some(Instant::now()), ..self.copied() }
    }

    fn copied(&self) -> Self {
        Self { value: self.value.clone(), accessor: self.accessor.clone(), ..*self }
    }

    /// How long it lasts from now on; nothing where it has no end.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.lifetime.map(|lifetime| lifetime.saturating_sub(self.since.elapsed()))
    }

    /// Whether it can be renewed.
    pub(crate) fn is_renewable(&self) -> bool {
        self.renewable
    }

    /// Which login it came from.
    pub(crate) fn login(&self) -> u64 {
        self.login
    }

    /// Whether it is in the last third of its life, and there is no other.
    fn is_last(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        !self.renewable && self.lifetime.is_some_and(|lifetime| age >= lifetime * 2 / 3)
    }

    fn rests(&self, now: Instant) -> bool {
        let pause = self.lifetime.map_or(RESTS, |lifetime| RESTS.min(lifetime / 10));
        self.put_off.is_some_and(|at| now.saturating_duration_since(at) < pause)
    }

    fn due(&self, now: Instant, can_log_in: bool) -> Due {
        let age = now.saturating_duration_since(self.since);
        match self.lifetime {
            None if !self.is_known && age >= LEARN_AFTER && !self.rests(now) => Due::Learn,
            None => Due::Nothing,
            // It must still live when the request that carries it arrives.
            Some(lifetime) if can_log_in && age >= lifetime - (lifetime / 10).min(Duration::from_secs(5)) => Due::LogIn,
            Some(lifetime) if self.renewable && age >= lifetime * 2 / 3 && age < lifetime && !self.rests(now) => {
                Due::Renew
            }
            Some(_) => Due::Nothing,
        }
    }

    /// Whether a renewal gave less than half of what the login gave: its largest lifetime is near.
    fn nears_its_end(&self) -> bool {
        matches!((self.lifetime, self.first_lifetime), (Some(now), Some(first)) if now < first / 2)
    }
}

fn lifetime(grant: &Grant) -> Option<Duration> {
    (grant.lease_duration > 0).then(|| Duration::from_secs(grant.lease_duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(seconds: u64, renewable: bool, is_known: bool) -> Token {
        let client_token = SecretBytes::from("canary".to_owned());
        let grant = Grant { client_token, lease_duration: seconds, renewable, accessor: String::new() };
        Token::granted(grant, 1, Instant::now(), is_known)
    }

    fn grant(lease_duration: u64) -> Grant {
        let client_token = SecretBytes::default();
        Grant { client_token, lease_duration, renewable: true, accessor: String::new() }
    }

    #[tokio::test]
    async fn tokens_are_renewed_in_the_last_third_and_replaced_at_the_end() {
        let check = |token: Token, after: f64, can_log_in: bool, expected: Due| {
            let now = token.since + Duration::from_secs_f64(after);
            assert_eq!(token.due(now, can_log_in), expected, "{after} s of {:?}", token.lifetime);
        };
        check(token(60, true, true), 39.9, true, Due::Nothing);
        check(token(60, true, true), 40.0, true, Due::Renew);
        check(token(60, true, true), 55.0, true, Due::LogIn);
        check(token(60, true, true), 55.0, false, Due::Renew);
        check(token(60, true, true), 61.0, false, Due::Nothing);
        check(token(60, false, true), 54.0, true, Due::Nothing);
        check(token(10, false, true), 9.0, true, Due::LogIn);
        check(token(0, false, true), 1e6, true, Due::Nothing);
        check(token(0, false, false), 59.0, false, Due::Nothing);
        check(token(0, false, false), 60.0, false, Due::Learn);
    }

    #[tokio::test]
    async fn a_renewal_that_failed_for_now_is_tried_again_after_a_pause() {
        let first = token(60, true, true);
        let late = first.since + Duration::from_secs(45);
        let tried = Token { put_off: Some(late), ..first.copied() };
        assert_eq!(first.due(late, false), Due::Renew);
        assert_eq!(tried.due(late + Duration::from_secs(5), false), Due::Nothing);
        assert_eq!(tried.due(late + Duration::from_secs(6), false), Due::Renew);
        assert_eq!(tried.renewed(&grant(60), late).put_off, None);
    }

    #[tokio::test]
    async fn a_token_is_the_last_in_its_last_third_where_it_cannot_be_renewed() {
        let check = |token: Token, after: u64, expected: bool| {
            assert_eq!(token.is_last(token.since + Duration::from_secs(after)), expected, "{after} s");
        };
        check(token(60, false, true), 39, false);
        check(token(60, false, true), 40, true);
        check(token(60, true, true), 59, false);
        check(token(0, false, true), 1_000_000, false);
    }

    #[tokio::test]
    async fn a_renewal_that_gives_little_ends_a_tokens_life() {
        let first = token(60, true, true);
        assert!(!first.renewed(&grant(60), Instant::now()).nears_its_end());
        assert!(first.renewed(&grant(29), Instant::now()).nears_its_end());
        assert!(!format!("{first:?}").contains("canary"));
    }
}
