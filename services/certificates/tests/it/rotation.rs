//! A rotation, while the API server calls the webhook all the time and each leader is killed after one step.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use strongroom_certificates::{Kind, Settings, serve};
use strongroom_http::{HeaderValue, Limits, Received, Reply, RequestServer, StatusCode, header};
use strongroom_kube::{Access, Connection};
use strongroom_secret::SecretBytes;

use crate::support::{
    Replica, access, apply, bundle_becomes, cluster, configuration, eventually, held, namespace, set_times, settings,
    webhook,
};

/// Allows what it is asked about, and ends the connection, so that each request shakes hands anew.
fn answer(request: &Received) -> Reply {
    let review: Value = serde_json::from_slice(request.body.expose()).unwrap();
    let allowed = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                         "response": {"uid": review["request"]["uid"], "allowed": true}});
    let headers = vec![(header::CONNECTION, HeaderValue::from_static("close"))];
    Reply { status: StatusCode::OK, headers, body: SecretBytes::from(allowed.to_string()).into() }
}

/// Serves the webhook with what a replica keeps; where, and how often it was called.
fn webhook_of(replica: &Replica) -> (SocketAddr, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let (tls, following) = replica.block_on(serve(replica.certificates.clone())).unwrap();
    replica.spawn(following);
    let limits =
        Limits { connections: 100, head_bytes: 16 << 10, head_time: Duration::from_secs(10), connection_time: None };
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = RequestServer::bind(here, Some(tls), limits, 1 << 20, Duration::from_secs(10));
    let server = replica.block_on(server).unwrap();
    let address = server.address();
    let counted = Arc::clone(&calls);
    let handle = move |request: Received| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(answer(&request))
    };
    let refuse =
        |status, words: &str| Reply { status, headers: Vec::new(), body: SecretBytes::from(words.to_owned()).into() };
    replica.spawn(server.run(handle, refuse, std::future::pending(), Duration::ZERO));
    (address, calls)
}

/// Creates ConfigMaps, without keeping them, until it is told to stop; how many, and what was refused.
fn stream(namespace: &str, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<(u64, Vec<String>)> {
    let namespace = namespace.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let access = Access::Kubeconfig { files: vec![cluster().kubeconfig().to_owned()], context: None };
            let connection = strongroom_kube::Settings { access, role: "test", queries_per_second: 0.0, burst: 0 };
            let client = Connection::open(&connection).await.unwrap().client();
            let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
            let parameters = PostParams { dry_run: true, field_manager: None };
            let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "probe"}})).unwrap();
            let (mut created, mut refused) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                match maps.create(&parameters, &map).await {
                    Ok(_) => created += 1,
                    Err(error) => refused.push(error.to_string()),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (created, refused)
        })
    })
}

/// Starts a leader that is due to rotate, since authorities hold for a shorter time now.
fn leader(settings: &Settings, kubeconfig: &Path) -> Replica {
    let mut settings = settings.clone();
    set_times(&mut settings, |times| {
        times.authority = Duration::from_secs(90 * 24 * 3600);
    });
    Replica::start(&settings, kubeconfig.to_owned())
}

#[test]
fn no_request_fails_in_a_rotation_whose_leaders_are_killed_after_each_step() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let mut settings = settings(&namespace, "hook", &[Kind::Mutating]);
    settings.hosts = vec!["127.0.0.1".to_owned()];
    let name = settings.configurations[0].name.clone();
    let (leads, follows) = (access(&settings, true, &folder), access(&settings, false, &folder));
    // It serves all the time, and may not lead.
    let serving = Replica::start(&settings, follows);
    let (address, calls) = webhook_of(&serving);
    let first_certificate = serving.first();
    let mut hook = webhook("a.example.com", &settings);
    hook["failurePolicy"] = json!("Fail");
    hook["clientConfig"] = json!({"url": format!("https://{address}/pods")});
    let replica = Replica::start(&settings, leads.clone());
    let (first, key) = (held(&namespace, "hook", "ca.crt"), held(&namespace, "hook", "ca.key"));
    apply(&[configuration(Kind::Mutating, &name, &[hook])]);
    bundle_becomes(Kind::Mutating, &name, &first);
    // The API server learns of the configuration a moment later.
    std::thread::sleep(Duration::from_secs(2));
    calls.store(0, Ordering::Relaxed);
    let stop = Arc::new(AtomicBool::new(false));
    let streaming = stream(&namespace, Arc::clone(&stop));
    replica.end();

    let replica = leader(&settings, &leads);
    let second = eventually("a second authority", || match held(&namespace, "hook", "ca.crt") {
        second if second != first => Ok(second),
        _ => Err("the first".to_owned()),
    });
    replica.kill();
    assert_eq!(held(&namespace, "hook", "previous-ca.crt"), first);
    assert_eq!(held(&namespace, "hook", "tls.crt"), first_certificate);
    assert_ne!(held(&namespace, "hook", "ca.key"), key);

    let replica = leader(&settings, &leads);
    eventually("a certificate of the second authority", || match held(&namespace, "hook", "tls.crt") {
        other if other != first_certificate => Ok(()),
        _ => Err("the first".to_owned()),
    });
    replica.kill();
    bundle_becomes(Kind::Mutating, &name, &format!("{second}{first}"));
    eventually("the second certificate is served", || match serving.first() {
        served if served != first_certificate => Ok(()),
        _ => Err("the first".to_owned()),
    });

    let _replica = leader(&settings, &leads);
    bundle_becomes(Kind::Mutating, &name, &second);
    assert_eq!(held(&namespace, "hook", "ca.crt"), second, "the third leader went on, and did not begin again");
    assert_eq!(held(&namespace, "hook", "previous-ca.crt"), "");
    std::thread::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::Relaxed);
    let (created, refused) = streaming.join().unwrap();
    assert_eq!(refused, Vec::<String>::new(), "after {created}");
    assert!(created > 500, "{created}");
    assert_eq!(calls.load(Ordering::Relaxed), created, "each went through the webhook");
}
