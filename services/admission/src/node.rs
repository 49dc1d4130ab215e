//! Logins that a node has without any pull secret: to registries of AWS, Google and Azure, by this process's identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Guarded, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use strongroom_aws::Session;
use strongroom_azure::{Registries, RegistrySettings};
use strongroom_failure::{Class, Failure};
use strongroom_google::AccessTokens;
use strongroom_provider::Meter;
use strongroom_registry::{Cloud, Credential, NodeCredentials};
use strongroom_secret::SecretBytes;
use tokio::sync::Mutex;

/// How long before its end a login is replaced: a look-up that begins with it takes time as well.
const EARLY: Duration = Duration::from_secs(60);

/// How long it is remembered that there is no login.
const NONE_FOR: Duration = Duration::from_secs(60);

/// How long a look-up waits for a login, of the ten seconds that an API server waits for a review. A call takes well
/// under a second, and Azure's take two.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most logins that are kept. A cluster pulls from some dozen registries; a tenant may name any number.
const KEPT: usize = 256;

/// The user whose password is an access token of Google's.
const GOOGLE_USER: &str = "oauth2accesstoken";

/// Asks the cloud that a registry belongs to. A login is kept until shortly before its end, and for a minute that there
/// is none.
pub(crate) struct Node {
    clouds: Arc<Clouds>,
    logins: Guarded<HashMap<Key, Arc<Slot>>>,
}

struct Clouds {
    aws: strongroom_aws::Settings,
    /// What cannot be used is said when it is asked for: most clusters pull from one cloud.
    google: Result<AccessTokens, Failure>,
    azure: Result<Registries, Failure>,
    meter: Arc<Meter>,
}

/// What one login is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// All private registries of a region.
    Aws(String),
    /// All of Google's.
    Google,
    /// One host.
    Azure(String),
}

#[derive(Clone)]
enum Login {
    Password(String, SecretBytes),
    Identity(SecretBytes),
}

type Answer = Result<Option<Login>, Failure>;

/// The last answer and until when it holds; locked while it is asked for.
type Slot = Mutex<Option<(Answer, Instant)>>;

impl Node {
    /// The identities that the tools of each cloud would take.
    pub(crate) fn ambient(lookup: &dyn Fn(&str) -> Option<String>, meter: &Arc<Meter>) -> Self {
        let google = strongroom_google::Settings::from_environment(lookup)
            .and_then(|settings| AccessTokens::open(&settings, Arc::clone(meter)));
        let azure = RegistrySettings::from_environment(lookup)
            .and_then(|settings| Registries::open(&settings, Arc::clone(meter)));
        let aws = strongroom_aws::Settings::default();
        Self::new(Clouds { aws, google, azure, meter: Arc::clone(meter) })
    }

    fn new(clouds: Clouds) -> Self {
        Self { clouds: Arc::new(clouds), logins: Guarded::default() }
    }

    async fn login(&self, key: Key) -> Answer {
        let (slot, clouds) = (self.slot(&key), Arc::clone(&self.clouds));
        // A task of its own, which goes on when nobody waits any more: the next pod finds what it got.
        let asked = tokio::spawn(async move {
            let mut kept = slot.lock().await;
            if let Some((answer, until)) = kept.as_ref()
                && Instant::now() < *until
            {
                return answer.clone();
            }
            let (answer, until) = Box::pin(clouds.ask(&key)).await;
            *kept = Some((answer.clone(), until));
            answer
        });
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::new(Class::Unavailable, "asking for it was given up")),
            Err(_) => Err(Failure::new(Class::Unavailable, format!("it was not there within {PATIENCE:?}"))),
        }
    }

    fn slot(&self, key: &Key) -> Arc<Slot> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= KEPT && !logins.contains_key(key) {
            // What is being asked for stays with those who wait for it; what is in use comes back with the next pod.
            logins.clear();
        }
        Arc::clone(logins.entry(key.clone()).or_default())
    }
}

impl Clouds {
    /// A new answer, and until when it holds.
    async fn ask(&self, key: &Key) -> (Answer, Instant) {
        let asked = match key {
            Key::Aws(region) => self.aws(region).await,
            Key::Google => self.google().await,
            Key::Azure(host) => self.azure(host).await,
        };
        let now = Instant::now();
        match asked {
            Ok(Some((login, life))) => (Ok(Some(login)), now + life.saturating_sub(EARLY)),
            Ok(None) => (Ok(None), now + NONE_FOR),
            Err(failure) => (Err(failure), now + NONE_FOR),
        }
    }

    async fn aws(&self, region: &str) -> Result<Option<(Login, Duration)>, Failure> {
        let settings = strongroom_aws::Settings { region: Some(region.to_owned()), ..self.aws.clone() };
        let session = Session::new(settings, Arc::clone(&self.meter))?;
        let login = session.registry_login(strongroom_aws::Registries::Private).await?;
        let seconds = login.expires_at.saturating_sub(Timestamp::now().as_second());
        let life = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        Ok(Some((Login::Password(login.user, login.password), life)))
    }

    async fn google(&self) -> Result<Option<(Login, Duration)>, Failure> {
        let tokens = self.google.as_ref().map_err(Clone::clone)?;
        match tokens.current().await {
            Ok(token) => {
                let life = token.ends.saturating_duration_since(Instant::now());
                Ok(Some((Login::Password(GOOGLE_USER.to_owned(), token.secret), life)))
            }
            Err(failure) if tokens.is_of_machine() => {
                tracing::info!(%failure, "this machine has no identity for registries of Google");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn azure(&self, host: &str) -> Result<Option<(Login, Duration)>, Failure> {
        let registries = self.azure.as_ref().map_err(Clone::clone)?;
        let login = registries.login(host).await?;
        Ok(login.map(|login| (Login::Identity(login.token), login.life)))
    }
}

#[async_trait]
impl NodeCredentials for Node {
    async fn credential(&self, host: &str) -> Result<Option<Credential>, Failure> {
        let key = match Cloud::of_host(host) {
            Some(Cloud::Aws { region, .. }) => Key::Aws(region),
            Some(Cloud::Google) => Key::Google,
            Some(Cloud::Azure) => Key::Azure(host.to_owned()),
            None => return Ok(None),
        };
        let login = self.login(key).await?;
        Ok(login.map(|login| match login {
            Login::Password(user, password) => Credential::with_password(host, user, password),
            Login::Identity(token) => Credential::with_identity_token(host, token),
        }))
    }
}

#[cfg(test)]
mod tests {
    use strongroom_azure::{Credentials, ManagedEndpoint, Timeouts};
    use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
    use world::azure::AzureStandIn;
    use world::google::GoogleStandIn;
    use world::proxy::ForwardProxy;

    use super::*;

    fn google(metadata_host: &str) -> Result<AccessTokens, Failure> {
        let metadata_host = Some(metadata_host.to_owned());
        let settings = strongroom_google::Settings { metadata_host, ..strongroom_google::Settings::default() };
        AccessTokens::open(&settings, Arc::default())
    }

    fn azure(metadata_host: &str, tls: TlsSettings, proxy: Proxy) -> Result<Registries, Failure> {
        let endpoint = ManagedEndpoint::Machine(format!("http://{metadata_host}"));
        let settings = RegistrySettings {
            credentials: Credentials::Managed { id: None, endpoint },
            login: "https://login.microsoftonline.com".to_owned(),
            tls,
            proxy,
            addresses: AddressPolicy::NoLocal,
            timeouts: Timeouts::default(),
        };
        Registries::open(&settings, Arc::default())
    }

    fn node(google: Result<AccessTokens, Failure>, azure: Result<Registries, Failure>) -> Node {
        Node::new(Clouds { aws: strongroom_aws::Settings::default(), google, azure, meter: Arc::default() })
    }

    fn nowhere() -> Result<Registries, Failure> {
        azure("127.0.0.1:1", TlsSettings::default(), Proxy::none())
    }

    #[tokio::test]
    async fn googles_registries_take_the_machines_token() {
        let stand_in = GoogleStandIn::start().unwrap();
        let node = node(google(stand_in.metadata_host()), nowhere());
        for host in ["gcr.io", "europe-docker.pkg.dev"] {
            let login = node.credential(host).await.unwrap();
            assert_eq!(format!("{login:?}"), format!("Some(Credential({host}))"));
        }
        let Ok(Some(Login::Password(user, token))) = node.login(Key::Google).await else { panic!("no password") };
        assert!(user == "oauth2accesstoken" && !token.is_empty());
        assert_eq!(stand_in.tokens_issued(), 1, "the token is kept while it lasts");
    }

    #[tokio::test]
    async fn azures_registries_take_what_they_give_for_the_machines_token() {
        let stand_in = AzureStandIn::start().unwrap();
        let proxy = ForwardProxy::start().unwrap();
        proxy.route("team.azurecr.io", stand_in.endpoint().trim_start_matches("https://").parse().unwrap());
        let file = stand_in.authority().certificate_file().display().to_string();
        let tls = serde_json::from_value(serde_json::json!({"roots": {"only": [{"file": file}]}})).unwrap();
        let through = Proxy::new(None, Some(proxy.url()), "").unwrap();
        let node = node(google("127.0.0.1:1"), azure(stand_in.metadata_host(), tls, through));
        for _ in 0..2 {
            assert!(node.credential("team.azurecr.io").await.unwrap().is_some());
        }
        let kept = node.login(Key::Azure("team.azurecr.io".to_owned())).await;
        assert!(matches!(kept, Ok(Some(Login::Identity(token))) if token.expose().starts_with(b"e30.")));
        assert_eq!(proxy.destinations(), ["team.azurecr.io:443"], "the login is kept while it lasts");
    }

    #[tokio::test]
    async fn where_there_is_no_identity_there_is_no_login_and_that_is_remembered() {
        // A machine that is neither Google's nor Azure's; it takes connections and counts them.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
        let node = node(google(&address), azure(&address, TlsSettings::default(), Proxy::none()));
        for host in ["gcr.io", "team.azurecr.io"] {
            let before = asked.load(std::sync::atomic::Ordering::SeqCst);
            assert!(node.credential(host).await.unwrap().is_none());
            let after = asked.load(std::sync::atomic::Ordering::SeqCst);
            assert!(after > before, "{host}");
            assert!(node.credential(host).await.unwrap().is_none());
            assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), after, "{host}");
        }
        assert!(node.credential("quay.io").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_waited_for_three_seconds_and_asked_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let node = node(google(&address), nowhere());
        let began = Instant::now();
        let late = || async { node.credential("gcr.io").await.unwrap_err() };
        let (one, other) = tokio::join!(late(), late());
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        assert_eq!((one.class, &one.words), (Class::Unavailable, &other.words));
        let (connection, _) = listener.accept().await.unwrap();
        let more = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(more.is_err(), "two pods ask once");
        drop(connection);
    }

    #[tokio::test]
    async fn an_identity_that_was_set_up_and_does_not_work_is_a_failure() {
        let broken = Failure::new(Class::Invalid, "cannot read /key.json");
        let node = node(Err(broken.clone()), nowhere());
        assert_eq!(node.credential("gcr.io").await.unwrap_err(), broken);
    }

    #[tokio::test]
    async fn tenants_fill_no_memory_with_names_of_registries() {
        let node = node(google("127.0.0.1:1"), nowhere());
        for number in 0..=KEPT {
            node.slot(&Key::Azure(format!("r{number}.azurecr.io")));
        }
        assert_eq!(node.logins.lock().unwrap().len(), 1);
    }
}
