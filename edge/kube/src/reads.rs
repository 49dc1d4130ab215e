use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Client;
use kube::api::Api;
use kube::client::Body;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::exchange::{WHOLE, exchange};
use crate::failure::{checked_name, failure};

/// A service account's token for somebody else's door.
#[derive(Clone, Debug)]
pub struct Token {
    /// The signed text.
    pub token: SecretBytes,
    /// When it ends; the API server may give less time than was asked for.
    pub expires: Timestamp,
}

/// The data of a ConfigMap, text and binary alike.
///
/// # Errors
/// [`Class::NotFound`] where there is none of that name.
pub async fn read_config_map(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let asked = format!("read ConfigMap {namespace}/{name}");
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), checked_name(namespace)?);
    let map = api.get(checked_name(name)?).await.map_err(|error| failure(&error, &asked, &[]))?;
    let text = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
    let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
    Ok(text.chain(binary).collect())
}

/// A service account; its annotations name roles of clouds.
///
/// # Errors
/// [`Class::NotFound`] where there is none of that name.
pub async fn read_service_account(client: &Client, namespace: &str, name: &str) -> Result<ServiceAccount, Failure> {
    let asked = format!("read ServiceAccount {namespace}/{name}");
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), checked_name(namespace)?);
    api.get(checked_name(name)?).await.map_err(|error| failure(&error, &asked, &[]))
}

/// A new token of a service account, for `audiences` (none: the API server itself) and about as long as `lifetime`, of
/// which the API server takes no less than 10 minutes.
///
/// # Errors
/// [`Class::NotFound`] where there is no such service account, [`Class::Denied`] where we may not ask.
pub async fn request_token(
    client: &Client,
    namespace: &str,
    name: &str,
    audiences: &[String],
    lifetime: Duration,
) -> Result<Token, Failure> {
    let asked = format!("request a token of ServiceAccount {namespace}/{name}");
    let address =
        format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", checked_name(namespace)?, checked_name(name)?);
    let review = serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": audiences, "expirationSeconds": lifetime.as_secs()},
    });
    let body = SecretBytes::from(review.to_string());
    let answer = exchange(client, Method::POST, &address, WHOLE, Some(body)).await;
    let answer = answer.map_err(|error| failure(&error, &asked, &[]))?;
    let answer: TokenAnswer = serde_json::from_slice(answer.expose()).map_err(|_| {
        Failure::new(Class::Unavailable, format!("cannot {asked}: the API server's answer is not a token"))
    })?;
    Ok(Token { token: SecretBytes::from(answer.status.token), expires: answer.status.expires })
}

/// The API server's time, to the second: the time by which it judges certificates. `None` where something between us
/// leaves the header out.
///
/// # Errors
/// Where the API server does not answer.
pub async fn server_time(client: &Client) -> Result<Option<Timestamp>, Failure> {
    let asked = |error: &kube::Error| failure(error, "ask for the API server's time", &[]);
    // The one address that everybody may ask who is known.
    let request = http::Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| asked(&kube::Error::HttpError(error)))?;
    let answer = client.send(request).await.map_err(|error| asked(&error))?;
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok()))
}

#[derive(Deserialize)]
struct TokenAnswer {
    status: TokenStatus,
}

#[derive(Deserialize)]
struct TokenStatus {
    token: String,
    #[serde(rename = "expirationTimestamp")]
    expires: Timestamp,
}
