//! What others have in the cluster: controllers, tokens, maps; and what is said where we may not look.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_failure::Class;
use strongroom_kube::{
    Presence, Secrets, deployments_available, lease_held, read_config_map, read_service_account, request_token,
    server_time,
};

use crate::{cluster, connect, namespace};

/// A kubeconfig of a service account that may do nothing.
fn powerless(namespace: &str, folder: &tempfile::TempDir) -> PathBuf {
    let token = cluster().service_account_token(namespace, "powerless", &[]).unwrap();
    let authority = cluster().certificate_authority().display();
    let file = folder.path().join("kubeconfig");
    let content = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, users: [{{name: a, user: {{token: {token}}}}}],
          clusters: [{{name: a, cluster: {{server: '{}', certificate-authority: {authority}}}}}],
          contexts: [{{name: a, context: {{cluster: a, user: a, namespace: {namespace}}}}}]}}",
        cluster().server()
    );
    std::fs::write(&file, content).unwrap();
    file
}

fn lease(namespace: &str, holder: &str, renewed: Timestamp) -> String {
    format!(
        "{{apiVersion: coordination.k8s.io/v1, kind: Lease,
          metadata: {{name: external-secrets-controller, namespace: {namespace}}},
          spec: {{holderIdentity: '{holder}', leaseDurationSeconds: 15, renewTime: '{renewed:.6}'}}}}"
    )
}

#[tokio::test]
async fn a_live_lease_is_found_in_any_namespace() {
    let namespace = namespace(cluster());
    let client = connect(cluster().kubeconfig()).await.client();
    let names = ["external-secrets-controller"];
    let now = Timestamp::now();
    let check = async |expected: Presence| assert_eq!(lease_held(&client, &names, now).await.unwrap(), expected);
    check(Presence::Absent).await;
    cluster().apply(&lease(&namespace, "eso_1", now - SignedDuration::from_secs(16))).unwrap();
    check(Presence::Absent).await;
    cluster().apply(&lease(&namespace, "eso_1", now - SignedDuration::from_secs(14))).unwrap();
    check(Presence::Live(format!("Lease {namespace}/external-secrets-controller held by eso_1"))).await;
    cluster().apply(&lease(&namespace, "", now)).unwrap();
    check(Presence::Absent).await;
}

#[tokio::test]
async fn a_deployment_counts_when_a_replica_is_at_work() {
    let namespace = namespace(cluster());
    let client = connect(cluster().kubeconfig()).await.client();
    let labels = "app.kubernetes.io/name=external-secrets";
    // No controller runs here: the status stays as it is written.
    cluster()
        .apply(&format!(
            "{{apiVersion: apps/v1, kind: Deployment,
              metadata: {{name: eso, namespace: {namespace}, labels: {{app.kubernetes.io/name: external-secrets}}}},
              spec: {{selector: {{matchLabels: {{a: b}}}}, strategy: {{rollingUpdate: {{maxSurge: 1}}}},
                template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: a, image: ghcr.io/x/eso:v1}}]}}}}}}}}"
        ))
        .unwrap();
    assert_eq!(deployments_available(&client, labels, None).await.unwrap(), Presence::Absent);
    let status = r#"{"status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}}"#;
    let patch = ["patch", "deployment", "eso", "-n", &namespace, "--subresource=status", "--type=merge", "-p", status];
    cluster().kubectl(&patch).unwrap();
    let found = format!("Deployment {namespace}/eso with 1 available replicas");
    assert_eq!(deployments_available(&client, labels, None).await.unwrap(), Presence::Live(found.clone()));
    let check = async |image: &str, expected: Presence| {
        for labels in [labels, ""] {
            assert_eq!(deployments_available(&client, labels, Some(image)).await.unwrap(), expected, "{image}");
        }
    };
    check("eso", Presence::Live(found)).await;
    check("x", Presence::Absent).await;
}

#[tokio::test]
async fn without_the_right_to_look_it_is_unknown_and_says_what_lacks() {
    let namespace = namespace(cluster());
    let folder = tempfile::tempdir().unwrap();
    let connection = connect(&powerless(&namespace, &folder)).await;
    assert_eq!(connection.namespace(), namespace);
    let client = connection.client();
    let found = lease_held(&client, &["external-secrets-controller"], Timestamp::now()).await.unwrap();
    let Presence::Unknown(failure) = found else { panic!("{found:?}") };
    assert!(failure.to_string().contains("cannot list resource \"leases\""), "{failure}");
    let found = deployments_available(&client, "a=b", None).await.unwrap();
    assert!(matches!(found, Presence::Unknown(_)), "{found:?}");
    let failure = Secrets::new(client, "test").read(&namespace, "db").await.unwrap_err();
    assert_eq!(failure.class, Class::Denied);
    let words = format!(
        "cannot read Secret {namespace}/db: secrets \"db\" is forbidden: User \"system:serviceaccount:{namespace}:powerless\" \
         cannot get resource \"secrets\""
    );
    assert!(failure.to_string().starts_with(&words), "{failure}");
    assert!(failure.hint.is_some());
}

#[tokio::test]
async fn a_token_that_is_refused_is_no_identity() {
    let namespace = namespace(cluster());
    let folder = tempfile::tempdir().unwrap();
    let file = powerless(&namespace, &folder);
    let content = std::fs::read_to_string(&file).unwrap().replace("token: ", "token: canary");
    std::fs::write(&file, content).unwrap();
    let client = connect(&file).await.client();
    let failure = Secrets::new(client, "test").read(&namespace, "db").await.unwrap_err();
    assert_eq!(
        (failure.class, failure.words.as_str()),
        (Class::Unauthenticated, &*format!("cannot read Secret {namespace}/db: Unauthorized"))
    );
}

#[tokio::test]
async fn tokens_are_requested_for_an_audience() {
    let namespace = namespace(cluster());
    cluster().kubectl(&["create", "serviceaccount", "app", "-n", &namespace]).unwrap();
    cluster().kubectl(&["annotate", "serviceaccount", "app", "-n", &namespace, "role=reader"]).unwrap();
    let client = connect(cluster().kubeconfig()).await.client();
    let account = read_service_account(&client, &namespace, "app").await.unwrap();
    assert_eq!(account.metadata.annotations.unwrap()["role"], "reader");
    let audiences = ["vault".to_owned()];
    let lifetime = Duration::from_secs(3600);
    let token = request_token(&client, &namespace, "app", &audiences, lifetime).await.unwrap();
    assert_eq!(token.token.expose_text().unwrap().split('.').count(), 3);
    let left = token.expires - Timestamp::now();
    assert!(left.total(jiff::Unit::Minute).unwrap() > 50.0, "{left}");
    let failure = request_token(&client, &namespace, "nobody", &audiences, lifetime).await.unwrap_err();
    assert_eq!(failure.class, Class::NotFound);
    let failure = request_token(&client, &namespace, "a/../../secrets", &audiences, lifetime).await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid);
}

#[tokio::test]
async fn maps_are_read_text_and_binary() {
    let namespace = namespace(cluster());
    let map = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: {namespace}}}, data: {{t: text}}, binaryData: {{b: AP8=}}}}"
    );
    cluster().apply(&map).unwrap();
    let client = connect(cluster().kubeconfig()).await.client();
    let read = read_config_map(&client, &namespace, "a").await.unwrap();
    assert_eq!((read["t"].as_slice(), read["b"].as_slice()), (b"text".as_slice(), [0, 255].as_slice()));
    assert_eq!(read_config_map(&client, &namespace, "b").await.unwrap_err().class, Class::NotFound);
}

#[tokio::test]
async fn the_api_servers_time_is_told_to_whoever_is_known() {
    let (namespace, folder) = (namespace(cluster()), tempfile::tempdir().unwrap());
    let client = connect(&powerless(&namespace, &folder)).await.client();
    let before = Timestamp::now() - SignedDuration::from_secs(1);
    let told = server_time(&client).await.unwrap().unwrap();
    assert!((before..=Timestamp::now()).contains(&told), "{told}");
}
