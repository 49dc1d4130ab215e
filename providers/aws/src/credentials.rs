use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use strongroom_failure::{Class, Failure, outside_words};
use tokio::sync::OnceCell;

use crate::ambient;
use crate::failure::{Refusal, deepest, find, from_code, is_refused_token};
use crate::kept::Kept;
use crate::session::Surroundings;
use crate::settings::{AccessKey, Role, WebIdentity, WebToken};
use crate::sts;

/// Credentials are renewed this long before they expire: longer than any call lasts, and within the five minutes in
/// which EC2 and EKS have the next ones ready.
const MARGIN: Duration = Duration::from_secs(180);

/// Credentials that say no expiry are looked up again after this long: files and variables change.
const UNDATED_FOR: Duration = Duration::from_secs(900);

/// Credentials that were just loaded are not loaded again within this, even if they end soon.
const AT_LEAST: Duration = Duration::from_secs(60);

/// The longest that finding credentials may take, chains of roles and single sign-on included.
const LONGEST_LOAD: Duration = Duration::from_secs(20);

/// One identity and its credentials: loaded once at a time and kept until shortly before they expire.
pub(crate) struct Identity {
    around: Arc<Surroundings>,
    source: Source,
    kept: Kept<Loaded>,
}

/// Where credentials come from.
enum Source {
    /// The SDK's default chain, or a profile.
    Ambient(OnceCell<SharedCredentialsProvider>),
    /// The settings.
    AccessKey(AccessKey),
    /// A token that somebody else issued.
    WebIdentity(WebIdentity),
    /// A role that another identity assumes.
    Role(Role, Arc<Identity>),
}

#[derive(Clone)]
struct Loaded {
    credentials: Credentials,
    at: Instant,
}

impl Identity {
    /// The identity that the settings describe.
    pub(crate) fn of(around: &Arc<Surroundings>) -> Arc<Self> {
        let settings = &around.settings;
        let source = match (&settings.access_key, &settings.web_identity) {
            (Some(key), _) => Source::AccessKey(key.clone()),
            (None, Some(identity)) => Source::WebIdentity(identity.clone()),
            (None, None) => Source::Ambient(OnceCell::new()),
        };
        let base = Self::from_source(around, source);
        settings.roles.iter().fold(base, |lower, role| Self::from_source(around, Source::Role(role.clone(), lower)))
    }

    fn from_source(around: &Arc<Surroundings>, source: Source) -> Arc<Self> {
        Arc::new(Self { around: Arc::clone(around), source, kept: Kept::new() })
    }

    /// Which identity it is, in words and without asking anybody.
    pub(crate) fn describe(&self) -> String {
        match &self.source {
            Source::Ambient(_) => ambient::identity(self.around.settings.profile.as_deref()),
            Source::AccessKey(key) => format!("access key {} from the settings", key.id),
            Source::WebIdentity(identity) => match &identity.token {
                WebToken::File(file) => {
                    format!("role {} from the web identity token in {}", identity.role_arn, file.display())
                }
                WebToken::Source(source) => format!("role {} by {}", identity.role_arn, source.describe()),
            },
            Source::Role(role, lower) => format!("role {} assumed by {}", role.arn, lower.describe()),
        }
    }

    /// Credentials that are good for a call now, and which load they are of.
    pub(crate) async fn ready(&self) -> Result<(Credentials, u64), Failure> {
        let load = || async {
            // Boxed: a chain of roles loads its lower roles in turn.
            let load = tokio::time::timeout(LONGEST_LOAD, Box::pin(self.load()));
            match load.await {
                Ok(credentials) => Ok(Loaded { credentials: credentials?, at: Instant::now() }),
                Err(_) => Err(Failure::new(
                    Class::Unavailable,
                    format!("no credentials within {} s ({})", LONGEST_LOAD.as_secs(), self.describe()),
                )),
            }
        };
        let (loaded, generation) = self.kept.get(Loaded::is_fresh, Loaded::is_usable, load).await?;
        Ok((loaded.credentials, generation))
    }

    /// After AWS refused the credentials `refused` of load `generation`: whether there are others now.
    pub(crate) async fn renewed(&self, refused: &Credentials, generation: u64) -> bool {
        self.kept.forget(generation).await;
        let (key, token) = (refused.access_key_id(), refused.session_token());
        match self.ready().await {
            Ok((fresh, _)) => (fresh.access_key_id(), fresh.session_token()) != (key, token),
            Err(_) => false,
        }
    }

    async fn load(&self) -> Result<Credentials, Failure> {
        match &self.source {
            Source::Ambient(chain) => self.load_ambient(chain).await,
            Source::AccessKey(key) => Ok(from_settings(key)),
            Source::WebIdentity(identity) => sts::take(&self.around, identity).await.map_err(|refusal| refusal.failure),
            Source::Role(role, lower) => self.load_role(role, lower).await.map_err(|refusal| refusal.failure),
        }
    }

    async fn load_role(&self, role: &Role, lower: &Identity) -> Result<Credentials, Refusal> {
        let (credentials, generation) = Box::pin(lower.ready()).await?;
        match sts::assume(&self.around, role, &credentials).await {
            Err(refusal) if is_refused_token(&refusal.code) => {
                if !Box::pin(lower.renewed(&credentials, generation)).await {
                    return Err(refusal.of_identity(&lower.describe()));
                }
                let (credentials, _) = Box::pin(lower.ready()).await?;
                sts::assume(&self.around, role, &credentials).await
            }
            outcome => outcome,
        }
    }

    async fn load_ambient(&self, chain: &OnceCell<SharedCredentialsProvider>) -> Result<Credentials, Failure> {
        let provider = chain.get_or_init(|| self.ambient_provider()).await;
        let loaded = Box::pin(provider.provide_credentials()).await;
        loaded.map_err(|error| match error {
            CredentialsError::CredentialsNotLoaded(_) => not_found(self.around.settings.profile.as_deref()),
            error => Refusal::from(chain_failure(&error)).of_identity(&self.describe()).failure,
        })
    }

    async fn ambient_provider(&self) -> SharedCredentialsProvider {
        let config = self.around.provider_config();
        let settings = &self.around.settings;
        if let Some(profile) = &settings.profile {
            let provider = ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&config).build();
            return SharedCredentialsProvider::new(provider);
        }
        let region = ambient::variable("AWS_ROLE_ARN").map(|role| sts::region(self.around.region.as_ref(), &role));
        let region = region.or_else(|| self.around.region.clone());
        let builder = DefaultCredentialsChain::builder().configure(config).region(region);
        let chain = Box::pin(builder.imds_client(self.around.metadata_client()).build()).await;
        SharedCredentialsProvider::new(chain)
    }
}

impl Loaded {
    fn is_fresh(&self) -> bool {
        self.is_fresh_after(self.at.elapsed())
    }

    fn is_fresh_after(&self, age: Duration) -> bool {
        match self.credentials.expiry() {
            None => age < UNDATED_FOR,
            Some(end) if age < AT_LEAST => end > SystemTime::now(),
            Some(end) => end > SystemTime::now() + MARGIN,
        }
    }

    fn is_usable(&self) -> bool {
        self.credentials.expiry().is_none_or(|end| end > SystemTime::now())
    }
}

/// An identity as the SDK's clients take it.
#[derive(Clone)]
pub(crate) struct Provided(pub(crate) Arc<Identity>);

impl ProvideCredentials for Provided {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let ready: provider::Result = match self.0.ready().await {
                Ok((credentials, _)) => Ok(credentials),
                Err(failure) => Err(CredentialsError::provider_error(failure)),
            };
            ready
        })
    }
}

impl std::fmt::Debug for Provided {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Provided({})", self.0.describe())
    }
}

fn from_settings(key: &AccessKey) -> Credentials {
    let text = |secret: &strongroom_secret::SecretBytes| secret.expose_text().unwrap_or_default().to_owned();
    Credentials::new(&key.id, text(&key.secret), key.session_token.as_ref().map(text), None, "settings")
}

/// What the SDK's chain reports, in our classes and words.
fn chain_failure(error: &CredentialsError) -> Failure {
    if let Some(failure) = sts_failure(error) {
        return failure;
    }
    match error {
        CredentialsError::ProviderTimedOut(_) => Failure::new(Class::Unavailable, "no credentials in time"),
        _ if find::<ConnectorError>(error).is_some() => {
            Failure::new(Class::Unavailable, format!("who gives the credentials cannot be reached: {}", deepest(error)))
        }
        CredentialsError::InvalidConfiguration(_) => {
            Failure::new(Class::Invalid, format!("the AWS configuration cannot be used: {}", deepest(error)))
        }
        _ => Failure::new(Class::Unauthenticated, format!("no credentials could be loaded: {}", reason(error))),
    }
}

fn not_found(profile: Option<&str>) -> Failure {
    let failure = Failure::new(Class::Unauthenticated, "no AWS credentials were found");
    match profile {
        Some(profile) => failure.with_hint(format!("give profile {profile} credentials or a role in ~/.aws")),
        None => failure.with_hint(
            "tried AWS_ACCESS_KEY_ID, the profile files in ~/.aws, AWS_WEB_IDENTITY_TOKEN_FILE, the container's \
             credentials (AWS_CONTAINER_CREDENTIALS_*) and the machine's metadata service, in this order",
        ),
    }
}

/// The error of STS that is inside `error`, where a profile's role or a web identity was refused.
fn sts_failure(error: &CredentialsError) -> Option<Failure> {
    use aws_sdk_sts::operation::assume_role::AssumeRoleError;
    use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
    let assumed = find::<AssumeRoleError>(error).map(ProvideErrorMetadata::meta);
    let taken = find::<AssumeRoleWithWebIdentityError>(error).map(ProvideErrorMetadata::meta);
    let meta = assumed.or(taken)?;
    let message = outside_words(meta.message().unwrap_or_default(), &[]);
    let mut failure = from_code(meta.code()?, &message, 400);
    failure.words = format!("cannot assume the role: {}", failure.words);
    Some(failure)
}

/// The SDK's reason without what a helper program printed, which may be anything.
fn reason(error: &CredentialsError) -> String {
    let reason = deepest(error);
    reason.split_once("Stderr").map_or(reason.as_str(), |(before, _)| before.trim_end()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(lasts: Option<i64>) -> Loaded {
        let end = lasts.map(|seconds| match u64::try_from(seconds) {
            Ok(seconds) => SystemTime::now() + Duration::from_secs(seconds),
            Err(_) => SystemTime::now() - Duration::from_secs(seconds.unsigned_abs()),
        });
        let credentials = Credentials::new("AKIA1", "canary", None, end, "test");
        Loaded { credentials, at: Instant::now() }
    }

    #[test]
    fn credentials_are_renewed_before_they_expire() {
        let check = |lasts, age, is_fresh, is_usable| {
            let loaded = loaded(lasts);
            let found = (loaded.is_fresh_after(Duration::from_secs(age)), loaded.is_usable());
            assert_eq!(found, (is_fresh, is_usable), "{lasts:?} {age}");
        };
        check(None, 0, true, true);
        check(None, 901, false, true);
        check(Some(3_600), 120, true, true);
        check(Some(100), 120, false, true);
        check(Some(100), 10, true, true);
        check(Some(-1), 10, false, false);
        check(Some(-1), 120, false, false);
    }
}
