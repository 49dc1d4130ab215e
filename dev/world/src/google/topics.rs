//! Topics and subscriptions of Pub/Sub v1: what is published waits in each subscription until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::answer::Refusal;
use super::secrets::now;

/// How long a message that was delivered is kept back, where nobody says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Topics {
    topics: BTreeSet<String>,
    subscriptions: BTreeMap<String, Subscription>,
    count: u64,
}

struct Subscription {
    topic: String,
    deadline: Duration,
    waiting: VecDeque<Json>,
    /// By the id of the acknowledgement: since when, and what.
    delivered: BTreeMap<String, (Instant, Json)>,
}

impl Topics {
    /// Answers `method` on a resource's `path` (without `/v1/`); `None` where it is none of Pub/Sub's.
    pub(super) fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> Option<Result<Json, Refusal>> {
        let (name, verb) = path.rsplit_once(':').unwrap_or((path, ""));
        let kind = name.split('/').nth(2)?;
        let body: Json = serde_json::from_slice(body).unwrap_or_default();
        Some(match (method, kind, verb) {
            ("PUT", "topics", "") => self.make_topic(name),
            ("POST", "topics", "publish") => self.publish(name, &body),
            ("PUT", "subscriptions", "") => self.make_subscription(name, &body),
            ("POST", "subscriptions", "pull") => self.pull(name, &body),
            ("POST", "subscriptions", "acknowledge") => self.acknowledge(name, &body),
            _ if matches!(kind, "topics" | "subscriptions") => Err(Refusal::not_found("Method not found.".to_owned())),
            _ => return None,
        })
    }

    fn make_topic(&mut self, name: &str) -> Result<Json, Refusal> {
        if !self.topics.insert(name.to_owned()) {
            return Err(Refusal::exists(format!("Resource already exists in the project (resource={name}).")));
        }
        Ok(json!({"name": name}))
    }

    fn make_subscription(&mut self, name: &str, body: &Json) -> Result<Json, Refusal> {
        let topic = body["topic"].as_str().unwrap_or_default();
        if !self.topics.contains(topic) {
            return Err(Refusal::not_found(format!("Resource not found (resource={topic}).")));
        }
        if self.subscriptions.contains_key(name) {
            return Err(Refusal::exists(format!("Resource already exists in the project (resource={name}).")));
        }
        let seconds = body["ackDeadlineSeconds"].as_u64().filter(|seconds| *seconds > 0);
        let deadline = seconds.map_or(DEADLINE, Duration::from_secs);
        let made =
            Subscription { topic: topic.to_owned(), deadline, waiting: VecDeque::new(), delivered: BTreeMap::new() };
        self.subscriptions.insert(name.to_owned(), made);
        Ok(json!({"name": name, "topic": topic, "ackDeadlineSeconds": deadline.as_secs(), "state": "ACTIVE"}))
    }

    /// Publishes messages (`data` in base64, `attributes`) to all subscriptions of the topic.
    pub(super) fn publish(&mut self, topic: &str, body: &Json) -> Result<Json, Refusal> {
        if !self.topics.contains(topic) {
            return Err(Refusal::not_found(format!("Resource not found (resource={topic}).")));
        }
        let mut ids = Vec::new();
        for message in body["messages"].as_array().into_iter().flatten() {
            self.count += 1;
            let id = self.count.to_string();
            let mut message = message.clone();
            message["messageId"] = json!(id);
            message["publishTime"] = json!(now());
            let subscribed = self.subscriptions.values_mut().filter(|subscription| subscription.topic == topic);
            subscribed.for_each(|subscription| subscription.waiting.push_back(message.clone()));
            ids.push(id);
        }
        if ids.is_empty() {
            return Err(Refusal::invalid("The value for message_count is too small."));
        }
        Ok(json!({"messageIds": ids}))
    }

    fn pull(&mut self, name: &str, body: &Json) -> Result<Json, Refusal> {
        let most = body["maxMessages"].as_u64().unwrap_or_default();
        if most == 0 {
            return Err(Refusal::invalid(
                "You have passed an invalid argument to the service (argument=max_messages).",
            ));
        }
        self.count += 1;
        let count = self.count;
        let subscription = self.subscription(name)?;
        let overdue = |(since, _): &(Instant, Json)| since.elapsed() >= subscription.deadline;
        let late: Vec<String> =
            subscription.delivered.iter().filter(|(_, sent)| overdue(sent)).map(|(id, _)| id.clone()).collect();
        for id in late {
            let again = subscription.delivered.remove(&id).map(|(_, message)| message);
            subscription.waiting.extend(again);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(subscription.waiting.len());
        let mut received = Vec::new();
        for (place, message) in subscription.waiting.drain(..most).enumerate() {
            let id = format!("ack-{count}-{place}");
            received.push(json!({"ackId": id, "message": message}));
            subscription.delivered.insert(id, (Instant::now(), message));
        }
        // As Google writes it: what is empty is left out.
        Ok(if received.is_empty() { json!({}) } else { json!({"receivedMessages": received}) })
    }

    fn acknowledge(&mut self, name: &str, body: &Json) -> Result<Json, Refusal> {
        let subscription = self.subscription(name)?;
        for id in body["ackIds"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            subscription.delivered.remove(id);
        }
        Ok(json!({}))
    }

    /// How many messages of a subscription are not acknowledged.
    pub(super) fn left(&self, name: &str) -> usize {
        let subscription = self.subscriptions.get(name);
        subscription.map_or(0, |subscription| subscription.waiting.len() + subscription.delivered.len())
    }

    fn subscription(&mut self, name: &str) -> Result<&mut Subscription, Refusal> {
        let missing = || Refusal::not_found(format!("Resource not found (resource={name})."));
        self.subscriptions.get_mut(name).ok_or_else(missing)
    }
}
