//! Generators that ask somebody else: an HTTP endpoint, or AWS for tokens that end by themselves.

use strongroom_api::external_secrets::provider::WebhookProvider;
use strongroom_api::generators::{EcrAuthorizationTokenSpec, StsSessionTokenSpec};
use strongroom_aws::SessionTokenRequest;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;
use strongroom_sync::json::members;

use crate::eso::stores::{Scope, open_aws, open_webhook};

/// The members of the object that the endpoint gives, or of one that it gives as text.
pub(super) async fn webhook(spec: &WebhookProvider, scope: &Scope) -> Result<Values, Failure> {
    let answer = open_webhook(spec, scope).await?.ask().await?;
    members(&answer).map_err(|failure| {
        let words = "what the endpoint gives is no JSON object of keys and values";
        Failure { words: words.to_owned(), ..failure }
            .in_field("spec.result.jsonPath")
            .with_hint("name where in the answer the object is, or leave jsonPath out if the answer is one")
    })
}

/// A token for a registry of images.
pub(super) async fn registry_token(spec: &EcrAuthorizationTokenSpec, scope: &Scope) -> Result<Values, Failure> {
    let session = open_aws(&spec.identity(), scope).await?;
    let token = session.registry_token(spec.is_public()).await?;
    let endpoint = token.endpoint.map(|endpoint| ("proxy_endpoint", SecretBytes::from(endpoint)));
    let values = [
        ("username", SecretBytes::from(token.username)),
        ("password", token.password),
        ("expires_at", SecretBytes::from(token.expires_at.to_string())),
    ];
    Ok(values.into_iter().chain(endpoint).map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Keys of a session of an AWS user.
pub(super) async fn session_token(spec: &StsSessionTokenSpec, scope: &Scope) -> Result<Values, Failure> {
    let asked = spec.request_parameters.clone().unwrap_or_default();
    let wanted = SessionTokenRequest {
        seconds: asked.session_duration,
        serial_number: asked.serial_number,
        token_code: asked.token_code,
    };
    let token = open_aws(&spec.identity(), scope).await?.session_token(&wanted).await?;
    let values = [
        ("access_key_id", SecretBytes::from(token.access_key_id)),
        ("secret_access_key", token.secret_access_key),
        ("session_token", token.session_token),
        ("expiration", SecretBytes::from(token.expiration.to_string())),
    ];
    Ok(values.map(|(key, value)| (key.to_owned(), value)).into())
}
