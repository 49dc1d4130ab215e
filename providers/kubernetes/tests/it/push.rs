use serde_json::json;
use strongroom_failure::Class;
use strongroom_kubernetes::Secrets;
use strongroom_provider::{
    Content, Deleted, Facet, Outcome, Place, Provider, Push, Pushed, RemoteKey, SecretBytes, Source,
};

use crate::cluster::{CANARY, account, connection, namespace, open, read, shared, text, words};

fn place(key: &str, property: Option<&str>) -> Place {
    Place { key: key.to_owned(), property: property.map(str::to_owned), ..Place::default() }
}

fn one(key: &str, property: Option<&str>, value: &str) -> Push {
    let content = Content::One(SecretBytes::from(value.to_owned()));
    Push { place: place(key, property), content, metadata: None, source: Source::default(), only_if_absent: false }
}

fn with(push: Push, spec: serde_json::Value) -> Push {
    let (version, kind) = ("kubernetes.external-secrets.io/v1alpha1", "PushSecretMetadata");
    Push { metadata: Some(json!({"apiVersion": version, "kind": kind, "spec": spec})), ..push }
}

async fn pushed(store: &Secrets, pushes: &[Push]) -> Vec<Pushed> {
    store.push(pushes).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

async fn deleted(store: &Secrets, places: &[Place]) -> Vec<Deleted> {
    store.delete(places).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

#[tokio::test]
async fn keys_are_merged_into_a_secret_and_what_is_there_is_not_written_again() {
    let cluster = shared();
    namespace(&cluster, "push-keys");
    let token = account(&cluster, "push-keys", "pusher", "get, create, update, delete", "", "secrets");
    let (store, meter) = open(connection(&cluster, Some(&token)), "push-keys");
    let wanted = [one("app", Some("user"), "bob"), one("app", Some("tls.key"), CANARY)];
    assert_eq!(pushed(&store, &wanted).await, [Pushed::Written; 2]);
    assert_eq!(pushed(&store, &wanted).await, [Pushed::Unchanged; 2]);
    let changed = [one("app", Some("user"), "eve"), wanted[1].clone()];
    assert_eq!(pushed(&store, &changed).await, [Pushed::Written, Pushed::Unchanged]);
    assert!(text(&read(&store, "app").await) == format!("{{\"tls.key\":\"{CANARY}\",\"user\":\"eve\"}}"));
    let binary = Push { content: Content::One(SecretBytes::new(vec![0, 255])), ..one("app", Some("b"), "") };
    assert_eq!(pushed(&store, &[binary]).await, [Pushed::Written]);
    assert_eq!(read(&store, "app").await.unwrap().parts.unwrap()["b"].expose(), [0, 255]);
    let counted = |operation| meter.counts().into_iter().filter(move |(name, ..)| *name == operation);
    assert_eq!(
        counted("kubernetes:CreateSecret").collect::<Vec<_>>(),
        [("kubernetes:CreateSecret", Outcome::Answered, 1)]
    );
    assert_eq!(
        counted("kubernetes:UpdateSecret").collect::<Vec<_>>(),
        [("kubernetes:UpdateSecret", Outcome::Answered, 2)]
    );
    let kept = Push { only_if_absent: true, ..one("app", Some("user"), "x") };
    let new = Push { only_if_absent: true, ..one("app", Some("new"), "x") };
    assert_eq!(pushed(&store, &[kept, new]).await, [Pushed::Kept, Pushed::Written]);
    let places = [place("app", Some("b")), place("app", Some("none")), place("app", None)];
    assert_eq!(deleted(&store, &places).await, [Deleted::Removed, Deleted::Absent, Deleted::Foreign]);
    let rest = [place("app", Some("new")), place("app", Some("user")), place("app", Some("tls.key"))];
    assert_eq!(deleted(&store, &rest).await, [Deleted::Removed; 3]);
    assert_eq!(read(&store, "app").await.unwrap_err().class, Class::NotFound);
    assert_eq!(deleted(&store, &[place("app", Some("user"))]).await, [Deleted::Absent]);
}

#[tokio::test]
async fn a_whole_secret_takes_type_labels_and_annotations_along() {
    let cluster = shared();
    namespace(&cluster, "push-whole");
    let token = account(&cluster, "push-whole", "pusher", "get, create, update, delete", "", "secrets");
    let (store, _) = open(connection(&cluster, Some(&token)), "push-whole");
    let named = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    let copy = ("kubectl.kubernetes.io/last-applied-configuration".to_owned(), CANARY.to_owned());
    let source = Source {
        secret_type: Some("example.com/kind".to_owned()),
        labels: named("team", "a"),
        annotations: [copy, ("note".to_owned(), "x".to_owned())].into(),
        data: Default::default(),
    };
    let all = [("a", CANARY), ("b", "2")].map(|(key, value)| (key.to_owned(), SecretBytes::from(value.to_owned())));
    let all = Push { content: Content::Whole(all.into()), source, ..one("whole", None, "") };
    assert_eq!(pushed(&store, std::slice::from_ref(&all)).await, [Pushed::Written]);
    assert_eq!(pushed(&store, std::slice::from_ref(&all)).await, [Pushed::Unchanged]);
    let metadata = async || {
        let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("whole") };
        text(&store.read(&[key]).await.remove(0)).to_owned()
    };
    assert_eq!(metadata().await, r#"{"annotations":{"note":"x"},"labels":{"team":"a"}}"#);
    let more = with(all.clone(), json!({"labels": {"more": "1"}}));
    assert_eq!(pushed(&store, &[more]).await, [Pushed::Written], "labels alone are applied");
    assert_eq!(metadata().await, r#"{"annotations":{"note":"x"},"labels":{"more":"1","team":"a"}}"#);
    let replaced = json!({"targetMergePolicy": "Replace", "sourceMergePolicy": "Replace", "labels": {"only": "1"}});
    assert_eq!(pushed(&store, &[with(all.clone(), replaced)]).await, [Pushed::Written]);
    assert_eq!(metadata().await, r#"{"annotations":null,"labels":{"only":"1"}}"#);
    let ignored = with(all.clone(), json!({"targetMergePolicy": "Ignore"}));
    assert_eq!(pushed(&store, &[ignored]).await, [Pushed::Unchanged]);
    for (spec, word) in [(json!({"tags": {}}), "`tags`"), (json!({"remoteNamespace": "kube-system"}), "kube-system")] {
        let failure = store.push(&[with(all.clone(), spec)]).await.remove(0).unwrap_err();
        assert!(failure.class == Class::Invalid && words(&failure).contains(word), "{failure}");
    }
    let failure = store.push(&[one("whole", None, CANARY)]).await.remove(0).unwrap_err();
    assert!(failure.class == Class::Invalid && words(&failure).contains("remoteRef.property"), "{failure}");
}

#[tokio::test]
async fn who_may_only_read_is_told_what_to_allow() {
    let cluster = shared();
    namespace(&cluster, "push-denied");
    let token = account(&cluster, "push-denied", "reader", "get", "", "secrets");
    let (store, _) = open(connection(&cluster, Some(&token)), "push-denied");
    let failure = store.push(&[one("app", Some("a"), CANARY)]).await.remove(0).unwrap_err();
    assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some("app")));
    assert!(words(&failure).contains("create, update and delete"), "{failure}");
}

#[tokio::test]
async fn another_namespace_is_for_stores_of_the_whole_cluster() {
    let cluster = shared();
    ["push-here", "push-there"].iter().for_each(|name| namespace(&cluster, name));
    let token = account(&cluster, "push-there", "pusher", "get, create, update, delete", "", "secrets");
    let there = |name: &str| Some(name.to_owned());
    let push = |namespace: &str| {
        let push = one("app", Some("a"), CANARY);
        let push = Push { place: Place { namespace: there(namespace), ..push.place.clone() }, ..push };
        with(push, json!({"remoteNamespace": namespace}))
    };
    let (own, _) = open(connection(&cluster, Some(&token)), "push-here");
    let failure = own.push(&[push("push-there")]).await.remove(0).unwrap_err();
    assert!(failure.class == Class::Invalid && words(&failure).contains("a ClusterSecretStore"), "{failure}");
    let (store, _) = open(connection(&cluster, Some(&token)), "push-here");
    let store = store.with_other_namespaces();
    // Its identity decides, and one Secret spoils no other of the same name.
    let answers = store.push(&[push("push-there"), one("app", Some("a"), CANARY), push("kube-system")]).await;
    assert_eq!(answers[0], Ok(Pushed::Written));
    for (answer, key, namespace) in [(&answers[1], "app", "push-here"), (&answers[2], "kube-system/app", "kube-system")]
    {
        let failure = answer.as_ref().unwrap_err();
        assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some(key)));
        assert!(words(failure).contains(&format!("a Role in namespace {namespace}")), "{failure}");
    }
    assert_eq!(pushed(&store, &[push("push-there")]).await, [Pushed::Unchanged]);
    let (reader, _) = open(connection(&cluster, Some(&token)), "push-there");
    assert!(text(&read(&reader, "app").await).contains(CANARY));
    let places = [Place { namespace: there("push-there"), ..place("app", Some("a")) }];
    assert_eq!(deleted(&store, &places).await, [Deleted::Removed]);
    assert_eq!(read(&reader, "app").await.unwrap_err().class, Class::NotFound);
    let failure = store.push(&[push("../kube-system")]).await.remove(0).unwrap_err();
    assert_eq!(failure.class, Class::Invalid, "{failure}");
}
