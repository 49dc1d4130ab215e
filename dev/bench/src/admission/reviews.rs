//! Pods as API servers send them to webhooks: with everything that defaults have filled in.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Bytes of a usual review.
const USUAL: usize = 4096;

/// Different reviews that are sent in turn.
const DIFFERENT: usize = 500;

/// Secrets that pods name.
const SECRETS: usize = 100;

/// Where the pods are.
const NAMESPACE: &str = "team-a";

const LICENSE: &str = "arn:aws:ssm:eu-west-1:111122223333:parameter/app/license";
const PASSWORD: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database-password-hlRvvF";

/// As many requests as are sent in turn.
///
/// # Errors
/// Those of `make`.
pub(crate) fn many(make: impl Fn(usize) -> Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    (0..DIFFERENT).map(make).collect()
}

/// A request with a review of 4 kB: an annotation fills it up.
///
/// # Errors
/// A pod that is larger than that.
pub(crate) fn of_four_kilobytes(number: usize, mut pod: Value) -> Result<Vec<u8>> {
    pod["metadata"]["annotations"]["example.com/notes"] = json!("");
    let left = USUAL.checked_sub(review(number, &pod).len()).context("the pod is larger than 4 kB")?;
    pod["metadata"]["annotations"]["example.com/notes"] = json!("x".repeat(left));
    Ok(request(number, &pod))
}

/// A request with a review, as it is sent. `number` makes its id its own.
pub(crate) fn request(number: usize, pod: &Value) -> Vec<u8> {
    let body = review(number, pod);
    let head = format!(
        "POST /pods?timeout=10s HTTP/1.1\r\nHost: strongroom.strongroom.svc\r\nUser-Agent: kube-apiserver-admission\r\n\
         Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn review(number: usize, pod: &Value) -> String {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let user = "system:serviceaccount:kube-system:replicaset-controller";
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": format!("705ab4f5-6393-11e8-b7cc-{number:012}"),
        "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "namespace": NAMESPACE, "operation": "CREATE", "userInfo": {"username": user, "groups": groups},
        "object": pod, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }});
    review.to_string()
}

/// A pod without a reference and without a command.
pub(crate) fn plain_pod() -> Value {
    pod(json!([container("app", &settings(14))]))
}

/// A pod with a command and three references among its variables.
pub(crate) fn typical_pod() -> Value {
    let mut variables = settings(11);
    variables.push(variable("LICENSE", LICENSE));
    variables.push(variable("DATABASE_PASSWORD", PASSWORD));
    variables.push(variable("API_TOKEN", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:api-token"));
    pod(json!([started(container("app", &variables))]))
}

/// A pod with a command, of which one variable comes from a Secret.
pub(crate) fn secret_pod(number: usize) -> Value {
    let mut variables = settings(13);
    let from = json!({"secretKeyRef": {"name": secret(number % SECRETS), "key": "password"}});
    variables.push(json!({"name": "DATABASE_PASSWORD", "valueFrom": from}));
    pod(json!([started(container("app", &variables))]))
}

/// A pod of 40 containers with 200 variables each, of which every twentieth is a reference.
pub(crate) fn large_pod() -> Value {
    let mut variables = settings(200);
    variables.iter_mut().step_by(20).for_each(|variable| variable["value"] = json!(PASSWORD));
    let containers: Vec<_> = (0..40).map(|number| started(container(&format!("app-{number}"), &variables))).collect();
    pod(json!(containers))
}

/// What the pods need: their namespace, with Secrets whose value is a reference.
pub(crate) fn namespace_with_secrets() -> String {
    let mut manifests = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n");
    for number in 0..SECRETS {
        let name = secret(number);
        // A String takes whatever is written.
        let _ = write!(
            manifests,
            "---\n{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: {NAMESPACE}}}, stringData: {{password: '{PASSWORD}'}}}}\n"
        );
    }
    manifests
}

fn secret(number: usize) -> String {
    format!("database-{number}")
}

fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// Variables that hold no reference.
fn settings(count: usize) -> Vec<Value> {
    let setting =
        |number| variable(&format!("SERVICE_{number}_URL"), &format!("https://service-{number}.team-a.svc/v1"));
    (0..count).map(setting).collect()
}

fn started(mut container: Value) -> Value {
    container["command"] = json!(["/usr/bin/app"]);
    container["args"] = json!(["--listen", ":8080"]);
    container
}

fn container(name: &str, variables: &[Value]) -> Value {
    let probe = json!({
        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    });
    json!({
        "name": name, "image": "registry.example.com/team-a/app:1.2.3", "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}], "env": variables,
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "volumeMounts": [{
            "name": "kube-api-access-2x7fk", "readOnly": true,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }],
        "livenessProbe": probe, "readinessProbe": probe,
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true},
    })
}

fn pod(containers: Value) -> Value {
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-6d4f8b7c9d", "controller": true,
        "uid": "9d3d5b3c-5f0e-4a57-8d3c-0c8a8f0a5a11", "blockOwnerDeletion": true,
    });
    let toleration =
        |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let token = json!({"name": "kube-api-access-2x7fk", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}});
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "generateName": "app-6d4f8b7c9d-", "namespace": NAMESPACE, "creationTimestamp": null,
            "labels": {"app": "app", "pod-template-hash": "6d4f8b7c9d"},
            "annotations": {"prometheus.io/scrape": "true"}, "ownerReferences": [owner],
        },
        "spec": {
            "volumes": [token], "containers": containers, "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
            "serviceAccount": "default", "securityContext": {}, "schedulerName": "default-scheduler", "priority": 0,
            "tolerations": [toleration("node.kubernetes.io/not-ready"), toleration("node.kubernetes.io/unreachable")],
            "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_review_has_four_kilobytes_and_an_id_of_its_own() {
        for pod in [plain_pod(), typical_pod(), secret_pod(7)] {
            let requests = [7, 8].map(|number| of_four_kilobytes(number, pod.clone()).unwrap());
            let text = String::from_utf8(requests[0].clone()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.len(), USUAL);
            assert!(head.ends_with("Content-Length: 4096"), "{head}");
            assert_ne!(requests[0], requests[1]);
        }
    }

    #[test]
    fn the_large_pod_has_as_many_variables_as_it_is_said_to() {
        let pod = large_pod();
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let variables: Vec<_> = containers.iter().flat_map(|it| it["env"].as_array().unwrap()).collect();
        let references = variables.iter().filter(|variable| variable["value"] == PASSWORD).count();
        assert_eq!((containers.len(), variables.len(), references), (40, 8_000, 400));
    }
}
