//! Pods as the API server stores them.

use serde_json::{Value, json};
use world::registry::{Access, Registry};

use super::support::{ARN, Admission, SEEN, SHARED, push};
use crate::operator::support::{CLUSTER, eventually, namespace, object};

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:database-password-hlRvvF";

/// A namespace whose pods are changed.
fn seen() -> String {
    let _ = &*SHARED;
    namespace(&CLUSTER, &[SEEN])
}

fn pod(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

fn create(namespace: &str, pod: &Value) -> anyhow::Result<Value> {
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = json!(namespace);
    // Service accounts are made by a controller, a moment after their namespace.
    eventually("the namespace has its account", || {
        object(&CLUSTER, "serviceaccount", namespace, "default").map(drop).ok_or("none yet")
    });
    CLUSTER.apply(&pod.to_string())?;
    Ok(object(&CLUSTER, "pod", namespace, &name).unwrap())
}

fn refused(namespace: &str, pod: &Value) -> String {
    create(namespace, pod).unwrap_err().to_string()
}

#[test]
fn ki_01_ki_06_a_pod_with_a_reference_is_wrapped_and_another_stays_as_it_is() {
    let namespace = seen();
    let container = json!({"name": "app", "image": "app", "command": ["app"], "args": ["a"],
        "env": [{"name": "LICENSE", "value": ARN}]});
    let stored = create(&namespace, &pod("with", &json!({"containers": [container]}))).unwrap();
    let app = &stored["spec"]["containers"][0];
    assert_eq!(app["command"], json!(["/helper/bin/secrets-init"]));
    assert_eq!(app["args"], json!(["--provider=aws", "app", "a"]));
    assert_eq!(app["env"], json!([{"name": "LICENSE", "value": ARN}]), "the process resolves it, not the webhook");
    let mounts = app["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/helper/bin" && mount["readOnly"] == true), "{mounts:?}");
    assert_eq!(stored["spec"]["initContainers"][0]["name"], "copy-secrets-init");
    let told = stored["metadata"]["annotations"]["strongroom.dev/injection"].as_str().unwrap();
    assert!(told.contains("LICENSE (aws-ssm)"), "{told}");
    // Only its validation knows the pod's id.
    let event = eventually("an event tells it", || {
        let events = CLUSTER.kubectl(&["get", "events", "-n", &namespace, "-o", "json"]).unwrap();
        let events: Value = serde_json::from_str(&events).unwrap();
        let found = events["items"].as_array().unwrap().iter().find(|event| event["reason"] == "SecretsInjected");
        found.cloned().ok_or("no event")
    });
    assert_eq!(event["involvedObject"]["uid"], stored["metadata"]["uid"]);

    let plain = json!({"name": "app", "image": "app", "env": [{"name": "A", "value": "arn:aws:s3:::bucket"}]});
    let stored = create(&namespace, &pod("without", &json!({"containers": [plain]}))).unwrap();
    assert!(stored["spec"]["containers"][0]["command"].is_null() && stored["spec"]["initContainers"].is_null());
    assert!(stored["metadata"]["annotations"]["strongroom.dev/injection"].is_null());
}

#[test]
fn ki_03_ki_04_ki_05_variables_from_elsewhere_are_looked_up_and_what_is_missing_is_told() {
    let namespace = seen();
    let sources = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "with", "namespace": namespace},
         "data": {"A": ARN, "B": "plain"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "with", "namespace": namespace},
         "stringData": {"A": SECRET, "B": "plain-canary"}},
    ]});
    CLUSTER.apply(&sources.to_string()).unwrap();
    let wrapped = |name: &str, variables: Value| -> Result<bool, String> {
        let mut container = json!({"name": "app", "image": "app", "command": ["app"]});
        container.as_object_mut().unwrap().extend(variables.as_object().unwrap().clone());
        let stored = create(&namespace, &pod(name, &json!({"containers": [container]})));
        stored.map(|pod| pod["spec"]["containers"][0]["command"] != json!(["app"])).map_err(|error| error.to_string())
    };
    let key = |kind: &str, name: &str, key: &str, optional: bool| json!({"env": [{"name": "V", "valueFrom": {kind: {"name": name, "key": key, "optional": optional}}}]});
    let all =
        |kind: &str, name: &str, optional: bool| json!({"envFrom": [{kind: {"name": name, "optional": optional}}]});
    let (config, secret) = ("configMapKeyRef", "secretKeyRef");
    assert_eq!(wrapped("a", all("configMapRef", "with", false)), Ok(true));
    assert_eq!(wrapped("b", all("secretRef", "with", false)), Ok(true));
    assert_eq!(wrapped("c", key(config, "with", "A", false)), Ok(true));
    assert_eq!(wrapped("d", key(secret, "with", "A", false)), Ok(true));
    assert_eq!(wrapped("e", key(secret, "with", "B", false)), Ok(false));
    assert_eq!(wrapped("f", all("secretRef", "none", true)), Ok(false));
    assert_eq!(wrapped("g", key(config, "none", "A", true)), Ok(false));
    for (name, variables, words) in [
        ("h", all("configMapRef", "none", false), "configmaps \"none\" not found"),
        ("i", key(secret, "none", "A", false), "secrets \"none\" not found"),
    ] {
        let error = wrapped(name, variables).unwrap_err();
        assert!(error.contains("could not mutate object") && error.contains(words), "{error}");
    }
    // What is looked up twice is read once, and a change is seen.
    let changed = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "with", "namespace": namespace},
        "stringData": {"B": ARN}});
    CLUSTER.apply(&changed.to_string()).unwrap();
    eventually("the change is seen", || {
        let name = format!("j{}", fastrand::u32(..));
        match wrapped(&name, key(secret, "with", "B", false)).unwrap() {
            true => Ok(()),
            false => Err("not wrapped"),
        }
    });
    assert!(!SHARED.logged().contains("plain-canary"));
}

#[test]
fn ki_02_what_an_image_starts_is_asked_of_its_registry_as_the_pod_may_ask() {
    let registry = Registry::start(Access::Basic("puller", "pull-canary")).unwrap();
    let (place, _) = push(&registry, &json!({"Entrypoint": ["e"], "Cmd": ["c"]}));
    let host = registry.host_port().to_owned();
    let image = format!("{host}/{place}");
    let admission = Admission::start(&["--registry-plain-http", &host, "--registry-local", &host]);
    let label = ("admission-tests", "registry");
    admission.called_for("admission-tests-registry", &[label]);
    let namespace = namespace(&CLUSTER, &[label]);
    let spec = |args: Value, pulls: Value| {
        let env = json!([{"name": "A", "value": ARN}]);
        json!({"containers": [{"name": "app", "image": image, "args": args, "env": env}], "imagePullSecrets": pulls})
    };
    let error = refused(&namespace, &pod("nobody", &spec(json!([]), json!([]))));
    assert!(error.contains("has no command") && error.contains("imagePullSecret"), "{error}");
    let auths = json!({"auths": {&host: {"username": "puller", "password": "pull-canary"}}}).to_string();
    let pull = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": auths}});
    CLUSTER.apply(&pull.to_string()).unwrap();
    let args = |name: &str, args: Value| {
        let stored = create(&namespace, &pod(name, &spec(args, json!([{"name": "pull"}])))).unwrap();
        stored["spec"]["containers"][0]["args"].clone()
    };
    assert_eq!(args("bare", json!([])), json!(["--provider=aws", "e", "c"]));
    assert_eq!(args("own", json!(["x"])), json!(["--provider=aws", "e", "x"]));
    assert!(!admission.logged().contains("pull-canary"));
}

#[test]
fn ki_10_a_dry_run_shows_the_whole_pod() {
    let namespace = seen();
    let container = json!({"name": "app", "image": "app", "command": ["app"], "env": [{"name": "A", "value": ARN}]});
    eventually("the namespace has its account", || {
        object(&CLUSTER, "serviceaccount", &namespace, "default").map(drop).ok_or("none yet")
    });
    let mut pod = pod("dry", &json!({"containers": [container]}));
    pod["metadata"]["namespace"] = json!(namespace);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pod.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let words = ["create", "--dry-run=server", "-o", "json", "-f", file.to_str().unwrap()];
    let shown: Value = serde_json::from_str(&CLUSTER.kubectl(&words).unwrap()).unwrap();
    assert_eq!(shown["spec"]["initContainers"][0]["name"], "copy-secrets-init");
    assert_eq!(object(&CLUSTER, "pod", &namespace, "dry"), None);
}

#[test]
fn ai_01_ai_04_ai_06_annotations_of_the_injector_give_files() {
    let namespace = seen();
    let check = |name: &str, annotations: Value, mounts: &[(&str, bool)]| {
        let container = json!({"name": "app", "image": "app"});
        let other = json!({"name": "first", "image": "app"});
        let mut pod = pod(name, &json!({"containers": [container], "initContainers": [other]}));
        pod["metadata"]["annotations"] = annotations;
        let stored = create(&namespace, &pod).unwrap();
        let init = stored["spec"]["initContainers"].as_array().unwrap();
        let ours = init.iter().find(|container| container["name"] == "secrets-init-container").unwrap();
        assert_eq!(ours["command"], json!(["/strongroom-init", "aws-secrets-manager-secret-sidecar"]));
        let mounted = stored["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
        let of_ours = mounted.iter().filter(|mount| mount["name"] == "secret-vol");
        let got: Vec<_> =
            of_ours.map(|mount| (mount["mountPath"].as_str().unwrap(), mount["readOnly"] == true)).collect();
        assert_eq!(got, mounts, "{name}");
    };
    check("one", json!({"secrets.k8s.aws/secret-arn": SECRET}), &[("/tmp/", false)]);
    let both = json!({"secrets.k8s.aws/secret-arn": SECRET, "secrets.k8s.aws/sidecarInjectorWebhook": "enabled"});
    check("article", both, &[("/tmp/", false)]);
    let two = format!("{SECRET}:/var/my-db-pass,arn:aws:secretsmanager:us-east-1:123456789012:secret:s3-bucket-2312");
    let two = json!({"secrets.k8s.aws/secret-arn": two});
    check("two", two, &[("/var/my-db-pass", true), ("/secrets/s3-bucket-2312", true)]);
    let mut wrong = pod("wrong", &json!({"containers": [{"name": "app", "image": "app"}]}));
    wrong["metadata"]["annotations"] = json!({"secrets.k8s.aws/secret-arn": "\", \"x\": \""});
    assert!(refused(&namespace, &wrong).contains("Not a valid ARN"), "{}", refused(&namespace, &wrong));
}

#[test]
fn a_field_that_nobody_here_knows_is_kept_and_a_native_sidecar_stays_one() {
    let namespace = seen();
    let env = json!([{"name": "A", "value": ARN}]);
    let spec = json!({
        "initContainers": [{"name": "proxy", "image": "app", "command": ["proxy"], "restartPolicy": "Always", "env": env}],
        "containers": [{"name": "app", "image": "app", "command": ["app"],
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]}],
        "schedulingGates": [{"name": "example.com/gate"}],
    });
    let stored = create(&namespace, &pod("fields", &spec)).unwrap();
    let names: Vec<_> = stored["spec"]["initContainers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["copy-secrets-init", "proxy"]);
    assert_eq!(stored["spec"]["initContainers"][1]["restartPolicy"], "Always");
    assert_eq!(stored["spec"]["schedulingGates"], spec["schedulingGates"]);
    assert_eq!(stored["spec"]["containers"][0]["resizePolicy"], spec["containers"][0]["resizePolicy"]);
}

#[test]
fn what_is_injected_holds_the_restricted_standard() {
    let _ = &*SHARED;
    let namespace = namespace(&CLUSTER, &[SEEN, ("pod-security.kubernetes.io/enforce", "restricted")]);
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let container = json!({"name": "app", "image": "app", "command": ["app"], "securityContext": security,
        "env": [{"name": "A", "value": ARN}]});
    let spec = json!({"containers": [container], "securityContext": {"runAsNonRoot": true, "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"}}});
    let mut pod = pod("restricted", &spec);
    pod["metadata"]["annotations"] = json!({"secrets.k8s.aws/secret-arn": SECRET});
    let stored = create(&namespace, &pod).unwrap();
    assert_eq!(stored["spec"]["initContainers"].as_array().unwrap().len(), 2);
}

#[test]
fn files_by_our_annotations_pass_the_restricted_standard_and_a_quota_in_both_forms() {
    let _ = &*SHARED;
    let namespace = namespace(&CLUSTER, &[SEEN, ("pod-security.kubernetes.io/enforce", "restricted")]);
    let hard = json!({"requests.cpu": "9", "requests.memory": "9Gi", "limits.cpu": "9", "limits.memory": "9Gi"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": namespace},
        "spec": {"hard": hard}});
    CLUSTER.apply(&quota.to_string()).unwrap();
    eventually("the quota counts", || {
        let quota = object(&CLUSTER, "resourcequota", &namespace, "q").unwrap();
        if quota["status"]["hard"] == hard { Ok(()) } else { Err("not yet") }
    });
    let whole = json!({"cpu": "10m", "memory": "16Mi"});
    let app = json!({"name": "app", "image": "app", "resources": {"requests": whole, "limits": whole},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    let spec = json!({"containers": [app], "shareProcessNamespace": true, "securityContext": {"runAsNonRoot": true,
        "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}});
    let asking = |name: &str, more: Value| {
        let list = "- {path: a/b, from: 'sr://vault/a#b'}\n- {path: c, from: 'sr://aws-sm/c'}\n";
        let mut annotations = json!({"strongroom.dev/files": list, "strongroom.dev/token-audience": "vault",
            "strongroom.dev/aws-role": "arn:aws:iam::111122223333:role/app"});
        annotations.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut pod = pod(name, &spec);
        pod["metadata"]["annotations"] = annotations;
        pod
    };
    let hooks = json!({"strongroom.dev/files-signal": "HUP:nginx", "strongroom.dev/files-owner": "1000:1000",
        "strongroom.dev/files-url": "http://127.0.0.1:80/"});
    let never = json!({"strongroom.dev/files-refresh": "never", "strongroom.dev/files-folder": "/etc/f"});
    for (name, annotations, restarts, folder) in
        [("stays", hooks, json!("Always"), "/run/strongroom/files"), ("once", never, Value::Null, "/etc/f")]
    {
        let stored = create(&namespace, &asking(name, annotations)).unwrap();
        let agent = &stored["spec"]["initContainers"][0];
        assert_eq!((&agent["name"], &agent["restartPolicy"]), (&json!("strongroom-files"), &restarts));
        let mounts = |container: &Value| -> Vec<String> {
            let mounts = container["volumeMounts"].as_array().unwrap().iter();
            mounts.map(|mount| mount["mountPath"].as_str().unwrap().to_owned()).collect()
        };
        // The API server's own plugin gives it the account's token, as to every container.
        assert_eq!(mounts(agent).len(), 4, "{agent}");
        assert!(mounts(&stored["spec"]["containers"][0]).contains(&folder.to_owned()));
        assert_eq!(mounts(&stored["spec"]["containers"][0]).len(), 2);
        assert_eq!(stored["status"]["qosClass"], "Guaranteed", "{agent}");
        let told = stored["metadata"]["annotations"]["strongroom.dev/injection"].as_str().unwrap();
        assert!(told.contains(&format!("files {folder}/a/b, {folder}/c")), "{told}");
    }
    let wrong = refused(&namespace, &asking("wrong", json!({"strongroom.dev/files": "- {path: a, from: b}"})));
    assert!(wrong.contains("could not mutate object") && wrong.contains("files[0].from"), "{wrong}");
}

#[test]
fn a_variable_that_comes_with_a_whole_config_map_counts_though_its_value_is_not_kept() {
    let namespace = seen();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "v", "namespace": namespace},
        "data": {"VAULT_ADDR": "https://of-the-pod", "VAULT_ROLE": "of-the-pod", "OTHER": "x"}});
    CLUSTER.apply(&map.to_string()).unwrap();
    let app = json!({"name": "app", "image": "app", "command": ["app"], "envFrom": [{"configMapRef": {"name": "v"}}],
        "env": [{"name": "A", "value": "vault:a/b#c"}]});
    let mut pod = pod("whole", &json!({"containers": [app]}));
    pod["metadata"]["annotations"] = json!({"strongroom.dev/files": "- {path: a, from: 'vault:a/b#c'}",
        "vault.security.banzaicloud.io/vault-addr": "https://of-the-annotation"});
    let stored = create(&namespace, &pod).unwrap();
    let entries = |container: &Value| -> Vec<(String, Value)> {
        let env = container["env"].as_array().unwrap().iter();
        let entry = |entry: &Value| (entry["name"].as_str().unwrap().to_owned(), entry["valueFrom"].clone());
        env.map(entry).collect()
    };
    let of_app: Vec<_> = entries(&stored["spec"]["containers"][0]).into_iter().map(|(name, _)| name).collect();
    assert!(!of_app.contains(&"VAULT_ADDR".to_owned()) && !of_app.contains(&"VAULT_ROLE".to_owned()), "{of_app:?}");
    let agent = stored["spec"]["initContainers"].as_array().unwrap().iter().find(|it| it["name"] == "strongroom-files");
    let of_map = |key: &str| (key.to_owned(), json!({"configMapKeyRef": {"name": "v", "key": key, "optional": true}}));
    assert_eq!(entries(agent.unwrap())[..2], [of_map("VAULT_ADDR"), of_map("VAULT_ROLE")]);
}
