//! Creation, refresh and deletion policies as External Secrets Operator documents them, seen in a cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{API, data, line};
use super::support::{CLUSTER, OPERATOR, condition, eventually, namespace};
use super::sync::apply;

/// Longer than an interval of 1 s and what follows from it: what has not happened by then does not.
const A_WHILE: Duration = Duration::from_millis(2500);

#[derive(Clone, Copy, PartialEq)]
enum When {
    AtOnce,
    AtInterval,
    OnChange,
    Never,
}
use When::{AtInterval, AtOnce, Never, OnChange};

/// creationPolicy, refreshPolicy, creates, follows a source, overwrites, recreates, kept.
type Row = (&'static str, &'static str, bool, When, bool, When, bool);

const ROWS: [Row; 15] = [
    ("Owner", "Periodic", true, AtInterval, true, AtOnce, false),
    ("Owner", "OnChange", true, OnChange, true, AtOnce, false),
    ("Owner", "CreatedOnce", true, Never, true, AtOnce, false),
    ("Orphan", "Periodic", true, AtInterval, true, AtInterval, true),
    ("Orphan", "OnChange", true, OnChange, true, OnChange, true),
    ("Orphan", "CreatedOnce", true, Never, true, Never, true),
    ("Merge", "Periodic", false, AtInterval, true, Never, true),
    ("Merge", "OnChange", false, OnChange, true, Never, true),
    ("Merge", "CreatedOnce", false, Never, true, Never, true),
    ("CreateOrMerge", "Periodic", true, AtInterval, true, AtOnce, true),
    ("CreateOrMerge", "OnChange", true, OnChange, true, AtOnce, true),
    ("CreateOrMerge", "CreatedOnce", true, Never, true, AtOnce, true),
    ("None", "Periodic", false, Never, false, Never, true),
    ("None", "OnChange", false, Never, false, Never, true),
    ("None", "CreatedOnce", false, Never, false, Never, true),
];

/// One ExternalSecret and its Secret, both of this name.
struct Case {
    name: String,
    row: Row,
    /// Whether its interval is a second, and not an hour.
    is_quick: bool,
}

impl Case {
    fn merges(&self) -> bool {
        self.row.0 == "Merge"
    }

    /// Whether it has happened when nobody touched the ExternalSecret for a while.
    fn is_untouched(&self, when: When) -> bool {
        when == AtOnce || when == AtInterval && self.is_quick
    }

    fn manifest(&self) -> String {
        let Self { name, row: (creation, refresh, ..), is_quick } = self;
        let interval = if *is_quick { "1s" } else { "1h" };
        external_secret(
            name,
            &format!("refreshPolicy: {refresh}, refreshInterval: {interval}"),
            &format!("creationPolicy: {creation}"),
            &[("password", "/password")],
        )
    }
}

fn cases() -> Vec<Case> {
    let case = |row: Row, is_quick: bool| {
        let speed = if is_quick { "quick" } else { "slow" };
        Case { name: format!("{}-{}-{speed}", row.0, row.1).to_lowercase(), row, is_quick }
    };
    let quick = ROWS.iter().filter(|row| row.1 == "Periodic").map(|row| case(*row, true));
    ROWS.iter().map(|row| case(*row, false)).chain(quick).collect()
}

/// An ExternalSecret of the store `fake`, with `spec` and `target` in flow style and `data` as (secretKey, key).
pub(crate) fn external_secret(name: &str, spec: &str, target: &str, data: &[(&str, &str)]) -> String {
    let entry = |(key, remote): &(&str, &str)| format!("{{secretKey: {key}, remoteRef: {{key: {remote}}}}}");
    let data: Vec<String> = data.iter().map(entry).collect();
    let spec = if spec.is_empty() { String::new() } else { format!("{spec}, ") };
    let data = data.join(", ");
    format!(
        "---\n{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: {name}}}, \
         spec: {{{spec}secretStoreRef: {{name: fake}}, target: {{{target}}}, data: [{data}]}}}}\n"
    )
}

/// The store `fake` with these values, for the shared operator alone: those of other classes leave it.
pub(crate) fn store(values: &[(&str, &str)]) -> String {
    let mut text = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: fake}\n\
        spec:\n  controller: default\n  provider:\n    fake:\n      data:\n"
        .to_owned();
    values.iter().for_each(|(key, value)| writeln!(text, "      - {{key: {key}, value: '{value}'}}").unwrap());
    text
}

/// A namespace that the shared operator serves, with the store `fake`.
pub(crate) fn served(values: &[(&str, &str)]) -> String {
    let namespace = namespace(&CLUSTER, &[]);
    assert!(OPERATOR.process() > 0);
    apply(&namespace, &store(values));
    namespace
}

/// Waits until each Secret has this `password` (or is not there), and sees that it stays so.
fn holds(namespace: &str, what: &str, cases: &[Case], expected: impl Fn(&Case) -> Option<&'static str>) {
    let compare = || {
        let secrets = API.list("secrets", namespace);
        let found = |case: &Case| secrets.get(&case.name).and_then(|secret| data(secret).remove("password"));
        let differs = |case: &&Case| found(case).as_deref() != expected(case);
        let wrong = cases.iter().filter(differs);
        let wrong: Vec<_> = wrong.map(|case| (&case.name, found(case), expected(case))).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("(name, found, expected): {wrong:?}")) }
    };
    eventually(what, compare);
    std::thread::sleep(A_WHILE);
    compare().unwrap_or_else(|wrong| panic!("{what}: after a while: {wrong}"));
}

fn targets(cases: &[Case], is_wanted: impl Fn(&Case) -> bool) -> String {
    let target = |case: &Case| {
        format!(
            "---\n{{apiVersion: v1, kind: Secret, metadata: {{name: {}}}, stringData: {{password: foreign, other: kept}}}}\n",
            case.name
        )
    };
    cases.iter().filter(|case| is_wanted(case)).map(target).collect()
}

fn touch(namespace: &str, cases: &[Case], value: &str) {
    cases.iter().for_each(|case| API.touch(namespace, &case.name, value));
}

fn conditions_of(namespace: &str) -> BTreeMap<String, (String, String, String)> {
    let objects = API.list("externalsecrets", namespace);
    objects.iter().filter_map(|(name, object)| Some((name.clone(), condition(object, "Ready")?))).collect()
}

#[test]
fn every_creation_policy_behaves_with_every_refresh_policy_as_documented() {
    let namespace = served(&[("/password", "one")]);
    let cases = cases();
    let manifests: String = cases.iter().map(Case::manifest).collect();
    apply(&namespace, &manifests);
    holds(&namespace, "creates", &cases, |case| case.row.2.then_some("one"));
    let conditions = conditions_of(&namespace);
    for case in &cases {
        let (status, reason, _) = &conditions[&case.name];
        let expected = if case.merges() { "SecretMissing" } else { "SecretSynced" };
        assert_eq!((status.as_str(), reason.as_str()), ("True", expected), "{}", case.name);
    }

    apply(&namespace, &targets(&cases, Case::merges));
    touch(&namespace, &cases, "1");
    holds(&namespace, "merges", &cases, |case| (case.row.0 != "None").then_some("one"));

    apply(&namespace, &store(&[("/password", "two")]));
    let has_two = |has: bool| if has { Some("two") } else { Some("one") };
    let follows = |case: &Case| (case.row.0 != "None").then(|| has_two(case.is_untouched(case.row.3))).flatten();
    holds(&namespace, "follows by itself", &cases, follows);
    touch(&namespace, &cases, "2");
    let follows = |case: &Case| (case.row.0 != "None").then(|| has_two(case.row.3 != Never)).flatten();
    holds(&namespace, "follows when touched", &cases, follows);

    for case in &cases {
        API.delete("secrets", &namespace, &case.name);
    }
    holds(&namespace, "recreates", &cases, |case| case.is_untouched(case.row.5).then_some("two"));
    touch(&namespace, &cases, "3");
    holds(&namespace, "recreates when touched", &cases, |case| (case.row.5 != Never).then_some("two"));

    let is_kept = |case: &Case| case.row.6 && case.row.5 != Never;
    for case in &cases {
        API.delete("externalsecrets", &namespace, &case.name);
    }
    holds(&namespace, "keeps", &cases, |case| is_kept(case).then_some("two"));

    apply(&namespace, &targets(&cases, |_| true));
    apply(&namespace, &store(&[("/password", "three")]));
    apply(&namespace, &manifests);
    holds(&namespace, "overwrites", &cases, |case| Some(if case.row.4 { "three" } else { "foreign" }));
    let secrets = API.list("secrets", &namespace);
    for case in &cases {
        let keeps_others = !matches!(case.row.0, "Owner" | "Orphan");
        assert_eq!(data(&secrets[&case.name]).contains_key("other"), keeps_others, "{}", case.name);
    }
}

#[test]
fn what_is_immutable_is_made_and_made_again_and_never_changed() {
    let namespace = served(&[("/password", "one")]);
    let data = [("password", "/password")];
    let object = |name: &str, target: &str, spec: &str| external_secret(name, spec, target, &data);
    let foreign = "---\n{apiVersion: v1, kind: Secret, metadata: {name: NAME}, stringData: {password: foreign}, immutable: FROZEN}\n";
    let foreign = |name: &str, frozen: &str| foreign.replace("NAME", name).replace("FROZEN", frozen);
    apply(&namespace, &[foreign("adopted", "false"), foreign("frozen", "true")].concat());
    apply(
        &namespace,
        &[
            object("made", "immutable: true", "refreshInterval: 1s"),
            object("adopted", "immutable: true", "refreshInterval: 1s"),
            object("frozen", "", "refreshInterval: 1h"),
            object("once", "", "refreshInterval: 0s"),
        ]
        .concat(),
    );
    let lines = |expected: &[(&str, &str)]| {
        let compare = || {
            let secrets = API.list("secrets", &namespace);
            let found = |name: &str| secrets.get(name).map(line).unwrap_or_default();
            let wrong: Vec<_> = expected.iter().filter(|(name, expected)| found(name) != *expected).collect();
            if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?} in {secrets:?}")) }
        };
        eventually("the Secrets are right", compare);
        std::thread::sleep(A_WHILE);
        compare().unwrap();
    };
    let now = [
        ("made", "password=one"),
        ("adopted", "password=foreign"),
        ("frozen", "password=foreign"),
        ("once", "password=one"),
    ];
    lines(&now);
    let secrets = API.list("secrets", &namespace);
    assert_eq!((&secrets["made"]["immutable"], &secrets["adopted"]["immutable"]), (&json!(true), &json!(true)));
    assert_eq!(secrets["adopted"]["metadata"]["ownerReferences"][0]["name"], "adopted");
    let (status, reason, message) = conditions_of(&namespace).remove("frozen").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SecretSyncedError"));
    assert!(message.contains("could not update secret, target is immutable"), "{message}");
    apply(&namespace, &store(&[("/password", "two")]));
    ["made", "adopted", "once"].iter().for_each(|name| API.touch(&namespace, name, "1"));
    lines(&now);
    for name in &["made", "adopted", "frozen", "once"] {
        API.delete("secrets", &namespace, name);
    }
    lines(&["made", "adopted", "frozen", "once"].map(|name| (name, "password=two")));
}

/// Name, creationPolicy, deletionPolicy, the keys that stay in the store, the Secret's data at the end ("-" for none),
/// Ready's status and reason, and a word of its message.
type Vanishing = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str, &'static str);

const VANISHING: [Vanishing; 12] = [
    ("retain-one", "Owner", "Retain", &["a"], "a=1 b=1", "False SecretSyncedError spec.data[1] (b)"),
    (
        "retain-all",
        "Owner",
        "Retain",
        &[],
        "a=1 b=1",
        "False SecretSyncedError could not get secret data from provider",
    ),
    ("delete-one", "Owner", "Delete", &["a"], "a=1", "True SecretSynced secret synced"),
    ("delete-all", "Owner", "Delete", &[], "-", "True SecretDeleted secret deleted due to DeletionPolicy=Delete"),
    ("merge-one", "Owner", "Merge", &["a"], "a=1", "True SecretSynced secret synced"),
    ("merge-all", "Owner", "Merge", &[], "", "True SecretSynced secret synced"),
    ("orphan-one", "Orphan", "Delete", &["a"], "a=1", "True SecretSynced secret synced"),
    ("orphan-all", "Orphan", "Delete", &[], "a=1 b=1", "False SecretSyncedError could not delete secret"),
    ("orphan-merge", "Orphan", "Merge", &[], "", "True SecretSynced secret synced"),
    ("merging-one", "Merge", "Merge", &["b"], "b=1 own=x", "True SecretSynced secret synced"),
    ("merging-all", "Merge", "Merge", &[], "own=x", "True SecretSynced secret synced"),
    ("creating-all", "CreateOrMerge", "Merge", &[], "own=x", "True SecretSynced secret synced"),
];

#[test]
fn keys_that_vanish_from_the_store_go_as_the_deletion_policy_says() {
    let remote = |name: &str, key: &str| format!("/{name}/{key}");
    let values = |is_there: &dyn Fn(&Vanishing, &str) -> bool| {
        let mut keys = vec!["/other".to_owned()];
        for case in &VANISHING {
            keys.extend(["a", "b"].iter().filter(|key| is_there(case, key)).map(|key| remote(case.0, key)));
        }
        let values: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
        store(&values)
    };
    let namespace = served(&[("/other", "1")]);
    apply(&namespace, &values(&|_, _| true));
    let mut manifests = String::new();
    for (name, creation, deletion, ..) in VANISHING {
        if creation.contains("Merge") {
            let own = "---\n{apiVersion: v1, kind: Secret, metadata: {name: NAME}, stringData: {own: x}}\n";
            manifests += &own.replace("NAME", name);
        }
        let target = format!("creationPolicy: {creation}, deletionPolicy: {deletion}");
        let (a, b) = (remote(name, "a"), remote(name, "b"));
        manifests += &external_secret(name, "refreshInterval: 1s", &target, &[("a", &a), ("b", &b)]);
    }
    let found = "{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: found}, spec: \
                 {refreshInterval: 1s, secretStoreRef: {name: fake}, dataFrom: [{find: {name: {regexp: ^/retain-all/}}}]}}";
    apply(&namespace, &format!("{manifests}---\n{found}\n"));
    let ready = |expected: &str| {
        eventually("all are synchronised", || {
            let conditions = conditions_of(&namespace);
            let done = conditions.values().filter(|condition| condition.0 == expected).count();
            if done == VANISHING.len() + 1 { Ok(()) } else { Err(format!("{done}: {conditions:?}")) }
        });
    };
    ready("True");
    apply(&namespace, &values(&|case, key| case.3.contains(&key)));
    eventually("the Secrets are as the policies say", || {
        let (secrets, conditions) = (API.list("secrets", &namespace), conditions_of(&namespace));
        let mut wrong = Vec::new();
        for (name, _, _, _, expected, told) in VANISHING {
            let found = secrets.get(name).map_or("-".to_owned(), line);
            let (status, reason, message) = &conditions[name];
            let ready = format!("{status} {reason} {message}");
            let is_told = told.splitn(3, ' ').all(|word| ready.contains(word)) && ready.starts_with(&told[..4]);
            if found != expected || !is_told {
                wrong.push((name, found, ready));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
    });
    eventually("a search that finds nothing is told", || {
        let (status, reason, message) = conditions_of(&namespace).remove("found").unwrap();
        let found = format!("{status} {reason} {message}");
        let expected = "True SecretSynced secret retained due to DeletionPolicy=Retain";
        if found == expected { Ok(()) } else { Err(found) }
    });
    assert!(line(&API.list("secrets", &namespace)["found"]).contains("=1"), "what was found stays");
    let events = API.list("events", &namespace);
    let told = |name: &str, reason: &str| {
        let is_it = |event: &&Value| event["involvedObject"]["name"] == name && event["reason"] == reason;
        events.values().filter(is_it).map(|event| event["message"].to_string()).collect::<Vec<_>>()
    };
    assert!(
        told("delete-one", "MissingProviderSecret").iter().any(|words| words.contains("/delete-one/b")),
        "{events:?}"
    );
    assert!(!told("delete-all", "Deleted").is_empty() && told("retain-all", "Deleted").is_empty());
}

#[test]
fn policies_that_contradict_each_other_are_refused() {
    let namespace = namespace(&CLUSTER, &[]);
    let check = |creation: &str, deletion: &str, words: &str| {
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "refused"},
            "spec": {
                "secretStoreRef": {"name": "fake"},
                "target": {"creationPolicy": creation, "deletionPolicy": deletion},
                "data": [{"secretKey": "a", "remoteRef": {"key": "a"}}],
            },
        });
        let (status, message) = API.create("externalsecrets", &namespace, &object);
        assert!(status == 422 && message.contains(words), "{creation} {deletion}: {status} {message}");
    };
    check("Merge", "Delete", "deletionPolicy Delete");
    check("CreateOrMerge", "Delete", "deletionPolicy Delete");
    check("None", "Delete", "deletionPolicy Delete");
    check("None", "Merge", "deletionPolicy Merge");
}

#[test]
fn a_secret_has_one_owner_and_its_former_names_go() {
    let namespace = served(&[("/password", "one"), ("/other", "two")]);
    let object = |name: &str, target: &str, key: &str| external_secret(name, "", target, &[("password", key)]);
    let found = |name: &str| API.get("secrets", &namespace, name);
    let has = |name: &str, expected: Option<&str>| {
        eventually(&format!("{name} has {expected:?}"), || {
            let line = found(name).as_ref().map(line);
            if line.as_deref() == expected { Ok(()) } else { Err(format!("{line:?} {:?}", conditions_of(&namespace))) }
        });
    };
    let fails = |name: &str, words: &str| {
        eventually(&format!("{name} is told \"{words}\""), || match conditions_of(&namespace).remove(name) {
            Some((status, _, message)) if status == "False" && message.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    apply(&namespace, &object("first", "name: before", "/password"));
    has("before", Some("password=one"));
    apply(&namespace, &object("first", "name: after", "/password"));
    has("after", Some("password=one"));
    has("before", None);

    apply(&namespace, &object("second", "name: after", "/other"));
    fails("second", "target is owned by another ExternalSecret");
    apply(&namespace, &object("merging", "name: after, creationPolicy: Merge", "/other"));
    fails("merging", "target is owned by another ExternalSecret");
    has("after", Some("password=one"));

    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    assert_eq!(API.create("configmaps", &namespace, &map).0, 201);
    let uid = API.get("configmaps", &namespace, "owner").unwrap()["metadata"]["uid"].clone();
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": true}]);
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "ownerReferences": owner},
        "stringData": {"password": "theirs"},
    });
    assert_eq!(API.create("secrets", &namespace, &theirs).0, 201);
    apply(&namespace, &object("third", "name: theirs", "/password"));
    fails("third", "failed to take ownership of target secret");
    has("theirs", Some("password=theirs"));

    // What stood in the way goes, and nobody has to touch anything.
    API.delete("externalsecrets", &namespace, "merging");
    API.delete("externalsecrets", &namespace, "first");
    API.delete("configmaps", &namespace, "owner");
    has("after", Some("password=two"));
    has("theirs", Some("password=one"));

    apply(&namespace, &object("third", "name: theirs, creationPolicy: Orphan", "/password"));
    eventually("the Secret is let go of", || {
        let metadata = found("theirs").unwrap()["metadata"].clone();
        let is_free = metadata["ownerReferences"].is_null()
            && metadata["labels"]["reconcile.external-secrets.io/created-by"].is_null();
        if is_free { Ok(()) } else { Err(metadata.to_string()) }
    });
}

#[test]
fn what_is_to_go_with_its_external_secret_goes() {
    let namespace = served(&[("/password", "one")]);
    let object = |name: &str, creation: &str| {
        let target = format!("creationPolicy: {creation}, deletionPolicy: Delete");
        external_secret(name, "", &target, &[("password", "/password")])
    };
    apply(&namespace, &[object("owned", "Owner"), object("orphaned", "Orphan")].concat());
    eventually("both are made", || if API.list("secrets", &namespace).len() == 2 { Ok(()) } else { Err("not yet") });
    let finalizers =
        |name: &str| API.get("externalsecrets", &namespace, name).unwrap()["metadata"]["finalizers"].clone();
    let ours = json!(["externalsecrets.external-secrets.io/externalsecret-cleanup"]);
    assert_eq!((finalizers("owned"), finalizers("orphaned")), (ours.clone(), ours));
    for name in &["owned", "orphaned"] {
        API.delete("externalsecrets", &namespace, name);
    }
    eventually("the ExternalSecrets are gone", || {
        if API.list("externalsecrets", &namespace).is_empty() { Ok(()) } else { Err("not yet") }
    });
    eventually("the owned Secret is gone", || {
        if API.get("secrets", &namespace, "owned").is_none() { Ok(()) } else { Err("not yet") }
    });
    assert_eq!(line(&API.get("secrets", &namespace, "orphaned").unwrap()), "password=one");
}
