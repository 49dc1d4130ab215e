use std::collections::BTreeMap;

use strongroom_failure::Class;
use strongroom_provider::{Facet, Find, Outcome, Pattern, Provider, RemoteKey, Validation};

use crate::cluster::{CANARY, account, connection, namespace, open, read, shared, text, words};

#[tokio::test]
async fn one_get_answers_all_that_is_wanted_of_a_secret() {
    let cluster = shared();
    namespace(&cluster, "reads");
    cluster
        .apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: app, namespace: reads, labels: {{team: a}}, \
             annotations: {{note: <x>}}}}, stringData: {{user: bob, password: '{CANARY}', tls.crt: pem}}, \
             data: {{binary: AP8=}}}}"
        ))
        .unwrap();
    cluster.apply("{apiVersion: v1, kind: Secret, metadata: {name: empty, namespace: reads}}").unwrap();
    let token = account(&cluster, "reads", "reader", "get", "", "secrets");
    let (store, meter) = open(connection(&cluster, Some(&token)), "reads");
    let property = RemoteKey { property: Some("user".to_owned()), ..RemoteKey::current("app") };
    let metadata = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("app") };
    let keys = [RemoteKey::current("app"), property, metadata, RemoteKey::current("gone"), RemoteKey::current("empty")];
    assert_eq!(store.plan(&keys).len(), 3);
    let answers = store.read(&keys).await;
    let whole = answers[0].as_ref().unwrap();
    let json =
        format!("{{\"binary\":\"\\u0000\u{fffd}\",\"password\":\"{CANARY}\",\"tls.crt\":\"pem\",\"user\":\"bob\"}}");
    assert_eq!(whole.value.expose_text(), Some(json.as_str()));
    let parts = whole.parts.as_ref().unwrap();
    assert_eq!(parts["binary"].expose(), [0, 255]);
    assert_eq!(parts["tls.crt"].expose(), b"pem");
    assert!(whole.version.as_ref().is_some_and(|version| !version.is_empty()));
    assert_eq!(text(&answers[1]), json);
    assert_eq!(text(&answers[2]), r#"{"annotations":{"note":"<x>"},"labels":{"team":"a"}}"#);
    let gone = answers[3].as_ref().unwrap_err();
    assert_eq!(gone.class, Class::NotFound);
    assert!(words(gone).contains("secrets \"gone\" not found"), "{gone}");
    assert_eq!(text(&answers[4]), "{}");
    assert_eq!(meter.counts(), [("kubernetes:GetSecret", Outcome::Answered, 3)]);
    assert_eq!(store.validate().await.unwrap(), Validation::Valid);
    assert!(!format!("{answers:?}").contains(CANARY));
}

#[tokio::test]
async fn secrets_are_found_by_labels_or_by_name() {
    let cluster = shared();
    namespace(&cluster, "finds");
    for (name, labels) in [("app-a", "{team: a, tier: web}"), ("app-b", "{team: b}"), ("other", "{team: a}")] {
        cluster
            .apply(&format!(
                "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: finds, labels: {labels}}}, \
                 stringData: {{k: {name}}}}}"
            ))
            .unwrap();
    }
    let token = account(&cluster, "finds", "finder", "list", "", "secrets");
    let (store, _) = open(connection(&cluster, Some(&token)), "finds");
    let check = async |name: Option<&str>, tags: &[(&str, &str)], expected: &[&str]| {
        let tags: BTreeMap<_, _> = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let name = name.map(|name| Pattern::new(name).unwrap());
        let found = store.find(&Find { path: None, name, tags }).await.unwrap();
        let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, expected);
        for found in &found {
            let value = found.value.as_ref().unwrap();
            assert_eq!(value.parts.as_ref().unwrap()["k"].expose(), found.name.as_bytes());
            assert_eq!(value.value.expose_text().unwrap(), format!("{{\"k\":\"{}\"}}", found.name));
            assert_eq!(found.key, RemoteKey::current(&found.name));
        }
    };
    check(Some("^app-"), &[], &["app-a", "app-b"]).await;
    check(Some("."), &[], &["app-a", "app-b", "other"]).await;
    check(None, &[("team", "a")], &["app-a", "other"]).await;
    check(None, &[("team", "a"), ("tier", "web")], &["app-a"]).await;
    check(Some("^other$"), &[("team", "b")], &["app-b"]).await;
    check(Some("nothing"), &[], &[]).await;
    // What may list may not get, and says so.
    let denied = read(&store, "app-a").await.unwrap_err();
    assert_eq!(denied.class, Class::Denied);
    assert!(words(&denied).contains("cannot get resource \"secrets\""), "{denied}");
    assert_eq!(store.validate().await.unwrap_err().class, Class::Denied);
}

#[tokio::test]
async fn many_secrets_come_page_by_page_and_large_ones_few_at_a_time() {
    let cluster = shared();
    namespace(&cluster, "pages");
    let many: Vec<_> = (0..450)
        .map(|number| {
            format!("{{apiVersion: v1, kind: Secret, metadata: {{name: s{number:03}, namespace: pages}}, stringData: {{k: v}}}}")
        })
        .collect();
    cluster.apply(&many.join("\n---\n")).unwrap();
    // Sixteen of a megabyte do not fit into one answer.
    let large = "x".repeat(1_000_000);
    for number in 0..16 {
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"k": large},
            "metadata": {"name": format!("large{number:02}"), "namespace": "pages"}});
        cluster.apply(&secret.to_string()).unwrap();
    }
    let token = account(&cluster, "pages", "finder", "list", "", "secrets");
    let (store, meter) = open(connection(&cluster, Some(&token)), "pages");
    let find =
        async |name: &str| store.find(&Find { name: Some(Pattern::new(name).unwrap()), ..Find::default() }).await;
    let found = find("^s").await.unwrap();
    assert_eq!(found.len(), 450);
    let listed = |meter: &strongroom_provider::Meter| meter.counts().iter().map(|(_, _, count)| count).sum::<u64>();
    let few = listed(&meter);
    assert!((4..=120).contains(&few), "{few} requests");
    assert_eq!(find("^large0").await.unwrap().len(), 10);
    let too_much = find("^large").await.map(|found| found.len());
    assert_eq!(too_much.unwrap(), 16);
    cluster
        .apply(
            &serde_json::json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"k": large},
            "metadata": {"name": "large16", "namespace": "pages"}})
            .to_string(),
        )
        .unwrap();
    let failure = find("^large").await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid);
    assert!(words(&failure).contains("more than 16777216 bytes"), "{failure}");
}

#[tokio::test]
async fn keys_cannot_lead_elsewhere() {
    let cluster = shared();
    namespace(&cluster, "fenced");
    let token = cluster.service_account_token("fenced", "anyone", &[]).unwrap();
    let (store, meter) = open(connection(&cluster, Some(&token)), "fenced");
    for key in ["", "..", "../../kube-system/secrets/x", "a/b", "a%2Fb"] {
        let failure = read(&store, key).await.unwrap_err();
        assert_eq!(failure.class, Class::Invalid, "{key}");
    }
    assert_eq!(meter.counts(), []);
    let foreign = read(&store, "a?b=c").await.unwrap_err();
    assert_eq!(foreign.class, Class::Denied);
    assert!(words(&foreign).contains("give the token in the settings a Role in namespace fenced"), "{foreign:?}");
}
