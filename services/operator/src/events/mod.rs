//! Following changes where the source tells of them: queues of SQS, subscriptions of Pub/Sub and signed requests become
//! [`Change`]s, and whoever reads the key reads it again.
//!
//! Only who leads listens. A message that is lost, late, out of order or delivered twice does no harm: a change leads to
//! a read of what the store has now, and each object's interval stays.

mod matching;
mod metrics;
mod sources;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use strongroom_event::{Change, Seen};
use strongroom_failure::Failure;
use tokio::task::JoinSet;

pub(crate) use self::metrics::Metrics;
pub(crate) use self::sources::open_queue;
use self::sources::{PubSub, Source, Sqs};
use crate::operator::Operator;
use crate::retry::again_and_again;

/// How long a message's id is remembered, in seconds: a second delivery comes within the queue's visibility timeout,
/// which is 30 s where nobody changed it.
const REMEMBERED: i64 = 300;

/// Whether any source is configured, so that the index must know who reads what.
pub(crate) fn are_followed(operator: &Operator) -> bool {
    let settings = &operator.settings.events;
    !settings.sqs_queue_urls.is_empty()
        || !settings.pubsub_subscriptions.is_empty()
        || settings.webhook_secret_file.is_some()
}

/// Follows all configured sources; dropping what it gives ends that.
///
/// # Errors
/// Where a source's address or the shared key cannot be used; the flag is named.
pub(crate) async fn follow(operator: &Arc<Operator>) -> Result<JoinSet<()>, Failure> {
    let settings = &operator.settings.events;
    let listener = Arc::new(Listener { operator: Arc::clone(operator), seen: Mutex::new(Seen::within(REMEMBERED)) });
    let mut tasks = JoinSet::new();
    for url in &settings.sqs_queue_urls {
        let source = Sqs::open(operator, url).map_err(|failure| failure.in_field("--events-sqs-queue-url"))?;
        tasks.spawn(listen(Arc::clone(&listener), source));
    }
    for name in &settings.pubsub_subscriptions {
        let source = PubSub::open(operator, name);
        let source = source.map_err(|failure| failure.in_field("--events-pubsub-subscription"))?;
        tasks.spawn(listen(Arc::clone(&listener), source));
    }
    if let Some(file) = &settings.webhook_secret_file {
        let server = webhook::bind(&listener, &settings.webhook_addr, file).await?;
        // Dropped with the task, and with it all connections.
        tasks.spawn(server.run(std::future::pending(), Duration::ZERO));
    }
    Ok(tasks)
}

/// What all sources share.
pub(crate) struct Listener {
    operator: Arc<Operator>,
    seen: Mutex<Seen<String>>,
}

impl Listener {
    /// Takes in what a message of `source` says.
    fn take(&self, source: &Told<'_>, read: Result<Option<Change>, Failure>) {
        let metrics = &self.operator.metrics.events;
        metrics.received(source.kind);
        match read {
            Ok(Some(change)) => {
                let id = change.id.as_ref().map(|id| format!("{} {id}", source.name));
                if id.is_none_or(|id| self.is_new(id)) {
                    self.announce(source, &change);
                }
            }
            Ok(None) => {}
            Err(failure) => {
                metrics.refused(source.kind);
                tracing::warn!(source = source.name, reason = failure.words, "a message cannot be read; it is dropped");
            }
        }
    }

    fn announce(&self, source: &Told<'_>, change: &Change) {
        let readers = matching::readers(&self.operator, change);
        self.operator.metrics.events.matched(source.kind, readers.len());
        let (provider, happening) = (change.provider.name(), change.happening);
        tracing::info!(
            source = source.name,
            provider,
            key = change.name(),
            ?happening,
            readers = readers.len(),
            "a source tells of a change"
        );
        self.operator.announce(readers);
    }

    fn is_new(&self, id: String) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_new(id, Timestamp::now().as_second())
    }
}

/// A source as logs and metrics name it.
struct Told<'a> {
    kind: &'static str,
    name: &'a str,
}

/// Listens to one source until it is aborted.
async fn listen<S: Source>(listener: Arc<Listener>, source: S) {
    let told = Told { kind: S::KIND, name: source.name() };
    tracing::info!(source = told.name, "following changes");
    let round = || async {
        let messages = source.receive().await?;
        messages.iter().for_each(|message| listener.take(&told, S::read(message)));
        source.settle(&messages).await
    };
    let tell = |failure: &Failure, is_news: bool| {
        listener.operator.metrics.events.failed(told.kind);
        if is_news {
            tracing::warn!(source = told.name, %failure, hint = failure.hint, "a source of changes cannot be followed");
        }
    };
    again_and_again(round, tell).await;
}
