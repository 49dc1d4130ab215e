//! Every form in which a Secret is consumed, in every kind of workload, with every annotation that asks.

use serde_json::{Value, json};
use strongroom_restart::{Baseline, Kind, Wish};

use crate::{Secrets, word, workload};

/// How a pod consumes `db`, and whether that is its key `used` alone.
fn forms() -> Vec<(&'static str, Value, bool)> {
    let variable = json!([{"name": "V", "valueFrom": {"secretKeyRef": {"name": "db", "key": "used"}}}]);
    let items = json!([{"key": "used", "path": "p"}]);
    vec![
        ("variable", json!({"containers": [{"env": variable}]}), true),
        ("variable of an init container", json!({"initContainers": [{"env": variable}]}), true),
        ("environment", json!({"containers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}), false),
        (
            "environment of an init container",
            json!({"initContainers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}),
            false,
        ),
        ("volume", json!({"volumes": [{"secret": {"secretName": "db"}}]}), false),
        ("items of a volume", json!({"volumes": [{"secret": {"secretName": "db", "items": items}}]}), true),
        ("projected", json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "db"}}]}}]}), false),
        (
            "projected items",
            json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "db", "items": items}}]}}]}),
            true,
        ),
        ("not at all", json!({"containers": [{}]}), false),
    ]
}

/// What asks: annotations of the workload, of the namespace, of the Secret; and whether it must be consumed.
type Trigger =
    (&'static [(&'static str, &'static str)], Option<&'static str>, &'static [(&'static str, &'static str)], bool);

const TRIGGERS: &[Trigger] = &[
    (&[("strongroom.dev/restart", "true")], None, &[], true),
    (&[("strongroom.dev/restart", "db")], None, &[], false),
    (&[], Some("true"), &[], true),
    (&[("reloader.stakater.com/auto", "true")], None, &[], true),
    (&[("secret.reloader.stakater.com/auto", "true")], None, &[], true),
    (&[("secret.reloader.stakater.com/reload", "a,d[a-c]")], None, &[], false),
    (&[("reloader.stakater.com/search", "true")], None, &[("reloader.stakater.com/match", "true")], true),
    (&[], None, &[("strongroom.dev/restart-consumers", "true")], true),
];

#[test]
fn what_is_consumed_and_asked_for_restarts_and_nothing_else_does() {
    let mut checked = 0;
    for kind in Kind::ALL {
        for (form, pod, is_one_key) in forms() {
            for (of_workload, of_namespace, of_secret, must_be_consumed) in TRIGGERS {
                let annotations: Value = of_workload.iter().map(|(name, value)| (*name, json!(*value))).collect();
                let workload = workload(kind, &annotations, &pod);
                let of_namespace = of_namespace.map(|text| ("strongroom.dev/restart".to_owned(), text.to_owned()));
                let (wish, _) = Wish::of(&of_namespace.into_iter().collect());
                let case = format!("{kind}, {form}, {of_workload:?} {wish:?} {of_secret:?}");

                let before =
                    Secrets::default().with("db", &[("used", "1"), ("unused", "1")]).annotated("db", of_secret);
                let first = before.decide(&workload, &wish, None);
                let counts = !(form == "not at all" && *must_be_consumed);
                assert_eq!(word(&first), if counts { "adopt" } else { "nothing" }, "{case}");
                let strongroom_restart::Action::Adopt { baseline: Some(text) } = first else { continue };
                let baseline = Baseline::parse(&text).unwrap();
                assert_eq!(word(&before.decide(&workload, &wish, Some(&baseline))), "nothing", "{case}");

                let changes = if kind.can_restart() { "roll" } else { "report" };
                let used = before.clone().with("db", &[("used", "2"), ("unused", "1")]);
                assert_eq!(word(&used.decide(&workload, &wish, Some(&baseline))), changes, "{case}");
                let unused = before.with("db", &[("used", "1"), ("unused", "2"), ("new", "1")]);
                let expected = if is_one_key { "nothing" } else { changes };
                assert_eq!(word(&unused.decide(&workload, &wish, Some(&baseline))), expected, "{case}");
                checked += 1;
            }
        }
    }
    // 6 kinds, 8 triggers, 8 forms that consume, and those that need none.
    assert_eq!(checked, 6 * (8 * 8 + 2));
}
