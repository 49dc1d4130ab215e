//! What the chart renders, as the real API server takes it.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use world::control_plane::{ControlPlane, Options};

use super::{HELM, chart, path, written};

/// A cluster with our kinds, and with what stands for those of the Prometheus operator; nothing runs in it.
pub(super) static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    cluster.apply(&strongroom_api::crds_yaml().unwrap()).unwrap();
    for (kind, plural) in [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")] {
        cluster.apply(&foreign_kind(kind, plural)).unwrap();
    }
    for namespace in ["strongroom", "team-a", "team-b"] {
        cluster.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).unwrap();
    cluster
});

fn foreign_kind(kind: &str, plural: &str) -> String {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    })
    .to_string()
}

/// Ways in which people install it.
const WAYS: &[(&str, &str)] = &[
    ("as it is", ""),
    ("two namespaces", "scope: {namespaces: [team-a, team-b]}"),
    (
        "from a values file of External Secrets Operator",
        "{scopedNamespace: team-a, scopedRBAC: true, concurrent: 5, webhook: {create: false}, \
         certController: {create: false}, processPushSecret: false, leaderElect: true, \
         serviceAccount: {annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/a'}}}",
    ),
    ("its own namespace", "scopedRBAC: true"),
    ("by label", "scope: {namespaceSelector: 'team=a,env!=dev'}"),
    (
        "the least",
        "{replicaCount: 1, installCRDs: false, leaderElect: false, rbac: {create: false}, \
         serviceAccount: {create: false, name: other}, networkPolicy: {enabled: false}, \
         metrics: {service: {enabled: false}}, processClusterStore: false, processSecretStore: false, \
         processClusterExternalSecret: false, processPushSecret: false, \
         processClusterPushSecret: false, openshiftFinalizers: false, storePolicies: 'off', kes: 'off', \
         restarts: {of: 'off'}}",
    ),
    ("the most", MOST),
];

const MOST: &str = "
replicaCount: 3
image: {digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}
imagePullSecrets: [{name: registry}]
fullnameOverride: secrets-operator
commonLabels: {team: platform}
controllerClass: mine
leaderElectionID: mine
extendedMetricLabels: true
ambientCredentials: all
storePolicies: required
kes: auto
kesPatterns: unanchored
restarts: {of: all, limit: 3, settle: 30s, pause: 10m, patience: 1h, reportPods: true}
hostNetwork: true
secretOperator: {queueUrl: 'https://sqs.eu-west-1.amazonaws.com/111122223333/rotations'}
refreshTime: 1h
generatorGracePeriod: 5m
takeOver: true
allowLocalAddresses: true
dataHash: {kind: keyed, secretName: data-hash}
events:
  sqsQueueUrls: [https://sqs.eu-west-1.amazonaws.com/111122223333/secrets]
  pubsubSubscriptions: [projects/shop/subscriptions/secrets]
  webhook: {secretName: events, from: [{podSelector: {}}]}
genericTargets:
  enabled: true
  kinds: [ConfigMap, argoproj.io/Application]
  resources: [{apiGroup: argoproj.io, resources: [applications]}]
log: {level: debug, format: text}
extraArgs: {client-qps: 200, enable-flood-gate: false, template-left-delimiter: '<<'}
extraEnv: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]
extraVolumes: [{name: ca, configMap: {name: ca}}]
extraVolumeMounts: [{name: ca, mountPath: /etc/ca}]
serviceAccount: {name: identity, extraLabels: {a: b}}
deploymentAnnotations: {a: b}
strategy: {type: Recreate}
podAnnotations: {a: b}
podLabels: {azure.workload.identity/use: 'true'}
nodeSelector: {disk: ssd}
tolerations: [{key: a, operator: Exists}]
affinity: {nodeAffinity: {}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
priorityClassName: system-cluster-critical
podDisruptionBudget: {maxUnavailable: 50%}
networkPolicy:
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  egress: [{ports: [{port: 443, protocol: TCP}]}]
metrics: {listen: {port: 9999}, service: {annotations: {a: b}}}
serviceMonitor: {enabled: true, additionalLabels: {release: prometheus}}
prometheusRule: {enabled: true, additionalLabels: {release: prometheus}}
grafanaDashboard: {enabled: true, annotations: {folder: secrets}}
";

/// Calls Helm with the chart and a file of these values.
pub(super) fn helm(words: &[&str], values: &str) -> Result<String, String> {
    let (chart, file) = (chart(), written(values));
    let arguments = [words, &[&chart, "-n", "strongroom", "--values", path(&file)]].concat();
    HELM.run(&arguments).map_err(|error| error.to_string())
}

/// What is rendered, as the API server would store it.
pub(super) fn rendered(values: &str) -> Vec<Value> {
    let manifests = written(&helm(&["template", "strongroom"], values).unwrap());
    let flags = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-o", "json"];
    let taken = CLUSTER.kubectl(&[&flags[..], &["-f", path(&manifests)]].concat()).unwrap();
    let taken: Value = serde_json::from_str(&taken).unwrap();
    // One alone comes without a list around it.
    taken["items"].as_array().cloned().unwrap_or_else(|| vec![taken])
}

pub(super) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

pub(super) fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_way_to_install_passes_lint_and_the_api_server_and_gives_flags_that_the_operator_knows() {
    for (name, values) in WAYS {
        helm(&["lint", "--strict"], values).unwrap_or_else(|error| panic!("{name}: {error}"));
        let objects = rendered(values);
        let deployments = of_kind(&objects, "Deployment");
        let [deployment] = deployments[..] else { panic!("{name}: one Deployment") };
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let mut operator = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        operator.args(texts(&container["args"])).arg("--kubeconfig=/does/not/exist").env_clear();
        let ended = operator.output().unwrap();
        // Flags that are not understood end with 2; without a cluster it ends with 1.
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
        let kept = |crd: &&Value| crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
        let crds = of_kind(&objects, "CustomResourceDefinition");
        assert!(crds.iter().all(kept), "{name}: a CRD would go with the release");
        assert_eq!(crds.len(), if values.contains("installCRDs: false") { 0 } else { 18 }, "{name}");
    }
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let check = |values: &str, expected: &str| {
        let words = helm(&["template", "strongroom"], values).unwrap_err();
        assert!(words.contains(expected), "{values}: {words}");
    };
    check("leaderElected: true", "additional properties 'leaderElected' not allowed");
    check("replicaCount: two", "/replicaCount");
    check("leaderElect: false", "more than one replica needs leaderElect");
    check("dataHash: {kind: keyed}", "dataHash.kind: keyed needs dataHash.secretName");
    check("scope: {namespaces: [a], namespaceSelector: b}", "scope.namespaceSelector cannot be used with");
    check("storePolicies: maybe", "/storePolicies");
    check("{serviceMonitor: {enabled: true}, metrics: {service: {enabled: false}}}", "needs metrics.service.enabled");
}

/// What the operator's service account may do once the roles of `values` are there: `(namespace, verb, group,
/// resource)`, with the namespace empty for the whole cluster.
pub(super) fn allowed(account: &str, asked: &[(&str, &str, &str, &str)]) -> Vec<bool> {
    let review = |(namespace, verb, group, resource): &(&str, &str, &str, &str)| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": account, "resourceAttributes": {
                "namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            }},
        })
    };
    let reviews = json!({"apiVersion": "v1", "kind": "List", "items": asked.iter().map(review).collect::<Vec<_>>()});
    let file = written(&reviews.to_string());
    let told = CLUSTER.kubectl(&["create", "-f", path(&file), "-o", "jsonpath={.status.allowed}{\"\\n\"}"]).unwrap();
    told.lines().map(|line| line == "true").collect()
}

pub(super) fn check_rights(
    release: &str,
    values: &str,
    may: &[(&str, &str, &str, &str)],
    may_not: &[(&str, &str, &str, &str)],
) {
    let (chart, file) = (chart(), written(values));
    let words = [
        "template",
        release,
        &chart,
        "-n",
        "strongroom",
        "--values",
        path(&file),
        "--show-only",
        "templates/rbac.yaml",
    ];
    CLUSTER.apply(&HELM.run(&words).unwrap()).unwrap();
    let account = format!("system:serviceaccount:strongroom:{release}-strongroom");
    assert_eq!(allowed(&account, may), vec![true; may.len()], "{release} may: {may:?}");
    assert_eq!(allowed(&account, may_not), vec![false; may_not.len()], "{release} may not: {may_not:?}");
}

const ESO: &str = "external-secrets.io";

const GENERATORS: &str = "generators.external-secrets.io";

#[test]
fn the_whole_cluster_is_served_with_the_rights_that_are_used_and_no_more() {
    check_rights(
        "whole",
        "",
        &[
            ("", "watch", "", "secrets"),
            ("team-a", "update", "", "secrets"),
            ("", "list", ESO, "clustersecretstores"),
            ("", "patch", ESO, "clusterexternalsecrets/status"),
            ("", "patch", "strongroom.dev", "storepolicies/status"),
            ("team-a", "get", GENERATORS, "passwords"),
            ("team-a", "get", GENERATORS, "vaultdynamicsecrets"),
            ("team-a", "create", GENERATORS, "generatorstates"),
            ("", "watch", GENERATORS, "generatorstates"),
            ("team-a", "patch", GENERATORS, "generatorstates"),
            ("team-a", "delete", GENERATORS, "generatorstates"),
            ("", "get", GENERATORS, "clustergenerators"),
            ("team-a", "create", ESO, "externalsecrets"),
            ("team-a", "patch", ESO, "pushsecrets/status"),
            ("team-a", "create", ESO, "pushsecrets"),
            ("", "watch", ESO, "clusterpushsecrets"),
            ("", "patch", ESO, "clusterpushsecrets/status"),
            ("team-a", "create", "", "serviceaccounts/token"),
            ("strongroom", "create", "coordination.k8s.io", "leases"),
            ("", "list", "apps", "deployments"),
            ("team-a", "patch", "apps", "statefulsets"),
            ("team-a", "watch", "batch", "cronjobs"),
        ],
        &[
            ("team-a", "patch", "batch", "cronjobs"),
            ("team-a", "update", "apps", "deployments"),
            ("team-a", "list", "", "pods"),
            ("team-a", "patch", "", "secrets"),
            ("team-a", "deletecollection", "", "secrets"),
            ("team-a", "update", "", "configmaps"),
            ("team-a", "list", "", "configmaps"),
            ("team-a", "create", ESO, "secretstores"),
            ("team-a", "list", GENERATORS, "passwords"),
            ("team-a", "update", GENERATORS, "passwords"),
            ("team-a", "update", GENERATORS, "generatorstates"),
            ("team-a", "deletecollection", GENERATORS, "generatorstates"),
            ("", "create", ESO, "clustersecretstores"),
            ("", "create", ESO, "clusterpushsecrets"),
            ("", "create", "strongroom.dev", "storepolicies"),
            ("", "delete", "", "namespaces"),
            ("team-a", "create", "coordination.k8s.io", "leases"),
            ("strongroom", "delete", "coordination.k8s.io", "leases"),
            ("", "create", "rbac.authorization.k8s.io", "clusterroles"),
            ("", "impersonate", "", "serviceaccounts"),
        ],
    );
    // By name a list is allowed, as the operator asks for it; who may list by name may not list all.
    let list = ["get", "leases", "-A", "--as=system:serviceaccount:strongroom:whole-strongroom"];
    let by_name = ["--field-selector=metadata.name=external-secrets-controller"];
    CLUSTER.kubectl(&[&list[..], &by_name].concat()).unwrap();
    CLUSTER.kubectl(&list).unwrap_err();
}

#[test]
fn named_namespaces_are_served_with_rights_in_these_alone() {
    let used = [
        ("team-a", "list", "", "secrets"),
        ("team-a", "delete", "", "secrets"),
        ("team-a", "patch", ESO, "externalsecrets/status"),
        ("team-a", "patch", ESO, "pushsecrets"),
        ("strongroom", "create", "", "events"),
        ("team-a", "patch", "apps", "deployments"),
        ("strongroom", "create", "", "secrets"),
    ];
    let others = [
        ("", "list", "", "secrets"),
        ("team-b", "get", "", "secrets"),
        ("strongroom", "get", "", "secrets"),
        ("team-b", "create", "", "serviceaccounts/token"),
        ("", "list", "", "namespaces"),
        ("", "list", ESO, "externalsecrets"),
        ("team-b", "list", ESO, "pushsecrets"),
        ("team-a", "create", ESO, "pushsecrets"),
        ("", "list", ESO, "clustersecretstores"),
        ("team-a", "create", ESO, "externalsecrets"),
    ];
    check_rights("scoped", "scope: {namespaces: [team-a]}", &used, &others);
    let no_cluster = [("", "list", "apps", "deployments"), ("team-a", "create", "", "serviceaccounts/token")];
    let no_restarts = [("team-a", "patch", "apps", "deployments"), ("strongroom", "create", "", "secrets")];
    let values = "{scopedNamespace: team-a, restarts: {of: 'off'}, \
                  rbac: {serviceAccountTokenCreate: false, detectOtherControllers: false}}";
    check_rights("narrow", values, &used[..used.len() - 2], &[&others[..], &no_cluster, &no_restarts].concat());
    let objects = rendered(values);
    let wide: BTreeSet<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert!(!wide.contains("ClusterRole") && !wide.contains("ClusterRoleBinding"), "{wide:?}");
}

#[test]
fn the_notes_name_another_controller_and_foreign_definitions_and_what_has_no_effect() {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "eso", "namespace": "team-b", "labels": {"app.kubernetes.io/name": "external-secrets"}},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
        },
    });
    CLUSTER.apply(&deployment.to_string()).unwrap();
    let noted = |values: &[&str]| {
        let chart = chart();
        let words = [&["install", "strongroom", &chart, "-n", "strongroom", "--dry-run=server"], values].concat();
        let told = HELM.run_on(&CLUSTER, &words).unwrap();
        told.split_once("NOTES:").unwrap().1.to_owned()
    };
    let quiet = noted(&["--set", "concurrent=5"]);
    assert!(!quiet.contains("WARNING"), "a Deployment without replicas is at no work: {quiet}");
    assert!(quiet.contains("no effect here: concurrent."), "{quiet}");
    assert!(quiet.contains("installed by somebody else"), "{quiet}");
    assert!(quiet.contains("externalsecrets.external-secrets.io"), "{quiet}");
    let running = r#"{"status":{"replicas":1,"readyReplicas":1,"availableReplicas":1}}"#;
    CLUSTER
        .kubectl(&["patch", "deployment", "eso", "-n", "team-b", "--subresource=status", "--type=merge", "-p", running])
        .unwrap();
    let warned = noted(&[]);
    assert!(warned.contains("kubectl -n team-b scale deployment/eso --replicas=0"), "{warned}");
    assert!(!noted(&["--set", "takeOver=true"]).contains("WARNING"));
}

#[test]
fn the_chart_is_packed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    HELM.run(&["package", &chart(), "--destination", to]).unwrap();
    let archive = folder.path().join(concat!("strongroom-", env!("CARGO_PKG_VERSION"), ".tgz"));
    let from_archive = HELM.run(&["template", "strongroom", archive.to_str().unwrap(), "-n", "strongroom"]).unwrap();
    assert_eq!(from_archive, helm(&["template", "strongroom"], "").unwrap(), "links are followed");
}
