//! Temporary credentials, made for somebody else.

use aws_sdk_sts::types::Credentials;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::session::Session;
use crate::sts::{about_role, session_name};

const OF_USER: &str = "sts:GetSessionToken";
const OF_ROLE: &str = "sts:AssumeRole";

/// What is asked of STS.
#[derive(Clone, Debug, Default)]
pub struct TemporaryRequest {
    /// The ARN of the role whose credentials are wanted; those of the session's user where there is none.
    pub role: Option<String>,
    /// How many seconds they last; as STS thinks best where nothing is said.
    pub duration_seconds: Option<i32>,
    /// The serial number or ARN of the user's MFA device.
    pub serial_number: Option<String>,
    /// What the device shows.
    pub token_code: Option<SecretBytes>,
}

/// An access key that ends.
#[derive(Clone, Debug)]
pub struct TemporaryCredentials {
    /// The key's id: a name, not a secret.
    pub access_key_id: String,
    /// The key itself.
    pub secret_access_key: SecretBytes,
    /// The token that belongs to it.
    pub session_token: SecretBytes,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

impl Session {
    /// Makes credentials that end, as this session's identity: its user's own, or those of a role.
    ///
    /// # Errors
    /// What AWS answers, or that it does not. Those of a user are made for long-lived access keys alone: AWS refuses
    /// who has a role's.
    pub async fn temporary_credentials(&self, asked: &TemporaryRequest) -> Result<TemporaryCredentials, Failure> {
        let made = match &asked.role {
            Some(role) => self.credentials_of_role(role, asked).await,
            None => self.credentials_of_user(asked).await,
        };
        let store =
            || format!("AWS STS ({})", self.known_region().map(|region| region.to_string()).unwrap_or_default());
        match made {
            Ok(Some(credentials)) => Ok(credentials.into()),
            Ok(None) => Err(Failure::new(Class::Unavailable, "STS gave no credentials").from_store(store())),
            Err(failure) => Err(failure.from_store(store())),
        }
    }

    async fn credentials_of_user(&self, asked: &TemporaryRequest) -> Result<Option<Credentials>, Failure> {
        let request = self.sts().await?.get_session_token();
        let request = request.set_duration_seconds(asked.duration_seconds);
        let request = request.set_serial_number(asked.serial_number.clone()).set_token_code(code(asked));
        let answer = self.call(OF_USER, || request.clone().send()).await.map_err(|refusal| {
            let failure = refusal.failure;
            let hint = "AWS gives them to a user with an access key and no session; name one, or a role to assume";
            if failure.class == Class::Denied { failure.with_hint(hint) } else { failure }
        });
        Ok(answer?.credentials)
    }

    async fn credentials_of_role(&self, role: &str, asked: &TemporaryRequest) -> Result<Option<Credentials>, Failure> {
        let request = self.sts().await?.assume_role().role_arn(role).role_session_name(session_name(None));
        let request = request.set_duration_seconds(asked.duration_seconds);
        let request = request.set_serial_number(asked.serial_number.clone()).set_token_code(code(asked));
        let answer = self.call(OF_ROLE, || request.clone().send()).await;
        Ok(answer.map_err(|refusal| about_role(refusal, role).failure)?.credentials)
    }
}

fn code(asked: &TemporaryRequest) -> Option<String> {
    asked.token_code.as_ref().and_then(SecretBytes::expose_text).map(str::to_owned)
}

impl From<Credentials> for TemporaryCredentials {
    fn from(made: Credentials) -> Self {
        Self {
            access_key_id: made.access_key_id,
            secret_access_key: SecretBytes::from(made.secret_access_key),
            session_token: SecretBytes::from(made.session_token),
            expires_at: made.expiration.secs(),
        }
    }
}
