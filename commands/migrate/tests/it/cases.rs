//! Folders of files in, and all files out: `cases/NAME/in`, `cases/NAME/arguments` (one a line) and `cases/NAME/out`,
//! with the report in `report.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use strongroom_api::StorePolicy;
use strongroom_api::external_secrets::{ClusterSecretStore, ExternalSecret, SecretStore};

use crate::command::{Folder, migrate};

/// All files below `folder`, by their paths.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(inside).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// What the command makes of a case, and whether it ended with 0.
pub(crate) fn run(case: &Path) -> (BTreeMap<String, String>, bool) {
    let out = Folder::new();
    let (output, report) = (out.path().to_str().unwrap(), out.path().join("report.json"));
    let input = case.join("in");
    let arguments = fs::read_to_string(case.join("arguments")).unwrap_or_default();
    let mut all = vec!["kes", "-i", input.to_str().unwrap(), "-o", output, "--report", "json", "--report-file"];
    all.push(report.to_str().unwrap());
    all.extend(arguments.lines());
    let is_complete = migrate(&all, &[]).unwrap();
    let mut made = files(out.path());
    // Where the checkout is is nobody's business.
    let report = made.get_mut("report.json").unwrap();
    *report = report.replace(input.to_str().unwrap(), "in");
    (made, is_complete)
}

/// Every mapping, compared whole. `UPDATE_CASES=1` writes what is made; read the difference before it is committed.
#[test]
#[expect(clippy::disallowed_methods, reason = "a developer's own checkout, which nobody reads meanwhile")]
fn files_in_give_files_out() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    for case in fs::read_dir(cases).unwrap() {
        let case = case.unwrap().path();
        let (made, is_complete) = run(&case);
        let out = case.join("out");
        if std::env::var_os("UPDATE_CASES").is_some() {
            let _ = fs::remove_dir_all(&out);
            for (name, text) in &made {
                let path = out.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        }
        let expected = files(&out);
        let names = made.keys().chain(expected.keys()).collect::<std::collections::BTreeSet<_>>();
        for name in names.into_iter().filter(|name| made.get(*name) != expected.get(*name)) {
            let nothing = "(no such file)\n".to_owned();
            let (is, should) = (made.get(name).unwrap_or(&nothing), expected.get(name).unwrap_or(&nothing));
            wrong.push(format!("{}/{name}\n--- is\n{is}--- should be\n{should}", case.display()));
        }
        let report: Value = serde_json::from_str(&made["report.json"]).unwrap();
        let is_carried = |object: &Value| object["outcome"] != "notCarried";
        assert_eq!(is_complete, report["objects"].as_array().unwrap().iter().all(is_carried), "{}", case.display());
        assert_eq!(run(&case).0, made, "{}: a second run gives the same", case.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cv_01_the_golden_object_is_carried_over() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/cv-01");
    let (made, _) = run(&case);
    let object = |part: &str| -> Value {
        let (_, text) = made.iter().find(|(name, _)| name.contains(part)).unwrap();
        serde_saphyr::from_str(text).unwrap()
    };
    let store = object("secret-store-");
    let name = store["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("kes-secretsmanager-"), "{name}");
    let provider = json!({"aws": {
        "auth": {},
        "region": "eu-west-1",
        "role": "arn:aws:iam::123412341234:role/let-other-account-access-secrets",
        "service": "SecretsManager",
    }});
    assert_eq!(
        store,
        json!({
            "apiVersion": "external-secrets.io/v1",
            "kind": "ClusterSecretStore",
            "metadata": {"name": name},
            "spec": {"provider": provider, "conditions": [{"namespaces": ["kes-ns"]}]},
        })
    );
    let remote = |property: &str| json!({"key": "demo-service/credentials", "property": property});
    assert_eq!(
        object("external-secret-"),
        json!({
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "metadata": {"name": "aws-secretsmanager", "namespace": "kes-ns"},
            "spec": {
                "secretStoreRef": {"kind": "ClusterSecretStore", "name": name},
                "target": {"name": "aws-secretsmanager", "creationPolicy": "Owner", "template": {"metadata": {}}},
                "refreshInterval": "1m",
                "data": [
                    {"secretKey": "password", "remoteRef": remote("password")},
                    {"secretKey": "username", "remoteRef": remote("username")},
                ],
            },
        })
    );
}

#[test]
fn credentials_are_copied_on_demand_alone() {
    let case = |name: &str| run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)).0;
    let holds_any = |(_, text): &(&String, &String)| text.contains("canary");
    assert_eq!(case("credentials").iter().filter(holds_any).count(), 0);
    let copied = case("credentials-copied");
    let with_any: Vec<&String> = copied.iter().filter(holds_any).map(|(name, _)| name).collect();
    assert_eq!(with_any, ["default/secret-kes-vault-credentials.yaml"]);
}

/// All that is made is what our own types take.
#[test]
fn what_is_made_has_no_problems() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut checked = 0;
    for case in fs::read_dir(cases).unwrap() {
        for (name, text) in run(&case.unwrap().path()).0 {
            if name == "report.json" {
                continue;
            }
            let object: Value = serde_saphyr::from_str(&text).unwrap();
            let problems = match object["kind"].as_str().unwrap() {
                "ExternalSecret" => read::<ExternalSecret>(&object).problems(),
                "ClusterSecretStore" => read::<ClusterSecretStore>(&object).problems(),
                "SecretStore" => read::<SecretStore>(&object).problems(),
                "StorePolicy" => read::<StorePolicy>(&object).policy().problems().to_vec(),
                "Secret" => Vec::new(),
                other => panic!("{name}: {other}"),
            };
            assert_eq!(problems, [], "{name}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked} objects were looked at");
}

/// Read strictly: what is written has no field that the type does not know.
fn read<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> T {
    let read: T = serde_json::from_value(object.clone()).unwrap();
    let again = serde_json::to_value(&read).unwrap();
    assert!(holds(&again, object), "{object} is read as {again}");
    read
}

/// Whether all that is in `part` is in `whole` too.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| holds(other, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(one, other)| holds(one, other))
        }
        (whole, part) => whole == part,
    }
}

/// More keys than one rule takes, none of which the annotation can be said to admit.
#[test]
#[expect(clippy::disallowed_methods, reason = "files of this test alone")]
fn a_policy_holds_every_key_however_many_there_are() {
    let (given, out) = (Folder::new(), Folder::new());
    let keys: Vec<String> = (0..600).map(|number| format!("app/{number}")).collect();
    let annotations = json!({"externalsecrets.kubernetes-client.io/permitted-key-name": "^app/[0-9]+$"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "team-a", "annotations": annotations}});
    let object = json!({"apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "many", "namespace": "team-a"},
        "spec": {"backendType": "secretsManager", "region": "eu-west-1", "dataFrom": keys}});
    fs::write(given.path().join("namespace.json"), namespace.to_string()).unwrap();
    fs::write(given.path().join("object.json"), object.to_string()).unwrap();
    let (input, output) = (given.path().to_str().unwrap(), out.path().to_str().unwrap());
    assert_eq!(migrate(&["kes", "-i", input, "-o", output], &[]), Ok(true));
    let made = files(out.path());
    let (_, policy) = made.iter().find(|(name, _)| name.starts_with("store-policy-")).unwrap();
    let policy: StorePolicy = read(&serde_saphyr::from_str(policy).unwrap());
    let mut admitted: Vec<&String> = policy.spec.rules.iter().flat_map(|rule| &rule.keys).collect();
    admitted.sort();
    let mut keys: Vec<&String> = keys.iter().collect();
    keys.sort();
    assert_eq!(admitted, keys);
    assert!(policy.spec.rules.iter().all(|rule| rule.keys.len() <= 256));
}

#[test]
fn files_with_credentials_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let out = Folder::new();
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/credentials-copied/in");
    let (input, output) = (input.to_str().unwrap(), out.path().to_str().unwrap());
    assert_eq!(migrate(&["kes", "-i", input, "-o", output, "--include-credentials"], &[]), Ok(true));
    let file = out.path().join("default/secret-kes-vault-credentials.yaml");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}
