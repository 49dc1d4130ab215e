//! A subscription of Pub/Sub, by which Secret Manager tells of changes: pulled and acknowledged over REST.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Client, HeaderValue, Request, Response, StatusCode, header, json_body, secret_header};
use strongroom_provider::{Meter, Outcome};

use crate::answer;
use crate::credentials::Source;
use crate::metadata::Metadata;
use crate::name::{is_domain, is_project};
use crate::settings::Settings;
use crate::tokens::{Token, Tokens};

const PULL: &str = "pubsub:subscriptions.pull";
const ACKNOWLEDGE: &str = "pubsub:subscriptions.acknowledge";

/// How long a pull may take: the service holds it until a message comes, for about a minute and a half.
const WAIT: Duration = Duration::from_secs(100);

/// The most messages that one pull gives.
const BATCH: u32 = 100;

/// The largest answer, in bytes: a hundred notifications of a few KiB, with room for the largest secret's description.
const BODY_LIMIT: usize = 8 << 20;

/// A subscription under one identity.
pub struct Subscription {
    client: Client,
    tokens: Tokens,
    /// The address of the subscription, to which `:pull` is added.
    address: String,
    name: String,
    meter: Arc<Meter>,
}

/// A message that was pulled and is not acknowledged yet.
pub struct Notification {
    /// The message's id: the same, when it is delivered again.
    pub id: String,
    /// What it says of itself: `eventType`, `secretId`.
    pub attributes: BTreeMap<String, String>,
    acknowledgement: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    max_messages: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledge<'a> {
    ack_ids: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    #[serde(default)]
    received_messages: Vec<Received>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    ack_id: String,
    #[serde(default)]
    message: Message,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    message_id: String,
    attributes: BTreeMap<String, String>,
}

impl Subscription {
    /// The subscription `name` (`projects/P/subscriptions/S`), as the identity of `settings`; at `endpoint` instead of
    /// Google's own address, where that is given. Asks nothing of the network.
    ///
    /// # Errors
    /// Where a setting, the name or the credentials cannot be used.
    pub fn open(settings: Settings, name: &str, endpoint: Option<String>, meter: Arc<Meter>) -> Result<Self, Failure> {
        settings.validate()?;
        if !is_name(name) {
            return Err(Failure::new(Class::Invalid, "this does not name a subscription")
                .with_hint("write projects/PROJECT/subscriptions/NAME"));
        }
        let client = Client::new(settings.client(BODY_LIMIT)?)?;
        let mut patient = settings.client(BODY_LIMIT)?;
        (patient.timeouts.wait, patient.timeouts.total) = (WAIT, WAIT);
        let metadata = Metadata::new(settings.metadata_host())?;
        let found = Source::find(&settings)?;
        let universe = settings.universe_domain.or(found.universe_domain);
        let universe = universe.filter(|domain| is_domain(domain)).unwrap_or_else(|| "googleapis.com".to_owned());
        let endpoint = endpoint.unwrap_or_else(|| format!("https://pubsub.{universe}"));
        Ok(Self {
            tokens: Tokens::new(found.source, client, metadata, Arc::clone(&meter)),
            client: Client::new(patient)?,
            address: format!("{}/v1/{name}", endpoint.trim_end_matches('/')),
            name: name.to_owned(),
            meter,
        })
    }

    /// What is there, at most a hundred messages; none, where none came for a while. What is not acknowledged comes
    /// again when the subscription's deadline is over.
    ///
    /// # Errors
    /// What Google answers, or that it does not.
    pub async fn pull(&self) -> Result<Vec<Notification>, Failure> {
        let response = self.post(PULL, "pull", &Pull { max_messages: BATCH }).await?;
        let unreadable = |_| Failure::new(Class::Unavailable, "the answer is not what Pub/Sub sends");
        let pulled: Pulled = serde_json::from_slice(response.body.expose()).map_err(unreadable)?;
        let notification = |Received { ack_id, message }: Received| Notification {
            id: message.message_id,
            attributes: message.attributes,
            acknowledgement: ack_id,
        };
        Ok(pulled.received_messages.into_iter().map(notification).collect())
    }

    /// Has messages of a [`Subscription::pull`] not delivered again.
    ///
    /// # Errors
    /// As above.
    pub async fn acknowledge(&self, messages: &[Notification]) -> Result<(), Failure> {
        if messages.is_empty() {
            return Ok(());
        }
        let ack_ids = messages.iter().map(|message| message.acknowledgement.as_str()).collect();
        self.post(ACKNOWLEDGE, "acknowledge", &Acknowledge { ack_ids }).await.map(drop)
    }

    /// A successful answer, with one fresh token where the first is refused.
    async fn post<T: Serialize + Sync>(
        &self,
        operation: &'static str,
        verb: &str,
        body: &T,
    ) -> Result<Response, Failure> {
        let mut token = self.tokens.current().await.map_err(|failure| self.about(failure))?;
        let mut response = self.ask(operation, verb, body, &token).await.map_err(|failure| self.about(failure))?;
        if response.status == StatusCode::UNAUTHORIZED {
            token = self.tokens.instead_of(&token).await.map_err(|failure| self.about(failure))?;
            response = self.ask(operation, verb, body, &token).await.map_err(|failure| self.about(failure))?;
        }
        if response.status.is_success() {
            return Ok(response);
        }
        let failure = answer::refusal(&response, &[&token.secret]);
        let denied = failure.class == Class::Denied;
        let hint = || format!("grant roles/pubsub.subscriber on the subscription to {}", self.tokens.identity());
        Err(self.about(if denied { failure.with_hint(hint()) } else { failure }))
    }

    async fn ask<T: Serialize + Sync>(
        &self,
        operation: &'static str,
        verb: &str,
        body: &T,
        token: &Token,
    ) -> Result<Response, Failure> {
        let mut request = Request::post(format!("{}:{verb}", self.address))
            .body(json_body(body)?)
            .map_err(|_| Failure::new(Class::Invalid, "the endpoint is not an address").in_field("endpoint"))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, secret_header("Bearer ", &token.secret)?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let result = self.client.send(request).await;
        let is_answer = matches!(&result, Ok(response) if response.status.is_success());
        self.meter.record(operation, if is_answer { Outcome::Answered } else { Outcome::Failed });
        Ok(result?)
    }

    fn about(&self, failure: Failure) -> Failure {
        failure.from_store(format!("Pub/Sub ({})", self.name))
    }
}

/// `projects/P/subscriptions/S`; every part becomes a part of an address.
fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+".contains(&byte);
    match *name.split('/').collect::<Vec<_>>() {
        ["projects", project, "subscriptions", subscription] => {
            is_project(project) && (3..=255).contains(&subscription.len()) && subscription.bytes().all(is_letter)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_named_in_full() {
        let check = |name: &str, expected: bool| assert_eq!(is_name(name), expected, "{name}");
        check("projects/shop/subscriptions/secrets", true);
        check("projects/shop/subscriptions/a", false);
        check("projects/shop/topics/secrets", false);
        check("projects/../subscriptions/secrets", false);
        check("projects/shop/subscriptions/a?b=c", false);
        check("secrets", false);
    }
}
