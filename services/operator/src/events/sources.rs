//! What messages are fetched from.

use std::sync::Arc;

use strongroom_aws::{Queue, QueueMessage, Session};
use strongroom_event::{Change, aws, google};
use strongroom_failure::Failure;
use strongroom_google::{Notification, Subscription};

use crate::eso::stores::aws_endpoints;
use crate::operator::Operator;

/// Something that keeps messages until they are settled.
pub(super) trait Source: Send + Sync + 'static {
    /// What metrics call it.
    const KIND: &'static str;
    /// What it keeps.
    type Message: Send + Sync;

    /// What logs call it.
    fn name(&self) -> &str;

    /// What is there; waits a while where there is nothing.
    fn receive(&self) -> impl Future<Output = Result<Vec<Self::Message>, Failure>> + Send;

    /// What a message says.
    fn read(message: &Self::Message) -> Result<Option<Change>, Failure>;

    /// Deletes messages that were taken in.
    fn settle(&self, messages: &[Self::Message]) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A queue of SQS, as the operator's own identity.
pub(super) struct Sqs {
    url: String,
    queue: Queue,
}

impl Sqs {
    pub(super) fn open(operator: &Operator, url: &str) -> Result<Self, Failure> {
        let endpoints = aws_endpoints(&|name| operator.variables.get(name).cloned());
        let settings = strongroom_aws::Settings { endpoints, ..strongroom_aws::Settings::default() };
        let session = Session::new(settings, Arc::clone(&operator.meter))?;
        Ok(Self { queue: session.queue(url)?, url: url.to_owned() })
    }
}

impl Source for Sqs {
    const KIND: &'static str = "sqs";
    type Message = QueueMessage;

    fn name(&self) -> &str {
        &self.url
    }

    async fn receive(&self) -> Result<Vec<QueueMessage>, Failure> {
        self.queue.receive().await
    }

    fn read(message: &QueueMessage) -> Result<Option<Change>, Failure> {
        aws::parse(message.body.as_bytes())
    }

    async fn settle(&self, messages: &[QueueMessage]) -> Result<(), Failure> {
        self.queue.delete(messages).await
    }
}

/// A subscription of Pub/Sub, as the operator's own identity.
pub(super) struct PubSub {
    name: String,
    subscription: Subscription,
}

impl PubSub {
    pub(super) fn open(operator: &Operator, name: &str) -> Result<Self, Failure> {
        let settings = strongroom_google::Settings::default();
        let settings = settings.completed(&|name| operator.variables.get(name).cloned())?;
        let endpoint = operator.variables.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB").cloned();
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        let subscription = Subscription::open(settings, name, endpoint, Arc::clone(&operator.meter))?;
        Ok(Self { subscription, name: name.to_owned() })
    }
}

impl Source for PubSub {
    const KIND: &'static str = "pubsub";
    type Message = Notification;

    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self) -> Result<Vec<Notification>, Failure> {
        self.subscription.pull().await
    }

    fn read(message: &Notification) -> Result<Option<Change>, Failure> {
        google::parse(&message.attributes, Some(&message.id))
    }

    async fn settle(&self, messages: &[Notification]) -> Result<(), Failure> {
        self.subscription.acknowledge(messages).await
    }
}
