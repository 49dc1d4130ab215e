//! A queue of SQS, to which EventBridge sends what happens to secrets.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use aws_smithy_types::timeout::TimeoutConfig;
use strongroom_failure::{Class, Failure};

use crate::session::Session;

const RECEIVE: &str = "sqs:ReceiveMessage";
const DELETE: &str = "sqs:DeleteMessage";

/// How long SQS waits for a message before it answers that there is none: the most that it takes. A message that comes
/// meanwhile is answered at once.
const WAIT: Duration = Duration::from_secs(20);

/// The most messages that one call gives, and that one deletes: SQS's own bound.
const BATCH: i32 = 10;

/// A queue of SQS under a session's identity.
pub struct Queue {
    session: Session,
    url: String,
    endpoint: String,
    region: Option<Region>,
    client: OnceLock<Client>,
}

/// A message that was received and is not deleted yet.
pub struct QueueMessage {
    /// What it says. Others wrote it: it is not for logs.
    pub body: String,
    /// By what it is deleted.
    receipt: String,
}

impl Session {
    /// The queue at `url`, as SQS names it: `https://sqs.eu-west-1.amazonaws.com/111122223333/secrets`. Its host is who
    /// is asked, and tells the region where it is AWS's own.
    ///
    /// # Errors
    /// `Invalid` where this is no queue's address.
    pub fn queue(&self, url: &str) -> Result<Queue, Failure> {
        let parsed: Option<http::Uri> = url.parse().ok();
        let parts = parsed.as_ref().and_then(|url| Some((url.scheme_str()?, url.authority()?, url.path())));
        let Some((scheme, authority, _)) = parts.filter(|(_, _, path)| path.len() > 1) else {
            return Err(Failure::new(Class::Invalid, "this is no address of a queue")
                .with_hint("write it as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"));
        };
        let region = region_of(authority.host()).map(|region| Region::new(region.to_owned()));
        let endpoint = format!("{scheme}://{authority}");
        Ok(Queue { session: self.clone(), url: url.to_owned(), endpoint, region, client: OnceLock::new() })
    }
}

/// The region in a host of SQS's own.
fn region_of(host: &str) -> Option<&str> {
    let mut parts = host.split('.').skip_while(|part| !matches!(*part, "sqs" | "sqs-fips")).skip(1);
    parts.next().filter(|_| host.contains(".amazonaws.com"))
}

impl Queue {
    /// What is there, at most ten messages; none, where none came within 20 seconds. What is not deleted comes again
    /// when the queue's visibility timeout is over.
    ///
    /// # Errors
    /// What AWS answers, or that it does not.
    pub async fn receive(&self) -> Result<Vec<QueueMessage>, Failure> {
        let client = self.client().await?;
        let wait = i32::try_from(WAIT.as_secs()).unwrap_or_default();
        let request = client.receive_message().queue_url(&self.url).max_number_of_messages(BATCH);
        let request = request.wait_time_seconds(wait);
        let received = self.session.call(RECEIVE, || request.clone().send()).await;
        let received = received.map_err(|refusal| self.about(refusal.failure, RECEIVE))?;
        let message = |Message { body, receipt_handle, .. }: Message| {
            // Without a receipt it could not be deleted, and SQS always gives one.
            Some(QueueMessage { body: body.unwrap_or_default(), receipt: receipt_handle? })
        };
        Ok(received.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    /// Deletes messages of one [`Queue::receive`].
    ///
    /// # Errors
    /// What AWS answers, also about a single one: what was not deleted comes again.
    pub async fn delete(&self, messages: &[QueueMessage]) -> Result<(), Failure> {
        let client = self.client().await?;
        let entry = |(place, message): (usize, &QueueMessage)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            entry.receipt_handle(&message.receipt).build().ok()
        };
        let entries: Vec<_> = messages.iter().enumerate().filter_map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let request = client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let deleted = self.session.call(DELETE, || request.clone().send()).await;
        let deleted = deleted.map_err(|refusal| self.about(refusal.failure, DELETE))?;
        match deleted.failed.len() {
            0 => Ok(()),
            kept => Err(self.about(Failure::new(Class::Unavailable, format!("SQS kept {kept} of them")), DELETE)),
        }
    }

    async fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let region = match &self.region {
            Some(region) => region.clone(),
            None => self.session.region().await?,
        };
        let timeouts = self.session.settings().timeouts;
        let limit = WAIT + timeouts.call;
        let limits = TimeoutConfig::builder()
            .connect_timeout(timeouts.connect)
            .read_timeout(limit)
            .operation_timeout(limit)
            .build();
        let config = self.session.config(region).await;
        let config = aws_sdk_sqs::config::Builder::from(&config).endpoint_url(&self.endpoint).timeout_config(limits);
        Ok(self.client.get_or_init(|| Client::from_conf(config.build())))
    }

    fn about(&self, failure: Failure, operation: &str) -> Failure {
        let hint = format!("allow {operation} on the queue to {}", self.session.identity());
        let failure = if failure.class == Class::Denied { failure.with_hint(hint) } else { failure };
        failure.from_store(format!("SQS ({})", self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_hosts_of_aws() {
        let check = |host: &str, expected: Option<&str>| assert_eq!(region_of(host), expected, "{host}");
        check("sqs.eu-west-1.amazonaws.com", Some("eu-west-1"));
        check("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1"));
        check("sqs-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1"));
        check("vpce-0a.sqs.eu-west-1.vpce.amazonaws.com", Some("eu-west-1"));
        check("127.0.0.1", None);
        check("sqs.example.com", None);
    }
}
