//! Events that never come: each object's interval is the backstop, and the source is followed again when it is back.

use std::time::{Duration, Instant};

use serde_json::json;
use world::switchboard::{Fault, Switchboard};

use super::api::{API, line};
use super::events::{counted_by, event, put, secrets_manager, store_of, wait, wish};
use super::support::{CLUSTER, Operator, eventually};
use super::world_of_stores::wait_until_read;
use crate::{AWS, REGION};

const CLASS: &str = "lost-events";

/// The interval of the object that must not stay behind.
const INTERVAL: Duration = Duration::from_secs(4);

#[test]
fn a_lost_event_costs_at_most_one_interval_and_the_next_one_is_followed() {
    let queue = AWS.make_queue(REGION, "lost-events", Duration::from_secs(2)).unwrap();
    let door = Switchboard::to(AWS.host_port()).unwrap();
    door.add(Fault::answer(503, &[], "").on_operation("ReceiveMessage"));
    let operator = operator(&door, &queue);
    let namespace = store_of(CLASS, &secrets_manager());
    put("lost/one", "first");
    wish(&namespace, "soon", "lost/one", &json!({"refreshInterval": format!("{}s", INTERVAL.as_secs())}));
    wish(&namespace, "late", "lost/one", &json!({}));
    wait_until_read(&namespace, &[("soon", "a=first"), ("late", "a=first")]);
    eventually("it is told that the queue is away", || match operator.logged() {
        logged if logged.contains("a source of changes cannot be followed") => Ok(()),
        logged => Err(logged),
    });

    put("lost/one", "second");
    let changed = Instant::now();
    AWS.send_message(REGION, &queue, &event("lost", "lost/one")).unwrap();
    // As a queue loses what it keeps for too long.
    AWS.call(REGION, "AmazonSQS.PurgeQueue", &json!({"QueueUrl": queue})).unwrap();
    assert_eq!(AWS.messages_in(REGION, &queue).unwrap(), 0);
    door.clear();
    wait(&namespace, "soon", "a=second");
    // One more, for a machine that has much to do.
    assert!(changed.elapsed() < INTERVAL * 2, "{:?}", changed.elapsed());
    let late = || line(&API.get("secrets", &namespace, "late").unwrap());
    assert_eq!(late(), "a=first", "it was told of the change, so that no event was lost");
    assert_eq!(counted_by(&operator, "strongroom_events_received_total{source=\"sqs\"} "), 0);

    AWS.send_message(REGION, &queue, &event("next", "lost/one")).unwrap();
    wait(&namespace, "late", "a=second");
    assert!(counted_by(&operator, "strongroom_events_failures_total{source=\"sqs\"} ") > 0);
    operator.stop();
}

/// An operator that meets the queue, and nothing else, through `door`.
fn operator(door: &Switchboard, queue: &str) -> Operator {
    let (_, path) = queue.trim_start_matches("http://").split_once('/').unwrap();
    let flags = [
        format!("--controller-class={CLASS}"),
        "--allow-local-addresses".to_owned(),
        format!("--events-sqs-queue-url={}/{path}", door.address()),
        "--kes=off".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let variables = [
        ("AWS_SECRETSMANAGER_ENDPOINT", AWS.endpoint()),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ];
    let operator = Operator::spawn(&CLUSTER, &flags, &variables);
    operator.wait_until_ready();
    operator
}
