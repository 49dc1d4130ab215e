//! Who leads, with candidates that stop, crash, are cut off, or never were ours.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Client;
use kube::api::Api;
use strongroom_kube::{Election, ElectionSettings, Leadership};

use crate::{Wire, cluster, connect, namespace};

fn quick(namespace: &str, identity: &str) -> ElectionSettings {
    ElectionSettings {
        lease_duration: Duration::from_secs(4),
        renew_deadline: Duration::from_secs(2),
        retry_period: Duration::from_millis(500),
        ..ElectionSettings::new(namespace, "lead", identity)
    }
}

/// Waits until the candidate leads, or does not; how long that took.
async fn until_leading(election: &Election, leads: bool) -> Duration {
    let (start, mut leadership) = (Instant::now(), election.leadership());
    let changed = leadership.wait_for(|leadership| (*leadership == Leadership::Leading) == leads);
    tokio::time::timeout(Duration::from_secs(30), changed).await.expect("leadership changes").unwrap();
    start.elapsed()
}

async fn spec(client: &Client, namespace: &str) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    leases.get("lead").await.unwrap().spec.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_hands_over_within_five_seconds() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let client = connect(cluster.kubeconfig()).await.client();
    // client-go's own times: it must be quick with these.
    let settings = |identity: &str| ElectionSettings::new(&namespace, "lead", identity);
    let one = Election::start(client.clone(), settings("one"));
    until_leading(&one, true).await;
    let first = spec(&client, &namespace).await;
    assert_eq!((first.holder_identity.as_deref(), first.lease_duration_seconds), (Some("one"), Some(15)));
    assert_eq!(first.lease_transitions, Some(0));
    let two = Election::start(client.clone(), settings("two"));
    let mut seen = two.leadership();
    let follows = Leadership::Following { holder: Some("one".to_owned()) };
    tokio::time::timeout(Duration::from_secs(10), seen.wait_for(|seen| *seen == follows)).await.unwrap().unwrap();
    let told = one.leadership();
    let start = Instant::now();
    one.step_down().await;
    assert_eq!(*told.borrow(), Leadership::Following { holder: None });
    until_leading(&two, true).await;
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    let second = spec(&client, &namespace).await;
    assert_eq!((second.holder_identity.as_deref(), second.lease_transitions), (Some("two"), Some(1)));
    assert_eq!(second.lease_duration_seconds, Some(15));
    two.step_down().await;
    let last = spec(&client, &namespace).await;
    assert_eq!((last.holder_identity.as_deref(), last.lease_duration_seconds), (Some(""), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_leader_is_followed_when_its_lease_has_passed() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let client = connect(cluster.kubeconfig()).await.client();
    let (kubeconfig, there) = (cluster.kubeconfig().to_owned(), namespace.clone());
    // In a runtime of its own, which ends without a word.
    let crashed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let client = connect(&kubeconfig).await.client();
            let one = Election::start(client, quick(&there, "one"));
            until_leading(&one, true).await;
            std::mem::forget(one);
        });
        runtime.shutdown_background();
    });
    crashed.join().unwrap();
    let start = Instant::now();
    let two = Election::start(client.clone(), quick(&namespace, "two"));
    until_leading(&two, true).await;
    let took = start.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&took), "it took {took:?}");
    assert_eq!(spec(&client, &namespace).await.lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_knows_it_before_another_leads() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let wire = Wire::to(cluster).await;
    let one = Election::start(connect(&wire.kubeconfig).await.client(), quick(&namespace, "one"));
    until_leading(&one, true).await;
    let two = Election::start(connect(cluster.kubeconfig()).await.client(), quick(&namespace, "two"));
    wire.cut();
    let lost = until_leading(&one, false).await;
    assert_ne!(*two.leadership().borrow(), Leadership::Leading, "two led at once");
    assert!(lost < Duration::from_secs(3), "it took {lost:?}");
    until_leading(&two, true).await;
    // Back again, it follows.
    wire.mend();
    let mut seen = one.leadership();
    let follows = Leadership::Following { holder: Some("two".to_owned()) };
    tokio::time::timeout(Duration::from_secs(20), seen.wait_for(|seen| *seen == follows)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blink_of_the_api_server_costs_no_leadership() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let wire = Wire::to(cluster).await;
    let one = Election::start(connect(&wire.kubeconfig).await.client(), quick(&namespace, "one"));
    until_leading(&one, true).await;
    let mut told = one.leadership();
    told.borrow_and_update();
    wire.cut();
    tokio::time::sleep(Duration::from_millis(700)).await;
    wire.mend();
    // Somebody else touches the Lease as well: a conflict, and no reason to stop.
    cluster.kubectl(&["annotate", "lease", "lead", "-n", &namespace, "touched=yes"]).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!told.has_changed().unwrap(), "leadership was lost: {:?}", told.borrow());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_holder_is_waited_for_by_our_own_clock() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let client = connect(cluster.kubeconfig()).await.client();
    // Its clock is years behind; that it has just been seen is what counts.
    cluster
        .apply(&format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: lead, namespace: {namespace}}},
              spec: {{holderIdentity: other_1, leaseDurationSeconds: 3, leaseTransitions: 7,
                acquireTime: '2020-01-01T00:00:00.000000Z', renewTime: '2020-01-01T00:00:00.000000Z'}}}}"
        ))
        .unwrap();
    let one = Election::start(client.clone(), quick(&namespace, "one"));
    let took = until_leading(&one, true).await;
    assert!((Duration::from_millis(2900)..Duration::from_secs(6)).contains(&took), "it took {took:?}");
    let spec = spec(&client, &namespace).await;
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("one"), Some(8)));
}
