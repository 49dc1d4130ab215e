//! What the chart makes for `strongroom admission`, as the real API server takes it, and which pods it sends there.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use world::control_plane::{ControlPlane, Options};

use super::chart::{CLUSTER, allowed, helm, of_kind, rendered, texts};
use super::{HELM, chart, path, written};

const ENABLED: &str = "{admission: {enabled: true}}";

const GIVEN: &str = "
admission:
  enabled: true
  certificate: {secretName: tls, caBundle: \"-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n\"}
";

const MOST: &str = "
fullnameOverride: a-name-that-is-so-long-that-nothing-more-would-fit-behind-it-1
imagePullSecrets: [{name: registry}]
commonLabels: {team: platform}
serviceMonitor: {enabled: true, additionalLabels: {release: prometheus}}
networkPolicy: {metricsFrom: [{podSelector: {}}]}
admission:
  enabled: true
  replicaCount: 3
  init: {image: {repository: registry.example:5000/strongroom-init, tag: '1', pullPolicy: Always}}
  agent:
    image: {repository: registry.example/agent, digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}
    resources: {limits: {memory: 32Mi}}
    filesSize: 8Mi
    leastRefresh: 1m
  excludedNamespaces: [kube-system, calico-system]
  namespaceSelector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: Exists}]}
  indirect: {failurePolicy: Ignore}
  native: {enabled: true}
  validation: {failurePolicy: Fail, namespaceSelector: {matchLabels: {a: b}}}
  vault: {address: 'https://vault.example:8200', audience: vault}
  defaultImagePullSecret: {name: registry, namespace: shared}
  certificate: {secretName: tls}
  configurationAnnotations: {cert-manager.io/inject-ca-from: strongroom/tls}
  extraArgs: {registry-mirror: 'docker.io=https://mirror.example', registry-skip-verify: null}
  extraEnv: [{name: AWS_REGION, value: eu-west-1}]
  extraVolumes: [{name: ca, configMap: {name: ca}}]
  extraVolumeMounts: [{name: ca, mountPath: /etc/ca}]
  serviceAccount: {name: identity, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/a'}}
  podAnnotations: {a: b}
  podLabels: {a: b}
  nodeSelector: {disk: ssd}
  tolerations: [{key: a, operator: Exists}]
  affinity: {nodeAffinity: {}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
  hostNetwork: true
  priorityClassName: system-cluster-critical
  podDisruptionBudget: {maxUnavailable: 50%}
  egress: [{ports: [{port: 443, protocol: TCP}]}]
";

const LEAST: &str = "
{scope: {namespaceSelector: a=b}, rbac: {create: false}, networkPolicy: {enabled: false}, kes: 'off',
storePolicies: 'off', processPushSecret: false, admission: {enabled: true, replicaCount: 1,
indirect: {enabled: false}, validation: {enabled: false}, serviceAccount: {create: false, name: other}}}
";

const SCOPED: &str = "{scope: {namespaces: [team-a, team-b]}, admission: {enabled: true}}";

/// The role's own objects of a kind.
fn ours<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let is_ours = |object: &&Value| object["metadata"]["labels"]["app.kubernetes.io/component"] == "admission";
    of_kind(objects, kind).into_iter().filter(is_ours).collect()
}

fn deployment(objects: &[Value]) -> &Value {
    let deployments = ours(objects, "Deployment");
    let [deployment] = deployments[..] else { panic!("one Deployment of admission") };
    deployment
}

/// The webhooks of both configurations.
fn webhooks(objects: &[Value]) -> Vec<&Value> {
    let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
    let configurations = kinds.iter().flat_map(|kind| ours(objects, kind));
    configurations.flat_map(|configuration| configuration["webhooks"].as_array().unwrap()).collect()
}

fn webhook<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    webhooks(objects).into_iter().find(|webhook| webhook["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn every_way_to_install_passes_lint_and_the_api_server_and_gives_flags_that_the_role_knows() {
    for values in [ENABLED, GIVEN, MOST, LEAST, SCOPED] {
        helm(&["lint", "--strict"], values).unwrap_or_else(|error| panic!("{values}: {error}"));
        let objects = rendered(values);
        let container = &deployment(&objects)["spec"]["template"]["spec"]["containers"][0];
        let mut role = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        role.args(texts(&container["args"])).arg("--kubeconfig=/does/not/exist").env_clear();
        let ended = role.output().unwrap();
        // Flags that are not understood end with 2; without a certificate or a cluster it ends with 1.
        assert_eq!(ended.status.code(), Some(1), "{values}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn nothing_of_admission_is_there_unless_it_is_enabled() {
    let objects = rendered("");
    let component = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/component"].clone();
    assert!(objects.iter().all(|object| component(object) != "admission"));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let check = |values: &str, expected: &str| {
        let words = helm(&["template", "strongroom"], values).unwrap_err();
        assert!(words.contains(expected), "{values}: {words}");
    };
    check("admission: {enable: true}", "additional properties 'enable' not allowed");
    check("admission: {indirect: {failurePolicy: Perhaps}}", "/admission/indirect/failurePolicy");
    check("admission: {certificate: {caBundle: LS0tLS1CRUdJTg==}}", "/admission/certificate/caBundle");
    check(
        "{admission: {enabled: true}, scope: {namespaceSelector: a=b}}",
        "needs admission.validation.namespaceSelector",
    );
}

#[test]
fn webhooks_fail_and_are_called_again_as_each_needs() {
    let objects = rendered(MOST);
    let check = |name: &str, path: &str, failure: &str, again: Option<&str>, effects: &str, seconds: u64| {
        let webhook = webhook(&objects, name);
        assert_eq!(webhook["clientConfig"]["service"]["path"], path, "{name}");
        assert_eq!(webhook["failurePolicy"], failure, "{name}");
        assert_eq!(webhook["reinvocationPolicy"].as_str(), again, "{name}");
        assert_eq!(webhook["sideEffects"], effects, "{name}");
        assert_eq!(webhook["timeoutSeconds"], seconds, "{name}");
    };
    check("explicit.pods.strongroom.dev", "/pods", "Fail", Some("IfNeeded"), "None", 10);
    check("indirect.pods.strongroom.dev", "/pods", "Ignore", Some("IfNeeded"), "None", 10);
    check("secrets.strongroom.dev", "/secrets", "Fail", Some("Never"), "NoneOnDryRun", 15);
    check("injected-pods.strongroom.dev", "/injected-pods", "Ignore", None, "NoneOnDryRun", 3);
    check("objects.strongroom.dev", "/validate", "Fail", None, "None", 5);
    assert_eq!(webhooks(&objects).len(), 5);
    assert_eq!(webhooks(&rendered(LEAST)).len(), 2, "what pods ask for, and its event");
    let indirect = &rendered(ENABLED);
    assert_eq!(webhook(indirect, "indirect.pods.strongroom.dev")["failurePolicy"], "Fail");
    assert_eq!(webhook(indirect, "objects.strongroom.dev")["failurePolicy"], "Ignore");
}

#[test]
fn objects_are_judged_where_the_operator_serves_them() {
    let resources = |objects: &[Value]| -> BTreeSet<String> {
        let rules = webhook(objects, "objects.strongroom.dev")["rules"].as_array().unwrap().clone();
        rules.iter().flat_map(|rule| texts(&rule["resources"])).map(str::to_owned).collect()
    };
    let all = resources(&rendered(ENABLED));
    assert!(all.contains("clustersecretstores") && all.contains("storepolicies"), "{all:?}");
    let scoped = rendered(SCOPED);
    assert_eq!(resources(&scoped).len(), 3, "no kinds of the cluster");
    let selector = &webhook(&scoped, "objects.strongroom.dev")["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(selector["values"], json!(["team-a", "team-b"]));
}

#[test]
fn a_certificate_is_kept_by_the_role_or_given() {
    let own = rendered(ENABLED);
    let arguments = |objects: &[Value]| -> Vec<String> {
        let container = &deployment(objects)["spec"]["template"]["spec"]["containers"][0];
        texts(&container["args"]).into_iter().map(str::to_owned).collect()
    };
    let told = arguments(&own);
    for flag in [
        "--certificate-service=strongroom-admission",
        "--certificate-secret=strongroom-admission-certificate",
        "--certificate-lease=strongroom-admission-certificate",
        "--mutating-configuration=strongroom-admission",
        "--validating-configuration=strongroom-admission",
    ] {
        assert!(told.iter().any(|word| word == flag), "{flag} in {told:?}");
    }
    // Whoever else applies a configuration, such as an upgrade, must not take the bundle away.
    assert!(webhooks(&own).iter().all(|webhook| webhook["clientConfig"].get("caBundle").is_none()));
    assert_eq!(ours(&own, "Service")[0]["metadata"]["name"], "strongroom-admission");
    let given = rendered(GIVEN);
    assert!(arguments(&given).iter().any(|word| word == "--tls-cert-file=/etc/strongroom/tls/tls.crt"));
    assert!(!arguments(&given).iter().any(|word| word.contains("certificate-")));
    let bundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    assert!(webhooks(&given).iter().all(|webhook| webhook["clientConfig"]["caBundle"] == bundle));
    assert!(ours(&given, "Role").is_empty(), "no rights for a certificate that somebody else keeps");
}

#[test]
fn two_releases_share_nothing() {
    let names = |release: &str| -> BTreeSet<String> {
        let (chart, file) =
            (chart(), written("{installCRDs: false, admission: {enabled: true, native: {enabled: true}}}"));
        let words = ["template", release, &chart, "-n", "strongroom", "--values", path(&file)];
        let text = HELM.run(&words).unwrap();
        let documents = text.split("\n---\n").filter(|document| document.contains("component: admission"));
        let name = |document: &str| {
            let value: Value = serde_saphyr::from_str(document).unwrap();
            format!("{} {}", value["kind"], value["metadata"]["name"])
        };
        documents.map(name).collect()
    };
    let (one, other) = (names("one"), names("other"));
    assert!(one.len() > 9, "{one:?}");
    assert!(one.is_disjoint(&other), "{:?}", one.intersection(&other).collect::<Vec<_>>());
}

#[test]
fn the_role_has_the_rights_that_it_uses_and_no_more() {
    let values = written(ENABLED);
    let chart = chart();
    let file = "templates/admission/access.yaml";
    let words = ["template", "rights", &chart, "-n", "strongroom", "--values", path(&values), "--show-only", file];
    CLUSTER.apply(&HELM.run(&words).unwrap()).unwrap();
    let account = "system:serviceaccount:strongroom:rights-strongroom-admission";
    let may = [
        ("team-a", "get", "", "configmaps"),
        ("", "watch", "", "secrets"),
        ("", "list", "", "configmaps"),
        ("team-a", "get", "", "serviceaccounts"),
        ("", "get", "", "namespaces"),
        ("team-a", "create", "", "events"),
        ("strongroom", "create", "", "secrets"),
        ("strongroom", "create", "coordination.k8s.io", "leases"),
    ];
    assert_eq!(allowed(account, &may), vec![true; may.len()], "{may:?}");
    let may_not = [
        ("team-a", "create", "", "secrets"),
        ("team-a", "update", "", "secrets"),
        ("strongroom", "update", "", "secrets"),
        ("strongroom", "patch", "", "secrets"),
        ("team-a", "list", "", "serviceaccounts"),
        ("team-a", "create", "", "serviceaccounts/token"),
        ("", "list", "", "namespaces"),
        ("", "list", "", "pods"),
        ("", "patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("", "create", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ];
    assert_eq!(allowed(account, &may_not), vec![false; may_not.len()], "{may_not:?}");
    // By their names, its own are allowed.
    let can = |words: &[&str]| {
        let asked = [&["auth", "can-i"], words, &["-n", "strongroom", "--as", account]].concat();
        CLUSTER.kubectl(&asked).is_ok()
    };
    let (name, secret) = ("rights-strongroom-admission", "secrets/rights-strongroom-admission-certificate");
    assert!(can(&["update", secret]));
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let of = |name: &str| format!("{kind}.admissionregistration.k8s.io/{name}");
        assert!(can(&["patch", &of(name)]) && can(&["watch", &of(name)]) && !can(&["patch", &of("other")]), "{kind}");
    }
}

/// A cluster with the chart's webhooks, where nobody answers: a pod that would be sent is refused, and says to whom.
static ASKING: LazyLock<ControlPlane> = LazyLock::new(|| {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    for (namespace, labels) in [
        ("strongroom", r#"{"strongroom.dev/native-secrets": "true"}"#),
        ("team", "{}"),
        ("native", r#"{"strongroom.dev/native-secrets": "true"}"#),
        ("ignored", r#"{"admission.secrets-init/ignore": ""}"#),
        ("disabled", r#"{"kube-secrets-init.doit-intl.com/disable-mutation": "true"}"#),
    ] {
        let made = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, labels: {labels}}}}}");
        cluster.apply(&made).unwrap();
    }
    for namespace in ["strongroom", "team", "ignored", "disabled", "kube-system"] {
        let account = "apiVersion: v1, kind: ServiceAccount, metadata";
        cluster.apply(&format!("{{{account}: {{name: default, namespace: {namespace}}}}}")).unwrap();
    }
    let (chart, file) = (chart(), written("{admission: {enabled: true, native: {enabled: true}}}"));
    let show = ["--show-only", "templates/admission/webhooks.yaml"];
    let words = ["template", "strongroom", &chart, "-n", "strongroom", "--values", path(&file)];
    cluster.apply(&HELM.run(&[&words[..], &show].concat()).unwrap()).unwrap();
    cluster
});

/// The webhook that is asked about an object, by the beginning of its name; `-` where none is.
fn asked(object: &Value) -> String {
    let file = written(&object.to_string());
    match ASKING.kubectl(&["create", "--dry-run=server", "-f", path(&file)]) {
        Ok(_) => "-".to_owned(),
        Err(error) => {
            let words = error.to_string();
            let name = words.split_once("failed calling webhook \"").and_then(|(_, rest)| rest.split('.').next());
            name.unwrap_or_else(|| panic!("{words:.2000}")).to_owned()
        }
    }
}

fn pod(namespace: &str, annotations: &Value, spec: &Value) -> Value {
    let metadata = json!({"name": "a", "namespace": namespace, "annotations": annotations});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn with(container: Value) -> Value {
    let mut container = container;
    (container["name"], container["image"]) = (json!("a"), json!("a"));
    json!({"containers": [container]})
}

fn saying(value: &str) -> Value {
    with(json!({"env": [{"name": "A", "value": value}]}))
}

/// A webhook configuration becomes known to the API server a moment after it is written.
fn wait_for_webhooks() {
    let wanted = pod("team", &json!({}), &saying("sr://vault/a#b"));
    for _ in 0..100 {
        if asked(&wanted) == "explicit" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the webhooks are not asked");
}

#[test]
fn pods_that_say_that_they_want_something_are_sent_and_others_are_not() {
    wait_for_webhooks();
    let check = |value: &str, expected: &str| {
        assert_eq!(asked(&pod("team", &json!({}), &saying(value))), expected, "{value}");
    };
    for reference in [
        "sr://vault/a#b",
        "gcp:secretmanager:a",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a",
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a",
        "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/a",
        "azure:keyvault:a",
        "vault:a/b#c",
        "bao:a/b#c",
        ">>vault:a/b#c",
        ">>bao:a/b#c",
        "postgres://a:${vault:a/b#c}@d",
        "${bao:a#b}",
        "${>>vault:a#b}",
        "${>>bao:a#b}",
    ] {
        check(reference, "explicit");
    }
    for ordinary in ["", "hello", "http://a:80", "arn:aws:iam::111122223333:role/a", "$(X):${Y:-z}", "SR://a"] {
        check(ordinary, "-");
    }
    let noted = |name: &str, value: &str| asked(&pod("team", &json!({name: value}), &saying("ordinary")));
    for name in [
        "strongroom.dev/inject",
        "strongroom.dev/inject-containers",
        "strongroom.dev/injects",
        "strongroom.dev/files",
        "strongroom.dev/files-url",
        "strongroom.dev/file",
        "secrets.k8s.aws/secret-arn",
        "vault.security.banzaicloud.io/vault-env-from-path",
    ] {
        assert_eq!(noted(name, "env"), "explicit", "{name}");
    }
    assert_eq!(noted("strongroom.dev/partial", "true"), "-");
    let unwilling = json!({"strongroom.dev/inject": "false", "strongroom.dev/files": "[]"});
    assert_eq!(asked(&pod("team", &unwilling, &saying("sr://vault/a#b"))), "-", "it starts without us");
}

#[test]
fn pods_with_variables_from_elsewhere_are_sent_once() {
    wait_for_webhooks();
    let check = |container: Value, expected: &str| {
        assert_eq!(asked(&pod("team", &json!({}), &with(container.clone()))), expected, "{container}");
    };
    let from = |source: Value| json!({"env": [{"name": "A", "valueFrom": source}]});
    check(json!({"envFrom": [{"secretRef": {"name": "a"}}]}), "indirect");
    check(json!({"envFrom": [{"configMapRef": {"name": "a"}}]}), "indirect");
    check(from(json!({"secretKeyRef": {"name": "a", "key": "b"}})), "indirect");
    check(from(json!({"configMapKeyRef": {"name": "a", "key": "b"}})), "indirect");
    check(from(json!({"fieldRef": {"fieldPath": "metadata.name"}})), "-");
    let both = json!({"envFrom": [{"secretRef": {"name": "a"}}], "env": [{"name": "A", "value": "sr://vault/a#b"}]});
    check(both, "explicit");
    let mut early = saying("ordinary");
    early["initContainers"] = json!([{"name": "b", "image": "b", "env": [{"name": "A", "value": "bao:a#b"}]}]);
    assert_eq!(asked(&pod("team", &json!({}), &early)), "explicit", "init containers count");
    early["initContainers"] = json!([{"name": "b", "image": "b", "envFrom": [{"secretRef": {"name": "a"}}]}]);
    assert_eq!(asked(&pod("team", &json!({}), &early)), "indirect", "init containers count");
}

#[test]
fn namespaces_that_are_left_alone_are_not_asked_for() {
    wait_for_webhooks();
    for namespace in ["strongroom", "kube-system", "ignored", "disabled"] {
        assert_eq!(asked(&pod(namespace, &json!({}), &saying("sr://vault/a#b"))), "-", "{namespace}");
    }
}

#[test]
fn only_secrets_that_opted_in_twice_are_sent() {
    wait_for_webhooks();
    let secret = |namespace: &str, data: Value| {
        let metadata = json!({"name": "a", "namespace": namespace});
        asked(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}))
    };
    assert_eq!(secret("native", json!({"nase": "x"})), "secrets");
    assert_eq!(secret("native", json!({"other": "x"})), "-");
    assert_eq!(secret("native", json!({})), "-");
    assert_eq!(secret("team", json!({"nase": "x"})), "-");
    assert_eq!(secret("strongroom", json!({"nase": "x"})), "-", "our own certificate must not wait for us");
}

#[test]
fn large_pods_are_judged_within_what_the_api_server_lets_an_expression_cost() {
    wait_for_webhooks();
    let large = |containers: usize, variables: usize, value: &str| {
        let entry = |place: usize| json!({"name": format!("V{place}"), "value": value});
        let entries: Vec<_> = (0..variables).map(entry).collect();
        let container = |place: usize| json!({"name": format!("c{place}"), "image": "a", "env": entries});
        let containers: Vec<_> = (0..containers).map(container).collect();
        asked(&pod("team", &json!({}), &json!({"containers": containers})))
    };
    assert_eq!(large(40, 200, "http://service.example:8080/${path}/index"), "-");
    assert_eq!(large(2, 300, &format!("arn:aws:iam::111122223333:role/{}", "x".repeat(80))), "-");
    let document = |beginning: &str| format!("{beginning}{}", "x".repeat(120_000));
    assert_eq!(large(1, 10, &document("{\"a\": ")), "-");
    assert_eq!(large(1, 8, &document("{\"a\": \"${")), "explicit", "too long to be searched: the role looks");
}
