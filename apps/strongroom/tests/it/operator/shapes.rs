//! What an ExternalSecret can make of what its store holds, how it tells, and the fan-out over namespaces.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{API, line};
use super::policies::{external_secret, served};
use super::support::{CLUSTER, OPERATOR, condition, eventually, namespace, ready};
use super::sync::apply;

const VALUES: [(&str, &str); 14] = [
    ("/db", r#"{"user":"ann","password":"s3cret","n":5,"deep":{"list":["x","y"]}}"#),
    ("/token", "value1"),
    ("/b64", "aGVsbG8="),
    ("/b64url", "-_-_"),
    ("/coded", r#"{"one":"aGVsbG8=","two":"plain text"}"#),
    ("/odd", r#"{"a b":"1","c/d":"2"}"#),
    ("/clash", r#"{"a b":"1","a/b":"2"}"#),
    ("/merge/one", r#"{"a":"1","b":"2"}"#),
    ("/merge/two", r#"{"b":"3","c":"4"}"#),
    ("/list/one", "first"),
    ("/list/two", "second"),
    ("/number", "1234"),
    ("/yaml", "k: v"),
    ("/template", "from {{ .user }}"),
];

const MAPS: &str = "
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: templates}, data: {file.txt: 'user={{ .user }}', pairs: \"p: {{ .user }}\\nq: {{ .n }}\"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: templates}, stringData: {file.txt: 'pw={{ .password }}'}}
";

/// Name, the rest of the spec, the data of the Secret or, after `!`, words of the condition.
const SHAPES: &[(&str, &str, &str)] = &[
    ("property", "data: [{secretKey: a, remoteRef: {key: /db, property: user}}]", "a=ann"),
    ("property-deep", "data: [{secretKey: a, remoteRef: {key: /db, property: deep.list.1}}]", "a=y"),
    ("property-number", "data: [{secretKey: a, remoteRef: {key: /db, property: 'n'}}]", "a=5"),
    ("property-json", "data: [{secretKey: a, remoteRef: {key: /db, property: deep}}]", r#"a={"list":["x","y"]}"#),
    ("property-missing", "data: [{secretKey: a, remoteRef: {key: /db, property: other}}]", "!spec.data[0] (a)"),
    ("property-of-text", "data: [{secretKey: a, remoteRef: {key: /token, property: other}}]", "!spec.data[0] (a)"),
    ("extract", "dataFrom: [{extract: {key: /merge/one}}]", "a=1 b=2"),
    ("extract-text", "dataFrom: [{extract: {key: /token}}]", "!spec.dataFrom[0]"),
    (
        "last-wins",
        "dataFrom: [{extract: {key: /merge/one}}, {extract: {key: /merge/two}}], data: [{secretKey: c, remoteRef: {key: /token}}]",
        "a=1 b=3 c=value1",
    ),
    ("find", "dataFrom: [{find: {name: {regexp: ^/list/}}}]", "_list_one=first _list_two=second"),
    ("find-path", "dataFrom: [{find: {path: /list, name: {regexp: two}}}]", "!find.path"),
    ("decode", "data: [{secretKey: a, remoteRef: {key: /b64, decodingStrategy: Base64}}]", "a=hello"),
    ("decode-none", "data: [{secretKey: a, remoteRef: {key: /b64, decodingStrategy: None}}]", "a=aGVsbG8="),
    ("decode-auto", "data: [{secretKey: a, remoteRef: {key: /b64, decodingStrategy: Auto}}]", "a=hello"),
    ("decode-wrong", "data: [{secretKey: a, remoteRef: {key: /yaml, decodingStrategy: Base64}}]", "!spec.data[0] (a)"),
    ("decode-extract", "dataFrom: [{extract: {key: /coded, decodingStrategy: Auto}}]", "one=hello two=plain text"),
    ("convert", "dataFrom: [{extract: {key: /odd}}]", "a_b=1 c_d=2"),
    ("convert-unicode", "dataFrom: [{extract: {key: /odd, conversionStrategy: Unicode}}]", "a_U0020_b=1 c_U002f_d=2"),
    ("convert-clash", "dataFrom: [{extract: {key: /clash}}]", "!spec.dataFrom[0]"),
    (
        "rewrite",
        "dataFrom: [{find: {name: {regexp: ^/list/}}, rewrite: [{regexp: {source: '^_list_(.*)', target: 'x-$1'}}]}]",
        "x-one=first x-two=second",
    ),
    (
        "rewrite-transform",
        "dataFrom: [{extract: {key: /merge/one}, rewrite: [{transform: {template: 'K_{{ .value | upper }}'}}]}]",
        "K_A=1 K_B=2",
    ),
    (
        "rewrite-twice",
        "dataFrom: [{extract: {key: /merge/one}, rewrite: [{regexp: {source: ^, target: p}}, {transform: {template: '{{ .value }}-x'}}]}]",
        "pa-x=1 pb-x=2",
    ),
    (
        "rewrite-no-conversion",
        "dataFrom: [{extract: {key: /clash}, rewrite: [{regexp: {source: nothing, target: x}}]}]",
        "!spec.dataFrom[0]",
    ),
    (
        "merge",
        "dataFrom: [{find: {name: {regexp: ^/merge/}}, rewrite: [{merge: {conflictPolicy: Ignore}}]}]",
        "a=1 b=3 c=4",
    ),
    ("merge-clash", "dataFrom: [{find: {name: {regexp: ^/merge/}}, rewrite: [{merge: {}}]}]", "!spec.dataFrom[0]"),
    (
        "merge-priority",
        "dataFrom: [{find: {name: {regexp: ^/merge/}}, rewrite: [{merge: {conflictPolicy: Ignore, priority: [_merge_one]}}]}]",
        "a=1 b=2 c=4",
    ),
    (
        "merge-json",
        "dataFrom: [{find: {name: {regexp: ^/merge/}}, rewrite: [{merge: {conflictPolicy: Ignore, strategy: JSON, into: all}}, {regexp: {source: ^_merge_, target: x-}}]}]",
        r#"all={"a":"1","b":"3","c":"4"} x-one={"a":"1","b":"2"} x-two={"b":"3","c":"4"}"#,
    ),
    (
        "template",
        "target: {template: {data: {url: 'db://{{ .user }}:{{ .password }}@host'}}}, dataFrom: [{extract: {key: /db}}]",
        "url=db://ann:s3cret@host",
    ),
    (
        "template-merge",
        "target: {template: {mergePolicy: Merge, data: {b: 'was {{ .b }}', z: '{{ .a | b64enc }}'}}}, dataFrom: [{extract: {key: /merge/one}}]",
        "a=1 b=was 2 z=MQ==",
    ),
    (
        "template-map",
        "target: {template: {templateFrom: [{configMap: {name: templates, items: [{key: file.txt}]}}]}}, dataFrom: [{extract: {key: /db}}]",
        "file.txt=user=ann",
    ),
    (
        "template-pairs",
        "target: {template: {templateFrom: [{configMap: {name: templates, items: [{key: pairs, templateAs: KeysAndValues}]}}]}}, dataFrom: [{extract: {key: /db}}]",
        "p=ann q=5",
    ),
    (
        "template-secret",
        "target: {template: {templateFrom: [{secret: {name: templates, items: [{key: file.txt}]}}]}}, dataFrom: [{extract: {key: /db}}]",
        "file.txt=pw=s3cret",
    ),
    (
        "template-literal",
        "target: {template: {templateFrom: [{literal: \"l: {{ .user }}\\nm: x\"}], data: {m: wins}}}, dataFrom: [{extract: {key: /db}}]",
        "l=ann m=wins",
    ),
    (
        "template-absent",
        "target: {template: {templateFrom: [{configMap: {name: absent, items: [{key: a}]}}]}}, dataFrom: [{extract: {key: /db}}]",
        "!absent",
    ),
    (
        "template-wrong",
        "target: {template: {data: {a: '{{ .user | nonsense }}'}}}, dataFrom: [{extract: {key: /db}}]",
        "!nonsense",
    ),
    (
        "template-missing",
        "target: {template: {data: {a: '{{ .other }}'}}}, dataFrom: [{extract: {key: /db}}]",
        "!other",
    ),
    ("absent", "data: [{secretKey: a, remoteRef: {key: /absent}}]", "!/absent"),
];

fn shape(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: {name}}}, \
         spec: {{secretStoreRef: {{name: fake}}, {spec}}}}}\n"
    )
}

#[test]
fn values_are_shaped_as_the_spec_says() {
    let namespace = served(&VALUES);
    let manifests: String = SHAPES.iter().map(|(name, spec, _)| shape(name, spec)).collect();
    apply(&namespace, &format!("{MAPS}{manifests}"));
    eventually("all shapes are as expected", || {
        let (secrets, objects) = (API.list("secrets", &namespace), API.list("externalsecrets", &namespace));
        let mut wrong = Vec::new();
        for (name, _, expected) in SHAPES {
            let secret = secrets.get(*name).map(line);
            let ready = condition(&objects[*name], "Ready").unwrap_or_default();
            let is_right = match expected.strip_prefix('!') {
                Some(words) => secret.is_none() && ready.0 == "False" && ready.2.contains(words),
                None => secret.as_deref() == Some(*expected) && ready.0 == "True",
            };
            if !is_right {
                wrong.push((name, expected, secret, ready));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
    });
    for (name, object) in API.list("externalsecrets", &namespace) {
        let shown = object["status"].to_string();
        ["s3cret", "aGVsbG8", "value1"].iter().for_each(|value| assert!(!shown.contains(value), "{name}: {shown}"));
    }
}

#[test]
fn a_template_says_type_labels_and_annotations_and_those_it_forgets_go() {
    let namespace = served(&VALUES);
    let object = |labels: &str, annotations: &str| {
        let metadata = format!("metadata: {{labels: {{{labels}}}, annotations: {{{annotations}}}}}");
        let from = "templateFrom: [{target: Annotations, literal: 'who: {{ .user }}'}]";
        let data = "data: {username: '{{ .user }}', password: '{{ .password }}'}";
        let template = format!("template: {{type: kubernetes.io/basic-auth, {metadata}, {from}, {data}}}");
        // The name is long on purpose: External Secrets Operator forgets what objects of such names once wrote.
        let name = "an-external-secret-of-a-long-name";
        shape(name, &format!("target: {{name: typed, {template}}}, dataFrom: [{{extract: {{key: /db}}}}]"))
    };
    let is_so = |part: &'static str, key: &'static str, expected: Option<&'static str>| {
        eventually(&format!("{part} {key} is {expected:?}"), || {
            let secret = API.get("secrets", &namespace, "typed").ok_or("none")?;
            let found = secret["metadata"][part][key].as_str();
            if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
        });
    };
    apply(&namespace, &object("one: '1', two: '2'", "note: '{{ .user }}-x'"));
    is_so("labels", "one", Some("1"));
    is_so("annotations", "note", Some("ann-x"));
    is_so("annotations", "who", Some("ann"));
    let secret = API.get("secrets", &namespace, "typed").unwrap();
    assert_eq!(
        (secret["type"].as_str().unwrap(), line(&secret).as_str()),
        ("kubernetes.io/basic-auth", "password=s3cret username=ann")
    );
    let others = json!({"metadata": {"labels": {"theirs": "x"}, "annotations": {"theirs": "x"}}});
    API.patch("secrets", &namespace, "typed", &others);
    apply(&namespace, &object("one: '3'", ""));
    is_so("labels", "one", Some("3"));
    is_so("labels", "two", None);
    is_so("annotations", "note", None);
    is_so("labels", "theirs", Some("x"));
    is_so("annotations", "theirs", Some("x"));
}

#[test]
fn a_partial_secret_has_what_could_be_had_and_names_the_rest() {
    let namespace = served(&VALUES);
    let object =
        external_secret("app", "refreshInterval: 1s", "", &[("a", "/token"), ("b", "/absent"), ("c", "/gone")]);
    apply(&namespace, &object.replace("name: app", "name: app, annotations: {strongroom.dev/partial: 'true'}"));
    eventually("what could be had is there", || {
        let secret = API.get("secrets", &namespace, "app").ok_or("none")?;
        if line(&secret) == "a=value1" { Ok(()) } else { Err("other data") }
    });
    let told = eventually("the rest is named", || {
        let object = API.get("externalsecrets", &namespace, "app").unwrap();
        condition(&object, "Partial").ok_or_else(|| object["status"].to_string())
    });
    assert_eq!(told.0, "True");
    for word in ["spec.data[1] (b)", "/absent", "spec.data[2] (c)", "/gone"] {
        assert!(told.2.contains(word) && !told.2.contains("value1"), "{told:?}");
    }
    let object = API.get("externalsecrets", &namespace, "app").unwrap();
    let (status, reason, _) = condition(&object, "Ready").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "SecretSynced"));
    let more: Vec<_> = VALUES.into_iter().chain([("/absent", "x"), ("/gone", "y")]).collect();
    apply(&namespace, &super::policies::store(&more));
    eventually("the rest comes", || {
        let secret = API.get("secrets", &namespace, "app").ok_or("none")?;
        let object = API.get("externalsecrets", &namespace, "app").unwrap();
        let is_whole = line(&secret) == "a=value1 b=x c=y" && condition(&object, "Partial").is_none();
        if is_whole { Ok(()) } else { Err(object["status"].to_string()) }
    });
}

#[test]
fn an_annotation_synchronises_at_once() {
    let namespace = served(&[("/a", "one")]);
    apply(&namespace, &external_secret("app", "refreshInterval: 1h", "", &[("a", "/a")]));
    ready(&CLUSTER, &namespace, "app", "True");
    let refreshed = || API.get("externalsecrets", &namespace, "app").unwrap()["status"].clone();
    let before = refreshed();
    apply(&namespace, &super::policies::store(&[("/a", "two")]));
    std::thread::sleep(Duration::from_secs(1));
    API.touch(&namespace, "app", "1");
    eventually("the Secret follows", || {
        let found = line(&API.get("secrets", &namespace, "app").unwrap());
        if found == "a=two" { Ok(()) } else { Err(found) }
    });
    eventually("the status follows", || {
        let after = refreshed();
        let moved = ["syncedResourceVersion", "refreshTime"].iter().all(|name| after[*name] != before[*name]);
        if moved { Ok(()) } else { Err(after.to_string()) }
    });
}

#[test]
fn what_happens_is_told_in_events_once_and_counted() {
    let namespace = served(&[("/a", "one"), ("/b", "two")]);
    // The operators of other tests, which are of other classes, would tell it as well.
    API.patch("secretstores", &namespace, "fake", &json!({"spec": {"controller": "default"}}));
    // Else the first cause to be told would be that the store is not ready yet.
    eventually("the store is ready", || {
        let store = API.get("secretstores", &namespace, "fake").unwrap();
        condition(&store, "Ready").filter(|ready| ready.0 == "True").map(|_| ()).ok_or("not yet")
    });
    apply(
        &namespace,
        &[
            external_secret("app", "refreshInterval: 1s", "", &[("a", "/a")]),
            external_secret("bad", "refreshInterval: 1s", "", &[("a", "/absent")]),
        ]
        .concat(),
    );
    ready(&CLUSTER, &namespace, "app", "True");
    ready(&CLUSTER, &namespace, "bad", "False");
    apply(&namespace, &super::policies::store(&[("/a", "new"), ("/b", "two")]));
    eventually("the Secret follows", || {
        let found = line(&API.get("secrets", &namespace, "app").unwrap());
        if found == "a=new" { Ok(()) } else { Err(found) }
    });
    // Several intervals and several retries.
    std::thread::sleep(Duration::from_secs(4));
    let events = || {
        let of = |event: &Value| {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let count = event["count"].as_u64().unwrap_or(1);
            (event["involvedObject"]["name"].as_str().unwrap().to_owned(), text("type"), text("reason"), count)
        };
        let mut events: Vec<_> = API.list("events", &namespace).values().map(of).collect();
        events.retain(|event| event.0 != "fake");
        events.sort();
        events
    };
    let event = |name: &str, kind: &str, reason: &str| (name.to_owned(), kind.to_owned(), reason.to_owned(), 1);
    let expected = vec![
        event("app", "Normal", "Created"),
        event("app", "Normal", "Updated"),
        event("bad", "Warning", "UpdateFailed"),
    ];
    let messages = || -> Vec<String> {
        API.list("events", &namespace).values().map(|event| event["message"].to_string()).collect()
    };
    eventually("the events are there", || match events() == expected {
        true => Ok(()),
        false => Err(messages().join("\n")),
    });
    let all = API.list("events", &namespace);
    let failed = all.values().find(|event| event["reason"] == "UpdateFailed").unwrap();
    assert!(failed["message"].as_str().unwrap().contains("/absent"), "{failed}");
    assert_eq!(failed["source"]["component"], "external-secrets");
    assert_eq!(failed["involvedObject"]["apiVersion"], "external-secrets.io/v1");

    let scraped = OPERATOR.scraped();
    let labels = |name: &str| format!("name=\"{name}\",namespace=\"{namespace}\"");
    for expected in [
        format!("externalsecret_sync_calls_total{{{}}}", labels("app")),
        format!("externalsecret_sync_calls_error{{{}}}", labels("bad")),
        format!("externalsecret_reconcile_duration{{{}}}", labels("app")),
        "secretstore_reconcile_duration{".to_owned(),
        "strongroom_kube_requests_total{".to_owned(),
    ] {
        assert!(scraped.lines().any(|line| line.starts_with(&expected)), "{expected} is not in:\n{scraped}");
    }
    let gauge = |kind: &str, name: &str, status: &str, value: f64| {
        let parts = [
            format!("name=\"{name}\""),
            format!("namespace=\"{namespace}\""),
            "condition=\"Ready\"".to_owned(),
            format!("status=\"{status}\""),
        ];
        let is_it = |line: &&str| {
            line.starts_with(&format!("{kind}_status_condition{{")) && parts.iter().all(|part| line.contains(part))
        };
        let line = scraped.lines().find(is_it).unwrap_or_else(|| panic!("no {kind} {name} {status}"));
        let found: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((found - value).abs() < f64::EPSILON, "{line}");
    };
    gauge("externalsecret", "app", "True", 1.0);
    gauge("externalsecret", "app", "False", 0.0);
    gauge("externalsecret", "bad", "False", 1.0);
    gauge("secretstore", "fake", "True", 1.0);
    API.delete("externalsecrets", &namespace, "bad");
    eventually("what is gone is not counted", || {
        if OPERATOR.scraped().contains(&labels("bad")) { Err("it is") } else { Ok(()) }
    });
}

#[test]
fn kubectl_shows_the_columns_that_people_know() {
    let namespace = served(&[("/a", "one")]);
    let object = external_secret("app", "", "", &[("a", "/a")]);
    apply(&namespace, &object.replace("{name: fake}", "{name: fake, kind: SecretStore}"));
    ready(&CLUSTER, &namespace, "app", "True");
    let shown = |kind: &str| {
        let table = CLUSTER.kubectl(&["get", kind, "-n", &namespace]).unwrap();
        let mut lines = table.lines();
        let words =
            |line: Option<&str>| line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        (words(lines.next()).join(" "), words(lines.next()))
    };
    let (head, row) = shown("es");
    assert_eq!(head, "NAME STORETYPE STORE REFRESH INTERVAL STATUS READY LAST SYNC");
    assert_eq!(row[..6], ["app", "SecretStore", "fake", "1h0m0s", "SecretSynced", "True"], "{row:?}");
    let (head, row) = shown("ss");
    assert_eq!(head, "NAME AGE STATUS CAPABILITIES READY");
    assert_eq!((&row[0], &row[2..]), (&"fake".to_owned(), &["Valid", "ReadWrite", "True"].map(str::to_owned)[..]));
    let all = CLUSTER.kubectl(&["get", "external-secrets", "-n", &namespace, "-o", "name"]).unwrap();
    assert!(all.contains("externalsecret.external-secrets.io/app") && all.contains("/fake"), "{all}");
}

#[test]
fn a_cluster_external_secret_follows_its_namespaces() {
    let mark = format!("fan{}", std::process::id());
    let (one, two) = (served(&[("/a", "1")]), served(&[("/a", "2")]));
    let name = format!("fan-{one}");
    let label = |namespace: &str, value: Value| {
        API.patch("namespaces", "", namespace, &json!({"metadata": {"labels": {"fan": value}}}));
    };
    label(&one, json!(mark));
    // Somebody's own in the way.
    let taken = namespace(&CLUSTER, &[("fan", &mark)]);
    let own = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "child"},
        "spec": {"secretStoreRef": {"name": "theirs"}, "data": [{"secretKey": "a", "remoteRef": {"key": "/theirs"}}]},
    });
    assert_eq!(API.create("externalsecrets", &taken, &own).0, 201);
    let fan_out = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", "metadata": {"name": name},
        "spec": {
            "externalSecretName": "child", "externalSecretMetadata": {"labels": {"team": "x"}},
            "namespaceSelectors": [{"matchLabels": {"fan": mark}}],
            "externalSecretSpec": {
                "secretStoreRef": {"name": "fake"}, "data": [{"secretKey": "a", "remoteRef": {"key": "/a"}}],
            },
        },
    });
    assert_eq!(API.create("clusterexternalsecrets", "", &fan_out), (201, String::new()));
    let status = || {
        let object = API.get("clusterexternalsecrets", "", &name);
        object.map(|object| object["status"].clone()).unwrap_or_default()
    };
    let has = |namespace: &str, child: &str, expected: Option<&str>| {
        eventually(&format!("{namespace}/{child} has {expected:?}"), || {
            let found = API.get("secrets", namespace, child).as_ref().map(line);
            if found.as_deref() == expected { Ok(()) } else { Err(format!("{found:?} {}", status())) }
        });
    };
    has(&one, "child", Some("a=1"));
    has(&two, "child", None);
    let child = API.get("externalsecrets", &one, "child").unwrap();
    assert_eq!(child["metadata"]["labels"]["team"], "x");
    assert_eq!(child["metadata"]["ownerReferences"][0]["kind"], "ClusterExternalSecret");
    eventually("the namespace in the way is named", || {
        let status = status();
        let is_named = status["failedNamespaces"][0]["namespace"] == json!(taken)
            && status["conditions"][0]["status"] == "False"
            && status["provisionedNamespaces"] == json!([one]);
        if is_named { Ok(()) } else { Err(status.to_string()) }
    });
    let theirs = API.get("externalsecrets", &taken, "child").unwrap();
    assert_eq!(theirs["spec"]["data"][0]["remoteRef"]["key"], "/theirs");
    API.delete("externalsecrets", &taken, "child");
    label(&taken, Value::Null);

    label(&two, json!(mark));
    has(&two, "child", Some("a=2"));
    label(&one, Value::Null);
    has(&one, "child", None);
    eventually("it is well", || {
        let status = status();
        let is_well = status["conditions"][0]["status"] == "True" && status["provisionedNamespaces"] == json!([two]);
        if is_well { Ok(()) } else { Err(status.to_string()) }
    });

    // A hand on the child is undone, a new spec and a forced sync reach it, another name moves it.
    let spec = json!({"data": [{"secretKey": "z", "remoteRef": {"key": "/a"}}]});
    let foreign =
        json!({"metadata": {"labels": {"team": "y", "hand": "h"}, "annotations": {"hand": "h"}}, "spec": spec});
    API.patch("externalsecrets", &two, "child", &foreign);
    has(&two, "child", Some("a=2"));
    eventually("labels and annotations are put right", || {
        let metadata = API.get("externalsecrets", &two, "child").unwrap()["metadata"].take();
        let is_right = metadata["labels"] == json!({"team": "x"}) && metadata["annotations"].is_null();
        if is_right { Ok(()) } else { Err(metadata.to_string()) }
    });
    API.patch(
        "clusterexternalsecrets",
        "",
        &name,
        &json!({"spec": {"externalSecretSpec": {"data": [
            {"secretKey": "b", "remoteRef": {"key": "/a"}},
        ]}}}),
    );
    has(&two, "child", Some("b=2"));
    let annotations = json!({"metadata": {"annotations": {"external-secrets.io/force-sync": "now"}}});
    API.patch("clusterexternalsecrets", "", &name, &annotations);
    eventually("the annotation reaches the child", || {
        let child = API.get("externalsecrets", &two, "child").unwrap();
        let found = child["metadata"]["annotations"]["external-secrets.io/force-sync"].clone();
        if found == "now" { Ok(()) } else { Err(child["metadata"].to_string()) }
    });
    API.patch("clusterexternalsecrets", "", &name, &json!({"spec": {"externalSecretName": "renamed"}}));
    has(&two, "renamed", Some("b=2"));
    has(&two, "child", None);
    API.delete("clusterexternalsecrets", "", &name);
    has(&two, "renamed", None);
}
