//! Fields of an ExternalSecret, each seen in what comes out of it: metadata, NUL bytes, stores of single entries,
//! windows and templates here, targets of other kinds and the end of objects below.

mod ends;
mod targets;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::api::{API, line};
use super::support::{CLUSTER, OPERATOR, Operator, condition, eventually, namespace};
use super::world_of_stores::{core, create};
use crate::{AWS, REGION, VAULT};

/// Longer than an interval of 1 s and what follows from it: what has not happened by then does not.
const A_WHILE: Duration = Duration::from_millis(2500);

/// The class of the shared operator: operators of other classes leave such a store and its readers alone.
const SHARED: &str = "default";

/// Name, spec, and the data of the Secret or, after `!`, the message of the condition.
type Case<'a> = (&'a str, Value, &'a str);

/// A namespace with the store `fake`, which the shared operator alone serves.
fn served(values: &[(&str, &str)]) -> String {
    assert!(OPERATOR.process() > 0);
    served_by(SHARED, values)
}

/// A namespace with the store `fake`, which operators of `class` serve.
fn served_by(class: &str, values: &[(&str, &str)]) -> String {
    let namespace = namespace(&CLUSTER, &[]);
    create(&namespace, "SecretStore", "fake", &fake(class, values));
    namespace
}

/// The spec of a store that holds `values`.
fn fake(class: &str, values: &[(&str, &str)]) -> Value {
    let data: Vec<Value> = values.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({"controller": class, "provider": {"fake": {"data": data}}})
}

/// Gives the store `fake` other values.
fn restock(namespace: &str, class: &str, values: &[(&str, &str)]) {
    API.patch("secretstores", namespace, "fake", &json!({"spec": fake(class, values)}));
}

/// A spec that reads `store` where an entry names no other.
fn reading(store: &str, rest: Value) -> Value {
    let mut spec = rest;
    spec["secretStoreRef"] = json!({"name": store});
    spec
}

/// One entry of `data`, for the key `a`.
fn one(remote: &Value) -> Value {
    json!({"data": [{"secretKey": "a", "remoteRef": remote}]})
}

/// The Ready condition of an object in one line.
fn ready(object: &Value) -> String {
    let (status, reason, message) = condition(object, "Ready").unwrap_or_default();
    format!("{status} {reason} {message}")
}

/// Makes the ExternalSecrets and waits until all came out as they should.
fn come_out(namespace: &str, cases: &[Case<'_>]) {
    cases.iter().for_each(|(name, spec, _)| create(namespace, "ExternalSecret", name, spec));
    eventually("all come out as they should", || {
        let (secrets, objects) = (API.list("secrets", namespace), API.list("externalsecrets", namespace));
        let mut wrong = Vec::new();
        for (name, _, expected) in cases {
            let found = (secrets.get(*name).map(line), ready(&objects[*name]));
            let wanted = match expected.strip_prefix('!') {
                Some(message) => (None, format!("False SecretSyncedError {message}")),
                None => (Some((*expected).to_owned()), "True SecretSynced secret synced".to_owned()),
            };
            if found != wanted {
                wrong.push(format!("{name}:\n found {found:?}\nwanted {wanted:?}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });
}

/// Waits until the Secret's data, in one line, is this.
fn has(namespace: &str, name: &str, expected: &str) {
    eventually(&format!("{name} has {expected}"), || match API.get("secrets", namespace, name).as_ref().map(line) {
        Some(found) if found == expected => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// The API server refuses an ExternalSecret of this spec, with these words.
fn refused(namespace: &str, spec: &Value, words: &str) {
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "refused"}, "spec": spec,
    });
    let (status, message) = API.create("externalsecrets", namespace, &object);
    assert!(status == 422 && message.contains(words), "{words}: {status} {message}");
}

/// Makes a secret with tags in AWS, and in Vault one with custom metadata and one whose engine keeps none; when the one
/// of Vault was made.
fn give_secrets_with_metadata(namespace: &str) -> String {
    let tags = json!([{"Key": "owner", "Value": "ann"}, {"Key": "team", "Value": "core"}]);
    let secret = json!({"Name": namespace, "SecretString": "{\"owner\":\"nobody\"}", "Tags": tags});
    AWS.call(REGION, "secretsmanager.CreateSecret", &secret).unwrap();
    let (path, old) = (format!("secret/{namespace}"), format!("old-{namespace}"));
    VAULT.command(&["kv", "put", &path, "owner=nobody"]).unwrap();
    VAULT
        .command(&["kv", "metadata", "put", "-custom-metadata=owner=ann", "-custom-metadata=team=core", &path])
        .unwrap();
    VAULT.command(&["secrets", "enable", "-version=1", &format!("-path={old}"), "kv"]).unwrap();
    VAULT.command(&["kv", "put", &format!("{old}/{namespace}"), "owner=nobody"]).unwrap();
    let login = json!({"token": VAULT.root_token(), "id": "AKIAIOSFODNN7EXAMPLE", "key": "not-a-real-key"});
    core(namespace, "Secret", "login", &json!({"stringData": login}));
    let known = VAULT.command(&["kv", "metadata", "get", "-format=json", &path]).unwrap();
    let known: Value = serde_json::from_str(&known).unwrap();
    known["data"]["created_time"].as_str().unwrap().to_owned()
}

#[test]
fn metadata_that_is_fetched_comes_in_place_of_the_value() {
    let class = "metadata";
    let operator = Operator::spawn(
        &CLUSTER,
        &["--controller-class=metadata", "--allow-local-addresses"],
        &[("AWS_SECRETSMANAGER_ENDPOINT", AWS.endpoint())],
    );
    operator.wait_until_ready();
    let namespace = namespace(&CLUSTER, &[]);
    let created = give_secrets_with_metadata(&namespace);
    let login = |key: &str| json!({"name": "login", "key": key});
    let auth = json!({"secretRef": {"accessKeyIDSecretRef": login("id"), "secretAccessKeySecretRef": login("key")}});
    let aws = json!({"aws": {"service": "SecretsManager", "region": REGION, "auth": auth}});
    let vault = |mount: &str, version: &str| {
        let auth = json!({"tokenSecretRef": login("token")});
        json!({"vault": {"server": VAULT.address(), "path": mount, "version": version, "auth": auth}})
    };
    let old = vault(&format!("old-{namespace}"), "v1");
    for (name, provider) in [("aws", aws), ("vault", vault("secret", "v2")), ("old", old)] {
        create(&namespace, "SecretStore", name, &json!({"controller": class, "provider": provider}));
    }
    let whole = json!({"key": namespace, "metadataPolicy": "Fetch"});
    let part = |property: &str| json!({"key": namespace, "metadataPolicy": "Fetch", "property": property});
    let extract = json!({"dataFrom": [{"extract": whole}]});
    let none = json!({"key": namespace, "metadataPolicy": "None", "property": "owner"});
    let facts = format!("created_time={created} current_version=1 delete_version_after=0s owner=ann team=core");
    let facts_as_json = format!(
        "a={{\"created_time\":\"{created}\",\"current_version\":\"1\",\"delete_version_after\":\"0s\",\
         \"owner\":\"ann\",\"team\":\"core\"}}"
    );
    let no_data = "!could not get secret data from provider: ";
    let no_property =
        format!("{no_data}spec.data[0] (a): key \"{namespace}\": the secret has no property \"other\" [NotFound]");
    let no_metadata = format!(
        "{no_data}spec.data[0] (a): cannot read \"{namespace}\" from Vault ({}): metadata is asked for, which only KV \
         version 2 keeps [Invalid]",
        VAULT.address()
    );
    come_out(
        &namespace,
        &[
            ("aws-whole", reading("aws", one(&whole)), r#"a={"owner":"ann","team":"core"}"#),
            ("aws-part", reading("aws", one(&part("team"))), "a=core"),
            ("aws-extract", reading("aws", extract.clone()), "owner=ann team=core"),
            ("aws-none", reading("aws", one(&none)), "a=nobody"),
            ("aws-other", reading("aws", one(&part("other"))), &no_property),
            ("vault-whole", reading("vault", one(&whole)), &facts_as_json),
            ("vault-part", reading("vault", one(&part("team"))), "a=core"),
            ("vault-extract", reading("vault", extract), &facts),
            ("vault-none", reading("vault", one(&none)), "a=nobody"),
            ("vault-other", reading("vault", one(&part("other"))), &no_property),
            ("old-part", reading("old", one(&part("team"))), &no_metadata),
        ],
    );
}

#[test]
fn nul_bytes_fail_where_the_policy_says_so_and_nowhere_else() {
    // `ab` and `a\0b`, in base64.
    let (clean, nul) = ("YWI=", "YQBi");
    let both = format!(r#"{{"clean":"{clean}","nul":"{nul}"}}"#);
    let namespace = served(&[("/clean", clean), ("/nul", nul), ("/both", &both), ("/later", clean)]);
    let remote = |key: &str, decoding: &str, policy: &str| {
        let mut remote = json!({"key": key, "decodingStrategy": decoding});
        remote["nullBytePolicy"] = json!(policy);
        remote
    };
    let extract = |policy: &str| json!({"dataFrom": [{"extract": remote("/both", "Base64", policy)}]});
    let find = |policy: &str| {
        let find = json!({"name": {"regexp": "^/(clean|nul)$"}, "decodingStrategy": "Auto", "nullBytePolicy": policy});
        json!({"dataFrom": [{"find": find}]})
    };
    let not_said = one(&json!({"key": "/nul", "decodingStrategy": "Base64"}));
    let fake = |spec: Value| reading("fake", spec);
    let forbidden = |place: &str| {
        format!(
            "!could not get secret data from provider: {place}: the value has NUL bytes, which nullBytePolicy: Fail \
             forbids [Invalid]"
        )
    };
    let [data, members, found] =
        [r#"spec.data[0] (a): key "/nul": a"#, r#"spec.dataFrom[0]: key "/both": nul"#, "spec.dataFrom[0]: _nul"]
            .map(forbidden);
    let mut later = fake(one(&remote("/later", "Base64", "Fail")));
    later["refreshInterval"] = json!("1s");
    come_out(
        &namespace,
        &[
            ("not-said", fake(not_said), "a=a\0b"),
            ("ignore", fake(one(&remote("/nul", "Base64", "Ignore"))), "a=a\0b"),
            ("fail", fake(one(&remote("/nul", "Base64", "Fail"))), &data),
            ("fail-clean", fake(one(&remote("/clean", "Base64", "Fail"))), "a=ab"),
            // It is the decoded value that counts.
            ("fail-coded", fake(one(&remote("/nul", "None", "Fail"))), "a=YQBi"),
            ("extract-ignore", fake(extract("Ignore")), "clean=ab nul=a\0b"),
            ("extract-fail", fake(extract("Fail")), &members),
            ("find-ignore", fake(find("Ignore")), "_clean=ab _nul=a\0b"),
            ("find-fail", fake(find("Fail")), &found),
            ("later", later, "a=ab"),
        ],
    );
    restock(&namespace, SHARED, &[("/clean", clean), ("/nul", nul), ("/both", &both), ("/later", nul)]);
    eventually("a NUL that comes later is told", || {
        let found = ready(&API.get("externalsecrets", &namespace, "later").unwrap());
        let expected = data.replace("/nul", "/later").replacen('!', "False SecretSyncedError ", 1);
        if found == expected { Ok(()) } else { Err(found) }
    });
    assert_eq!(line(&API.get("secrets", &namespace, "later").unwrap()), "a=ab", "what was delivered stays");
    refused(&namespace, &fake(one(&remote("/nul", "None", "Sometimes"))), "nullBytePolicy: Unsupported value");
}

/// Keys and values of a fake store.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Makes two stores and a cluster's, and gives the cluster's name.
fn stores_of_entries(namespace: &str) -> String {
    let cluster = format!("entries-{namespace}");
    let stores: [(&str, &str, Pairs<'_>); 3] = [
        ("SecretStore", "left", &[("/a", "left"), ("/map", r#"{"p":"1","q":"2"}"#), ("/find/x", "lx")]),
        ("SecretStore", "right", &[("/a", "right"), ("/map", r#"{"q":"3","r":"4"}"#), ("/find/x", "rx")]),
        ("ClusterSecretStore", &cluster, &[("/a", "cluster"), ("/find/z", "cz")]),
    ];
    for (kind, name, values) in stores {
        create(if kind == "SecretStore" { namespace } else { "" }, kind, name, &fake(SHARED, values));
    }
    cluster
}

/// The `sourceRef` of an entry that reads this SecretStore.
fn of(store: &str) -> Value {
    json!({"storeRef": {"name": store}})
}

/// An entry of `data` that says where it is read.
fn entry(key: &str, remote: &str, source: &Value) -> Value {
    json!({"secretKey": key, "remoteRef": {"key": remote}, "sourceRef": source})
}

#[test]
fn entries_read_the_stores_that_they_name() {
    let namespace = served(&[]);
    let cluster = stores_of_entries(&namespace);
    let of_cluster = json!({"storeRef": {"name": cluster, "kind": "ClusterSecretStore"}});
    let extract = |source: &Value| json!({"extract": {"key": "/map"}, "sourceRef": source});
    let find = |source: &Value| json!({"find": {"name": {"regexp": "^/find/"}}, "sourceRef": source});
    let plain = json!({"secretKey": "a", "remoteRef": {"key": "/a"}});
    let all = [entry("a", "/a", &of("left")), entry("b", "/a", &of("right")), entry("c", "/a", &of_cluster)];
    let beside_default = json!({"data": [plain, entry("b", "/a", &of("right"))]});
    let found = json!({"dataFrom": [find(&of("right")), find(&of_cluster)]});
    let merged = json!({"dataFrom": [extract(&of("left")), extract(&of("right"))]});
    let mixed = json!({"dataFrom": [extract(&of("right"))], "data": [entry("r", "/a", &of_cluster)]});
    come_out(
        &namespace,
        &[
            ("each-its-own", json!({"data": all}), "a=left b=right c=cluster"),
            ("beside-the-default", reading("left", beside_default), "a=left b=right"),
            ("extract", merged, "p=1 q=3 r=4"),
            ("find", reading("left", found), "_find_x=rx _find_z=cz"),
            ("mixed", mixed, "q=3 r=cluster"),
        ],
    );
    // A change in the store of one entry is seen, as one in any other.
    API.patch("externalsecrets", &namespace, "each-its-own", &json!({"spec": {"refreshInterval": "1s"}}));
    API.patch("secretstores", &namespace, "right", &json!({"spec": fake(SHARED, &[("/a", "changed")])}));
    has(&namespace, "each-its-own", "a=left b=changed c=cluster");
    API.delete("clustersecretstores", "", &cluster);
}

#[test]
fn an_entry_that_cannot_be_read_is_named_with_its_own_store() {
    let namespace = served(&[]);
    let cluster = stores_of_entries(&namespace);
    let generator = json!({"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Password", "name": "any"});
    let good = entry("a", "/a", &of("left"));
    let beside = |entry: Value| json!({"data": [good, entry]});
    come_out(
        &namespace,
        &[
            (
                "no-key",
                beside(entry("b", "/gone", &of("right"))),
                "!could not get secret data from provider: spec.data[1] (b): cannot read \"/gone\" from the fake \
                 store: no entry with this key [NotFound]",
            ),
            (
                "no-store",
                beside(entry("b", "/a", &of("none"))),
                "!could not get secret data from provider: spec.data[1] (b): key \"/a\": SecretStore \"none\" does not \
                 exist [Unavailable] (create it, or name another store: kubectl get secretstores -A)",
            ),
            (
                "no-name",
                beside(json!({"secretKey": "b", "remoteRef": {"key": "/a"}})),
                "!could not update secret: spec.data[1]: no store is named [Invalid] (set spec.secretStoreRef.name, or \
                 the entry's sourceRef.storeRef.name)",
            ),
            (
                "generator",
                json!({"data": [good], "dataFrom": [{"sourceRef": {"generatorRef": generator}}]}),
                "!could not get secret data from provider: spec.dataFrom[0].sourceRef.generatorRef: Password \"any\": the \
                 Password \"any\" does not exist [Unavailable] (create it; kubectl get crd \
                 passwords.generators.external-secrets.io says whether its kind is installed)",
            ),
        ],
    );
    API.delete("clustersecretstores", "", &cluster);
}

/// The time since 1970, from which `@every` counts.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// A spec that is refreshed every second, as far as a window lets it.
fn windowed(kind: &str, schedule: &str, duration: &str) -> Value {
    let windows = json!({"kind": kind, "windows": [{"schedule": schedule, "duration": duration}]});
    let mut spec = reading("fake", one(&json!({"key": "/a"})));
    spec["refreshInterval"] = json!("1s");
    spec["syncWindows"] = windows;
    spec
}

#[test]
fn windows_hold_back_what_is_due_and_nothing_else() {
    let namespace = served(&[("/a", "one"), ("/b", "x")]);
    let far = format!("0 {} * * *", (now().as_secs() / 3600 + 12) % 24);
    // Name, kind, schedule and duration, and whether refreshes happen. A window that is no schedule is never open.
    let cases = [
        ("allowed-now", "allow", "* * * * *", "2m", true),
        ("allowed-later", "allow", far.as_str(), "1h", false),
        ("denied-now", "deny", "* * * * *", "2m", false),
        ("denied-later", "deny", far.as_str(), "1h", true),
        ("never-allowed", "allow", "99 99 * * *", "1h", false),
        ("never-denied", "deny", "99 99 * * *", "1h", true),
        ("changed", "deny", "* * * * *", "2m", false),
    ];
    // The first time is no refresh: no window holds it back.
    let first: Vec<_> =
        cases.map(|(name, kind, schedule, duration, _)| (name, windowed(kind, schedule, duration), "a=one")).into();
    come_out(&namespace, &first);
    let status = |name: &str| API.get("externalsecrets", &namespace, name).unwrap()["status"].clone();
    let before = cases.map(|case| status(case.0));
    restock(&namespace, SHARED, &[("/a", "two"), ("/b", "x")]);
    cases.iter().filter(|case| case.4).for_each(|case| has(&namespace, case.0, "a=two"));
    std::thread::sleep(A_WHILE);
    for (case, before) in cases.iter().zip(&before).filter(|(case, _)| !case.4) {
        assert_eq!(line(&API.get("secrets", &namespace, case.0).unwrap()), "a=one", "{}", case.0);
        assert_eq!(status(case.0), *before, "{}: External Secrets Operator tells nothing either", case.0);
    }
    // Who asks for it by hand, changes the spec or damages the Secret does not wait.
    API.touch(&namespace, "allowed-later", "1");
    API.touch(&namespace, "never-allowed", "1");
    API.delete("secrets", &namespace, "denied-now");
    let more = json!({"data": [
        {"secretKey": "a", "remoteRef": {"key": "/a"}}, {"secretKey": "b", "remoteRef": {"key": "/b"}},
    ]});
    API.patch("externalsecrets", &namespace, "changed", &json!({"spec": more}));
    for (name, expected) in
        [("allowed-later", "a=two"), ("never-allowed", "a=two"), ("denied-now", "a=two"), ("changed", "a=two b=x")]
    {
        has(&namespace, name, expected);
    }
}

#[test]
fn what_falls_due_in_a_closed_window_comes_when_it_opens() {
    let period = 8;
    let every = format!("@every {period}s");
    let namespace = served(&[("/a", "one")]);
    come_out(
        &namespace,
        &[
            // From 0 to 1 of every 8 s; from 5 of every 8 s on.
            ("allowed", windowed("allow", &every, "1s"), "a=one"),
            ("denied", windowed("deny", &every, "4s"), "a=one"),
        ],
    );
    let start = loop {
        let now = now();
        if now.as_secs() % period == 2 {
            break now.as_secs() - 2;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    restock(&namespace, SHARED, &[("/a", "two")]);
    let followed = |name: &str| {
        eventually(&format!("{name} follows"), || match API.get("secrets", &namespace, name).as_ref().map(line) {
            Some(found) if found == "a=two" => Ok(now().as_secs()),
            other => Err(format!("{other:?}")),
        })
    };
    let (denied, allowed) = (followed("denied"), followed("allowed"));
    assert!(denied >= start + 5, "{} s too early", start + 5 - denied);
    assert!(allowed >= start + period, "{} s too early", start + period - allowed);
}

#[test]
fn windows_that_nobody_can_read_are_refused() {
    let namespace = namespace(&CLUSTER, &[]);
    let windows = "spec.syncWindows";
    refused(&namespace, &windowed("deny", "often", "1h"), &format!("{windows}.windows[0].schedule: Invalid value"));
    refused(&namespace, &windowed("deny", "@daily", "long"), &format!("{windows}.windows[0].duration: Invalid value"));
    refused(&namespace, &windowed("sometimes", "@daily", "1h"), &format!("{windows}.kind: Unsupported value"));
}

/// An ExternalSecret's spec whose target has this template.
fn templated(template: Value) -> Value {
    let mut spec = reading("fake", json!({"dataFrom": [{"extract": {"key": "/db"}}]}));
    spec["target"]["template"] = template;
    spec
}

/// A namespace with values for templates, and objects that hold some.
fn served_with_templates() -> String {
    let namespace = served(&[("/db", r#"{"n":5,"password":"s3cret","user":"ann"}"#)]);
    let map = json!({"conf": "user={{ .user }}", "pairs": "p: {{ .user }}\nq: {{ .n }}", "marks": "team: {{ .user }}"});
    core(&namespace, "ConfigMap", "parts", &json!({"data": map}));
    let secret = json!({"pass": "pw={{ .password }}", "marks": "tier: t{{ .n }}"});
    core(&namespace, "Secret", "parts", &json!({"stringData": secret}));
    namespace
}

#[test]
fn templates_come_from_maps_secrets_and_literals_in_their_order() {
    let namespace = served_with_templates();
    let item = |key: &str| json!({"name": "parts", "items": [{"key": key}]});
    let pairs = json!({"name": "parts", "items": [{"key": "pairs", "templateAs": "KeysAndValues"}]});
    let both = json!({"configMap": item("conf"), "secret": item("pass"), "literal": "l: {{ .n }}", "target": "Data"});
    let coded = json!({"literal": "b: {{ .user | b64enc }}", "valuesDecodingStrategy": "Base64"});
    let wrong_coded = json!({"literal": "b: '*'", "valuesDecodingStrategy": "Base64"});
    let ordered = json!({
        "templateFrom": [{"literal": "x: first\ny: first"}, {"literal": "x: second"}], "data": {"y": "third"},
    });
    let v2 = json!({"engineVersion": "v2", "data": {"x": "{{ .user | upper }}"}});
    let merged = json!({"mergePolicy": "Merge", "templateFrom": [{"configMap": pairs}]});
    let in_place = "spec.target.template.templateFrom[0]";
    let no_key =
        format!("!could not update secret: {in_place}.configMap.items[0]: there is no key other in parts [NotFound]");
    let no_map = format!("!could not update secret: {in_place}.secret.items[0]: there is no none [NotFound]");
    let no_code = format!("!could not update secret: {in_place}: b: the value is not base64 [Invalid]");
    let none = json!({"name": "none", "items": [{"key": "a"}]});
    let owner = json!({"templateFrom": [{"literal": "a: b", "target": "metadata.ownerReferences"}]});
    let no_target = format!(
        "!could not update secret: {in_place}.target: a Secret has no such target for templates [Invalid] (write Data, \
         Annotations or Labels)"
    );
    come_out(
        &namespace,
        &[
            ("engine", templated(v2), "x=ANN"),
            (
                "replace",
                templated(json!({"mergePolicy": "Replace", "templateFrom": [{"configMap": item("conf")}]})),
                "conf=user=ann",
            ),
            ("merge", templated(merged), "n=5 p=ann password=s3cret q=5 user=ann"),
            ("both", templated(json!({"templateFrom": [both]})), "conf=user=ann l=5 pass=pw=s3cret"),
            ("order", templated(ordered), "x=second y=third"),
            ("any-case", templated(json!({"templateFrom": [{"literal": "x: any", "target": "dATA"}]})), "x=any"),
            ("coded", templated(json!({"templateFrom": [coded]})), "b=ann"),
            ("bare", templated(json!({"metadata": {"labels": {"a": "b"}}})), "n=5 password=s3cret user=ann"),
            ("no-key", templated(json!({"templateFrom": [{"configMap": item("other")}]})), &no_key),
            ("no-object", templated(json!({"templateFrom": [{"secret": none}]})), &no_map),
            ("wrongly-coded", templated(json!({"templateFrom": [wrong_coded]})), &no_code),
            ("wrong-target", templated(owner), &no_target),
        ],
    );
    refused(&namespace, &templated(json!({"engineVersion": "v1"})), "engineVersion: Unsupported value");
}

#[test]
fn templates_make_labels_annotations_and_finalizers() {
    let namespace = served_with_templates();
    let marks = json!({"name": "parts", "items": [{"key": "marks", "templateAs": "KeysAndValues"}]});
    let template = json!({
        "metadata": {"labels": {"own": "{{ .user }}", "tier": "kept"}, "finalizers": ["example.com/kept"]},
        "templateFrom": [
            {"configMap": marks, "secret": marks, "target": "Labels"},
            {"literal": "note: '{{ .user }} {{ .n }}'", "target": "annotations"},
        ],
        "data": {"x": "{{ .user }}"},
    });
    come_out(&namespace, &[("marked", templated(template), "x=ann")]);
    let metadata = API.get("secrets", &namespace, "marked").unwrap()["metadata"].clone();
    let of_people = |part: &str| {
        let mut found = metadata[part].clone();
        found.as_object_mut().unwrap().retain(|key, _| !key.starts_with("reconcile.external-secrets.io/"));
        found
    };
    assert_eq!(of_people("labels"), json!({"own": "ann", "team": "ann", "tier": "kept"}));
    assert_eq!(of_people("annotations"), json!({"note": "ann 5"}));
    assert_eq!(metadata["finalizers"], json!(["example.com/kept"]));
}
