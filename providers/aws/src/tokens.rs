//! What AWS gives for a while: tokens for its registries of images, and keys of a user's session.

use aws_config::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::failure::Refusal;
use crate::session::Session;

const PRIVATE: &str = "ecr:GetAuthorizationToken";
const PUBLIC: &str = "ecr-public:GetAuthorizationToken";
const SESSION: &str = "sts:GetSessionToken";

/// How to log in to a registry of images.
pub struct RegistryToken {
    /// The user's name, always the same: `AWS`.
    pub username: String,
    /// The password.
    pub password: SecretBytes,
    /// The registry's address with `https://`; the public one's everybody knows.
    pub endpoint: Option<String>,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

/// A session that is wanted.
#[derive(Clone, Debug, Default)]
pub struct SessionTokenRequest {
    /// How many seconds it lasts; as long as AWS likes where nothing is said.
    pub seconds: Option<i32>,
    /// The user's device for one-time passwords.
    pub serial_number: Option<String>,
    /// What the device shows.
    pub token_code: Option<String>,
}

/// The keys of a session.
pub struct SessionToken {
    /// The key's id, a name.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: SecretBytes,
    /// What has to be sent with the key.
    pub session_token: SecretBytes,
    /// When it ends, in seconds since 1970.
    pub expiration: i64,
}

impl Session {
    /// A token for the account's registry in the session's region, or for the public ones.
    ///
    /// # Errors
    /// What AWS answers, or that it does not.
    pub async fn registry_token(&self, is_public: bool) -> Result<RegistryToken, Failure> {
        let config = self.config(self.region().await?).await;
        let (name, operation) = if is_public { ("Amazon ECR Public", PUBLIC) } else { ("Amazon ECR", PRIVATE) };
        let token = if is_public { self.public_token(&config).await } else { self.private_token(&config).await };
        token.map_err(|refusal| self.about_token(refusal, name, operation))
    }

    async fn private_token(&self, config: &SdkConfig) -> Result<RegistryToken, Refusal> {
        let mut builder = aws_sdk_ecr::config::Builder::from(config);
        if let Some(endpoint) = &self.settings().endpoints.registry {
            builder = builder.endpoint_url(endpoint);
        }
        let client = aws_sdk_ecr::Client::from_conf(builder.build());
        let answer = self.call(PRIVATE, || client.get_authorization_token().send()).await?;
        let mut given = answer.authorization_data.unwrap_or_default().into_iter();
        let (Some(given), None) = (given.next(), given.next()) else { return Err(no_token().into()) };
        let expires_at = given.expires_at.map(|time| time.secs());
        registry_token(given.authorization_token, expires_at, given.proxy_endpoint)
    }

    async fn public_token(&self, config: &SdkConfig) -> Result<RegistryToken, Refusal> {
        let mut builder = aws_sdk_ecrpublic::config::Builder::from(config);
        if let Some(endpoint) = &self.settings().endpoints.public_registry {
            builder = builder.endpoint_url(endpoint);
        }
        let client = aws_sdk_ecrpublic::Client::from_conf(builder.build());
        let answer = self.call(PUBLIC, || client.get_authorization_token().send()).await?;
        let given = answer.authorization_data.ok_or_else(no_token)?;
        registry_token(given.authorization_token, given.expires_at.map(|time| time.secs()), None)
    }

    /// Keys of a session of the user whose keys these are. AWS gives none to roles.
    ///
    /// # Errors
    /// What AWS answers, or that it does not.
    pub async fn session_token(&self, wanted: &SessionTokenRequest) -> Result<SessionToken, Failure> {
        let config = self.config(self.region().await?).await;
        let mut builder = aws_sdk_sts::config::Builder::from(&config);
        if let Some(endpoint) = &self.settings().endpoints.sts {
            builder = builder.endpoint_url(endpoint);
        }
        let request = aws_sdk_sts::Client::from_conf(builder.build())
            .get_session_token()
            .set_duration_seconds(wanted.seconds)
            .set_serial_number(wanted.serial_number.clone())
            .set_token_code(wanted.token_code.clone());
        let answer = self.call(SESSION, || request.clone().send()).await;
        let answer = answer.map_err(|refusal| self.about_token(refusal, "AWS STS", SESSION))?;
        let given = answer.credentials.ok_or_else(no_token)?;
        Ok(SessionToken {
            access_key_id: given.access_key_id,
            secret_access_key: SecretBytes::from(given.secret_access_key),
            session_token: SecretBytes::from(given.session_token),
            expiration: given.expiration.secs(),
        })
    }

    fn about_token(&self, refusal: Refusal, name: &str, operation: &str) -> Failure {
        let failure = refusal.failure;
        let hint = format!("allow {operation} to {}", self.identity());
        let failure = if failure.class == Class::Denied { failure.with_hint(hint) } else { failure };
        Failure { words: format!("{name} gives no token: {}", failure.words), ..failure }
    }
}

fn registry_token(
    token: Option<String>,
    expires_at: Option<i64>,
    endpoint: Option<String>,
) -> Result<RegistryToken, Refusal> {
    let (Some(token), Some(expires_at)) = (token, expires_at) else { return Err(no_token().into()) };
    let token = SecretBytes::from(token);
    let decoded = STANDARD.decode(token.expose()).map(SecretBytes::new).map_err(|_| no_token())?;
    let (username, password) = decoded.expose_text().and_then(|text| text.split_once(':')).ok_or_else(no_token)?;
    let password = SecretBytes::from(password.to_owned());
    Ok(RegistryToken { username: username.to_owned(), password, endpoint, expires_at })
}

fn no_token() -> Failure {
    Failure::new(Class::Unavailable, "the answer holds none")
}
