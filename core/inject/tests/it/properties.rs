//! What holds for every pod.

use proptest::prelude::*;
use serde_json::{Value, json};
use strongroom_inject::{Found, Images, Settings, Source, SourceKind};

use crate::{PARAMETER, SECRET, VAULT, changed_by, image, lookups, needed, plan, values};

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&[SECRET, PARAMETER, VAULT, "plain", "", "sr://aws-sm/x", "vault:", "vault:login"][..])
}

/// A list that is there, empty, `null` or missing.
fn list(element: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        prop::collection::vec(element, 0..3).prop_map(|list| Some(Value::Array(list))),
    ]
}

fn variable() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(&["X", "VAULT_ADDR", "VAULT_TOKEN", "VAULT_ROLE"][..]);
    let reference = (prop::sample::select(&["secretKeyRef", "configMapKeyRef"][..]), any::<bool>());
    prop_oneof![
        (name.clone(), value()).prop_map(|(name, value)| json!({"name": name, "value": value})),
        (name, reference).prop_map(|(name, (kind, optional))| {
            json!({"name": name, "valueFrom": {kind: {"name": "s", "key": "k", "optional": optional}}})
        }),
    ]
}

fn words() -> impl Strategy<Value = Option<Value>> {
    list(prop::sample::select(&["app", "copy", "-x", "$(X)"][..]).prop_map(Value::from))
}

fn container() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(&["/data", "/tmp/x", "/helper", "/helper/bin", "/tmp"][..]);
    // At most one mount: of two at one path the API server would have refused the pod before.
    let mounts = prop::option::of(path.prop_map(|path| json!([{"name": "v0", "mountPath": path}])));
    (words(), words(), list(variable()), mounts, any::<bool>()).prop_map(|(command, args, env, mounts, sidecar)| {
        let mut container = json!({"image": "i"});
        for (member, value) in [("command", command), ("args", args), ("env", env), ("volumeMounts", mounts)] {
            if let Some(value) = value {
                container[member] = value;
            }
        }
        if sidecar {
            container["envFrom"] = json!([{"secretRef": {"name": "s", "optional": true}}]);
            container["restartPolicy"] = json!("Always");
        }
        container
    })
}

fn annotations() -> impl Strategy<Value = Option<Value>> {
    let pair = prop::sample::select(
        &[
            ("strongroom.dev/inject", "env"),
            ("strongroom.dev/init-containers", "true"),
            ("strongroom.dev/token-audience", "vault"),
            ("strongroom.dev/aws-role", "arn:aws:iam::111122223333:role/app"),
            ("strongroom.dev/files", "- {path: a/b, from: 'sr://vault/a#b'}\n- {path: c, from: 'sr://aws-sm/c'}"),
            ("strongroom.dev/files-folder", "/data/files"),
            ("strongroom.dev/files-refresh", "never"),
            ("strongroom.dev/files-owner", "7:8"),
            ("strongroom.dev/files-containers", "m1"),
            ("strongroom.dev/injection", "{}"),
            ("secrets.k8s.aws/secret-arn", SECRET),
            (
                "secrets.k8s.aws/secret-arn",
                "arn:aws:secretsmanager:r:1:secret:a:/x,arn:aws:secretsmanager:r:1:secret:b",
            ),
            ("secrets.k8s.aws/mount-path", "/mnt"),
            ("vault.security.banzaicloud.io/vault-addr", "https://v"),
            ("vault.security.banzaicloud.io/mutate", "skip"),
        ][..],
    );
    prop::option::of(prop::collection::vec(pair, 0..6).prop_map(|pairs| {
        pairs.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect::<serde_json::Map<_, _>>().into()
    }))
}

/// A pod with names that ours may collide with; every name is there once.
fn pod() -> impl Strategy<Value = Value> {
    let init_names = ["copy-secrets-init", "strongroom-files", "copy-secrets-init-2"];
    let main_names = ["secrets-init-container", "m1", "m2"];
    let named = |list: Vec<Value>, names: [&'static str; 3]| -> Value {
        let name = |(mut container, name): (Value, &str)| {
            container["name"] = json!(name);
            container
        };
        list.into_iter().zip(names).map(name).collect()
    };
    let containers =
        (prop::collection::vec(container(), 1..4), prop::option::of(prop::collection::vec(container(), 0..4)));
    let volume = prop::sample::subsequence(
        vec!["secrets-init-bin", "secret-vol", "strongroom-vault-token", "strongroom-files"],
        0..=4,
    );
    (containers, volume, annotations(), any::<bool>()).prop_map(move |((main, init), volumes, annotations, is_root)| {
        let volumes: Vec<_> =
            volumes.into_iter().chain(["v0"]).map(|name| json!({"name": name, "emptyDir": {}})).collect();
        let mut pod = json!({"kind": "Pod", "spec": {"containers": named(main, main_names), "volumes": volumes}});
        if let Some(init) = init {
            pod["spec"]["initContainers"] = named(init, init_names);
        }
        if let Some(annotations) = annotations {
            pod["metadata"] = json!({"annotations": annotations});
        }
        if is_root {
            pod["spec"]["securityContext"] = json!({"runAsUser": 0});
        }
        pod
    })
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![value().prop_map(|text| values(&[("k", text)])), Just(Source::Absent), Just(Source::Unreadable),]
}

/// Plans as a caller does, in three steps.
fn steps(pod: &Value, found: &Found) -> Option<strongroom_inject::Plan> {
    let settings = Settings::default();
    lookups(pod, &settings).ok()?;
    let needed = needed(pod, found, &settings).ok()?;
    let images: Images = needed.into_iter().map(|it| (it.container, image(&["e"], &["c"]))).collect();
    plan(pod, found, &images, &settings).ok()
}

proptest! {
    #[test]
    fn a_plan_of_its_own_result_is_empty(pod in pod(), secret in source(), config_map in source()) {
        let mut found = Found::default();
        found.insert(SourceKind::Secret, "s", secret);
        found.insert(SourceKind::ConfigMap, "s", config_map);
        if let Some(first) = steps(&pod, &found) {
            let after = changed_by(&pod, &first);
            let second = steps(&after, &found).expect("what a plan made is not refused");
            prop_assert!(second.patch.is_empty(), "{:?}\n{}", second.patch, pod);
            prop_assert_eq!(first.patch.is_empty(), !first.explanation.is_change());
            prop_assert!(first.explanation.annotation().len() <= strongroom_inject::ANNOTATION_LIMIT);
        }
    }

    #[test]
    fn no_json_makes_it_panic(text in "[ -~]{0,40}", value in value()) {
        let odd = [json!(text), json!(1), json!({"name": value}), json!([text]), Value::Null];
        for one in &odd {
            for other in &odd {
                let pod = json!({"metadata": one, "spec": {"containers": [one, {"env": other, "envFrom": [other],
                    "volumeMounts": [one], "command": one}], "initContainers": other, "volumes": [other]}});
                let _ = steps(&pod, &Found::default());
            }
        }
    }
}
