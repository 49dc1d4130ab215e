//! bank-vaults' references and annotations.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_inject::{Found, Images, Settings, SourceKind};

use crate::{
    SECRET, VAULT, annotated, changed, changed_by, container, found, names, plan, planned, pod, pod_with, values,
    variables,
};

const PREFIX: &str = "vault.security.banzaicloud.io/";

/// Annotations of bank-vaults by the names behind its prefix.
fn saying(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, text)| (format!("{PREFIX}{name}"), json!(text))).collect::<serde_json::Map<_, _>>().into()
}

/// What was added to the variables of the first container.
fn added(before: &Value, after: &Value) -> BTreeMap<String, String> {
    let old = variables(&before["spec"]["containers"][0]);
    let new = variables(&after["spec"]["containers"][0]);
    let added = new.into_iter().filter(|(name, _)| !old.contains_key(name));
    added.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn expect(got: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(*got, expected);
}

const LOGIN: [(&str, &str); 3] =
    [("VAULT_AUTH_METHOD", "jwt"), ("VAULT_PATH", "kubernetes"), ("VAULT_ROLE", "default")];

#[test]
fn annotations_become_the_variables_of_a_login() {
    let before = annotated(
        pod(&[container("app", VAULT)]),
        &saying(&[
            ("vault-addr", "https://vault:8200"),
            ("vault-role", "app"),
            ("vault-path", "k8s"),
            ("vault-auth-method", "kubernetes"),
            ("vault-namespace", "team"),
            ("vault-skip-verify", "true"),
            ("vault-ignore-missing-secrets", "true"),
            ("vault-client-timeout", "10s"),
            ("vault-env-from-path", "secret/data/$(x)"),
            ("vault-env-passthrough", "VAULT_ADDR"),
        ]),
    );
    let after = changed(&before);
    expect(
        &added(&before, &after),
        &[
            ("VAULT_ADDR", "https://vault:8200"),
            ("VAULT_AUTH_METHOD", "kubernetes"),
            ("VAULT_CLIENT_TIMEOUT", "10s"),
            ("VAULT_FROM_PATH", "secret/data/$$(x)"),
            ("VAULT_IGNORE_MISSING_SECRETS", "true"),
            ("VAULT_NAMESPACE", "team"),
            ("VAULT_PASSTHROUGH", "VAULT_ADDR"),
            ("VAULT_PATH", "k8s"),
            ("VAULT_ROLE", "app"),
            ("VAULT_SKIP_VERIFY", "true"),
        ],
    );
    assert_eq!(planned(&after).unwrap().patch, []);
}

#[test]
fn without_annotations_the_service_account_logs_in() {
    let before = pod(&[container("app", VAULT)]);
    expect(&added(&before, &changed(&before)), &LOGIN);
    let before = pod_with(&[container("app", VAULT)], &json!({"serviceAccountName": "team"}));
    let with_account = [LOGIN[0], LOGIN[1], ("VAULT_ROLE", "team")];
    expect(&added(&before, &changed(&before)), &with_account);
    let settings = Settings { vault_address: Some("https://v".to_owned()), ..Settings::default() };
    let after = changed_by(&before, &plan(&before, &Found::default(), &Images::default(), &settings).unwrap());
    expect(&added(&before, &after), &[("VAULT_ADDR", "https://v"), LOGIN[0], LOGIN[1], ("VAULT_ROLE", "team")]);
}

#[test]
fn what_the_container_sets_itself_is_left_to_it() {
    let check = |own: &[(&str, &str)], annotations: &[(&str, &str)], expected: &[(&str, &str)]| {
        let mut app = container("app", VAULT);
        let entries = own.iter().map(|(name, value)| json!({"name": name, "value": value}));
        app["env"].as_array_mut().unwrap().extend(entries);
        let before = annotated(pod(&[app]), &saying(annotations));
        expect(&added(&before, &changed(&before)), expected);
    };
    let address = [("vault-addr", "https://a")];
    check(&[("VAULT_ADDR", "https://v")], &address, &LOGIN);
    check(&[("BAO_ADDR", "https://v")], &address, &LOGIN);
    check(&[("VAULT_ROLE", "r")], &[], &LOGIN[..2]);
    // A login of its own is not made another by defaults.
    check(&[("VAULT_TOKEN", "t")], &[], &[]);
    check(&[("VAULT_TOKEN_FILE", "/t")], &[], &[]);
    check(&[("VAULT_ROLE_ID", "r")], &[], &[]);
    check(&[("BAO_TOKEN", "t")], &address, &[("VAULT_ADDR", "https://a")]);
    check(&[("VAULT_TOKEN", "vault:login")], &[], &LOGIN);
    check(&[("VAULT_AUTH_METHOD", "approle")], &[], &[]);
    check(&[], &[("vault-auth-method", "approle")], &[("VAULT_AUTH_METHOD", "approle")]);

    let mut app = container("app", VAULT);
    let role = json!({"name": "VAULT_ROLE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    app["env"].as_array_mut().unwrap().push(role);
    app["envFrom"] = json!([{"prefix": "VAULT_", "configMapRef": {"name": "c"}}]);
    let before = pod(&[app]);
    let found = found(SourceKind::ConfigMap, "c", values(&[("PATH", "other")]));
    let after = changed_by(&before, &plan(&before, &found, &Images::default(), &Settings::default()).unwrap());
    expect(&added(&before, &after), &LOGIN[..1]);
}

#[test]
fn only_wrapped_containers_that_need_vault_get_the_variables() {
    let containers = [container("aws", SECRET), container("plain", "x"), container("vault", "bao:kv/a#b")];
    let before = annotated(pod(&containers), &saying(&[("vault-addr", "https://a")]));
    let after = changed(&before);
    let count = |place: usize| after["spec"]["containers"][place]["env"].as_array().unwrap().len();
    assert_eq!((count(0), count(1), count(2)), (1, 1, 5));
    // What cannot be looked into may need it, where bank-vaults' annotations are there.
    let mut app = container("app", "plain");
    app["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
    let before = annotated(pod(&[app]), &saying(&[("vault-addr", "https://a")]));
    assert_eq!(added(&before, &changed(&before)).len(), 4);
    let mut without = before.clone();
    without["metadata"]["annotations"] = json!({});
    assert_eq!(added(&without, &changed(&without)).len(), 0);
}

#[test]
fn variables_from_a_path_need_no_reference() {
    let before = annotated(pod(&[container("app", "plain")]), &saying(&[("vault-env-from-path", "secret/data/a")]));
    let after = changed(&before);
    assert_eq!(added(&before, &after)["VAULT_FROM_PATH"], "secret/data/a");
    assert_eq!(after["spec"]["containers"][0]["command"], json!(["/helper/bin/secrets-init"]));
}

#[test]
fn mutate_skip_keeps_bank_vaults_out_and_nobody_else() {
    for (annotations, labels) in [
        (saying(&[("mutate", "skip"), ("vault-env-from-path", "secret/data/a")]), json!({})),
        (json!({}), json!({"security.banzaicloud.io/mutate": "skip"})),
    ] {
        let labelled = |value: &str| {
            let mut pod = annotated(pod(&[container("app", value)]), &annotations);
            pod["metadata"]["labels"] = labels.clone();
            planned(&pod).unwrap().patch
        };
        assert_eq!(labelled(VAULT), []);
        assert_eq!(labelled("${vault:a/b#c}"), []);
        assert_ne!(labelled(SECRET), []);
        assert_ne!(labelled("sr://vault/a#b"), []);
    }
}

#[test]
fn a_token_for_the_audience_goes_into_containers_that_need_vault() {
    let mount = "/var/run/secrets/strongroom.dev/vault";
    let before = annotated(
        pod(&[container("app", VAULT), container("aws", SECRET), container("b", VAULT)]),
        &json!({"strongroom.dev/token-audience": "vault.example"}),
    );
    let settings =
        Settings { vault_token_seconds: 60, vault_audience: Some("other".to_owned()), ..Settings::default() };
    let after = changed_by(&before, &plan(&before, &Found::default(), &Images::default(), &settings).unwrap());
    assert_eq!(added(&before, &after)["VAULT_JWT_FILE"], format!("{mount}/token"));
    let token = json!({"audience": "vault.example", "expirationSeconds": 600, "path": "token"});
    let volumes = &after["spec"]["volumes"];
    assert_eq!(volumes[1]["projected"]["sources"], json!([{"serviceAccountToken": token}]));
    let mounts = |place: usize| names(&after["spec"]["containers"][place]["volumeMounts"]);
    assert_eq!(mounts(0), ["secrets-init-bin", "strongroom-vault-token"]);
    assert_eq!(mounts(1), ["secrets-init-bin"]);
    assert_eq!(mounts(2), ["secrets-init-bin", "strongroom-vault-token"]);
    let token = &after["spec"]["containers"][0]["volumeMounts"][1];
    assert_eq!((&token["mountPath"], &token["readOnly"]), (&json!(mount), &json!(true)));

    // A container that comes later gets the same token, by no second volume.
    let mut later = after.clone();
    later["spec"]["containers"].as_array_mut().unwrap().push(container("late", VAULT));
    let last = changed(&later);
    assert_eq!(last["spec"]["volumes"], later["spec"]["volumes"]);
    assert_eq!(names(&last["spec"]["containers"][3]["volumeMounts"]), mounts(0));
}

#[test]
fn a_token_for_another_audience_is_not_used() {
    let token = |audience: &str| json!({"serviceAccountToken": {"audience": audience, "path": "token"}});
    let volume = json!({"name": "strongroom-vault-token", "projected": {"sources": [token("other")]}});
    let before = pod_with(&[container("app", VAULT)], &json!({"volumes": [volume]}));
    let after = changed(&annotated(before, &json!({"strongroom.dev/token-audience": "a"})));
    let mounts = names(&after["spec"]["containers"][0]["volumeMounts"]);
    assert_eq!(mounts, ["secrets-init-bin", "strongroom-vault-token-2"]);
}

#[test]
fn vault_is_needed_also_for_a_reference_that_is_only_counted() {
    let keys: Vec<_> = (0..30).map(|at| format!("K{at:02}")).collect();
    let pairs = keys.iter().map(|key| (key.as_str(), SECRET)).chain([("Z", VAULT)]);
    let mut app = container("app", "plain");
    app["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
    let found = found(SourceKind::Secret, "s", values(&pairs.collect::<Vec<_>>()));
    let before = pod(&[app]);
    let after = changed_by(&before, &plan(&before, &found, &Images::default(), &Settings::default()).unwrap());
    expect(&added(&before, &after), &LOGIN);
}

#[test]
fn without_an_audience_or_with_another_login_there_is_no_token() {
    let check = |own: Option<(&str, &str)>, method: &str, audience: &str, has_token: bool| {
        let mut app = container("app", VAULT);
        if let Some((name, value)) = own {
            app["env"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
        }
        let mut annotations = saying(&[("vault-auth-method", method)]);
        annotations["strongroom.dev/token-audience"] = json!(audience);
        let after = changed(&annotated(pod(&[app]), &annotations));
        assert_eq!(names(&after["spec"]["volumes"]).len() == 2, has_token, "{own:?} {method} {audience}");
    };
    check(None, "jwt", "a", true);
    check(None, "kubernetes", "a", true);
    check(None, "jwt", "", false);
    check(None, "approle", "a", false);
    check(Some(("VAULT_TOKEN", "t")), "jwt", "a", false);
    check(Some(("VAULT_JWT_FILE", "/f")), "jwt", "a", false);
    check(Some(("KUBERNETES_SERVICE_ACCOUNT_TOKEN", "/f")), "jwt", "a", false);
}

#[test]
fn a_path_in_a_variable_needs_no_annotation() {
    let app = |entry: Value| json!({"name": "app", "image": "app:1", "command": ["app"], "env": [entry]});
    for name in ["VAULT_FROM_PATH", "VAULT_ENV_FROM_PATH", "BAO_FROM_PATH"] {
        let before = pod(&[app(json!({"name": name, "value": "secret/data/a"}))]);
        assert_eq!(added(&before, &changed(&before)).len(), 3, "{name}");
        assert_eq!(planned(&pod(&[app(json!({"name": name, "value": ""}))])).unwrap().patch, []);
    }
    let key = json!({"name": "VAULT_FROM_PATH", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}});
    let mut whole = container("app", "plain");
    whole["envFrom"] = json!([{"prefix": "VAULT_", "configMapRef": {"name": "c"}}]);
    for before in [pod(&[app(key)]), pod(&[whole])] {
        let found = found(SourceKind::ConfigMap, "c", values(&[("k", "a/b"), ("FROM_PATH", "a/b")]));
        let plan = plan(&before, &found, &Images::default(), &Settings::default()).unwrap();
        assert_eq!(added(&before, &changed_by(&before, &plan)).len(), 3);
    }
}

#[test]
fn what_is_not_served_is_refused_with_the_variable_and_the_cure() {
    let check = |refusal: strongroom_inject::Refusal, words: &[&str]| {
        let shown = refusal.to_string();
        for words in words {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains("canary"), "{shown}");
    };
    for (value, words) in [
        ("vault:v1:canary", "a ciphertext of Vault's Transit engine"),
        ("x${vault:v1:canary}", "a ciphertext of Vault's Transit engine"),
        ("vault:canary/b", "the #KEY is missing"),
        ("canary-${vault:a/b}", "the #KEY is missing"),
    ] {
        let refusal = planned(&pod(&[container("app", value)])).unwrap_err();
        check(refusal, &["spec.containers[0].env[X].value: X: ", words, "mutate: skip", "container \"app\""]);
        for reference in [
            json!({"envFrom": [{"secretRef": {"name": "s"}}]}),
            json!({"env": [
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "K"}}}]}),
        ] {
            let mut app = container("app", "plain");
            app.as_object_mut().unwrap().extend(reference.as_object().unwrap().clone());
            let found = found(SourceKind::Secret, "s", values(&[("K", value), ("OK", "plain")]));
            let refusal = plan(&pod(&[app]), &found, &Images::default(), &Settings::default()).unwrap_err();
            check(refusal, &["secret", "K: ", words]);
        }
        let skipped = annotated(pod(&[container("app", value)]), &saying(&[("mutate", "skip")]));
        assert_eq!(planned(&skipped).unwrap().patch, []);
    }
    let mut app = container("app", "plain");
    app["env"] = json!([{"name": "VAULT_FROM_PATH", "value": "a/b#canary"}]);
    check(planned(&pod(&[app])).unwrap_err(), &["env[VAULT_FROM_PATH]", "the #VERSION is not a number"]);
}

#[test]
fn annotations_that_are_not_served_are_refused_where_secrets_would_be_missing() {
    let refused = |value: &str, annotations: &[(&str, &str)], own: Option<(&str, &str)>| {
        let mut app = container("app", value);
        app["livenessProbe"] = json!({"exec": {"command": ["check"]}});
        if let Some((name, value)) = own {
            app["env"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
        }
        planned(&annotated(pod(&[app]), &saying(annotations))).err().map(|refusal| refusal.to_string())
    };
    let check = |value: &str, name: &str, text: &str, mended: Option<(&str, &str)>| {
        let shown = refused(value, &[(name, text)], None).unwrap();
        assert!(shown.contains(&format!("{PREFIX}{name}]")) && shown.contains("not served"), "{shown}");
        assert!(mended.is_none() || refused(value, &[(name, text)], mended).is_none(), "{name}");
        assert_eq!(refused(value, &[(name, text), ("mutate", "skip")], None), None);
    };
    check("plain", "vault-agent", "true", None);
    check("plain", "vault-agent-configmap", "c", None);
    check("plain", "vault-ct-configmap", "c", None);
    check(VAULT, "vault-tls-secret", "tls", Some(("VAULT_CACERT", "/tls/ca.crt")));
    check(VAULT, "token-auth-mount", "v:token", Some(("VAULT_TOKEN_FILE", "/v/token")));
    check(VAULT, "mutate-probes", "true", None);
    assert_eq!(refused("plain", &[("vault-agent", "false"), ("vault-tls-secret", "tls")], None), None);
    assert_eq!(refused(VAULT, &[("mutate-probes", "false")], None), None);
    assert_eq!(refused(VAULT, &[("vault-tls-secret", "t"), ("vault-skip-verify", "true")], None), None);
    let shown = refused("plain", &[("vault-env-from-path", "a/b#x")], None).unwrap();
    assert!(shown.contains("VAULT_FROM_PATH: the #VERSION is not a number"), "{shown}");
}
