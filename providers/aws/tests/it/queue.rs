use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_aws::Session;
use strongroom_failure::Class;
use strongroom_provider::Meter;

use crate::common::{REGION, moto, settings};

fn session() -> Session {
    Session::new(settings(moto().endpoint()), Arc::new(Meter::default())).unwrap()
}

fn made(name: &str, visibility: Duration) -> String {
    moto().make_queue(REGION, name, visibility).unwrap()
}

fn sent(queue: &str, bodies: &[&str]) {
    bodies.iter().for_each(|body| moto().send_message(REGION, queue, body).unwrap());
}

#[tokio::test]
async fn what_is_received_stays_until_it_is_deleted() {
    let url = made("stays", Duration::from_secs(1));
    let queue = session().queue(&url).unwrap();
    sent(&url, &["one", "two"]);
    let mut received = Vec::new();
    while received.len() < 2 {
        received.extend(queue.receive().await.unwrap());
    }
    let mut bodies: Vec<&str> = received.iter().map(|message| message.body.as_str()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["one", "two"]);
    assert_eq!(moto().messages_in(REGION, &url).unwrap(), 2);
    let again = queue.receive().await.unwrap();
    assert!(!again.is_empty(), "what was not deleted comes again");
    queue.delete(&received).await.unwrap();
    queue.delete(&again).await.unwrap();
    assert_eq!(moto().messages_in(REGION, &url).unwrap(), 0);
    queue.delete(&[]).await.unwrap();
}

#[tokio::test]
async fn a_message_that_comes_while_the_queue_is_asked_is_had_at_once() {
    let url = made("waits", Duration::from_secs(30));
    let queue = session().queue(&url).unwrap();
    let receiving = tokio::spawn(async move { queue.receive().await.unwrap() });
    // Longer than other calls may take, so that it is seen that this one may.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let start = Instant::now();
    tokio::task::spawn_blocking(move || sent(&url, &["late"])).await.unwrap();
    let received = receiving.await.unwrap();
    assert_eq!(received.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn failures_name_the_queue() {
    let missing = format!("{}/123456789012/missing", moto().endpoint());
    let failure = session().queue(&missing).unwrap().receive().await.err().unwrap();
    assert!(failure.to_string().contains(&missing), "{failure}");
    for wrong in ["", "secrets", "https://sqs.eu-west-1.amazonaws.com", "https://sqs.eu-west-1.amazonaws.com/"] {
        assert_eq!(session().queue(wrong).err().map(|failure| failure.class), Some(Class::Invalid), "{wrong}");
    }
}
