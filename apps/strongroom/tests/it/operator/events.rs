//! Changes that sources tell of: whoever reads the key has the new value at once, and nobody else is bothered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use strongroom_event::webhook::sign;
use strongroom_secret::SecretBytes;
use world::moto::{self, Kind};
use world::switchboard::{Fault, Switchboard};

use super::api::{API, line};
use super::support::{CLUSTER, Operator, eventually, namespace};
use super::world_of_stores::{core, create, wait_until_read};
use crate::{AWS, CANARY, REGION};

const CLASS: &str = "events";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// An operator that follows a queue and takes signed requests, and counts what it asks of AWS.
struct World {
    operator: Operator,
    queue: String,
    aws: Switchboard,
    webhook: String,
    _folder: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let queue = AWS.make_queue(REGION, "events", Duration::from_secs(2)).unwrap();
    let aws = Switchboard::to(AWS.host_port()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let endpoint = aws.address().to_owned();
    let variables = [
        ("AWS_SECRETSMANAGER_ENDPOINT", endpoint.as_str()),
        ("AWS_SSM_ENDPOINT", endpoint.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ];
    let flags = [
        format!("--controller-class={CLASS}"),
        "--allow-local-addresses".to_owned(),
        format!("--events-sqs-queue-url={queue}"),
        format!("--events-webhook-secret-file={}", file.display()),
        "--events-webhook-addr=127.0.0.1:0".to_owned(),
        "--kes=off".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let operator = Operator::spawn(&CLUSTER, &flags, &variables);
    operator.wait_until_ready();
    let webhook = operator.listening("--events-webhook-addr");
    World { operator, queue, aws, webhook, _folder: folder }
});

/// A namespace with a store that the operator of these tests serves.
fn with_store(provider: &Value) -> String {
    LazyLock::force(&WORLD);
    store_of(CLASS, provider)
}

/// A namespace with a store of this class, and the keys with which AWS is logged in to.
pub(super) fn store_of(class: &str, provider: &Value) -> String {
    let namespace = namespace(&CLUSTER, &[]);
    core(
        &namespace,
        "Secret",
        "login",
        &json!({"stringData": {"id": "AKIAIOSFODNN7EXAMPLE", "key": "not-a-real-key"}}),
    );
    create(&namespace, "SecretStore", "store", &json!({"controller": class, "provider": provider}));
    namespace
}

pub(super) fn secrets_manager() -> Value {
    let key = |key: &str| json!({"name": "login", "key": key});
    let auth = json!({"accessKeyIDSecretRef": key("id"), "secretAccessKeySecretRef": key("key")});
    json!({"aws": {"service": "SecretsManager", "region": REGION, "auth": {"secretRef": auth}}})
}

pub(super) fn wish(namespace: &str, name: &str, key: &str, more: &Value) {
    let mut spec = json!({
        "refreshInterval": "1h", "secretStoreRef": {"name": "store"},
        "data": [{"secretKey": "a", "remoteRef": {"key": key}}],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    create(namespace, "ExternalSecret", name, &spec);
}

pub(crate) fn put(name: &str, value: &str) {
    if AWS.put_secret(REGION, name, moto::Value::Text(value)).is_err() {
        AWS.put_secret_version(REGION, name, moto::Value::Text(value), &[]).unwrap();
    }
}

/// What EventBridge sends of a value that was put.
pub(crate) fn event(id: &str, secret: &str) -> String {
    json!({
        "version": "0", "id": id, "detail-type": "AWS API Call via CloudTrail", "source": "aws.secretsmanager",
        "account": "123456789012", "region": REGION,
        "detail": {"eventName": "PutSecretValue", "requestParameters": {"secretId": secret}},
    })
    .to_string()
}

fn tell(body: &str) {
    AWS.send_message(REGION, &WORLD.queue, body).unwrap();
}

/// Waits for the Secret's data and says how long that took.
pub(super) fn wait(namespace: &str, name: &str, expected: &str) -> Duration {
    let start = Instant::now();
    loop {
        let found = API.get("secrets", namespace, name).as_ref().map(line);
        if found.as_deref() == Some(expected) {
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{name}: {found:?} instead of {expected}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until no message is left.
fn wait_until_empty() {
    eventually("the queue is empty", || match AWS.messages_in(REGION, &WORLD.queue).unwrap() {
        0 => Ok(()),
        left => Err(format!("{left} are left")),
    });
}

/// How often a secret of AWS was asked for.
fn reads(key: &str) -> usize {
    let asked = WORLD.aws.requests().into_iter();
    asked.filter(|seen| String::from_utf8_lossy(&seen.body).contains(&format!("\"{key}\""))).count()
}

fn post(headers: &str, body: &str) -> u16 {
    post_to(&WORLD.webhook, headers, body)
}

/// The status with which `POST /events` at this address answers.
pub(crate) fn post_to(address: &str, headers: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

pub(crate) fn signed(key: &str, body: &str, time: i64) -> String {
    format!("Strongroom-Signature: {}\r\n", sign(&SecretBytes::from(key.to_owned()), body.as_bytes(), time))
}

fn counted(metric: &str) -> u64 {
    counted_by(&WORLD.operator, metric)
}

/// What an operator's metrics say: name, labels and a space.
pub(crate) fn counted_by(operator: &Operator, metric: &str) -> u64 {
    let scraped = operator.scraped();
    let found = scraped.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok());
    found.unwrap_or_default()
}

#[test]
fn a_new_value_is_delivered_within_a_second_of_its_event_and_only_its_readers_read() {
    put("events/one", "first");
    put("events/two", "other");
    let namespace = with_store(&secrets_manager());
    wish(&namespace, "by-name", "events/one", &json!({}));
    let arn = AWS.put_secret_version(REGION, "events/one", moto::Value::Text("first"), &[]).unwrap().arn;
    wish(&namespace, "by-arn", &arn, &json!({}));
    wish(
        &namespace,
        "by-search",
        "events/one",
        &json!({
            "data": [], "dataFrom": [{"find": {"name": {"regexp": "^events/one$"}}, "rewrite": [{"regexp": {"source": "^.*$", "target": "a"}}]}],
        }),
    );
    wish(&namespace, "other", "events/two", &json!({}));
    wish(&namespace, "once", "events/one", &json!({"refreshPolicy": "CreatedOnce"}));
    wish(&namespace, "on-change", "events/one", &json!({"refreshPolicy": "OnChange"}));
    wait_until_read(
        &namespace,
        &[
            ("by-name", "a=first"),
            ("by-arn", "a=first"),
            ("other", "a=other"),
            ("once", "a=first"),
            ("on-change", "a=first"),
        ],
    );
    wait(&namespace, "by-search", "a=first");
    put("events/one", "second");
    put("events/two", "changed");
    let others = reads("events/two");
    tell(&event("speed", "events/one"));
    let took = wait(&namespace, "by-name", "a=second");
    assert!(took < Duration::from_secs(1), "{took:?}");
    for name in ["by-arn", "by-search", "on-change"] {
        wait(&namespace, name, "a=second");
    }
    wait_until_empty();
    assert_eq!(line(&API.get("secrets", &namespace, "once").unwrap()), "a=first", "CreatedOnce is read once");
    assert_eq!(line(&API.get("secrets", &namespace, "other").unwrap()), "a=other", "nobody spoke of the other");
    assert_eq!(reads("events/two"), others);
}

#[test]
fn duplicates_disorder_and_what_cannot_be_read_do_no_harm() {
    put("events/many", "first");
    let namespace = with_store(&secrets_manager());
    wish(&namespace, "many", "events/many", &json!({}));
    wait_until_read(&namespace, &[("many", "a=first")]);
    put("events/many", "last");
    let before = reads("events/many");
    let refused = counted("strongroom_events_refused_total{source=\"sqs\"} ");
    tell(CANARY);
    tell(&event("same", "events/many"));
    wait(&namespace, "many", "a=last");
    for _ in 0..3 {
        tell(&event("same", "events/many"));
    }
    wait_until_empty();
    let spared = reads("events/many");
    assert!(spared <= before + 2, "a message that came before is not followed again: {before} {spared}");
    // An older message that comes late leads to what the store has now.
    tell(&event("older", "events/many"));
    wait_until_empty();
    eventually("it is read once more", || if reads("events/many") > spared { Ok(()) } else { Err("not yet") });
    assert_eq!(line(&API.get("secrets", &namespace, "many").unwrap()), "a=last");
    assert!(counted("strongroom_events_refused_total{source=\"sqs\"} ") > refused);
    let logged = WORLD.operator.logged();
    assert!(logged.contains("a message cannot be read") && !logged.contains(CANARY));
}

#[test]
fn signed_requests_are_followed_and_forged_ones_are_refused() {
    let namespace = with_store(&secrets_manager());
    put("events/signed", "first");
    wish(&namespace, "signed", "events/signed", &json!({}));
    wait_until_read(&namespace, &[("signed", "a=first")]);
    let body = format!(r#"{{"provider": "aws-sm", "key": "events/signed", "store": "{namespace}/store"}}"#);
    put("events/signed", "second");
    let before = reads("events/signed");
    let other = "another key of thirty-two bytes!";
    for (headers, expected) in [
        (String::new(), 401),
        ("Strongroom-Signature: t=1,v1=00\r\n".to_owned(), 401),
        (signed(other, &body, now()), 401),
        (signed(KEY, &body, now() - 400), 401),
        (signed(KEY, "{}", now()), 401),
    ] {
        assert_eq!(post(&headers, &body), expected, "{headers}");
    }
    assert_eq!(post(&signed(KEY, "{}", now()), "{}"), 400);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(reads("events/signed"), before, "nobody read for a forged request");
    let right = signed(KEY, &body, now());
    assert_eq!(post(&right, &body), 202);
    let took = wait(&namespace, "signed", "a=second");
    assert!(took < Duration::from_secs(1), "{took:?}");
    // The same once more is taken, and nothing is read for it.
    let after = reads("events/signed");
    assert_eq!(post(&right, &body), 202);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(reads("events/signed"), after);
    // One store is named: another one's readers are left alone.
    let elsewhere = body.replace("/store", "/other");
    assert_eq!(post(&signed(KEY, &elsewhere, now()), &elsewhere), 202);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(reads("events/signed"), after);
}

#[test]
fn requests_that_come_in_another_order_lead_to_what_the_store_has_now() {
    let namespace = with_store(&secrets_manager());
    put("events/disorder", "first");
    wish(&namespace, "disorder", "events/disorder", &json!({}));
    wait_until_read(&namespace, &[("disorder", "a=first")]);
    put("events/disorder", "second");
    put("events/disorder", "third");
    let body = format!(r#"{{"provider": "aws-sm", "key": "events/disorder", "store": "{namespace}/store"}}"#);
    assert_eq!(post(&signed(KEY, &body, now()), &body), 202);
    wait(&namespace, "disorder", "a=third");
    let before = reads("events/disorder");
    // What tells of the second value was signed before, and comes after.
    assert_eq!(post(&signed(KEY, &body, now() - 200), &body), 202);
    eventually("it is read once more", || if reads("events/disorder") > before { Ok(()) } else { Err("not yet") });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(line(&API.get("secrets", &namespace, "disorder").unwrap()), "a=third");
}

#[test]
fn a_store_that_is_away_when_the_event_comes_is_asked_again() {
    AWS.put_parameter(REGION, "/events/away", Kind::SecureString, "first").unwrap();
    let mut provider = secrets_manager();
    provider["aws"]["service"] = json!("ParameterStore");
    let namespace = with_store(&provider);
    wish(&namespace, "away", "/events/away", &json!({}));
    wait_until_read(&namespace, &[("away", "a=first")]);
    AWS.put_parameter(REGION, "/events/away", Kind::SecureString, "second").unwrap();
    // More often than one round tries.
    for operation in ["GetParameter", "GetParameters"] {
        WORLD.aws.add(Fault::answer(503, &[], "").on_operation(operation).times(6));
    }
    let message = json!({
        "id": "away", "detail-type": "Parameter Store Change", "source": "aws.ssm", "region": REGION,
        "detail": {"operation": "Update", "name": "/events/away", "type": "SecureString"},
    });
    tell(&message.to_string());
    wait(&namespace, "away", "a=second");
}
