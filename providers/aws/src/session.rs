use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_sts::config::AppName;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Meter, Outcome, Validation};
use tokio::sync::OnceCell;

use crate::ambient;
#[cfg(feature = "certificates")]
use crate::certificate_manager::CertificateManager;
use crate::credentials::{Identity, Provided};
use crate::failure::{Refusal, is_refused_token, refusal};
use crate::kept::Kept;
use crate::memory::Memory;
use crate::parameter_store::ParameterStore;
use crate::secrets_manager::SecretsManager;
use crate::settings::Settings;
use crate::sts;
use crate::transport::Transport;

/// How long the metadata service of a machine may take: it answers in about a millisecond, and where there is none the
/// connection often hangs.
const METADATA_WAIT: Duration = Duration::from_secs(1);

/// One identity on AWS: its credentials, roles and HTTP client, shared by every store that it opens.
///
/// Cheap to make and to clone; nothing is loaded before the first read.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    around: Arc<Surroundings>,
    identity: Arc<Identity>,
    found_region: Kept<Region>,
    secrets_manager: Memory,
    parameter_store: Memory,
}

/// What every client of a session is built from.
pub(crate) struct Surroundings {
    pub(crate) settings: Settings,
    pub(crate) meter: Arc<Meter>,
    /// The region as far as it is known without asking the network.
    pub(crate) region: Option<Region>,
    transport: Transport,
    config: OnceCell<SdkConfig>,
}

impl Session {
    /// A session for `settings`, whose calls `meter` counts. Reads variables, profile files and the file of
    /// authorities, but asks nobody.
    ///
    /// # Errors
    /// [`Class::Invalid`] where the settings cannot work; the failure names the field.
    pub fn new(settings: Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        settings.validate()?;
        let tls = ambient::tls(settings.ca_file.as_deref())?;
        let transport = Transport::new(tls, ambient::proxy(settings.proxy.as_ref())?);
        let region = ambient::region(&settings).map(Region::new);
        let around = Arc::new(Surroundings { settings, meter, region, transport, config: OnceCell::new() });
        Ok(Self(Arc::new(Shared {
            identity: Identity::of(&around),
            around,
            found_region: Kept::new(),
            secrets_manager: Memory::default(),
            parameter_store: Memory::default(),
        })))
    }

    /// Secrets Manager in `region`, or in the session's own.
    pub fn secrets_manager(&self, region: Option<&str>) -> SecretsManager {
        SecretsManager::new(self.clone(), region)
    }

    /// Parameter Store in `region`, or in the session's own.
    pub fn parameter_store(&self, region: Option<&str>) -> ParameterStore {
        ParameterStore::new(self.clone(), region)
    }

    /// Certificate Manager in `region`, or in the session's own.
    #[cfg(feature = "certificates")]
    pub fn certificate_manager(&self, region: Option<&str>) -> CertificateManager {
        CertificateManager::new(self.clone(), region)
    }

    /// The identity in words, without asking anybody.
    pub fn identity(&self) -> String {
        self.0.identity.describe()
    }

    /// Proves that credentials can be had: they are loaded, roles are assumed, and no secret is asked for.
    pub(crate) async fn validate(&self) -> Result<Validation, Failure> {
        self.0.identity.ready().await.map(|_| Validation::Valid)
    }

    /// Credentials that are good for a signature now.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Failure> {
        self.0.identity.ready().await.map(|(credentials, _)| credentials)
    }

    pub(crate) fn secrets_manager_memory(&self) -> &Memory {
        &self.0.secrets_manager
    }

    pub(crate) fn parameter_store_memory(&self) -> &Memory {
        &self.0.parameter_store
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.0.around.meter
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.around.settings
    }

    /// The session's region as far as it is known without asking the network.
    pub(crate) fn known_region(&self) -> Option<Region> {
        self.0.around.region.clone()
    }

    /// The session's region; the machine's, where nothing else names one.
    pub(crate) async fn region(&self) -> Result<Region, Failure> {
        if let Some(region) = self.known_region() {
            return Ok(region);
        }
        let ask = || async {
            let provider = ImdsRegionProvider::builder().configure(&self.0.around.provider_config());
            let provider = provider.imds_client(self.0.around.metadata_client()).build();
            Box::pin(provider.region()).await.ok_or_else(missing_region)
        };
        Ok(self.0.found_region.get(|_| true, |_| true, ask).await?.0)
    }

    /// What a client of this session is built from, for `region`.
    pub(crate) async fn config(&self, region: Region) -> SdkConfig {
        let config = self.0.around.config().await.to_builder().region(region);
        let provided = Provided(Arc::clone(&self.0.identity));
        config.credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(provided)).build()
    }

    /// Sends a request that is signed already, as the SDK's clients do theirs.
    #[cfg(any(feature = "tokens", feature = "key-management"))]
    pub(crate) async fn send(
        &self,
        request: strongroom_http::Request<strongroom_secret::SecretBytes>,
    ) -> Result<HttpResponse, aws_smithy_runtime_api::client::result::ConnectorError> {
        self.0.around.transport.send(request, self.settings().timeouts).await
    }

    /// A client of STS in the session's region, as the session's identity.
    #[cfg(feature = "tokens")]
    pub(crate) async fn sts(&self) -> Result<aws_sdk_sts::Client, Failure> {
        let region = self.region().await?;
        let provided = Provided(Arc::clone(&self.0.identity));
        let provided = aws_credential_types::provider::SharedCredentialsProvider::new(provided);
        let config = self.0.around.sts("").await.region(region).credentials_provider(provided);
        Ok(aws_sdk_sts::Client::from_conf(config.build()))
    }

    /// Makes one call, and once again where AWS refuses credentials that can be renewed.
    pub(crate) async fn call<T, E, F>(&self, operation: &'static str, ask: impl Fn() -> F + Send) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let identity = &self.0.identity;
        let (credentials, generation) = identity.ready().await?;
        let refused = match self.call_once(operation, &credentials, &ask).await {
            Err(refusal) if is_refused_token(&refusal.code) => refusal,
            outcome => return outcome,
        };
        if !identity.renewed(&credentials, generation).await {
            return Err(refused.of_identity(&self.identity()));
        }
        tracing::info!(operation, code = refused.code, "AWS refused the credentials; asking again with fresh ones");
        let (credentials, _) = identity.ready().await?;
        self.call_once(operation, &credentials, &ask).await.map_err(|refusal| refusal.of_identity(&self.identity()))
    }

    async fn call_once<T, E, F>(
        &self,
        operation: &'static str,
        credentials: &Credentials,
        ask: impl Fn() -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        // Boxed: the SDK's futures are many KiB.
        let outcome = Box::pin(ask()).await;
        self.meter().record(operation, if outcome.is_ok() { Outcome::Answered } else { Outcome::Failed });
        outcome.map_err(|error| refusal(&error, &sts::secrets_of(credentials).each()))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

impl Surroundings {
    /// The SDK's configuration without region and credentials: endpoints of variables and profiles, our timeouts and
    /// transport, no retries.
    async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| Box::pin(self.load_config())).await
    }

    async fn load_config(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.transport.clone())
            .sleep_impl(TokioSleep::new())
            .region(self.region.clone())
            .no_credentials()
            // Credentials are kept by `Identity`, which can also drop refused ones.
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeouts())
            // Every call ends within `timeouts.call`, sooner than this protection would notice.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Ok(name) = AppName::new("strongroom") {
            loader = loader.app_name(name);
        }
        if let Some(profile) = &self.settings.profile {
            loader = loader.profile_name(profile);
        }
        loader.load().await
    }

    /// What a client of STS for `role` is built from, without credentials.
    pub(crate) async fn sts(&self, role: &str) -> aws_sdk_sts::config::Builder {
        let config = self.config().await;
        let mut builder = aws_sdk_sts::config::Builder::from(config).region(sts::region(self.region.as_ref(), role));
        if let Some(endpoint) = &self.settings.endpoints.sts {
            builder = builder.endpoint_url(endpoint);
        }
        builder
    }

    /// What the SDK's own credential providers are built from.
    pub(crate) fn provider_config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(self.region.clone())
            .with_http_client(self.transport.clone())
            .with_sleep_impl(TokioSleep::new())
            .with_retry_config(RetryConfig::disabled())
            .with_timeout_config(self.timeouts())
    }

    /// A client of the machine's metadata service that gives up soon.
    pub(crate) fn metadata_client(&self) -> imds::Client {
        imds::Client::builder()
            .configure(&self.provider_config())
            .max_attempts(2)
            .connect_timeout(METADATA_WAIT)
            .read_timeout(METADATA_WAIT)
            .operation_timeout(2 * METADATA_WAIT)
            .build()
    }

    fn timeouts(&self) -> TimeoutConfig {
        let timeouts = self.settings.timeouts;
        TimeoutConfig::builder()
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.call)
            .operation_timeout(timeouts.call)
            .build()
    }
}

fn missing_region() -> Failure {
    Failure::new(Class::Invalid, "no AWS region is known")
        .with_hint("set AWS_REGION, the store's region or the profile's, or write the secret's ARN, which names it")
}
