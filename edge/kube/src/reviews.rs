//! Questions about who somebody is and what they may do, which API servers answer as objects.

use std::collections::BTreeMap;

use http::Method;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::exchange::{WHOLE, exchange};
use crate::failure::failure;

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// The user's name: `system:serviceaccount:NAMESPACE:NAME` for service accounts.
    pub user: String,
    /// Which of the audiences that were asked for the token is meant for; none where the authenticator knows nothing of
    /// audiences, which then means the API server's own.
    pub audiences: Vec<String>,
}

#[derive(Deserialize)]
struct Reviewed<S> {
    status: Option<S>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
}

/// Whom `token` belongs to, where it is meant for one of `audiences` (none: the API server itself); nothing for a token
/// that is over, made up or meant for others.
///
/// # Errors
/// [`Class::Denied`] where we may not ask, and where the API server does not answer.
pub async fn review_token(
    client: &Client,
    token: &SecretBytes,
    audiences: &[String],
) -> Result<Option<TokenOwner>, Failure> {
    let asked = "ask the API server whom a token belongs to";
    let Some(text) = token.expose_text() else { return Ok(None) };
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": text, "audiences": audiences},
    });
    let address = "/apis/authentication.k8s.io/v1/tokenreviews";
    let status: TokenStatus = review_of(client, address, review, asked, &[token]).await?;
    if !status.authenticated {
        return Ok(None);
    }
    let is_meant = audiences.is_empty() || status.audiences.iter().any(|audience| audiences.contains(audience));
    Ok(is_meant.then_some(TokenOwner { user: status.user.username, audiences: status.audiences }))
}

/// Whether we ourselves may `verb` objects of `group` and `resource` in the whole cluster.
///
/// # Errors
/// Where the API server does not answer.
pub async fn may_i(client: &Client, verb: &str, group: &str, resource: &str) -> Result<bool, Failure> {
    let attributes = json!({"verb": verb, "group": group, "resource": resource});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let address = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let status: AccessStatus = review_of(client, address, review, "ask what we may do", &[]).await?;
    Ok(status.allowed)
}

/// Somebody whom an API server has identified, as it tells webhooks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asker {
    /// The name; `system:serviceaccount:NAMESPACE:NAME` for service accounts.
    pub username: String,
    /// What tells two of the same name apart.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else authenticators and authorizers know of it.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What somebody does to one object of a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Action<'a> {
    /// `create`, `get`.
    pub verb: &'a str,
    /// The API group; empty for the core's.
    pub group: &'a str,
    /// The plural: `serviceaccounts`.
    pub resource: &'a str,
    /// `token`; empty for the object itself.
    pub subresource: &'a str,
    /// Where.
    pub namespace: &'a str,
    /// Which.
    pub name: &'a str,
}

/// Whether `asker` may do `action`.
///
/// # Errors
/// [`Class::Denied`] where we may not ask, and where the API server does not answer.
pub async fn may(client: &Client, asker: &Asker, action: &Action<'_>) -> Result<bool, Failure> {
    let Action { verb, group, resource, subresource, namespace, name } = action;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": asker.username,
            "uid": asker.uid,
            "groups": asker.groups,
            "extra": asker.extra,
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "namespace": namespace,
                "name": name,
            },
        },
    });
    let address = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let status: AccessStatus = review_of(client, address, review, "ask what somebody may do", &[]).await?;
    Ok(status.allowed)
}

async fn review_of<S: Default + for<'de> Deserialize<'de>>(
    client: &Client,
    address: &str,
    review: Value,
    asked: &str,
    known: &[&SecretBytes],
) -> Result<S, Failure> {
    let body = SecretBytes::from(review.to_string());
    let answer = exchange(client, Method::POST, address, WHOLE, Some(body)).await;
    let answer = answer.map_err(|error| failure(&error, asked, known))?;
    let reviewed: Reviewed<S> = serde_json::from_slice(answer.expose()).map_err(|_| {
        Failure::new(Class::Unavailable, format!("cannot {asked}: the API server's answer is not a review"))
    })?;
    Ok(reviewed.status.unwrap_or_default())
}
