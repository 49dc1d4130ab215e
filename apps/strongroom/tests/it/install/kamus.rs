//! What the chart makes for Kamus' services and kind, as the real API server takes it.

use std::process::Command;

use serde_json::{Value, json};

use super::chart::{helm, of_kind, rendered, texts};

const MARKED: &str = "
admission: {enabled: true}
kamus: {enabled: true, keys: {management: transit, key: transit/kamus}, extraEnv: [{name: VAULT_ADDR, value: 'https://v'}]}
";

const MOST: &str = "
scope: {namespaces: [team-a]}
serviceMonitor: {enabled: true}
kamus:
  enabled: true
  allowUnverified: true
  keys: {secretName: ring, installation: shop, management: local, localKey: {secretName: key}}
  legacyKey: {secretName: legacy, derivation: true}
  podLabels: {a: b}
  podAnnotations: {a: b}
  nodeSelector: {disk: ssd}
  tolerations: [{key: a, operator: Exists}]
  affinity: {nodeAffinity: {}}
  encryptor: {replicaCount: 1, tlsSecretName: tls, serviceName: encryptor, serviceAnnotations: {a: b}}
  decryptor: {extraArgs: {strict-audience: null, rate: 100}, serviceAccount: {annotations: {a: b}}}
";

/// The first container of the Deployment of this component.
fn container<'a>(objects: &'a [Value], component: &str) -> &'a Value {
    let is_of = |object: &&&Value| object["metadata"]["labels"]["app.kubernetes.io/component"] == component;
    let deployments = of_kind(objects, "Deployment");
    let found = deployments.iter().find(is_of).unwrap_or_else(|| panic!("no Deployment of {component}"));
    &found["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn every_way_to_install_passes_lint_and_the_api_server_and_gives_flags_that_the_roles_know() {
    for (values, roles) in [
        (MARKED, &["operator", "admission", "kamus-encryptor", "kamus-decryptor"][..]),
        (MOST, &["operator", "kamus-encryptor", "kamus-decryptor"]),
    ] {
        helm(&["lint", "--strict"], values).unwrap_or_else(|error| panic!("{values}: {error}"));
        let objects = rendered(values);
        for component in roles {
            let arguments = texts(&container(&objects, component)["args"]);
            assert!(arguments.iter().any(|flag| flag.starts_with("--keys-secret=strongroom/")), "{component}");
            let mut role = Command::new(env!("CARGO_BIN_EXE_strongroom"));
            role.args(&arguments).arg("--kubeconfig=/does/not/exist").env_clear();
            let ended = role.output().unwrap();
            // Flags that are not understood end with 2; without a cluster it ends with 1.
            assert_eq!(ended.status.code(), Some(1), "{component}: {}", String::from_utf8_lossy(&ended.stderr));
        }
        let is_kind = |crd: &&Value| crd["metadata"]["name"] == "kamussecrets.soluto.com";
        let crds = of_kind(&objects, "CustomResourceDefinition");
        let crd = crds.into_iter().find(is_kind).expect("the kind");
        assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}

#[test]
fn nothing_of_kamus_is_there_unless_it_is_enabled() {
    let objects = rendered("admission: {enabled: true}");
    for object in &objects {
        assert!(!object.to_string().contains("kamus"), "{} {}", object["kind"], object["metadata"]["name"]);
    }
}

#[test]
fn only_what_admission_marks_is_read_unless_that_is_asked_for() {
    let hooks = |values: &str| {
        let objects = rendered(values);
        let all = of_kind(&objects, "MutatingWebhookConfiguration");
        let hooks = all.iter().flat_map(|all| all["webhooks"].as_array().unwrap()).cloned();
        hooks.filter(|hook| hook["name"] == "kamus-secrets.strongroom.dev").collect::<Vec<Value>>()
    };
    let found = hooks(MARKED);
    let [hook] = &found[..] else { panic!("one webhook") };
    assert_eq!(hook["failurePolicy"], "Fail");
    assert_eq!(hook["rules"][0]["resources"], json!(["kamussecrets"]));
    assert!(!texts(&container(&rendered(MARKED), "operator")["args"]).contains(&"--kamus-allow-unverified"));
    let both = format!("{MOST}\nadmission: {{enabled: true}}");
    assert!(hooks(&both).is_empty());
    assert!(texts(&container(&rendered(MOST), "operator")["args"]).contains(&"--kamus-allow-unverified"));
}

#[test]
fn each_role_may_do_what_it_does_and_no_more() {
    let objects = rendered(MARKED);
    let rules = |kind: &str, name: &str| {
        let found = of_kind(&objects, kind).into_iter().find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))["rules"].clone()
    };
    let ring = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["kamus-keys"], "verbs": ["get"]});
    let create = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]});
    for service in ["strongroom-kamus-encryptor", "strongroom-kamus-decryptor"] {
        assert_eq!(rules("Role", service), json!([ring, create]));
    }
    let review =
        |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": ["create"]});
    let reviews = json!([
        review("authentication.k8s.io", "tokenreviews"),
        review("authorization.k8s.io", "selfsubjectaccessreviews"),
    ]);
    assert_eq!(rules("ClusterRole", "strongroom-kamus-decryptor"), reviews);
    let has = |rules: &Value, rule: &Value| rules.as_array().unwrap().contains(rule);
    let admission = rules("ClusterRole", "strongroom-admission");
    assert!(has(&admission, &review("authorization.k8s.io", "subjectaccessreviews")), "{admission}");
    assert!(has(&rules("Role", "strongroom-self"), &ring));
    let kinds = json!({"apiGroups": ["soluto.com"], "resources": ["kamussecrets"], "verbs": ["list", "watch"]});
    assert!(has(&rules("ClusterRole", "strongroom"), &kinds));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let check = |values: &str, expected: &str| {
        let words = helm(&["template", "strongroom"], values).unwrap_err();
        assert!(words.contains(expected), "{values}: {words}");
    };
    check("kamus: {enabled: true}", "needs kamus.keys.management");
    check("kamus: {enabled: true, keys: {management: local}}", "needs kamus.keys.localKey.secretName");
    check("kamus: {enabled: true, keys: {management: aws}}", "kamus.keys.management: aws needs kamus.keys.key");
    check("kamus: {enabled: true, keys: {management: aws, key: k}}", "kamus.enabled needs admission.enabled");
    check("kamus: {keys: {management: pkcs11}}", "/kamus/keys/management");
    check("kamus: {encryptors: {}}", "additional properties 'encryptors' not allowed");
}
