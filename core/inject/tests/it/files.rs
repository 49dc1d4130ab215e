//! Files by our own annotations.

use serde_json::{Value, json};
use strongroom_inject::{Found, Images, Settings, SourceKind};

use crate::{
    SECRET, annotated, changed, changed_by, container, found, is_restricted, names, plan, planned, pod, pod_with,
    values, variables,
};

const LIST: &str = "- path: db/password\n  from: sr://vault/secret/db#password\n";
const OF_AWS: &str = "- path: license\n  from: sr://aws-ssm/license\n";
const ROLE: &str = "arn:aws:iam::111122223333:role/app";

/// The default folder.
const FOLDER: &str = "/run/strongroom/files";

/// How often the agent looks, in both of its forms.
const FORMS: [&str; 2] = ["5m", "never"];

/// Our annotations by the names behind `strongroom.dev/`; with [`LIST`], unless another list is among them.
fn asking(pairs: &[(&str, &str)]) -> Value {
    let list = [("files", LIST)];
    let all = list.iter().chain(pairs).map(|(name, text)| (format!("strongroom.dev/{name}"), json!(text)));
    all.collect::<serde_json::Map<_, _>>().into()
}

fn app() -> Value {
    json!({"name": "app", "image": "app:1"})
}

/// The agent in a pod; nothing but the container that copies the program comes before it.
fn agent(after: &Value) -> &Value {
    let init = after["spec"]["initContainers"].as_array().unwrap();
    let ours = init.iter().find(|container| container["name"] != "copy-secrets-init").unwrap();
    assert_eq!(ours["command"][1], "agent", "{ours}");
    ours
}

/// Where a container finds files of the agent, which it cannot change.
fn mounted(container: &Value) -> Vec<&str> {
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let ours = mounts.filter(|mount| mount["name"].as_str().unwrap().starts_with("strongroom-files"));
    let path = |mount: &Value| mount["readOnly"] == true;
    ours.filter(|mount| path(mount)).map(|mount| mount["mountPath"].as_str().unwrap()).collect()
}

#[test]
fn files_come_from_an_agent_that_starts_first_and_keeps_them_new() {
    let before = annotated(pod(&[app()]), &asking(&[]));
    let after = changed(&before);
    let agent = agent(&after);
    assert_eq!(agent["name"], "strongroom-files");
    assert_eq!(agent["restartPolicy"], "Always");
    assert_eq!(agent["command"], json!(["/strongroom-init", "agent", "--folder", FOLDER, "--refresh", "5m"]));
    let ready = ["/strongroom-init", "agent", "--folder", FOLDER, "--ready", "--wait", "8s"];
    let probe = json!({"exec": {"command": ready}, "timeoutSeconds": 10, "periodSeconds": 1, "failureThreshold": 60});
    assert_eq!(agent["startupProbe"], probe);
    assert_eq!(variables(agent)["STRONGROOM_FILES"], LIST);
    assert_eq!(agent["volumeMounts"], json!([{"name": "strongroom-files", "mountPath": FOLDER}]));
    assert_eq!(mounted(&after["spec"]["containers"][0]), [FOLDER]);
    let volume = json!({"name": "strongroom-files", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}});
    assert_eq!(after["spec"]["volumes"], json!([volume]));
    assert_eq!(after["spec"]["containers"][0].get("command"), None, "the application is not wrapped");
}

#[test]
fn files_that_never_change_are_written_by_an_ordinary_init_container() {
    let after = changed(&annotated(pod(&[app()]), &asking(&[("files-refresh", "never")])));
    let agent = agent(&after);
    assert_eq!(agent["command"], json!(["/strongroom-init", "agent", "--folder", FOLDER, "--once"]));
    assert_eq!((agent.get("restartPolicy"), agent.get("startupProbe")), (None, None));
    assert_eq!(mounted(&after["spec"]["containers"][0]), [FOLDER]);
}

#[test]
fn settings_and_annotations_decide_what_the_agent_runs_and_where_files_are() {
    let settings = Settings {
        agent_image: "registry.example/agent:1".to_owned(),
        agent_pull_policy: "Always".to_owned(),
        agent_resources: json!({"limits": {"memory": "1Gi"}}),
        files_size: "1Gi".to_owned(),
        files_least_refresh: 1,
        ..Settings::default()
    };
    let annotations = asking(&[
        ("files-folder", "/etc/app/secrets/"),
        ("files-refresh", "1s"),
        ("files-signal", "HUP:nginx"),
        ("files-owner", "101:102"),
        ("files-url", "http://127.0.0.1:80/$(x)"),
    ]);
    let before = annotated(pod_with(&[app()], &json!({"shareProcessNamespace": true})), &annotations);
    let after = changed_by(&before, &plan(&before, &Found::default(), &Images::default(), &settings).unwrap());
    let agent = agent(&after);
    assert_eq!((&agent["image"], &agent["imagePullPolicy"]), (&json!("registry.example/agent:1"), &json!("Always")));
    assert_eq!(agent["resources"], json!({"limits": {"memory": "1Gi"}}));
    let flags: Vec<_> = agent["command"].as_array().unwrap()[4..].iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(flags, ["--refresh", "1s", "--signal", "HUP:nginx", "--url", "http://127.0.0.1:80/$$(x)"]);
    let context = &agent["securityContext"];
    assert_eq!((&context["runAsUser"], &context["runAsGroup"]), (&json!(101), &json!(102)));
    assert!(is_restricted(agent));
    assert_eq!(mounted(&after["spec"]["containers"][0]), ["/etc/app/secrets/"]);
    assert_eq!(after["spec"]["volumes"][0]["emptyDir"]["sizeLimit"], "1Gi");
    // Links between files are relative: the agent's own certificates are never hidden by a folder of the pod.
    assert_eq!(agent["volumeMounts"][0]["mountPath"], FOLDER);
    assert_eq!(plan(&after, &Found::default(), &Images::default(), &settings).unwrap().patch, []);
}

/// A pod of every kind, by what it is about.
fn pods() -> Vec<(&'static str, Value)> {
    let whole = json!({"cpu": "1", "memory": "1Gi"});
    let with = |members: Value| {
        let mut app = app();
        app.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        app
    };
    let read_only = json!({"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}, "runAsUser": 7});
    let sidecar = json!({"name": "proxy", "image": "p", "restartPolicy": "Always"});
    vec![
        (
            "restricted",
            pod_with(
                &[app()],
                &json!({"securityContext": {"runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"}}}),
            ),
        ),
        ("root", pod_with(&[app()], &json!({"securityContext": {"runAsUser": 0}}))),
        (
            "a user and a group",
            pod_with(
                &[app()],
                &json!({"securityContext": {"runAsUser": 1234, "runAsGroup": 1,
            "fsGroup": 2000, "supplementalGroups": [3]}}),
            ),
        ),
        ("a read-only root", pod(&[with(json!({"securityContext": read_only}))])),
        ("Guaranteed", pod(&[with(json!({"resources": {"requests": whole, "limits": whole}}))])),
        ("a limit for the pod", pod_with(&[app()], &json!({"resources": {"limits": {"memory": "1Mi"}}}))),
        (
            "as a limit range completes it",
            pod(&[with(json!({"resources": {"requests": {"cpu": "1m"}, "limits": whole}}))]),
        ),
        ("of a Job", pod_with(&[app()], &json!({"restartPolicy": "Never", "activeDeadlineSeconds": 60}))),
        ("with init containers", pod_with(&[app()], &json!({"initContainers": [{"name": "migrate"}, sidecar]}))),
        (
            "with an ephemeral container",
            pod_with(&[app()], &json!({"ephemeralContainers": [{"name": "strongroom-files"}]})),
        ),
        (
            "with a shared volume",
            pod_with(
                &[with(json!({"volumeMounts": [{"name": "v", "mountPath": "/run", "subPath": "a"}]}))],
                &json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "strongroom-files", "emptyDir": {}}],
                "securityContext": {"fsGroup": 2000}}),
            ),
        ),
    ]
}

#[test]
fn both_forms_fit_into_every_pod() {
    for (about, before) in pods() {
        for form in FORMS {
            let before = annotated(before.clone(), &asking(&[("files-refresh", form)]));
            let mut after = changed(&before);
            let agent = agent(&after).clone();
            assert!(is_restricted(&agent) && agent["securityContext"]["readOnlyRootFilesystem"] == true, "{about}");
            let root = before["spec"]["securityContext"]["runAsUser"] == 0;
            assert_eq!(agent["securityContext"].get("runAsUser"), root.then_some(&json!(65532)), "{about}");
            let (requests, limits) = (&agent["resources"]["requests"], &agent["resources"]["limits"]);
            let has_limit = before["spec"]["containers"][0]["resources"]["limits"]["cpu"].is_string();
            assert!(requests["cpu"].is_string() && limits["cpu"].is_string() == has_limit, "{about}");
            let of_pod = before["spec"].get("resources").is_some();
            assert_eq!(limits.get("memory").is_none() && requests.get("memory").is_none(), of_pod, "{about}");
            assert_eq!(requests == limits, about == "Guaranteed", "{about}");
            assert_eq!(mounted(&after["spec"]["containers"][0]), [FOLDER], "{about}");
            assert_eq!(planned(&after).unwrap().patch, [], "{about}");
            // Taking away what was added leaves what was there.
            let spec = after["spec"].as_object_mut().unwrap();
            let taken = spec["initContainers"].as_array_mut().unwrap().remove(0);
            assert_eq!(
                taken["name"],
                if about.contains("ephemeral") { "strongroom-files-2" } else { "strongroom-files" }
            );
            spec["volumes"].as_array_mut().unwrap().pop();
            spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().pop();
            spec.retain(|_, value| *value != json!([]));
            spec["containers"][0].as_object_mut().unwrap().retain(|_, value| *value != json!([]));
            assert_eq!(after["spec"], before["spec"], "{about}");
        }
    }
}

#[test]
fn containers_get_the_files_as_annotations_say() {
    let check = |pairs: &[(&str, &str)], expected: &[&str]| {
        let init = json!([{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}]);
        let before = pod_with(&[app(), json!({"name": "other"})], &json!({"initContainers": init}));
        let after = changed(&annotated(before, &asking(pairs)));
        assert_eq!(names(&after["spec"]["initContainers"]), ["strongroom-files", "migrate", "proxy"], "{pairs:?}");
        let lists = ["initContainers", "containers"].map(|kind| after["spec"][kind].as_array().unwrap().clone());
        let with_files = lists.iter().flatten().filter(|container| mounted(container) == [FOLDER]);
        let got: Vec<_> = with_files.map(|container| container["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(got, expected, "{pairs:?}");
    };
    check(&[], &["app", "other"]);
    check(&[("init-containers", "true")], &["migrate", "proxy", "app", "other"]);
    check(&[("files-containers", "other")], &["other"]);
    check(&[("files-containers", " other , app")], &["app", "other"]);
    check(&[("files-containers", "proxy,app")], &["proxy", "app"]);
    check(&[("files-containers", "app"), ("init-containers", "true")], &["migrate", "proxy", "app"]);
}

#[test]
fn what_cannot_be_is_refused_with_field_and_cure() {
    let check = |pairs: &[(&str, &str)], spec: Value, field: &str, words: &str| {
        let refusal = planned(&annotated(pod_with(&[app()], &spec), &asking(pairs))).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("metadata.annotations[strongroom.dev/{field}]: ")), "{refusal}");
        assert!(refusal.contains(words), "{refusal}");
    };
    let plain = |pairs: &[(&str, &str)], words: &str| check(pairs, json!({}), pairs[0].0, words);
    let owned = "- {path: a, from: sr://vault/a#b}\n- {path: b, from: sr://vault/a#b, owner: '1'}";
    plain(
        &[("files", owned)],
        "files[1].owner: a file in a pod has no owner of its own; write strongroom.dev/files-owner",
    );
    plain(&[("files", "")], "the list cannot be read");
    plain(&[("files", "[]")], "the list cannot be read: it names no file");
    plain(&[("files", "- {path: a, from: sr://vault/a#b, template: '{{ if }}'}")], "files[0].template");
    plain(&[("files", "- path: ../a\n  from: sr://vault/a#b")], "files[0].path");
    plain(&[("files", "- {path: a, from: canary}")], "files[0].from");
    plain(&[("files", &"x".repeat(200_000))], "more than 122880 bytes; write shorter templates");
    for folder in ["run", "/", "/a/../b", "/a:b", "/proc/a", "/sys", "/dev/shm/x"] {
        plain(&[("files-folder", folder)], "cannot be the path");
    }
    plain(&[("files-containers", "app,ap")], "there is no container \"ap\"");
    for refresh in ["9s", "25h", "soon", "5", "-1m", "0s", "99999999999999999999h", "m"] {
        plain(&[("files-refresh", refresh)], "allowed: never, or a time such as 30s, 5m or 1h, of 10s to 24h");
    }
    for url in ["ftp://a", "http://", "http://a b", "http://user:password@a/", "127.0.0.1:80"] {
        plain(&[("files-url", url)], "http://127.0.0.1:8080/reload");
    }
    plain(
        &[("files-url", "http://a"), ("files-refresh", "never")],
        "only without strongroom.dev/files-refresh = never",
    );
    for owner in ["nginx", "1:", "-1", "1:2:3", "4294967295", "2147483648"] {
        plain(&[("files-owner", owner)], "UID or UID:GID");
    }
    check(
        &[("files-owner", "0:0")],
        json!({"securityContext": {"runAsNonRoot": true}}),
        "files-owner",
        "nobody runs as root; name another user",
    );
    check(&[], json!({"os": {"name": "windows"}}), "files", "files are for pods of Linux");
    // Misspelt, or without a list.
    plain(&[("files-container", "app")], "there is no such annotation; known are strongroom.dev/files, ");
    plain(&[("file", "x")], "there is no such annotation");
    let lonely = annotated(pod(&[app()]), &json!({"strongroom.dev/files-owner": "1"}));
    let refusal = planned(&lonely).unwrap_err().to_string();
    assert!(refusal.contains("files-owner]") && refusal.contains("only beside strongroom.dev/files"), "{refusal}");
}

#[test]
fn nothing_of_a_malformed_list_is_repeated() {
    for list in ["- {path: a, from: 'vault:canary'}", "canary: [", "- {path: a, from: sr://vault/a#b, canary: x}"] {
        let refusal = planned(&annotated(pod(&[app()]), &asking(&[("files", list)]))).unwrap_err().to_string();
        assert!(!refusal.contains("vault:canary"), "{refusal}");
    }
}

#[test]
fn a_signal_needs_processes_that_are_seen_and_a_user_that_may() {
    let check = |signal: &str, owner: Option<&str>, spec: Value, users: [Value; 2], expected: Option<&str>| {
        let context = |user: &Value| if user.is_null() { json!({}) } else { json!({"runAsUser": user}) };
        let containers: Vec<_> = ["a", "b"]
            .iter()
            .zip(&users)
            .map(|(name, user)| json!({"name": name, "securityContext": context(user)}))
            .collect();
        let owner = owner.map(|owner| ("files-owner", owner));
        let pairs: Vec<_> = [("files-signal", signal)].into_iter().chain(owner).collect();
        let planned = planned(&annotated(pod_with(&containers, &spec), &asking(&pairs)));
        match (planned, expected) {
            (Ok(_), None) => {}
            (Err(refusal), Some(words)) => {
                let refusal = refusal.to_string();
                assert!(refusal.contains("[strongroom.dev/files-signal]") && refusal.contains(words), "{refusal}");
            }
            (got, expected) => panic!("{signal} {owner:?} {spec} {users:?}: {got:?}, not {expected:?}"),
        }
    };
    let (shared, null) = (json!({"shareProcessNamespace": true}), Value::Null);
    let of_pod = |user: u32| json!({"shareProcessNamespace": true, "securityContext": {"runAsUser": user}});
    let nobody = || [null.clone(), null.clone()];
    check("HUP:nginx", Some("101"), shared.clone(), nobody(), None);
    check("USR1:app", None, of_pod(1000), nobody(), None);
    check("HUP:nginx", Some("0"), shared.clone(), nobody(), None);
    check("HUP:nginx", Some("101"), json!({}), nobody(), Some("set spec.shareProcessNamespace: true"));
    check("HUP:nginx", Some("101"), json!({"hostPID": true}), nobody(), Some("set spec.shareProcessNamespace: true"));
    let unknown = Some("write strongroom.dev/files-owner: UID of the process");
    check("HUP:nginx", None, shared.clone(), nobody(), unknown);
    check("HUP:nginx", None, of_pod(0), nobody(), unknown);
    check("HUP:nginx", None, of_pod(1000), [json!(101), json!(102)], unknown);
    check("HUP:nginx", None, of_pod(1000), [json!(101), null.clone()], None);
    check("HUP:nginx", Some("101"), shared.clone(), [json!(102), json!(103)], unknown);
    check("HUP:nginx", Some("101"), shared.clone(), [json!(102), json!(101)], None);
    for wrong in [
        "HUP",
        "nginx",
        "HUP:",
        "KILL:nginx",
        "SIGHUP:nginx",
        "HUP:/run/a.pid",
        "HUP:a b",
        "1:nginx",
        "HUP:sixteen-letters-",
    ] {
        check(wrong, Some("101"), shared.clone(), nobody(), Some("SIGNAL:PROCESS such as HUP:nginx"));
    }
}

#[test]
fn a_path_that_is_taken_is_refused_by_name() {
    let check = |mount: Value, volume: Value, taken: Option<&str>| {
        let mut app = app();
        app["volumeMounts"] = json!([mount]);
        let volumes = json!({"volumes": [{"name": "v"}]});
        let mut before = annotated(pod_with(&[app], &volumes), &asking(&[]));
        before["spec"]["volumes"][0].as_object_mut().unwrap().extend(volume.as_object().unwrap().clone());
        match (planned(&before), taken) {
            (Ok(_), None) => {}
            (Err(refusal), Some(path)) => {
                let words = format!("spec.containers[0].volumeMounts: something else is mounted at {path} already");
                assert!(refusal.to_string().starts_with(&words), "{refusal}");
            }
            (got, taken) => panic!("{mount} {volume}: {got:?}, not {taken:?}"),
        }
    };
    let (at, memory) = (|path: &str| json!({"name": "v", "mountPath": path}), json!({"emptyDir": {}}));
    check(at(FOLDER), memory.clone(), Some(FOLDER));
    check(at("/run/strongroom/files/"), memory.clone(), Some(FOLDER));
    check(json!({"name": "v", "mountPath": FOLDER, "subPath": "a"}), memory.clone(), Some(FOLDER));
    check(at("/run/strongroom/files/db"), memory.clone(), Some("/run/strongroom/files/db"));
    check(at("/run/strongroom/files2"), memory.clone(), None);
    check(at("/run"), memory.clone(), None);
    // No folder can be made in there.
    check(at("/run"), json!({"configMap": {"name": "c"}}), Some("/run"));
    check(json!({"name": "v", "mountPath": "/run/strongroom", "readOnly": true}), memory, Some("/run/strongroom"));
}

#[test]
fn a_name_that_is_taken_is_not_taken_twice() {
    let others = json!({"initContainers": [{"name": "strongroom-files"}],
        "volumes": [{"name": "strongroom-files", "emptyDir": {}}]});
    let after = changed(&annotated(pod_with(&[app()], &others), &asking(&[])));
    assert_eq!(names(&after["spec"]["initContainers"]), ["strongroom-files-2", "strongroom-files"]);
    assert_eq!(names(&after["spec"]["volumes"]), ["strongroom-files", "strongroom-files-2"]);
    assert_eq!(planned(&after).unwrap().patch, []);
}

#[test]
fn the_list_comes_out_of_kubelets_expansion_as_it_went_in() {
    let list = "- path: a\n  values: {x: 'sr://vault/a#b'}\n  template: '$(HOME) {{ .x }} $$ $'\n";
    let after = changed(&annotated(pod(&[app()]), &asking(&[("files", list)])));
    assert_eq!(variables(agent(&after))["STRONGROOM_FILES"], list.replace('$', "$$"));
}

/// The variables of the agent but its list, as JSON: literal ones, and where others come from.
fn login(after: &Value) -> Value {
    let entries = agent(after)["env"].as_array().unwrap().iter();
    let others = entries.filter(|entry| entry["name"] != "STRONGROOM_FILES");
    let value = |entry: &Value| entry.get("value").unwrap_or(&entry["valueFrom"]).clone();
    others
        .map(|entry| (entry["name"].as_str().unwrap().to_owned(), value(entry)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn the_agent_has_the_variables_for_stores_of_the_first_container_that_it_serves() {
    let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let env = json!([
        {"name": "AWS_REGION", "value": "eu-west-1"},
        {"name": "STAGE", "value": "prod"},
        {"name": "HOST", "value": "vault-$(STAGE)"},
        {"name": "VAULT_ADDR", "value": "https://$(HOST).example:8200/$$(OTHER)"},
        {"name": "OTHER", "value": "x"},
        {"name": "BAO_TOKEN", "valueFrom": secret},
        {"name": "GOOGLE_PROJECT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET},
        {"name": "VAULT_TOKEN", "value": "vault:login"},
        {"name": "VAULT_FROM_PATH", "value": "secret/data/a"},
        {"name": "AWS_SESSION_TOKEN", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "reference"}}},
        {"name": "STRONGROOM_CONFIG", "value": "/etc/stores/stores.yaml"},
        {"name": "HTTPS_PROXY", "value": "http://proxy"},
        {"name": "DB_PASSWORD", "value": "plain"},
    ]);
    let mut first = json!({"name": "app", "image": "app:1", "command": ["app"], "env": env});
    first["envFrom"] = json!([{"prefix": "AWS_", "configMapRef": {"name": "c"}}]);
    let second = json!({"name": "other", "command": ["o"], "env": [{"name": "AWS_REGION", "value": "other"}]});
    let found = found(SourceKind::ConfigMap, "c", values(&[("reference", SECRET), ("PROFILE", ""), ("a", "")]));
    let with = |pairs: &[(&str, &str)]| {
        let before = annotated(pod(&[first.clone(), second.clone()]), &asking(pairs));
        login(&changed_by(&before, &plan(&before, &found, &Images::default(), &Settings::default()).unwrap()))
    };
    let of_map = |key: &str| json!({"configMapKeyRef": {"name": "c", "key": key, "optional": true}});
    assert_eq!(
        with(&[("files", OF_AWS)]),
        json!({
            "AWS_PROFILE": of_map("PROFILE"), "AWS_a": of_map("a"), "AWS_REGION": "eu-west-1", "STAGE": "prod",
            "HOST": "vault-$(STAGE)", "VAULT_ADDR": "https://$(HOST).example:8200/$$(OTHER)", "BAO_TOKEN": secret,
            "GOOGLE_PROJECT": {"fieldRef": {"fieldPath": "metadata.name"}},
            "STRONGROOM_CONFIG": "/etc/stores/stores.yaml", "HTTPS_PROXY": "http://proxy",
        })
    );
    assert_eq!(with(&[("files", OF_AWS), ("files-containers", "other, app")]), json!({"AWS_REGION": "other"}));
}

#[test]
fn the_agent_mounts_what_its_variables_name() {
    let env = json!([
        {"name": "VAULT_CACERT", "value": "/etc/tls/ca.crt"},
        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/aws/token"},
        {"name": "STRONGROOM_CONFIG", "value": "/etc/stores.yaml"},
        {"name": "AWS_REGION", "value": "/data"},
        {"name": "SSL_CERT_DIR", "value": "/no:/etc/tls"},
    ]);
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let mounts = json!([
        mount("etc", "/etc"),
        {"name": "tls", "mountPath": "/etc/tls/", "mountPropagation": "HostToContainer"},
        {"name": "aws", "mountPath": "/var/run/aws", "readOnly": true},
        {"name": "config", "mountPath": "/etc/stores.yaml", "subPath": "stores.yaml"},
        {"name": "expression", "mountPath": "/data", "subPathExpr": "$(X)"},
        mount("dat", "/dat"),
    ]);
    let volumes: Vec<_> = ["etc", "tls", "aws", "config", "expression", "dat"].map(|name| json!({"name": name})).into();
    let app = json!({"name": "app", "env": env, "volumeMounts": mounts});
    let after = changed(&annotated(pod_with(&[app], &json!({"volumes": volumes})), &asking(&[("files", OF_AWS)])));
    assert_eq!(
        agent(&after)["volumeMounts"].as_array().unwrap()[1..],
        [
            json!({"name": "tls", "mountPath": "/etc/tls/", "readOnly": true}),
            json!({"name": "aws", "mountPath": "/var/run/aws", "readOnly": true}),
            json!({"name": "config", "mountPath": "/etc/stores.yaml", "readOnly": true, "subPath": "stores.yaml"}),
        ]
    );
    assert_eq!(planned(&after).unwrap().patch, []);
}

#[test]
fn the_agent_logs_in_to_vault_as_wrapped_containers_do_with_a_token_that_nobody_else_mounts() {
    let check = |list: &str, own: Value, annotations: Value, expected: Value, has_token: bool| {
        let mut said = asking(&[("files", list), ("token-audience", "vault")]);
        said.as_object_mut().unwrap().extend(annotations.as_object().unwrap().clone());
        let mut app = app();
        app["env"] = own;
        let after = changed(&annotated(pod_with(&[app], &json!({"serviceAccountName": "team"})), &said));
        assert_eq!(login(&after), expected);
        let mounts = agent(&after)["volumeMounts"].as_array().unwrap();
        let token = json!({"name": "strongroom-vault-token", "mountPath": "/var/run/secrets/strongroom.dev/vault",
            "readOnly": true});
        assert_eq!(mounts[1..].to_vec(), if has_token { vec![token] } else { vec![] });
        assert_eq!(after["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
        assert_eq!(planned(&after).unwrap().patch, []);
    };
    let of_account = json!({"VAULT_ROLE": "team", "VAULT_PATH": "kubernetes", "VAULT_AUTH_METHOD": "jwt",
        "VAULT_JWT_FILE": "/var/run/secrets/strongroom.dev/vault/token"});
    let with = |more: Value| {
        let mut all = of_account.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let annotation = |name: &str, text: &str| json!({format!("vault.security.banzaicloud.io/{name}"): text});
    let address = annotation("vault-addr", "https://v");
    check(LIST, json!([]), address.clone(), with(json!({"VAULT_ADDR": "https://v"})), true);
    check(OF_AWS, json!([]), address.clone(), json!({}), false);
    let own = json!([{"name": "VAULT_ADDR", "value": "https://o"}, {"name": "VAULT_TOKEN", "value": "t"}]);
    check(LIST, own, address.clone(), json!({"VAULT_ADDR": "https://o", "VAULT_TOKEN": "t"}), false);
    // What the application resolves itself is no login of the agent's.
    let own = json!([{"name": "VAULT_TOKEN", "value": "vault:login"}]);
    let mut wrapped = annotated(pod(&[container("app", "x")]), &asking(&[]));
    wrapped["spec"]["containers"][0]["env"] = own;
    assert_eq!(
        login(&changed(&wrapped)),
        json!({"VAULT_ROLE": "default", "VAULT_PATH": "kubernetes", "VAULT_AUTH_METHOD": "jwt"})
    );
    // A path of secrets is for variables.
    check(LIST, json!([]), annotation("vault-env-passthrough", "VAULT_ADDR"), of_account.clone(), true);
    check(LIST, json!([]), annotation("mutate", "skip"), json!({}), false);
    let refused = annotation("vault-tls-secret", "tls");
    let mut said = asking(&[]);
    said.as_object_mut().unwrap().extend(refused.as_object().unwrap().clone());
    let refusal = planned(&annotated(pod(&[app()]), &said)).unwrap_err().to_string();
    assert!(refusal.contains("vault-tls-secret") && refusal.contains("VAULT_CACERT"), "{refusal}");
}

#[test]
fn aws_role_gives_the_agent_a_token_where_files_come_from_aws() {
    let check = |list: &str, own: Value, expected: Value, mounts: usize| {
        let mut app = app();
        app["env"] = own;
        let after = changed(&annotated(pod(&[app]), &asking(&[("files", list), ("aws-role", ROLE)])));
        assert_eq!(login(&after), expected);
        assert_eq!(agent(&after)["volumeMounts"].as_array().unwrap().len(), mounts);
        assert_eq!(mounted(&after["spec"]["containers"][0]), [FOLDER]);
    };
    let file = "/var/run/secrets/strongroom.dev/aws/token";
    check(OF_AWS, json!([]), json!({"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": file}), 2);
    let own = json!([{"name": "AWS_ROLE_ARN", "value": "mine"}]);
    check(OF_AWS, own.clone(), json!({"AWS_ROLE_ARN": "mine"}), 1);
    let skipped = json!({"vault.security.banzaicloud.io/mutate": "skip"});
    let mut said = asking(&[("aws-role", ROLE)]);
    said.as_object_mut().unwrap().extend(skipped.as_object().unwrap().clone());
    assert_eq!(login(&changed(&annotated(pod(&[app()]), &said))), json!({}), "nothing of Vault's comes from AWS");
}

#[test]
fn what_was_done_is_told_for_each_container() {
    let list = format!("{LIST}- path: tls.crt\n  from: sr://vault/tls#crt\n");
    let before = annotated(
        pod(&[container("app", SECRET), container("other", "x")]),
        &asking(&[("files", &list), ("files-containers", "app"), ("files-folder", "/f/")]),
    );
    let after = changed(&before);
    let told = after["metadata"]["annotations"]["strongroom.dev/injection"].as_str().unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    let files = "wrapped for X (aws-sm); files /f/db/password, /f/tls.crt";
    assert_eq!(told, json!({"app": files, "other": "no reference in its variables"}));
    let event = planned(&before).unwrap().explanation.event();
    assert_eq!(event, format!("secrets are injected: container app: {files}"));
    assert_eq!(names(&after["spec"]["initContainers"]), ["copy-secrets-init", "strongroom-files"]);
    assert!(!told.to_string().contains("secret/db"), "{told}");
}

#[test]
fn containers_that_another_webhook_adds_later_get_the_files_of_the_agent_that_is_there() {
    for form in FORMS {
        let pairs = [("files-refresh", form), ("init-containers", "true")];
        let mut after = changed(&annotated(pod(&[app()]), &asking(&pairs)));
        let first = agent(&after).clone();
        after["spec"]["containers"].as_array_mut().unwrap().push(container("late", SECRET));
        after["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "early"}));
        let again = changed(&after);
        let init = again["spec"]["initContainers"].as_array().unwrap();
        assert_eq!(names(&again["spec"]["initContainers"]), ["copy-secrets-init", "strongroom-files", "early"]);
        assert_eq!(init[1], first, "it is left as it was");
        assert_eq!(mounted(&init[2]), [FOLDER]);
        assert_eq!(mounted(&again["spec"]["containers"][1]), [FOLDER]);
        let told = again["metadata"]["annotations"]["strongroom.dev/injection"].as_str().unwrap();
        assert!(
            told.contains(r#""app":"no reference in its variables; files /run/strongroom/files/db/password""#),
            "{told}"
        );
        assert_eq!(names(&again["spec"]["volumes"]), ["strongroom-files", "secrets-init-bin"]);
        assert_eq!(planned(&again).unwrap().patch, []);
    }
}

#[test]
fn opt_outs_hold() {
    let mut said = asking(&[("inject", "false"), ("files", "not looked at")]);
    said["strongroom.dev/files-refresh"] = json!("not looked at");
    assert_eq!(planned(&annotated(pod(&[app()]), &said)).unwrap().patch, []);
    // A label keeps variables alone, and no files.
    let mut labelled = annotated(pod(&[container("app", SECRET)]), &asking(&[]));
    labelled["metadata"]["labels"] = json!({"kube-secrets-init.doit-intl.com/mutate": "skip"});
    let after = changed(&labelled);
    assert_eq!(after["spec"]["containers"][0]["command"], json!(["app"]));
    assert_eq!(mounted(&after["spec"]["containers"][0]), [FOLDER]);
    let settings = Settings { wraps: false, ..Settings::default() };
    let plan = plan(&labelled, &Found::default(), &Images::default(), &settings).unwrap();
    assert_eq!(mounted(&changed_by(&labelled, &plan)["spec"]["containers"][0]), [FOLDER]);
}

#[test]
fn lists_in_the_documentation_are_accepted() {
    for page in ["annotations.md", "guides/files-in-pods.md", "guides/from-aws-sidecar-injector.md"] {
        let path = format!("{}/../../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let lists: Vec<_> = text.split("strongroom.dev/files: |\n").skip(1).collect();
        assert!(!lists.is_empty(), "{page}");
        for list in lists {
            let indent = list.len() - list.trim_start().len();
            let inside = list.lines().take_while(|line| line.len() - line.trim_start().len() >= indent);
            let list: String = inside.map(|line| format!("{}\n", &line[indent..])).collect();
            let planned = planned(&annotated(pod(&[app()]), &asking(&[("files", &list)])));
            assert!(planned.is_ok(), "{page}: {planned:?}\n{list}");
        }
    }
}
