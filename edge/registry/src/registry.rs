//! A look-up from end to end: whom to ask as whom, what is known already, what is read.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_http::{Proxy, TlsSettings};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::bytes::Digest;
use crate::cloud::NodeCredentials;
use crate::credential::{Credential, Identity, matching};
use crate::endpoint::{Endpoint, Rules};
use crate::flights::Flights;
use crate::image::{Image, Reference};
use crate::lru::Lru;
use crate::manifest::{ImageConfig, config};
use crate::platform::Platform;
use crate::reading::{blob, config_descriptor, invalid, manifest, meant_digest};
use crate::session::{Grants, Session};
use crate::transport::{LONGEST_EXCHANGE, Transport};

/// Look-ups that read at once: each holds a document of at most 4 MiB, mostly a few KiB.
const PARALLEL: usize = 32;

/// How many of them may ask one registry, so that one that is slow leaves the others their place.
const PARALLEL_ON_HOST: usize = 8;

/// Registries are told apart as far as this for that limit; more would share theirs.
const HOSTS: usize = 64;

/// How long it is remembered that somebody may read an image that is named by its digest. The image cannot change; the
/// right to read it can.
const DIGEST_LIFE: Duration = Duration::from_secs(600);

/// How long a meaning holds while the registry cannot be asked. Whoever may pull now and may not an hour later has
/// pulled.
const LONGEST_OUTAGE: Duration = Duration::from_secs(3600);

/// How registries are reached.
#[derive(Clone, Default)]
pub struct Settings {
    /// Whom to trust: private authorities are added to its roots. `insecure_skip_verify` is for every registry.
    pub tls: TlsSettings,
    /// Which proxy stands before which host.
    pub proxy: Proxy,
    /// Hosts, with or without a port, that are asked by http without TLS; no other is.
    pub plain_hosts: Vec<String>,
    /// Hosts, with or without a port, that may have a loopback, link-local or metadata address.
    pub local_hosts: Vec<String>,
    /// Addresses that are asked before a registry, by the registry's name in images (`docker.io`). They may have local
    /// addresses and no TLS, and get only credentials that are for their own hosts.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Logins of nodes for registries of clouds.
    pub node: Option<Arc<dyn NodeCredentials>>,
    /// What is kept.
    pub cache: CacheSettings,
}

/// What is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// The most images. A cluster of ten thousand pods has some hundred.
    pub entries: usize,
    /// The most bytes of their configs; each takes a few hundred.
    pub bytes: usize,
    /// How long a tag is taken to mean the image that it meant, for those who do not ask for a fresh look.
    pub tag_life: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { entries: 1000, bytes: 2 << 20, tag_life: Duration::from_secs(60) }
    }
}

/// Whether a look-up asked the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Yes, or it joined one that did.
    Yes,
    /// No: what it last said still holds.
    No,
    /// It could not be asked, and what it last said was taken.
    InVain,
}

/// How many look-ups ended alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// Whether the registry was asked.
    pub asked: Asked,
    /// Why nothing was found, as [`Class::reason`] has it; `None` where something was.
    pub failure: Option<&'static str>,
    /// So many since the start.
    pub count: u64,
}

/// Finds what images start. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    transport: Transport,
    grants: Grants,
    node: Option<Arc<dyn NodeCredentials>>,
    tag_life: Duration,
    /// What images of a repository start. Of the repository, so that none can pass for another registry's image.
    configs: Mutex<Lru<ConfigKey, Arc<ImageConfig>>>,
    /// What a name meant to whom.
    meanings: Mutex<Lru<MeaningKey, Meaning>>,
    /// Look-ups that ended, by what [`Lookups`] tells of them.
    ended: Mutex<BTreeMap<(Asked, Option<&'static str>), u64>>,
    flights: Flights<FlightKey, Result<Arc<ImageConfig>, Failure>>,
    places: Semaphore,
    places_on_host: [Semaphore; HOSTS],
    hasher: RandomState,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct ConfigKey {
    domain: String,
    repository: String,
    digest: Digest,
    platform: Platform,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct MeaningKey {
    image: Image,
    identity: Identity,
}

#[derive(Clone)]
struct Meaning {
    digest: Digest,
    /// Until then nobody is asked.
    good_until: Instant,
    /// Until then it holds while the registry cannot be asked.
    kept_until: Instant,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    meaning: MeaningKey,
    platform: Platform,
    is_fresh: bool,
}

/// One place to ask, and as whom, in this order.
struct Route {
    endpoint: Endpoint,
    credentials: Vec<Option<Credential>>,
}

impl Registry {
    /// Sets everything up; nobody is asked yet.
    ///
    /// # Errors
    /// `Invalid` where a setting cannot be used; the field says which.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let Settings { tls, proxy, plain_hosts, local_hosts, mirrors, node, cache } = settings;
        let http = strongroom_http::Settings { tls, proxy, ..strongroom_http::Settings::default() };
        let rules = Rules::new(&plain_hosts, &local_hosts, &mirrors)?;
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(&http, rules)?,
            grants: Grants::new(),
            node,
            tag_life: cache.tag_life,
            configs: Mutex::new(Lru::new(cache.entries, cache.bytes)),
            // More than images: many may read one. Each takes less than 300 bytes.
            meanings: Mutex::new(Lru::new(cache.entries.saturating_mul(4), usize::MAX)),
            ended: Mutex::default(),
            flights: Flights::default(),
            places: Semaphore::new(PARALLEL),
            places_on_host: std::array::from_fn(|_| Semaphore::new(PARALLEL_ON_HOST)),
            hasher: RandomState::new(),
        })))
    }

    /// What `image` starts on `platform`, to whoever has `credentials`: those of the pod's pull secrets, then those of
    /// its service account; each is tried only where it is for the image, then the node's, then nobody's. `fresh` has
    /// the registry say what a tag means now (`imagePullPolicy: Always`). Waits `deadline` at most; where there is no
    /// answer by then, and no `fresh` one is asked for, what the registry last said to the same credentials holds.
    ///
    /// # Errors
    /// `Invalid` where the name is none or the registry's answers cannot be trusted; `Unauthenticated`, `Denied` and
    /// `NotFound` where no credential opens it; `Throttled` and `Unavailable` where it may be asked again.
    pub async fn config(
        &self,
        image: &str,
        platform: &Platform,
        credentials: &[Credential],
        fresh: bool,
        deadline: Duration,
    ) -> Result<Arc<ImageConfig>, Failure> {
        let parsed = Image::parse(image)?;
        let domain = parsed.domain().to_owned();
        let mut asked = Asked::Yes;
        let result = Box::pin(self.look_up(parsed, platform, credentials, fresh, deadline, &mut asked)).await;
        let failure = result.as_ref().err().map(|failure| failure.class.reason());
        *lock(&self.0.ended).entry((asked, failure)).or_default() += 1;
        result.map_err(|failure| failure.on_key(image).from_store(format!("the registry {domain}")))
    }

    /// How look-ups ended, for who measures: at most a number for each way in which they can.
    pub fn lookups(&self) -> Vec<Lookups> {
        let ended = lock(&self.0.ended);
        ended
            .iter()
            .map(|((asked, failure), count)| Lookups { asked: *asked, failure: *failure, count: *count })
            .collect()
    }

    /// Says in `asked` whether the registry was.
    async fn look_up(
        &self,
        image: Image,
        platform: &Platform,
        credentials: &[Credential],
        is_fresh: bool,
        deadline: Duration,
        asked: &mut Asked,
    ) -> Result<Arc<ImageConfig>, Failure> {
        let until = Instant::now() + deadline;
        let late = |_| {
            Failure::new(Class::Unavailable, format!("it did not answer within {deadline:?}"))
                .with_hint("set `command` in the pod, or try again: the look-up goes on")
        };
        let (routes, node_failure) = timeout_at(until, self.routes(&image, credentials)).await.map_err(late)?;
        let tried = routes.iter().flat_map(|route| route.credentials.iter().flatten());
        let meaning = MeaningKey { identity: Identity::of(tried), image };
        if let Some(known) = self.0.known(&meaning, platform, |meaning| meaning.good_until).filter(|_| !is_fresh) {
            *asked = Asked::No;
            return Ok(known);
        }
        let joined = timeout_at(until, self.read(&meaning, platform, routes, is_fresh)).await.map_err(late).flatten();
        let Err(failure) = joined else { return joined };
        let holds = failure.class.can_retry() && !is_fresh;
        let kept = if holds { self.0.known(&meaning, platform, |meaning| meaning.kept_until) } else { None };
        if kept.is_some() {
            *asked = Asked::InVain;
        }
        kept.ok_or_else(|| with_node(failure, node_failure))
    }

    /// Asks, or waits for whoever asks the same. It goes on when nobody waits any more.
    async fn read(
        &self,
        meaning: &MeaningKey,
        platform: &Platform,
        routes: Vec<Route>,
        is_fresh: bool,
    ) -> Result<Arc<ImageConfig>, Failure> {
        let key = FlightKey { meaning: meaning.clone(), platform: platform.clone(), is_fresh };
        let (inner, meaning, platform) = (Arc::clone(&self.0), meaning.clone(), platform.clone());
        let flight = || async move {
            let read = Box::pin(inner.read(&meaning, &platform, &routes));
            let late = |_| Failure::new(Class::Unavailable, format!("it did not answer within {LONGEST_EXCHANGE:?}"));
            tokio::time::timeout(LONGEST_EXCHANGE, read).await.map_err(late).flatten()
        };
        self.0.flights.join(key, flight).await?
    }

    /// Whom to ask and as whom; and why the node's login could not be had, if so.
    async fn routes(&self, image: &Image, credentials: &[Credential]) -> (Vec<Route>, Option<Failure>) {
        let (mut routes, mut node_failure) = (Vec::new(), None);
        for endpoint in self.0.transport.rules().endpoints(image.domain()) {
            let host = if endpoint.is_mirror() { &endpoint.authority } else { image.domain() };
            let own = matching(credentials, host, image.repository()).into_iter().cloned();
            let mut credentials: Vec<_> = own.map(Some).collect();
            if let (Some(node), false) = (&self.0.node, endpoint.is_mirror()) {
                match node.credential(image.domain()).await {
                    Ok(found) => credentials.extend(found.map(Some)),
                    // Without it the image may still be open to everyone.
                    Err(failure) => node_failure = Some(failure),
                }
            }
            credentials.push(None);
            routes.push(Route { endpoint, credentials });
        }
        (routes, node_failure)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("transport", &self.0.transport).finish_non_exhaustive()
    }
}

impl Inner {
    /// What is known without asking anybody, where it holds for so long.
    fn known(
        &self,
        key: &MeaningKey,
        platform: &Platform,
        until: impl Fn(&Meaning) -> Instant,
    ) -> Option<Arc<ImageConfig>> {
        let meaning = lock(&self.meanings).get(key).filter(|meaning| Instant::now() < until(meaning))?;
        self.config_of(&key.image, meaning.digest, platform)
    }

    fn config_of(&self, image: &Image, digest: Digest, platform: &Platform) -> Option<Arc<ImageConfig>> {
        lock(&self.configs).get(&config_key(image, digest, platform))
    }

    /// Whether any image of this repository is known: then it is worth to ask for the digest alone.
    fn knows_repository(&self, image: &Image) -> bool {
        let is_of = |key: &ConfigKey| key.repository == image.repository() && key.domain == image.domain();
        lock(&self.configs).any(is_of)
    }

    /// Asks one after the other, until one gives the image.
    async fn read(
        &self,
        meaning: &MeaningKey,
        platform: &Platform,
        routes: &[Route],
    ) -> Result<Arc<ImageConfig>, Failure> {
        let ended = |_| Failure::new(Class::Unavailable, "the program ends");
        let _place_on_host = self.places_on(meaning.image.domain()).acquire().await.map_err(ended)?;
        let _place = self.places.acquire().await.map_err(ended)?;
        let mut result = Err(Failure::new(Class::Invalid, "there is nobody to ask"));
        for route in routes {
            result = self.read_by(route, &meaning.image, platform).await;
            if let Ok((digest, config)) = &result {
                self.keep(meaning, digest.clone(), platform, config);
                break;
            }
        }
        if result.as_ref().is_err_and(|failure| !failure.class.can_retry()) {
            // Whoever was refused has nothing any more.
            lock(&self.meanings).remove(meaning);
        }
        result.map(|(_, config)| config)
    }

    fn places_on(&self, domain: &str) -> &Semaphore {
        let hash = self.hasher.hash_one(domain) % HOSTS as u64;
        usize::try_from(hash).ok().and_then(|place| self.places_on_host.get(place)).unwrap_or(&self.places_on_host[0])
    }

    fn keep(&self, meaning: &MeaningKey, digest: Digest, platform: &Platform, config: &Arc<ImageConfig>) {
        let life = match &meaning.image.reference {
            Reference::Tag(_) => self.tag_life,
            Reference::Digest(_) => DIGEST_LIFE,
        };
        let now = Instant::now();
        let kept =
            Meaning { digest: digest.clone(), good_until: now + life, kept_until: now + life.max(LONGEST_OUTAGE) };
        lock(&self.meanings).insert(meaning.clone(), kept, 1);
        let key = config_key(&meaning.image, digest, platform);
        let bytes = config.bytes() + key.domain.len() + key.repository.len() + size_of::<ConfigKey>();
        lock(&self.configs).insert(key, Arc::clone(config), bytes);
    }

    /// One endpoint as each identity in turn. Of several refusals the first is told: it is of the login that was meant
    /// for it.
    async fn read_by(&self, route: &Route, image: &Image, platform: &Platform) -> Result<Found, Failure> {
        let mut first = None;
        for credential in &route.credentials {
            let session = Session {
                transport: &self.transport,
                grants: &self.grants,
                endpoint: &route.endpoint,
                repository: image.repository(),
                credential: credential.as_ref(),
            };
            match self.read_as(&session, image, platform).await {
                Ok(found) => return Ok(found),
                Err(failure) => {
                    let may_differ = matches!(failure.class, Class::Unauthenticated | Class::Denied | Class::NotFound);
                    let first = first.get_or_insert(failure);
                    if !may_differ {
                        return Err(first.clone());
                    }
                }
            }
        }
        Err(first.unwrap_or_else(|| Failure::new(Class::Invalid, "there is nobody to ask as")))
    }

    async fn read_as(&self, session: &Session<'_>, image: &Image, platform: &Platform) -> Result<Found, Failure> {
        // What is known is given only to those whom the registry has just told what the name means.
        let meant = if self.knows_repository(image) { meant_digest(session, &image.reference).await? } else { None };
        if let Some(digest) = &meant
            && let Some(known) = self.config_of(image, digest.clone(), platform)
        {
            return Ok((digest.clone(), known));
        }
        let (digest, body) = manifest(session, &image.reference, meant).await?;
        let descriptor = config_descriptor(session, body, platform).await?;
        let body = blob(session, &descriptor).await?;
        let config = config(body.body.expose(), &digest).map_err(invalid)?;
        Ok((digest, Arc::new(config)))
    }
}

/// What a name stood for, and what that starts.
type Found = (Digest, Arc<ImageConfig>);

fn config_key(image: &Image, digest: Digest, platform: &Platform) -> ConfigKey {
    let (domain, repository) = (image.domain().to_owned(), image.repository().to_owned());
    ConfigKey { domain, repository, digest, platform: platform.clone() }
}

/// Says as well that the node's login could not be had, where one may have helped.
fn with_node(failure: Failure, node_failure: Option<Failure>) -> Failure {
    match (failure.class, node_failure) {
        (Class::Unauthenticated | Class::Denied | Class::NotFound, Some(node)) => {
            let words = format!("{}; the node's own login could not be had: {node}", failure.words);
            Failure { words, ..failure }
        }
        _ => failure,
    }
}

/// No panic can leave these maps half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
