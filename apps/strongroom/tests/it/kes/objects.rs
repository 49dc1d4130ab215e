use std::time::Duration;

use serde_json::{Value, json};
use world::moto::{Kind, Value as Stored};

use super::support::{
    API, CANARY, CLUSTER, INTERVAL_MILLISECONDS, OPERATOR, WORLD, create, namespace, status, wait_for, wait_for_error,
};
use crate::operator::api::KES;
use crate::operator::support::{Operator, eventually, scrape};
use crate::{AWS, REGION, VAULT};

/// The first of kubernetes-external-secrets' own end-to-end tests: values arrive, and follow the store.
#[test]
fn ke_01_ke_02_a_secret_follows_its_store() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/user", Stored::Text(r#"{"username":"foo","password":"bar"}"#)).unwrap();
    let spec = "{backendType: secretsManager, data: [{key: kes/user, property: username, name: username}, \
                {key: kes/user, property: password, name: password}]}";
    create(&namespace, "user", spec);
    wait_for(&namespace, "user", "password=bar username=foo");
    let second = r#"{"username":"your mom","password":"1234"}"#;
    AWS.put_secret_version(REGION, "kes/user", Stored::Text(second), &["AWSCURRENT"]).unwrap();
    wait_for(&namespace, "user", "password=1234 username=your mom");
}

/// The originals' own examples; what JavaScript can do is compared in `edge/javascript`.
#[test]
fn ke_03_ke_12_templates_are_javascript() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/s1", Stored::Text(r#"{"intKey":11,"objKey":{"strKey":"hello world"}}"#)).unwrap();
    AWS.put_secret(REGION, "kes/s2", Stored::Text(r#"{"arr":[1,2,3]}"#)).unwrap();
    AWS.put_secret(REGION, "kes/plain", Stored::Text("foo123")).unwrap();
    let data = "data: [{key: kes/s1, name: s1}, {key: kes/s2, name: s2}, {key: kes/plain, name: secretData}]";
    let template = r#"
  metadata:
    labels:
      secretLabel: <%= "Hello".concat(data.secretData) %>
      label1: <%= JSON.parse(data.s1).intKey %>
      label2: <%= JSON.parse(data.s1).objKey.strKey.replace(" ", "-") %>
    annotations: {plain: as it is, interpolated: "${data.secretData}!"}
  stringData:
    file.yaml: |
      <%= yaml.dump(JSON.parse(data.s1)) %>
      <% let s2 = JSON.parse(data.s2) %><% s2.arr.forEach((e, i) => { %>arr_<%= i %>: <%= e %>
      <% }) %>
  data:
    file.txt: <%= Buffer.from(JSON.stringify(JSON.parse(data.s1).objKey)).toString("base64") %>"#;
    create(&namespace, "ke-12", &format!("backendType: secretsManager\n{data}\ntemplate:{template}\n"));
    let yaml = "intKey: 11\nobjKey:\n  strKey: hello world\n\narr_0: 1\narr_1: 2\narr_2: 3\n\n";
    let expected = format!(
        "file.txt={} file.yaml={yaml} s1={} s2={} secretData=foo123",
        r#"{"strKey":"hello world"}"#, r#"{"intKey":11,"objKey":{"strKey":"hello world"}}"#, r#"{"arr":[1,2,3]}"#
    );
    let secret = wait_for(&namespace, "ke-12", &expected);
    let labels = json!({"secretLabel": "Hellofoo123", "label1": "11", "label2": "hello-world"});
    assert_eq!(secret["metadata"]["labels"], labels);
    assert_eq!(secret["metadata"]["annotations"]["interpolated"], "foo123!");
    let before = version(&namespace, "ke-12");
    some_polls();
    assert_eq!(version(&namespace, "ke-12"), before, "what is rendered anew and the same is not written");
}

/// Each ends in a status that says why, the operator goes on, and nobody else waits.
#[test]
fn hostile_templates_end_in_a_status_and_harm_nobody() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/hostile", Stored::Text(CANARY)).unwrap();
    let table = [
        ("loop", "<% while (true); %>", "the template took too long"),
        ("memory", "<% const a = []; for (;;) a.push(new Array(1000).fill(a.length)) %>", "needs too much memory"),
        ("recursion", "<% const f = () => f() + 1; f() %>", "the template threw an error"),
        ("require", "<%= require('fs') %>", "ReferenceError: require is not defined"),
        ("process", "<% process.exit(1) %>", "ReferenceError: process is not defined"),
        ("throw", "<% throw new Error(data.a) %>", "the template threw an error: Error: …"),
        ("syntax", "<% if ( %>", "the template is no JavaScript"),
        ("long", "<%= 'x'.repeat(2 ** 21) %>", "gives too long a text"),
    ];
    for (name, text, _) in &table {
        let template = json!({"stringData": {"b": text, "c": "<%= data.a %>"}});
        let spec = json!({"backendType": "secretsManager", "template": template,
            "data": [{"key": "kes/hostile", "name": "a"}]});
        create(&namespace, name, &spec.to_string());
    }
    for (name, _, words) in &table {
        wait_for_error(&namespace, name, words);
        assert!(status(&namespace, name).unwrap().contains("template.stringData[\"b\"]"), "{name}: the place is named");
    }
    AWS.put_secret(REGION, "kes/after", Stored::Text("fine")).unwrap();
    create(&namespace, "after", "{backendType: secretsManager, data: [{key: kes/after, name: a}]}");
    wait_for(&namespace, "after", "a=fine");
}

#[test]
fn ke_04_to_ke_10_types_regions_and_parameters() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/tls", Stored::Text(r#"{"crt":"foo","key":"bar"}"#)).unwrap();
    AWS.put_secret("us-east-2", "kes/far", Stored::Text("far away")).unwrap();
    for (name, value) in [("/kes/path/name1", "foo"), ("/kes/path/name2", "bar"), ("/kes/path/deep/name3", "baz")] {
        AWS.put_parameter(REGION, name, Kind::SecureString, value).unwrap();
    }
    let tls = "data: [{key: kes/tls, property: crt, name: tls.crt}, {key: kes/tls, property: key, name: tls.key}]";
    let path = "{backendType: systemManager, data: [{path: /kes/path";
    let table = [
        (
            "ke-04",
            format!("{{backendType: secretsManager, type: kubernetes.io/tls, {tls}}}"),
            "tls.crt=foo tls.key=bar",
        ),
        (
            "ke-05",
            format!("{{backendType: secretsManager, template: {{type: kubernetes.io/tls}}, {tls}}}"),
            "tls.crt=foo tls.key=bar",
        ),
        (
            "ke-06",
            "{backendType: secretsManager, region: us-east-2, data: [{key: kes/far, name: a}]}".into(),
            "a=far away",
        ),
        ("ke-09", "{backendType: systemManager, data: [{key: /kes/path/name1, name: a}]}".into(), "a=foo"),
        ("ke-10", format!("{path}}}]}}"), "name1=foo name2=bar"),
        ("ke-25", format!("{path}, recursive: true}}]}}"), "name1=foo name2=bar name3=baz"),
    ];
    for (name, spec, _) in &table {
        create(&namespace, name, spec);
    }
    for (name, _, data) in &table {
        let secret = wait_for(&namespace, name, data);
        let expected =
            if name.starts_with("ke-04") || name.starts_with("ke-05") { "kubernetes.io/tls" } else { "Opaque" };
        assert_eq!(secret["type"], expected, "{name}");
    }
}

#[test]
fn ke_07_ke_08_the_namespace_says_what_is_allowed() {
    let role = namespace(&json!({"iam.amazonaws.com/permitted": "^(foo|bar)"}));
    AWS.put_secret(REGION, "kes/guarded", Stored::Text(CANARY)).unwrap();
    create(
        &role,
        "role",
        "{backendType: secretsManager, roleArn: let-me-be-root, data: [{key: kes/guarded, name: a}]}",
    );
    wait_for_error(&role, "role", "namespace does not allow to assume role let-me-be-root");
    let keys = namespace(&json!({"externalsecrets.kubernetes-client.io/permitted-key-name": "/permitted/path/.*"}));
    for (name, ways) in [
        ("data", "data: [{key: kes/guarded, name: a}]"),
        ("from", "dataFrom: [kes/guarded]"),
        ("options", "dataFromWithOptions: [{key: kes/guarded}]"),
    ] {
        create(&keys, name, &format!("{{backendType: secretsManager, {ways}}}"));
        wait_for_error(&keys, name, "key name kes/guarded does not match naming convention /permitted/path/.*");
    }
    // What is allowed from now on is read at once.
    API.patch(
        "namespaces",
        "",
        &keys,
        &json!({"metadata": {"annotations": {
            "externalsecrets.kubernetes-client.io/permitted-key-name": "kes/.*",
        }}}),
    );
    wait_for(&keys, "data", &format!("a={CANARY}"));
}

#[test]
fn ke_16_to_ke_20_values_become_what_the_original_makes_of_them() {
    let namespace = namespace(&json!({}));
    let whole = r#"{"a":1,"b":{"c":2},"d":null,"e":true}"#;
    AWS.put_secret(REGION, "kes/whole", Stored::Text(whole)).unwrap();
    AWS.put_secret(REGION, "kes/encoded", Stored::Text("aGVsbG8=")).unwrap();
    AWS.put_secret(REGION, "kes/bytes", Stored::Binary(b"aGVsbG8=")).unwrap();
    AWS.put_secret(REGION, "kes/versions", Stored::Text("old")).unwrap();
    AWS.put_secret_version(REGION, "kes/versions", Stored::Text("new"), &["AWSCURRENT"]).unwrap();
    let table = [
        ("ke-16", "dataFrom: [kes/whole]", r#"a=1 b={"c":2} d=null e=true"#),
        (
            "ke-17",
            "dataFrom: [kes/whole], data: [{key: kes/encoded, name: a}]",
            r#"a=aGVsbG8= b={"c":2} d=null e=true"#,
        ),
        (
            "ke-18",
            "data: [{key: kes/encoded, name: a, isBinary: true}, {key: kes/encoded, name: b}]",
            "a=hello b=aGVsbG8=",
        ),
        (
            "ke-19",
            "data: [{key: kes/versions, name: a}, {key: kes/versions, name: b, versionStage: AWSPREVIOUS}]",
            "a=new b=old",
        ),
        ("ke-20", "data: [{key: kes/bytes, name: a, isBinary: true}]", "a=aGVsbG8="),
    ];
    for (name, spec, _) in table {
        create(&namespace, name, &format!("{{backendType: secretsManager, {spec}}}"));
    }
    for (name, _, data) in table {
        wait_for(&namespace, name, data);
    }
    create(&namespace, "ke-14", "{backendType: secretsManager, data: [{key: kes/whole, name: a, property: x.y}]}");
    wait_for_error(&namespace, "ke-14", "Could not find property x.y in kes/whole");
    create(&namespace, "ke-15", "{backendType: secretsManager, data: [{key: kes/encoded, name: a, property: x}]}");
    wait_for_error(&namespace, "ke-15", "the value is not JSON");
}

#[test]
fn ke_21_to_ke_24_the_other_backends_are_read() {
    let namespace = namespace(&json!({}));
    VAULT.command(&["kv", "put", "secret/kes", "password=two", "other=x"]).unwrap();
    let _ = VAULT.command(&["secrets", "enable", "-path=old", "-version=1", "kv"]);
    VAULT.command(&["kv", "put", "old/kes", "password=one"]).unwrap();
    WORLD.azure.put_secret("kes", r#"{"password":"blue"}"#);
    for value in ["first", "second"] {
        WORLD.google.put(WORLD.google.project(), "kes", value.as_bytes());
    }
    let table = [
        (
            "kv2",
            "{backendType: vault, vaultRole: r, data: [{key: secret/data/kes, property: password, name: a}]}",
            "a=two",
        ),
        ("kv2-all", "{backendType: vault, vaultRole: r, dataFrom: [secret/data/kes]}", "other=x password=two"),
        (
            "kv1",
            "{backendType: vault, vaultRole: r, kvVersion: 1, data: [{key: old/kes, property: password, name: a}]}",
            "a=one",
        ),
        (
            "azure",
            "{backendType: azureKeyVault, keyVaultName: world, data: [{key: kes, name: a}, \
             {key: kes, name: b, property: password}]}",
            r#"a={"password":"blue"} b=blue"#,
        ),
        (
            "google",
            "{backendType: gcpSecretsManager, projectId: strongroom-test, data: [{key: kes, name: a}, \
             {key: kes, name: b, version: 1}, {key: kes, name: c, version: latest}]}",
            "a=second b=first c=second",
        ),
    ];
    for (name, spec, _) in table {
        create(&namespace, name, spec);
    }
    for (name, _, data) in table {
        wait_for(&namespace, name, data);
    }
    create(&namespace, "path", "{backendType: vault, vaultRole: r, data: [{path: secret/data/kes}]}");
    wait_for_error(&namespace, "path", "_getByPath not implemented");
    for backend in ["alicloudSecretsManager", "ibmcloudSecretsManager", "akeyless"] {
        let name = backend.to_lowercase();
        create(&namespace, &name, &format!("{{backendType: {backend}, data: [{{key: a, name: a}}]}}"));
        wait_for_error(&namespace, &name, &format!("{backend} is not served by Strongroom"));
    }
}

fn version(namespace: &str, name: &str) -> [Value; 2] {
    let secret = API.get("secrets", namespace, name).unwrap();
    let object = API.get(KES, namespace, name).unwrap();
    [secret, object].map(|object| object["metadata"]["resourceVersion"].clone())
}

fn some_polls() {
    std::thread::sleep(Duration::from_millis(4 * INTERVAL_MILLISECONDS));
}

#[test]
fn ke_28_nothing_is_written_that_has_not_changed() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/still", Stored::Text(r#"{"z":"1","a":"2"}"#)).unwrap();
    let spec = "{backendType: secretsManager, dataFrom: [kes/still], \
                template: {metadata: {labels: {z: '1', a: '2'}}, stringData: {more: x}}}";
    create(&namespace, "still", spec);
    wait_for(&namespace, "still", "a=2 more=x z=1");
    let before = version(&namespace, "still");
    some_polls();
    assert_eq!(version(&namespace, "still"), before);
    // Others may add to it.
    API.patch("secrets", &namespace, "still", &json!({"metadata": {"annotations": {"others": "y"}}}));
    let [before, _] = version(&namespace, "still");
    some_polls();
    assert_eq!(version(&namespace, "still")[0], before);
    let labels = json!({"spec": {"template": {"metadata": {"labels": {"z": "3", "a": null}}}}});
    API.patch(KES, &namespace, "still", &labels);
    eventually("the labels follow", || {
        let metadata = &API.get("secrets", &namespace, "still").unwrap()["metadata"];
        let is_right = metadata["labels"] == json!({"z": "3"}) && metadata["annotations"]["others"] == "y";
        if is_right { Ok(()) } else { Err(metadata.to_string()) }
    });
}

#[test]
fn what_somebody_does_to_a_secret_is_mended() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/mended", Stored::Text("right")).unwrap();
    create(&namespace, "mended", "{backendType: secretsManager, data: [{key: kes/mended, name: a}]}");
    wait_for(&namespace, "mended", "a=right");
    // Wrong, and one more, as base64.
    API.patch("secrets", &namespace, "mended", &json!({"data": {"a": "d3Jvbmc=", "b": "bW9yZQ=="}}));
    wait_for(&namespace, "mended", "a=right");
    assert!(API.delete("secrets", &namespace, "mended"));
    wait_for(&namespace, "mended", "a=right");
    API.delete(KES, &namespace, "mended");
    eventually("the Secret goes with it", || match API.get("secrets", &namespace, "mended") {
        None => Ok(()),
        Some(_) => Err("it is there"),
    });
}

/// Such as the original left behind: written whole by a client of another name, controlled by the object.
#[test]
fn a_secret_of_the_original_is_taken_over_without_a_write() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/taken", Stored::Text(r#"{"b":"1","a":"2"}"#)).unwrap();
    let spec = "{backendType: secretsManager, controllerId: away, dataFrom: [kes/taken], \
                template: {metadata: {labels: {l: x}}}}";
    create(&namespace, "taken", spec);
    let owner = &API.get(KES, &namespace, "taken").unwrap()["metadata"]["uid"];
    let made = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": {"a": "2", "b": "1"},
        "metadata": {"name": "taken", "labels": {"l": "x"}, "ownerReferences": [{
            "apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "name": "taken", "uid": owner,
            "controller": true,
        }]},
    });
    assert_eq!(API.create("secrets", &namespace, &made).0, 201);
    let [before, _] = version(&namespace, "taken");
    some_polls();
    assert_eq!(status(&namespace, "taken"), None, "KE-26: an object of another instance is left alone");
    API.patch(KES, &namespace, "taken", &json!({"spec": {"controllerId": null}}));
    wait_for(&namespace, "taken", "a=2 b=1");
    assert_eq!(version(&namespace, "taken")[0], before);
}

#[test]
fn s5_a_secret_of_somebody_else_stays_as_it_is() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/foreign", Stored::Text("new")).unwrap();
    let made =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}, "stringData": {"a": "old"}});
    assert_eq!(API.create("secrets", &namespace, &made).0, 201);
    create(&namespace, "foreign", "{backendType: secretsManager, data: [{key: kes/foreign, name: a}]}");
    let found = eventually("it is an error", || status(&namespace, "foreign").ok_or("no status"));
    assert!(found.contains("this ExternalSecret did not make it"), "{found}");
    assert_eq!(super::super::operator::api::line(&API.get("secrets", &namespace, "foreign").unwrap()), "a=old");
    API.patch(
        "secrets",
        &namespace,
        "foreign",
        &json!({"metadata": {"annotations": {"strongroom.dev/adopt": "true"}}}),
    );
    wait_for(&namespace, "foreign", "a=new");
}

#[test]
fn ke_30_ke_32_boards_and_columns_are_the_originals() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/counted", Stored::Text("x")).unwrap();
    create(&namespace, "good", "{backendType: secretsManager, data: [{key: kes/counted, name: a}]}");
    create(&namespace, "bad", "{backendType: secretsManager, data: [{key: kes/none, name: a}]}");
    wait_for(&namespace, "good", "a=x");
    wait_for_error(&namespace, "bad", "kes/none");
    let (_, metrics) = scrape(&OPERATOR.metrics, "/metrics");
    let labels = |name: &str| format!(r#"name="{name}",namespace="{namespace}",backend="secretsManager""#);
    for (metric, name, status, value) in [
        ("kubernetes_external_secrets_sync_calls_count", "good", ",status=\"success\"", None),
        ("sync_calls", "bad", ",status=\"error\"", None),
        ("kubernetes_external_secrets_last_sync_call_state", "good", "", Some("1")),
        ("last_state", "bad", "", Some("-1")),
    ] {
        let beginning = format!("{metric}{{{}{status}}} {}", labels(name), value.unwrap_or_default());
        assert!(metrics.lines().any(|line| line.starts_with(&beginning)), "{beginning} is not in\n{metrics}");
    }
    let listed = CLUSTER.kubectl(&["get", KES, "-n", &namespace]).unwrap();
    let mut lines = listed.lines();
    assert_eq!(lines.next().unwrap().split_whitespace().collect::<Vec<_>>(), ["NAME", "LAST", "SYNC", "STATUS", "AGE"]);
    assert!(lines.any(|line| line.starts_with("good") && line.contains("SUCCESS")), "{listed}");
}

/// Objects that fall due together are read together, and one read serves all who name the same key.
#[test]
fn a_hundred_objects_cost_few_calls() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/shared", Stored::Text("x")).unwrap();
    for number in 0..100 {
        create(&namespace, &format!("s{number}"), "{backendType: secretsManager, data: [{key: kes/shared, name: a}]}");
    }
    (0..100).for_each(|number| drop(wait_for(&namespace, &format!("s{number}"), "a=x")));
    let calls = || {
        let requests = WORLD.aws.requests();
        requests.iter().filter(|seen| String::from_utf8_lossy(&seen.body).contains("kes/shared")).count()
    };
    let before = calls();
    some_polls();
    let made = calls() - before;
    assert!((1..=12).contains(&made), "{made} calls in four rounds of a hundred objects");
}

#[test]
fn no_value_is_shown_anywhere() {
    let namespace = namespace(&json!({}));
    AWS.put_secret(REGION, "kes/canary", Stored::Text(CANARY)).unwrap();
    for (name, spec) in [
        ("plain", "data: [{key: kes/canary, name: a}]"),
        ("property", "data: [{key: kes/canary, name: a, property: b}]"),
        ("from", "dataFrom: [kes/canary]"),
        ("type", "template: {type: kubernetes.io/tls}, data: [{key: kes/canary, name: a}]"),
        ("label", "template: {metadata: {labels: {a: 'no label!'}}}, data: [{key: kes/canary, name: a}]"),
    ] {
        create(&namespace, name, &format!("{{backendType: secretsManager, {spec}}}"));
        let _ = eventually("it was looked at", || status(&namespace, name).ok_or("no status"));
    }
    let events = json!(API.list("events", &namespace)).to_string();
    let objects = json!(API.list(KES, &namespace)).to_string();
    for (place, text) in
        [("log", OPERATOR.logged()), ("metrics", OPERATOR.scraped()), ("events", events), ("objects", objects)]
    {
        assert!(!text.is_empty() && !text.contains(CANARY), "shown in the {place}");
    }
}

/// The Deployment of the original's chart, at work.
const ORIGINAL: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: kubernetes-external-secrets
  namespace: default
  labels: {app.kubernetes.io/name: kubernetes-external-secrets}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}
";

#[test]
fn while_the_original_is_at_work_its_objects_are_left_alone() {
    // A controller would see that no pod runs.
    let cluster = super::support::cluster(false);
    cluster.apply(ORIGINAL).unwrap();
    let running = r#"{"status":{"replicas":1,"readyReplicas":1,"availableReplicas":1}}"#;
    let patch =
        ["patch", "deployment", "kubernetes-external-secrets", "--subresource=status", "--type=merge", "-p", running];
    cluster.kubectl(&patch).unwrap();
    let object = "{apiVersion: kubernetes-client.io/v1, kind: ExternalSecret, metadata: {name: a, namespace: default}, \
                  spec: {backendType: akeyless, data: [{key: a, name: a}]}}";
    cluster.apply(object).unwrap();
    let operator = Operator::spawn(&cluster, &[], &[]);
    eventually("/readyz names it", || match scrape(&operator.health, "/readyz").1 {
        body if body.contains("kubernetes-external-secrets") => Ok(()),
        body => Err(body),
    });
    some_polls();
    let status = ["get", KES, "a", "-n", "default", "-o", "jsonpath={.status}"];
    assert_eq!(cluster.kubectl(&status).unwrap(), "");
    drop(operator);
    // Who leaves them to it is not in its way.
    Operator::start(&cluster, &["--kes=off"]);
    let taking_over = Operator::start(&cluster, &["--take-over"]);
    eventually("it is looked at", || match cluster.kubectl(&status).unwrap() {
        status if status.contains("akeyless is not served") => Ok(()),
        status => Err(status),
    });
    drop(taking_over);
}
