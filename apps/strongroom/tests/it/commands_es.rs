//! `strongroom why`, `es` and `crds` against a real API server; and `docs/troubleshooting.md`, whose screens are those
//! of set-ups that are really broken.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::operator::support::{CLUSTER, OPERATOR, condition, eventually, namespace, object, ready, secret};
use crate::{Ended, VAULT, strongroom};

/// A broken set-up: objects in a namespace of the same name, and what is said of them.
struct Setup {
    name: &'static str,
    /// The stores and what else must be there first.
    before: &'static str,
    /// The ExternalSecret `app`.
    app: &'static str,
    /// What the condition's message has in it.
    message: &'static str,
    /// What the line of the verdict has in it.
    verdict: &'static str,
}

const FAKE: &str = r#"apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: prod}
spec:
  provider:
    fake:
      data:
      - {key: /db, value: '{"user":"ann","password":"s3cret-canary"}'}
"#;

const APP: &str = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  data:
  - {secretKey: password, remoteRef: {key: /db, property: password}}
";

const SETUPS: [Setup; 10] = [
    Setup {
        name: "missing-store",
        before: "",
        app: APP,
        message: "SecretStore \"prod\" does not exist",
        verdict: "verdict: SecretStore \"prod\" does not exist [NotFound]",
    },
    Setup {
        name: "store-not-ready",
        before: "apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: prod}
spec:
  provider:
    vault:
      server: VAULT
      path: secret
      auth: {tokenSecretRef: {name: vault-token, key: token}}
",
        app: APP,
        message: "is not ready",
        verdict: "verdict: SecretStore \"prod\" cannot be opened: ",
    },
    Setup {
        name: "namespace-not-admitted",
        before: "apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: others-only}
spec:
  conditions: [{namespaces: [others]}]
  provider: {fake: {data: [{key: /db, value: x}]}}
",
        app: "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: others-only}
  data:
  - {secretKey: password, remoteRef: {key: /db}}
",
        message: "may not be used from namespace",
        verdict: "verdict: ClusterSecretStore \"others-only\" may not be used from namespace \"namespace-not-admitted\"",
    },
    Setup {
        name: "policy-denies",
        before: r#"apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: shared}
spec:
  provider: {fake: {data: [{key: team-b/db, value: x}]}}
---
apiVersion: strongroom.dev/v1alpha1
kind: StorePolicy
metadata: {name: own-keys}
spec:
  stores: [{name: shared}]
  rules: [{keys: ["{{ .namespace }}/**"]}]
"#,
        app: "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: shared}
  data:
  - {secretKey: password, remoteRef: {key: team-b/db}}
",
        message: "no rule of StorePolicy own-keys allows",
        verdict: "no rule of StorePolicy own-keys allows namespace policy-denies to read it [AccessDenied]",
    },
    Setup {
        name: "missing-key",
        before: FAKE,
        app: "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  data:
  - {secretKey: user, remoteRef: {key: /db, property: user}}
  - {secretKey: password, remoteRef: {key: /database, property: password}}
",
        message: "/database",
        verdict: "verdict: spec.data[1] (password), \"/database\" of SecretStore \"prod\": ",
    },
    Setup {
        name: "missing-property",
        before: FAKE,
        app: "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  data:
  - {secretKey: password, remoteRef: {key: /db, property: pasword}}
",
        message: "pasword",
        verdict: "the secret has no property \"pasword\" [NotFound]",
    },
    Setup {
        name: "wrong-credentials",
        before: "apiVersion: v1
kind: Secret
metadata: {name: vault-token}
stringData: {token: s.expired-canary}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: prod}
spec:
  provider:
    vault:
      server: VAULT
      path: secret
      auth: {tokenSecretRef: {name: vault-token, key: token}}
",
        app: APP,
        message: "is not ready",
        verdict: "the token from the Secret vault-token is refused",
    },
    Setup {
        name: "template-error",
        before: FAKE,
        app: r#"apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  target:
    template:
      data:
        url: "postgres://{{ .user }}:{{ .pasword }}@db/app"
  dataFrom:
  - extract: {key: /db}
"#,
        message: "pasword",
        verdict: "map has no entry for key \"pasword\"",
    },
    Setup {
        name: "owned-by-another",
        before: r#"apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: prod}
spec:
  provider:
    fake:
      data:
      - {key: /db, value: '{"user":"ann","password":"s3cret-canary"}'}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: first}
spec:
  secretStoreRef: {name: prod}
  target: {name: credentials}
  dataFrom:
  - extract: {key: /db}
"#,
        app: "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  target: {name: credentials}
  data:
  - {secretKey: password, remoteRef: {key: /db, property: password}}
",
        message: "belongs to the ExternalSecret first",
        verdict: "the Secret credentials belongs to the ExternalSecret first [Invalid]",
    },
    Setup {
        name: "invalid-expression",
        before: FAKE,
        app: r#"apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  dataFrom:
  - find: {name: {regexp: "^db("}}
"#,
        message: "spec.dataFrom[0].find.name.regexp",
        verdict: "verdict: spec.dataFrom[0].find.name.regexp: ",
    },
];

/// Applies in `namespace`.
fn apply(namespace: &str, manifests: &str) {
    let file = file(&manifests.replace("VAULT", VAULT.address()));
    CLUSTER.kubectl(&["apply", "-n", namespace, "-f", file.path().to_str().unwrap()]).unwrap();
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A command with the cluster's administrator's rights.
fn run(words: &[&str]) -> Ended {
    let kubeconfig = CLUSTER.kubeconfig().to_str().unwrap();
    strongroom(words, &[("KUBECONFIG", kubeconfig)], b"")
}

fn why(namespace: &str) -> Ended {
    run(&["why", "es/app", "-n", namespace, "--", "--allow-local-addresses"])
}

/// Breaks it for real, and waits until the operator has said so.
fn broken(setup: &Setup) {
    CLUSTER.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {}}}}}", setup.name)).unwrap();
    if !setup.before.is_empty() {
        apply(setup.name, setup.before);
        for (kind, name) in named(setup.before) {
            eventually(&format!("{kind} {name} is looked at"), || {
                let found = object(&CLUSTER, &kind, setup.name, &name).ok_or("it does not exist")?;
                condition(&found, "Ready").map(drop).ok_or("it has no condition")
            });
        }
    }
    apply(setup.name, setup.app);
    eventually(&format!("{} is told", setup.name), || {
        let (_, message) = ready(&CLUSTER, setup.name, "app", "False");
        if message.contains(setup.message) { Ok(()) } else { Err(message) }
    });
}

/// The objects of a text that get a condition.
fn named(manifests: &str) -> Vec<(String, String)> {
    let of = |text: &str, word: &str| text.split(word).nth(1).map(|rest| rest.trim().to_owned());
    let documents = manifests.split("---\n").map(|text| {
        let line = |word: &str| text.lines().find(|line| line.starts_with(word)).and_then(|line| of(line, word));
        (line("kind:").unwrap(), line("metadata: {name:").unwrap().trim_end_matches('}').to_owned())
    });
    documents.filter(|(kind, _)| kind.ends_with("Store") || kind == "ExternalSecret").collect()
}

#[test]
fn ten_broken_set_ups_are_explained_and_the_page_shows_how() {
    assert!(OPERATOR.process() > 0);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubleshooting.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut wanted = page.clone();
    for setup in &SETUPS {
        broken(setup);
        let ended = why(setup.name);
        assert_eq!(ended.code, 1, "{}: {}{}", setup.name, ended.text(), ended.stderr);
        let unwrapped = ended.text().split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, verdict) = unwrapped.split_once("verdict: ").unwrap();
        assert!(format!("verdict: {verdict}").contains(setup.verdict.trim()), "{}: {}", setup.name, ended.text());
        assert!(!ended.text().contains("canary"), "{}: a value is shown: {}", setup.name, ended.text());
        assert!(ended.text().lines().count() <= 24, "more than one screen: {}", ended.text());
        wanted = with_screens(&wanted, setup, ended.text());
    }
    if page == wanted {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        File::create(&path).unwrap().write_all(wanted.as_bytes()).unwrap();
        return;
    }
    let differing = page.lines().zip(wanted.lines()).find(|(one, other)| one != other);
    panic!(
        "docs/troubleshooting.md differs from what is seen ({differing:?}); run UPDATE_DOCS=1 cargo test -p strongroom \
         --test it commands_es, and commit the page"
    );
}

/// `page` with the screens of `setup` between its two marks.
fn with_screens(page: &str, setup: &Setup, why: &str) -> String {
    let (begin, end) = (format!("<!-- screens {} -->\n", setup.name), format!("<!-- end {} -->", setup.name));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("docs/troubleshooting.md lacks {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("docs/troubleshooting.md lacks {end}"));
    let name = setup.name;
    let got = CLUSTER.kubectl(&["get", "es", "app", "-n", name]).unwrap();
    let described = CLUSTER.kubectl(&["describe", "es", "app", "-n", name]).unwrap();
    let conditions = described.split_once("\nStatus:\n").map_or("", |(_, status)| status);
    let conditions = conditions.split_once("\nEvents:").map_or(conditions, |(conditions, _)| conditions);
    let separator = if setup.before.is_empty() { "" } else { "---\n" };
    let screens = format!(
        "```yaml\n{}{separator}{}```\n\n```console\n$ kubectl get es app -n {name}\n{got}\n$ kubectl describe es app -n {name}\n\
         …\nStatus:\n{conditions}\n\n$ strongroom why es/app -n {name}\n{why}```\n",
        setup.before, setup.app
    );
    format!("{before}{begin}{}{end}{after}", normalised(&screens))
}

/// Without what is another at each run: addresses, times, and spaces at the ends of lines.
fn normalised(screens: &str) -> String {
    let screens =
        screens.replace(VAULT.address(), "https://vault.example:8200").replace("VAULT", "https://vault.example:8200");
    let lines = screens.lines().map(|line| {
        let words = line.trim_end().split(' ').map(|word| if is_time(word) { "2026-01-01T00:00:00Z" } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn is_time(word: &str) -> bool {
    let shape: String = word.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    shape == "0000-00-00T00:00:00Z"
}

const WELL: &str = r#"apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: prod}
  target:
    name: credentials
    template: {type: Opaque, data: {url: "db://{{ .user }}"}}
  dataFrom:
  - extract: {key: /db}
"#;

/// A namespace in which all is well.
fn well() -> String {
    assert!(OPERATOR.process() > 0);
    let namespace = namespace(&CLUSTER, &[]);
    apply(&namespace, FAKE);
    apply(&namespace, WELL);
    ready(&CLUSTER, &namespace, "app", "True");
    namespace
}

#[test]
fn what_is_well_is_said_to_be_for_people_and_programs() {
    let namespace = well();
    let ended = why(&namespace);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.stderr);
    assert!(ended.text().ends_with("verdict: Secret credentials is as the stores say\n"), "{}", ended.text());
    assert!(!ended.text().contains("canary") && !ended.text().contains("!!"), "{}", ended.text());
    let ended = run(&["why", "externalsecret/app", "-n", &namespace, "-o", "json"]);
    let report: Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!((&report["isWell"], &report["name"]), (&Value::Bool(true), &Value::from("app")));
    let steps: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(steps, ["object", "condition", "store", "login", "key", "value", "template", "target", "refresh"]);
    assert_eq!(run(&["why", "app"]).code, 2);
    assert_eq!(run(&["why", "es/app", "-n", &namespace, "--", "--no-such-flag"]).code, 1);
    let absent = run(&["why", "es/absent", "-n", &namespace]);
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains("does not exist"), "{}", absent.stderr);
}

#[test]
fn what_would_change_is_told_by_name_only() {
    let namespace = well();
    let version = secret(&CLUSTER, &namespace, "credentials").unwrap()["metadata"]["resourceVersion"].clone();
    let changed = WELL.replace("url:", "other: x, url:").replace("db://", "mysql://");
    let file = file(&changed);
    let ended = run(&["es", "render", "-n", &namespace, "-f", file.path().to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.stderr);
    let expected = format!(
        "Secret {namespace}/credentials, type Opaque (not written)\n  data:\n    other  1 bytes\n    url    11 bytes\n"
    );
    assert!(ended.text().starts_with(&expected), "{}", ended.text());
    assert!(
        ended.text().contains("would change: 1 key (other) added; 1 key (url) with another value"),
        "{}",
        ended.text()
    );
    assert_eq!(secret(&CLUSTER, &namespace, "credentials").unwrap()["metadata"]["resourceVersion"], version);
}

#[test]
fn who_may_not_look_is_told_so_and_gets_no_wrong_verdict() {
    let namespace = well();
    CLUSTER
        .apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: looker, namespace: {namespace}}}, \
             rules: [{{apiGroups: [external-secrets.io], resources: ['*'], verbs: [get, list]}}]}}\n---\n\
             {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: looker, namespace: \
             {namespace}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: looker}}, subjects: [{{kind: \
             ServiceAccount, name: looker, namespace: {namespace}}}]}}"
        ))
        .unwrap();
    let token = CLUSTER.service_account_token(&namespace, "looker", &[]).unwrap();
    let kubeconfig = file(&format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: '{}', certificate-authority: '{}'}}}}], users: [{{name: u, user: {{token: \
         '{}'}}}}]}}",
        CLUSTER.server(),
        CLUSTER.certificate_authority().display(),
        token.trim()
    ));
    let words = ["why", "es/app", "-n", &namespace, "--kubeconfig", kubeconfig.path().to_str().unwrap()];
    let ended = strongroom(&words, &[], b"");
    assert!(ended.text().contains("??  target"), "{}{}", ended.text(), ended.stderr);
    assert!(ended.text().contains("you may not look"), "{}", ended.text());
    assert!(!ended.text().contains("!!"), "{}", ended.text());
    assert!(ended.text().contains("verdict: nothing wrong was seen; "), "{}", ended.text());
    assert_eq!(ended.code, 0);
}

#[test]
fn a_refresh_waits_until_the_operator_has_synced() {
    let namespace = well();
    apply(&namespace, &WELL.replace("name: app", "name: second").replace("credentials", "second"));
    ready(&CLUSTER, &namespace, "second", "True");
    let before = object(&CLUSTER, "es", &namespace, "app").unwrap()["status"]["syncedResourceVersion"].clone();
    let ended = run(&["es", "refresh", "app", "-n", &namespace]);
    assert_eq!((ended.code, ended.text()), (0, format!("ok  {namespace}/app  SecretSynced: secret synced\n").as_str()));
    let after = object(&CLUSTER, "es", &namespace, "app").unwrap()["status"]["syncedResourceVersion"].clone();
    assert_ne!(before, after);
    let ended = run(&["es", "refresh", "--all", "-n", &namespace]);
    assert_eq!((ended.code, ended.text().lines().count()), (0, 2), "{}{}", ended.text(), ended.stderr);
    apply(&namespace, &FAKE.replace("/db", "/moved"));
    let ended = run(&["es", "refresh", "app", "-n", &namespace]);
    assert_eq!(ended.code, 1);
    assert!(ended.text().starts_with(&format!("!!  {namespace}/app  SecretSyncedError: ")), "{}", ended.text());
    assert_eq!(run(&["es", "refresh", "absent", "-n", &namespace]).code, 1);
    assert_eq!(run(&["es", "refresh"]).code, 2);
}

#[test]
fn files_are_checked_without_a_cluster() {
    let check = |text: &str, code: i32, expected: &[&str]| {
        let ended = strongroom(&["es", "validate", "-f", "-"], &[], text.as_bytes());
        let said = ended.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ended.code, code, "{said}{}", ended.stderr);
        expected.iter().for_each(|expected| assert!(said.contains(expected), "{expected}: {said}"));
    };
    check(
        &format!("{FAKE}---\n{WELL}---\n{{apiVersion: v1, kind: Pod}}"),
        0,
        &["2 objects are right; 1 of other kinds passed over"],
    );
    check(
        &format!("{FAKE}---\n{}", APP.replace("property:", "propety:")),
        1,
        &[
            "standard input, document 2 (line 9): ExternalSecret app spec.data[0].remoteRef.propety: there is no such field",
            "hint: did you mean property?",
            "1 problems in 1 of 2 objects",
        ],
    );
    check(&WELL.replace("{{ .user }}", "{{ .user "), 1, &["spec.target.template.data.url: "]);
    check(
        &APP.replace("io/v1", "io/v1beta1"),
        1,
        &["external-secrets.io/v1beta1 is not served", "write external-secrets.io/v1"],
    );
    check(SETUPS[9].app, 1, &["spec.dataFrom[0].find.name.regexp"]);
    check("kind: [", 1, &["this is no YAML: line 1"]);
    check(
        "{apiVersion: strongroom.dev/v1alpha1, kind: StorePolicy, metadata: {name: a}, spec: {stores: [{name: s}], rules: \
         [{keys: ['a**']}]}}",
        1,
        &["spec.rules[0].keys[0]"],
    );
    let missing = strongroom(&["es", "validate", "-f", "/no/such"], &[], b"");
    assert_eq!((missing.code, missing.text()), (1, ""));
    assert_eq!(strongroom(&["es", "validate"], &[], b"").code, 2);
}

#[test]
fn definitions_are_printed_and_every_command_has_examples() {
    let ended = strongroom(&["crds"], &[], b"");
    assert_eq!((ended.code, ended.text()), (0, strongroom_api::crds_yaml().unwrap().as_str()));
    for words in [&["why"][..], &["crds"], &["es", "validate"], &["es", "refresh"], &["es", "render"]] {
        let ended = strongroom(&[words, &["--help"]].concat(), &[], b"");
        assert!(ended.code == 0 && ended.text().contains("Examples:"), "{words:?}: {}", ended.text());
    }
}
