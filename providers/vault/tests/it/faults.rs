use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Provider, RemoteKey};
use strongroom_vault::{Settings, Vault};
use world::open_bao::OpenBao;
use world::switchboard::{Fault, Line, Switchboard};

use crate::server::{CANARY, Server, checked, open, read_name, token};

const NAME: &str = "secret/data/faults/app";

/// A server with one secret, a switchboard before it, and a provider that waits as long as by default.
async fn behind_faults() -> (Arc<Server>, Switchboard, Vault) {
    let server = Server::shared();
    server.put("faults/app", json!({"k": CANARY.repeat(100)})).await;
    let (switchboard, settings) = server.behind_switchboard();
    (server, switchboard, open(settings))
}

/// Another provider for the same server, which waits this many seconds.
fn impatient(server: &Server, switchboard: &Switchboard, seconds: u64) -> Vault {
    let address = switchboard.address().to_owned();
    open(Settings { address, timeout_seconds: Some(seconds), ..server.root() })
}

async fn failing(vault: &Vault) -> Failure {
    read_name(vault, NAME).await.unwrap_err()
}

#[tokio::test]
async fn throttling_is_passed_on_with_the_servers_own_patience() {
    let (_server, switchboard, vault) = behind_faults().await;
    switchboard.add(Fault::throttle(Some(7)));
    assert_eq!(failing(&vault).await.class, Class::Throttled { retry_after: Some(Duration::from_secs(7)) });
    switchboard.clear();
    switchboard.add(Fault::throttle(None));
    assert_eq!(failing(&vault).await.class, Class::Throttled { retry_after: None });
    switchboard.clear();
    switchboard.add(Fault::answer(503, &[("Retry-After", "3")], CANARY));
    assert_eq!(failing(&vault).await.class, Class::Throttled { retry_after: Some(Duration::from_secs(3)) });
    assert_eq!(switchboard.counts().requests, 3, "nothing is tried again here");
}

#[tokio::test]
async fn statuses_of_a_server_that_cannot_serve_are_worth_a_retry() {
    let (_server, switchboard, vault) = behind_faults().await;
    for status in [412, 472, 473, 500, 502, 503, 504] {
        switchboard.clear();
        switchboard.add(Fault::answer(status, &[], CANARY));
        let failure = failing(&vault).await;
        assert_eq!(failure.class, Class::Unavailable, "{status}");
        assert!(failure.words.contains(&status.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn slow_answers_are_waited_for_up_to_the_limit() {
    let (server, switchboard, vault) = behind_faults().await;
    switchboard.add(Fault::delay(Duration::from_millis(1500)));
    assert!(read_name(&vault, NAME).await.is_ok());
    let start = Instant::now();
    let failure = failing(&impatient(&server, &switchboard, 1)).await;
    assert_eq!(failure.class, Class::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(failure.words.contains("1s"), "{failure}");
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let (_server, switchboard, vault) = behind_faults().await;
    switchboard.add(Fault::cut_body());
    let failure = failing(&vault).await;
    assert_eq!(failure.class, Class::Unavailable);
    assert!(failure.words.contains("before its answer was whole"), "{failure}");
    switchboard.clear();
    switchboard.add(Fault::hangup());
    assert_eq!(failing(&vault).await.class, Class::Unavailable);
    switchboard.clear();
    assert!(read_name(&vault, NAME).await.is_ok());
}

#[tokio::test]
async fn silent_half_open_and_absent_servers_are_unavailable() {
    let (server, switchboard, vault) = behind_faults().await;
    assert!(read_name(&vault, NAME).await.is_ok());
    switchboard.add(Fault::silence());
    assert_eq!(failing(&impatient(&server, &switchboard, 1)).await.class, Class::Unavailable);
    switchboard.clear();
    switchboard.set_line(Line::HalfOpen).unwrap();
    assert_eq!(failing(&impatient(&server, &switchboard, 1)).await.class, Class::Unavailable);
    switchboard.set_line(Line::Refused).unwrap();
    let refused = failing(&impatient(&server, &switchboard, 60)).await;
    assert_eq!(refused.class, Class::Unavailable);
    assert!(refused.words.contains("nobody listens there"), "{refused}");
    assert_eq!(failing(&vault).await.class, Class::Unavailable);
    switchboard.set_line(Line::Open).unwrap();
    assert!(read_name(&vault, NAME).await.is_ok(), "a server that is back is used again");
}

#[tokio::test]
async fn one_slow_path_does_not_hold_up_the_others_of_a_batch() {
    let (server, switchboard, _) = behind_faults().await;
    server.put("faults/slow", json!({"k": "v"})).await;
    switchboard.add(Fault::silence().on_path("faults/slow"));
    let keys = [NAME, "secret/data/faults/slow", NAME].map(RemoteKey::current);
    let answers = impatient(&server, &switchboard, 5).read(&keys).await;
    let got: Vec<_> = answers.into_iter().map(|answer| answer.map_err(checked)).collect();
    assert!(got[0].is_ok() && got[2].is_ok());
    assert_eq!(got[1].as_ref().unwrap_err().class, Class::Unavailable);
}

#[tokio::test]
async fn a_token_is_not_sent_on_to_another_host() {
    let (_server, switchboard, vault) = behind_faults().await;
    let elsewhere = Switchboard::to("127.0.0.1:1").unwrap();
    let place = format!("{}/v1/{NAME}", elsewhere.address());
    switchboard.add(Fault::answer(307, &[("Location", &place)], ""));
    let failure = failing(&vault).await;
    assert_eq!(failure.class, Class::Unavailable);
    assert!(failure.words.contains("tokens are not sent on to other hosts"), "{failure}");
    assert_eq!(elsewhere.counts().connections, 0);
}

#[tokio::test]
async fn what_is_no_vault_is_not_quoted() {
    let (server, switchboard, vault) = behind_faults().await;
    for body in [CANARY, "<html>canary-5b1d</html>", r#"{"data": "canary-5b1d"#, r#""canary-5b1d""#] {
        switchboard.clear();
        switchboard.add(Fault::answer(200, &[], body));
        failing(&vault).await;
        switchboard.clear();
        switchboard.add(Fault::answer(400, &[], body));
        assert_eq!(failing(&vault).await.class, Class::Invalid);
    }
    switchboard.clear();
    switchboard.add(Fault::answer(
        400,
        &[],
        &format!(r#"{{"errors":["bad {}"],"data":"{CANARY}"}}"#, server.running.root_token()),
    ));
    assert_eq!(failing(&vault).await.words, "bad [redacted]");
}

#[tokio::test]
async fn a_sealed_server_says_so() {
    let bao = OpenBao::start().unwrap();
    bao.command(&["operator", "seal"]).unwrap();
    let vault = open(Settings::new(bao.address(), token(bao.root_token())));
    let failure = failing(&vault).await;
    assert_eq!(failure.class, Class::Unavailable);
    assert!(failure.words.contains("sealed"), "{failure}");
}
