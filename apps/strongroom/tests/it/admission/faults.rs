//! What goes wrong around admission and with it: a pod that asks for secrets is never stored as it was, others are not
//! held up, and afterwards all goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::control_plane::{Cluster, Options};
use world::registry::{Access, Registry};
use world::switchboard::{Fault, Line, Switchboard};

use super::support::{ARN, Admission, Stream, asking, held_pod, is_injected, push, with_account};
use crate::operator::api::{API, Api};
use crate::operator::support::{CLUSTER, cluster, eventually};

/// A namespace whose pods go through `admission` as installed, from now on.
fn served(cluster: &Cluster, api: &Api, admission: &Admission, test: &str, seconds: u8) -> String {
    let label = ("admission-faults", test);
    let namespace = with_account(cluster, &[label]);
    admission.called_as_installed(cluster, label, seconds);
    eventually("pods are changed", || changed(api, &namespace));
    namespace
}

/// Whether a new pod that asks for a secret is changed.
fn changed(api: &Api, namespace: &str) -> Result<(), String> {
    let name = format!("probe-{}", fastrand::u32(..));
    match api.create("pods", namespace, &asking(&name)) {
        (201, _) if api.get("pods", namespace, &name).is_some_and(|pod| is_injected(&pod)) => Ok(()),
        (201, _) => Err("it is stored as it was".to_owned()),
        (status, words) => Err(format!("{status} {words}")),
    }
}

fn without_references() -> Value {
    held_pod("plain", &json!({"image": "app", "env": [{"name": "A", "value": "arn:aws:s3:::bucket"}]}))
}

fn with_variables_of(secret: &str, name: &str) -> Value {
    held_pod(name, &json!({"image": "app", "command": ["app"], "envFrom": [{"secretRef": {"name": secret}}]}))
}

#[test]
fn while_nobody_answers_pods_that_ask_are_refused_and_others_start() {
    let admission = Admission::start(&[]);
    let namespace = served(&CLUSTER, &API, &admission, "killed", 10);
    let restart = admission.kill();
    let create = |pod: &Value| API.create("pods", &namespace, pod);
    for pod in [asking("asks"), with_variables_of("any", "indirect")] {
        let (status, words) = create(&pod);
        assert!(status == 500 && words.contains("failed calling webhook"), "{status} {words}");
    }
    assert_eq!(create(&without_references()), (201, String::new()));
    let mut unwilling = asking("unwilling");
    unwilling["metadata"]["annotations"] = json!({"strongroom.dev/inject": "false"});
    assert_eq!(create(&unwilling), (201, String::new()));
    assert!(API.get("pods", &namespace, "asks").is_none());
    let _admission = restart();
    // The API server has nothing to find out: it calls where it called.
    assert_eq!(changed(&API, &namespace), Ok(()));
}

#[test]
fn a_replica_that_is_asked_to_end_answers_what_it_took_and_what_comes_meanwhile() {
    let registry = Registry::start(Access::Open).unwrap();
    let (place, _) = push(&registry, &json!({"Entrypoint": ["e"]}));
    let slow = Switchboard::to(registry.host_port()).unwrap();
    slow.add(Fault::delay(Duration::from_secs(4)).on_path("/manifests/").times(1));
    let host = slow.host_port();
    let first = Admission::start(&["--registry-plain-http", host, "--registry-local", host, "--linger-seconds", "3"]);
    let second = Admission::start(&[]);
    let namespace = served(&CLUSTER, &API, &first, "ends", 10);
    let stream = Stream::start(Api::of(&CLUSTER), &namespace, Duration::from_millis(20));
    let env = json!([{"name": "A", "value": ARN}]);
    let waiting = held_pod("waiting", &json!({"image": format!("{host}/{place}"), "env": env}));
    std::thread::scope(|scope| {
        let created = scope.spawn(|| API.create("pods", &namespace, &waiting));
        eventually("its image is looked up", || match slow.counts().requests {
            0 => Err("not yet"),
            _ => Ok(()),
        });
        first.terminate();
        // As endpoints do when a pod ends: a moment later the API server calls another one.
        second.called_as_installed(&CLUSTER, ("admission-faults", "ends"), 10);
        assert_eq!(created.join().unwrap(), (201, String::new()), "it was taken before the signal");
    });
    assert_eq!(API.get("pods", &namespace, "waiting").unwrap()["spec"]["containers"][0]["args"][1], "e");
    assert_eq!(first.wait(), Some(0));
    std::thread::sleep(Duration::from_millis(500));
    let streamed = stream.end();
    assert!(streamed > 50, "{streamed}");
}

#[test]
fn after_the_signal_each_answer_ends_its_connection() {
    let admission = Admission::plain(&["--linger-seconds", "30"]);
    let answered = |stream: &mut TcpStream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).unwrap();
        String::from_utf8_lossy(&head[..length]).to_lowercase()
    };
    let mut kept = TcpStream::connect(admission.address()).unwrap();
    kept.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let before = answered(&mut kept);
    assert!(before.starts_with("http/1.1 200") && !before.contains("connection: close"), "{before}");
    admission.terminate();
    eventually("the signal arrives", || {
        let logged = admission.logged();
        if logged.contains("a signal asks to end") { Ok(()) } else { Err(logged) }
    });
    let after = answered(&mut kept);
    assert!(after.starts_with("http/1.1 200") && after.contains("connection: close"), "{after}");
    assert_eq!(kept.read(&mut [0; 16]).unwrap(), 0, "it is closed");
}

#[test]
fn an_api_server_that_comes_back_is_served_again_and_what_changes_then_is_seen() {
    let mut cluster = cluster(&Options::default());
    let admission = Admission::start_on(&cluster, &[]);
    let api = Api::of(&cluster);
    let namespace = served(&cluster, &api, &admission, "returns", 10);
    let source = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source"},
        "stringData": {"A": value}})
    };
    assert_eq!(api.create("secrets", &namespace, &source("plain")).0, 201);
    let wrapped = |name: &str| {
        let created = api.create("pods", &namespace, &with_variables_of("source", name));
        assert_eq!(created, (201, String::new()), "{name}");
        is_injected(&api.get("pods", &namespace, name).unwrap())
    };
    assert!(!wrapped("before"));

    cluster.kill_api_server();
    std::thread::sleep(Duration::from_secs(3));
    assert!(admission.listens(), "{}", admission.logged());
    cluster.start_api_server().unwrap();
    eventually("pods are changed again", || changed(&api, &namespace));
    assert!(!wrapped("after"));
    api.patch("secrets", &namespace, "source", &source(ARN));
    assert!(wrapped("next"), "what was known before the watch broke was taken for present");
}

/// A registry's fault, and what is said of it.
type Lie = (Switchboard, &'static str);

/// Registries that are down, slow, or lie; of the last kinds each is a real one but for one answer.
fn faulty(registry: &Registry, config: &str) -> Vec<Lie> {
    let with = |fault: Fault, words: &'static str| {
        let front = Switchboard::to(registry.host_port()).unwrap();
        front.add(fault);
        (front, words)
    };
    let leading = |place: &str| Fault::answer(307, &[("Location", place)], "").on_path("/blobs/");
    let down = Switchboard::to(registry.host_port()).unwrap();
    down.set_line(Line::Refused).unwrap();
    let huge = " ".repeat((4 << 20) + 1);
    let kind = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
    let other = config.replace("\"e\"", "\"f\"");
    vec![
        (down, "refused"),
        with(Fault::delay(Duration::from_secs(5)), "it did not answer within"),
        with(Fault::answer(503, &[], ""), "HTTP 503"),
        with(Fault::answer(200, &[], &other).on_path("/blobs/"), "as the config sha256:"),
        with(Fault::answer(200, &kind, &huge).on_path("/manifests/"), "larger than the limit of 4194304 bytes"),
        with(leading("https://169.254.169.254/latest"), "metadata address"),
        with(leading("http://169.254.169.254/latest"), "by http without TLS"),
    ]
}

#[test]
fn a_registry_that_is_down_slow_or_lies_is_told_in_time_and_pods_with_a_command_do_not_notice() {
    let seconds = 3;
    let registry = Registry::start(Access::Open).unwrap();
    let (place, config) = push(&registry, &json!({"Entrypoint": ["e"]}));
    let registries = faulty(&registry, &config);
    let hosts: Vec<_> = registries.iter().map(|(front, _)| front.host_port()).collect();
    let hosts = hosts.join(",");
    let admission = Admission::start(&["--registry-plain-http", &hosts, "--registry-local", &hosts]);
    let namespace = served(&CLUSTER, &API, &admission, "registry", seconds);
    let env = json!([{"name": "A", "value": ARN}]);
    for (number, (front, expected)) in registries.iter().enumerate() {
        let image = format!("{}/{place}", front.host_port());
        let asked = |name: &str, container: Value| {
            let begin = Instant::now();
            let answer = API.create("pods", &namespace, &held_pod(name, &container));
            (answer, begin.elapsed())
        };
        let name = format!("app-{number}");
        let ((status, words), took) = asked(&name, json!({"image": image, "env": env}));
        assert!(matches!(status, 400..=599) && words.contains(&image) && words.contains(expected), "{status} {words}");
        assert!(words.contains("container \"app\" has no command") && !words.contains("failed calling"), "{words}");
        assert!(took < Duration::from_secs(seconds.into()), "{expected}: {took:?}");
        let with_command = json!({"image": image, "command": ["app"], "env": env});
        let (answer, took) = asked(&format!("{name}-with"), with_command);
        assert_eq!(answer, (201, String::new()), "{expected}");
        assert!(took < Duration::from_secs(1), "{expected}: {took:?}");
        // Nothing of it is kept against the image.
        front.clear();
        front.set_line(Line::Open).unwrap();
        eventually("the pod starts afterwards", || match asked(&name, json!({"image": image, "env": env})).0 {
            (201, _) => Ok(()),
            (status, words) => Err(format!("{status} {words}")),
        });
    }
}
