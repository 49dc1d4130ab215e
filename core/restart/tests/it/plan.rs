use serde_json::{Value, json};
use strongroom_restart::annotations::{MARK, OBSERVED};
use strongroom_restart::{Action, Baseline, Effect, Key, Kind, Wish, Workload, plan as decide, track};
use strongroom_secret::SecretBytes;

use crate::{NAMESPACE, Secrets, key, object, variable, word, workload};

fn asking() -> Value {
    json!({"strongroom.dev/restart": "true"})
}

fn deployment(pod: &Value) -> Workload {
    workload(Kind::Deployment, &asking(), pod)
}

fn db(value: &str) -> Secrets {
    Secrets::default().with("db", &[("password", value)])
}

/// What is decided in turn, each time on what was seen before.
fn sequence(workload: &Workload, states: &[Secrets]) -> Vec<&'static str> {
    let mut baseline = None;
    let mut words = Vec::new();
    for secrets in states {
        let action = secrets.decide(workload, &Wish::Unsaid, baseline.as_ref());
        words.push(word(&action));
        match action {
            Action::Adopt { baseline: text } => baseline = text.map(|text| Baseline::parse(&text).unwrap()),
            Action::Roll { baseline: text, .. } => baseline = Some(Baseline::parse(&text).unwrap()),
            _ => {}
        }
    }
    words
}

#[test]
fn what_is_seen_for_the_first_time_restarts_nothing_and_what_changes_restarts_once() {
    let workload = deployment(&variable("db", "password"));
    let states = [db("1"), db("1"), db("2"), db("2"), db("1"), db("1")];
    assert_eq!(sequence(&workload, &states), ["adopt", "nothing", "roll", "nothing", "roll", "nothing"]);
}

#[test]
fn what_is_gone_restarts_nothing_and_what_comes_back_only_where_it_differs() {
    let workload = deployment(&variable("db", "password"));
    let none = Secrets::default;
    let without_key = || Secrets::default().with("db", &[("other", "1")]);
    assert_eq!(sequence(&workload, &[db("1"), none(), db("1")]), ["adopt", "nothing", "nothing"]);
    assert_eq!(sequence(&workload, &[db("1"), none(), db("2")]), ["adopt", "nothing", "roll"]);
    assert_eq!(sequence(&workload, &[db("1"), without_key(), db("2")]), ["adopt", "nothing", "roll"]);
    // Its pods wait for it and start by themselves.
    assert_eq!(sequence(&workload, &[none(), db("1")]), ["nothing", "adopt"]);
}

#[test]
fn what_is_optional_and_comes_later_restarts() {
    let reference = json!({"name": "db", "key": "password", "optional": true});
    let workload = deployment(&json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": reference}}]}]}));
    let none = Secrets::default;
    assert_eq!(sequence(&workload, &[none(), none(), db("1")]), ["adopt", "nothing", "roll"]);
    assert_eq!(sequence(&workload, &[db("1"), none(), db("1")]), ["adopt", "nothing", "nothing"]);
}

#[test]
fn pods_are_not_replaced_while_something_is_missing_that_they_need() {
    let pod = json!({"containers": [{"envFrom": [{"secretRef": {"name": "db"}}, {"secretRef": {"name": "tls"}}]}]});
    let workload = deployment(&pod);
    let both = |value: &str| db(value).with("tls", &[("k", "1")]);
    let states = [both("1"), both("2").without("tls"), both("2"), both("2")];
    assert_eq!(sequence(&workload, &states), ["adopt", "missing", "roll", "nothing"]);
}

#[test]
fn an_edit_of_the_template_is_no_change_of_a_secret() {
    let before = deployment(&variable("db", "password"));
    let secrets = db("1").with("tls", &[("tls.key", "1"), ("tls.crt", "1")]);
    let baseline = secrets.adopted(&before).unwrap();
    let check = |pod: &Value, expected: &str| {
        assert_eq!(word(&secrets.decide(&deployment(pod), &Wish::Unsaid, Some(&baseline))), expected, "{pod}");
    };
    check(&variable("db", "password"), "nothing");
    // Another Secret, another form, one less.
    check(&variable("tls", "tls.key"), "adopt");
    check(&json!({"containers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}), "adopt");
    check(&json!({"containers": []}), "forget");
    // What was consumed before and still is counts, though the template was edited as well.
    let changed = secrets.clone().with("db", &[("password", "2")]);
    let mut pod = variable("db", "password");
    pod["volumes"] = json!([{"secret": {"secretName": "tls"}}]);
    assert_eq!(word(&changed.decide(&deployment(&pod), &Wish::Unsaid, Some(&baseline))), "roll");
}

#[test]
fn who_asks_no_more_is_forgotten_and_starts_anew_later() {
    let secrets = db("1");
    let baseline = secrets.adopted(&deployment(&variable("db", "password"))).unwrap();
    let silent = workload(Kind::Deployment, &json!({OBSERVED: baseline.text().unwrap()}), &variable("db", "password"));
    let action = secrets.decide(&silent, &Wish::Unsaid, Some(&baseline));
    assert_eq!(action.patch(&silent).unwrap()["metadata"]["annotations"], json!({OBSERVED: null}));
    // A Secret that asked and is gone may come back.
    assert_eq!(word(&secrets.without("db").decide(&silent, &Wish::Unsaid, Some(&baseline))), "nothing");
}

#[test]
fn fingerprints_of_another_key_say_nothing() {
    let other = Key::new(SecretBytes::new(vec![9; 32])).unwrap();
    let workload = deployment(&variable("db", "password"));
    let (before, after) = (db("1"), db("2"));
    let tracked = track(&workload, &Wish::Unsaid, None, &before.facts());
    let Action::Adopt { baseline: Some(text) } =
        decide(&workload, None, &tracked, &before.fingerprints(&tracked, &other), &other)
    else {
        panic!("it is seen for the first time")
    };
    let baseline = Baseline::parse(&text).unwrap();
    assert_eq!(word(&after.decide(&workload, &Wish::Unsaid, Some(&baseline))), "adopt");
}

#[test]
fn a_spoilt_baseline_is_replaced_and_restarts_nothing() {
    let mut annotations = asking();
    annotations[OBSERVED] = json!("canary");
    let spoilt = workload(Kind::Deployment, &annotations, &variable("db", "password"));
    let baseline = spoilt.observed.as_deref().and_then(Baseline::parse);
    assert_eq!(word(&db("1").decide(&spoilt, &Wish::Unsaid, baseline.as_ref())), "adopt");
    let silent = workload(Kind::Deployment, &json!({OBSERVED: "canary"}), &variable("db", "password"));
    assert_eq!(word(&db("1").decide(&silent, &Wish::Unsaid, None)), "forget");
}

#[test]
fn a_restart_is_one_patch_of_annotations_against_what_was_seen() {
    let workload = deployment(&variable("db", "password"));
    let baseline = db("canary-1").adopted(&workload);
    let action = db("canary-2").decide(&workload, &Wish::Unsaid, baseline.as_ref());
    let Action::Roll { baseline: text, mark, secrets, effect } = &action else { panic!("{action:?}") };
    assert_eq!((secrets.as_slice(), *effect), (&["db".to_owned()][..], Effect::Now));
    let expected = json!({
        "metadata": {"resourceVersion": "10", "annotations": {OBSERVED: text}},
        "spec": {"template": {"metadata": {"annotations": {MARK: mark}}}},
    });
    assert_eq!(action.patch(&workload).unwrap(), expected);
    let shown = format!("{expected} {action:?} {:?}", action.words(&workload));
    assert!(!shown.contains("canary"), "a value is shown");
    // Once it is carried out there is nothing more to do.
    let mut done = object(Kind::Deployment, &asking(), &variable("db", "password"));
    done["metadata"]["annotations"][OBSERVED] = json!(text);
    done["spec"]["template"]["metadata"]["annotations"] = json!({MARK: mark});
    let done = Workload::read(Kind::Deployment, &done).unwrap();
    let seen = done.observed.as_deref().and_then(Baseline::parse);
    assert_eq!(word(&db("canary-2").decide(&done, &Wish::Unsaid, seen.as_ref())), "nothing");
}

#[test]
fn a_mark_is_the_same_for_all_who_plan_and_never_the_same_again() {
    let workload = deployment(&variable("db", "password"));
    let mark = |workload: &Workload, before: &str, after: &str| {
        let baseline = db(before).adopted(workload);
        match db(after).decide(workload, &Wish::Unsaid, baseline.as_ref()) {
            Action::Roll { mark, .. } => mark,
            other => panic!("{other:?}"),
        }
    };
    let first = mark(&workload, "1", "2");
    assert_eq!(first, mark(&workload, "1", "2"));
    // Back to what it was and forth again: the pods are replaced each time.
    let mut marked = workload;
    marked.mark = Some(first.as_str().into());
    assert_ne!(first, mark(&marked, "1", "2"));
}

#[test]
fn each_kind_is_restarted_in_its_way_or_only_told_of() {
    let check = |kind: Kind, more: Value, expected: &str, written: bool, reason: &str, words: &str| {
        let mut object = object(kind, &asking(), &variable("db", "password"));
        for (name, value) in more.as_object().unwrap() {
            object["spec"][name] = value.clone();
        }
        let workload = Workload::read(kind, &object).unwrap();
        let baseline = db("1").adopted(&workload);
        let action = db("2").decide(&workload, &Wish::Unsaid, baseline.as_ref());
        assert_eq!((word(&action), action.patch(&workload).is_some()), (expected, written), "{kind}");
        let told = action.words(&workload).unwrap();
        assert_eq!(told.0, reason, "{kind}");
        assert!(told.1.starts_with("Secret \"db\" changed; ") && told.1.contains(words), "{kind}: {}", told.1);
    };
    check(Kind::Deployment, json!({}), "roll", true, "Restarted", "the pods are replaced");
    check(Kind::Deployment, json!({"paused": true}), "paused", false, "RestartWaits", "the Deployment is paused");
    check(Kind::StatefulSet, json!({}), "roll", true, "Restarted", "the pods are replaced");
    check(Kind::DaemonSet, json!({}), "roll", true, "Restarted", "the pods are replaced");
    let on_delete = || json!({"updateStrategy": {"type": "OnDelete"}});
    check(Kind::StatefulSet, on_delete(), "roll", true, "Restarted", "as they are deleted");
    check(Kind::DaemonSet, on_delete(), "roll", true, "Restarted", "as they are deleted");
    check(Kind::CronJob, json!({}), "report", false, "NotRestarted", "the next run reads it");
    check(Kind::Job, json!({}), "report", false, "NotRestarted", "its variables keep the former values");
    check(Kind::Pod, json!({}), "report", false, "NotRestarted", "its variables keep the former values");
}

#[test]
fn several_secrets_make_one_restart_whose_words_are_bounded() {
    let names: Vec<String> = (0..8).map(|number| format!("s{number}")).collect();
    let sources: Vec<Value> = names.iter().map(|name| json!({"secretRef": {"name": name}})).collect();
    let workload = deployment(&json!({"containers": [{"envFrom": sources}]}));
    let all = |value: &str| names.iter().fold(Secrets::default(), |secrets, name| secrets.with(name, &[("k", value)]));
    let baseline = all("1").adopted(&workload);
    let action = all("2").decide(&workload, &Wish::Unsaid, baseline.as_ref());
    let words = action.words(&workload).unwrap().1;
    assert_eq!(words, r#"Secrets "s0", "s1", "s2", "s3", "s4" and 3 more changed; the pods are replaced"#);
}

#[test]
fn secrets_that_are_named_and_not_consumed_count_from_when_they_are_seen() {
    let workload = workload(Kind::Deployment, &json!({"strongroom.dev/restart": "app-.*"}), &json!({}));
    let named = |value: &str| Secrets::default().with("app-a", &[("k", value)]);
    let states = [
        Secrets::default(),
        named("1"),
        named("1").with("app-b", &[("k", "1")]),
        named("1").with("app-b", &[("k", "2")]),
        named("1"),
        named("1").with("app-b", &[("k", "2")]),
        named("1").with("app-b", &[("k", "3")]),
        named("1").with("app-b", &[("k", "3")]).with("other", &[("k", "1")]),
    ];
    let expected = ["nothing", "adopt", "adopt", "roll", "nothing", "nothing", "roll", "nothing"];
    assert_eq!(sequence(&workload, &states), expected);
}

#[test]
fn who_consumes_more_than_can_be_kept_in_mind_is_told() {
    let variables: Vec<Value> = (0..4000)
        .map(|number| json!({"valueFrom": {"secretKeyRef": {"name": "db", "key": format!("key-{number}")}}}))
        .collect();
    let workload = deployment(&json!({"containers": [{"env": variables}]}));
    let pairs: Vec<(String, SecretBytes)> =
        (0..4000).map(|number| (format!("key-{number}"), SecretBytes::from("v".to_owned()))).collect();
    let mut secrets = Secrets::default().with("db", &[]);
    secrets.0.get_mut("db").unwrap().0 = pairs.into_iter().collect();
    let action = secrets.decide(&workload, &Wish::Unsaid, None);
    assert_eq!((word(&action), action.patch(&workload)), ("refuse", None));
    assert!(action.words(&workload).unwrap().1.contains("more keys"), "{NAMESPACE}");
    assert_eq!(key().id().len(), 16);
}
