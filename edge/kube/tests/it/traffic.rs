//! The limiter, what others are told about the server, and a server that is not there.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use strongroom_failure::Class;
use strongroom_kube::Secrets;

use crate::{Wire, cluster, connect, limited, namespace};

#[tokio::test]
async fn requests_keep_to_the_rate_and_leases_do_not_wait() {
    let namespace = namespace(cluster());
    let connection = limited(cluster().kubeconfig(), 10.0, 5).await;
    let secrets = Secrets::new(connection.client(), "test");
    secrets.read(&namespace, "warm").await.unwrap();
    let start = Instant::now();
    let reads = (0..20).map(|number| {
        let (secrets, namespace) = (secrets.clone(), namespace.clone());
        tokio::spawn(async move { secrets.read(&namespace, &format!("s{number}")).await.map(drop) })
    });
    let reads: Vec<_> = reads.collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    let leases: Api<Lease> = Api::namespaced(connection.client(), &namespace);
    assert!(leases.get_opt("none").await.unwrap().is_none());
    assert!(asked.elapsed() < Duration::from_millis(800), "a lease waited {:?}", asked.elapsed());
    for read in reads {
        read.await.unwrap().unwrap();
    }
    // Five at once, fifteen at ten a second; one token may have come back before the start.
    assert!(start.elapsed() > Duration::from_millis(1300), "it took only {:?}", start.elapsed());
    assert!(connection.traffic().waited() > Duration::from_secs(1));
    assert_eq!(connection.traffic().count("get", "secrets"), 21);
    assert_eq!(connection.traffic().count("get", "leases"), 1);
}

#[tokio::test]
async fn others_learn_where_the_server_is() {
    let connection = connect(cluster().kubeconfig()).await;
    let (url, authority) = connection.server();
    assert_eq!(url, cluster().server());
    let expected = std::fs::read_to_string(cluster().certificate_authority()).unwrap();
    let squeezed = |pem: &str| pem.split_whitespace().collect::<String>();
    assert_eq!(squeezed(&authority.unwrap()), squeezed(&expected));
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable() {
    let namespace = namespace(cluster());
    let wire = Wire::to(cluster()).await;
    let secrets = Secrets::new(connect(&wire.kubeconfig).await.client(), "test");
    assert!(secrets.read(&namespace, "db").await.unwrap().is_none());
    wire.cut();
    let failure = secrets.read(&namespace, "db").await.unwrap_err();
    assert_eq!(failure.class, Class::Unavailable);
    let words = format!("cannot read Secret {namespace}/db: the API server cannot be reached: ");
    assert!(failure.to_string().starts_with(&words), "{failure}");
    wire.mend();
    assert!(secrets.read(&namespace, "db").await.unwrap().is_none());
}
