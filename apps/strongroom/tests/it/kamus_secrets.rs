//! `strongroom operator --kamus` with KamusSecrets, and admission, which says who may name a service account in them.

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use strongroom_crypto::SealingKey;
use strongroom_kamus::{Identity, Installation, KeyId, SealedText};
use strongroom_secret::SecretBytes;
use world::switchboard::{Fault, Switchboard};

use crate::admission::support::Admission;
use crate::operator::api::{API, data, line};
use crate::operator::support::{CLUSTER, Operator, condition, eventually, namespace, shows_none};
use crate::{CANARY, VAULT, strongroom};

/// An installation's keys in a namespace of their own, wrapped by a key in a file.
struct Keys {
    folder: tempfile::TempDir,
    flags: Vec<String>,
    installation: Installation,
    id: KeyId,
    key: SealingKey,
}

impl Keys {
    fn of(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = namespace(&CLUSTER, &[]);
        let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--keys-secret={place}/kamus-keys"));
        if !flags.iter().any(|flag| flag.starts_with("--key-management")) {
            let file = folder.path().join("key");
            std::fs::write(&file, "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=").unwrap();
            flags.push(format!("--local-key-file={}", file.display()));
        }
        let kubeconfig = format!("--kubeconfig={}", CLUSTER.kubeconfig().display());
        let run = |action: &str| {
            let words = ["kamus", "keys", action, &kubeconfig];
            let words: Vec<&str> = words.into_iter().chain(flags.iter().map(String::as_str)).collect();
            let ended = strongroom(&words, variables, b"");
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            ended.text().to_owned()
        };
        run("create");
        let public: Value = serde_json::from_str(&run("public")).unwrap();
        let spki = BASE64_STANDARD.decode(public["publicKey"].as_str().unwrap()).unwrap();
        Self {
            installation: Installation::new(public["installation"].as_str().unwrap()).unwrap(),
            id: KeyId::of_public_key(&spki),
            key: SealingKey::new(&spki).unwrap(),
            folder,
            flags,
        }
    }

    fn flags(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    /// As `strongroom encrypt` does it without an encryptor.
    fn seal(&self, namespace: &str, account: &str, text: &str) -> String {
        let identity = Identity::new(namespace, account).unwrap();
        let plain = SecretBytes::from(text.to_owned());
        SealedText::seal(&self.key, &self.id, &self.installation, &identity, &plain).unwrap().to_string()
    }
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    CLUSTER.apply(&strongroom_api::kamus::crd_yaml().unwrap()).unwrap();
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd/kamussecrets.soluto.com"];
    CLUSTER.kubectl(&established).unwrap();
    Keys::of(&[], &[])
});

/// An operator for one namespace alone.
fn operator(keys: &Keys, namespace: &str, flags: &[&str], variables: &[(&str, &str)]) -> Operator {
    let namespace = format!("--namespace={namespace}");
    let flags = [&["--kamus", namespace.as_str()][..], &keys.flags(), flags].concat();
    let operator = Operator::spawn(&CLUSTER, &flags, variables);
    operator.wait_until_ready();
    operator
}

const ANYBODY: &[&str] = &["--kamus-allow-unverified"];

fn create(namespace: &str, name: &str, rest: &Value) {
    let mut object = json!({
        "apiVersion": "soluto.com/v1alpha2", "kind": "KamusSecret", "metadata": {"name": name}, "serviceAccount": "some-sa",
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    assert_eq!(API.create("kamussecrets", namespace, &object), (201, String::new()), "{name}");
}

/// Waits until a Secret has this data, as `a=1 b=2`, and its KamusSecret says so.
fn wait_for(namespace: &str, name: &str, expected: &str) -> Value {
    eventually(&format!("{name} is right"), || {
        let (secret, told) = (API.get("secrets", namespace, name), told(namespace, name));
        match secret {
            Some(secret) if line(&secret) == expected && told.starts_with("True SecretSynced") => Ok(secret),
            // Without what is in it.
            secret => Err(format!("{:?} {told}", secret.map(|secret| secret["metadata"].clone()))),
        }
    })
}

fn told(namespace: &str, name: &str) -> String {
    let object = API.get("kamussecrets", namespace, name).unwrap();
    let (status, reason, message) = condition(&object, "Ready").unwrap_or_default();
    format!("{status} {reason}: {message}")
}

/// Waits until the condition begins like this and has these words.
fn wait_until_told(namespace: &str, name: &str, beginning: &str, words: &[&str]) -> String {
    eventually(&format!("{name} tells"), || {
        let told = told(namespace, name);
        match told.starts_with(beginning) && words.iter().all(|words| told.contains(words)) {
            true => Ok(told),
            false => Err(told),
        }
    })
}

fn version(kind: &str, namespace: &str, name: &str) -> String {
    API.get(kind, namespace, name).unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[test]
fn ka_05_a_kamus_secret_becomes_a_secret_that_follows_it() {
    let (keys, namespace) = (&*KEYS, namespace(&CLUSTER, &[]));
    let operator = operator(keys, &namespace, ANYBODY, &[]);
    let seal = |text: &str| keys.seal(&namespace, "some-sa", text);
    let certificate = BASE64_STANDARD.encode([0_u8, 255, 10]);
    create(
        &namespace,
        "my-tls-secret",
        &json!({
            "metadata": {"name": "my-tls-secret", "labels": {"app": "x"}, "annotations": {"note": "y"}},
            "type": "TlsSecret", "stringData": {"key": seal(CANARY)}, "data": {"key3": seal(&certificate)},
        }),
    );
    let before = format!("key={CANARY} key3=\u{0}\u{FFFD}\n");
    let secret = wait_for(&namespace, "my-tls-secret", &before);
    let uid = API.get("kamussecrets", &namespace, "my-tls-secret").unwrap()["metadata"]["uid"].clone();
    assert_eq!(secret["type"], "TlsSecret");
    assert_eq!(secret["data"]["key3"], json!(certificate));
    assert_eq!(
        (&secret["metadata"]["labels"], &secret["metadata"]["annotations"]),
        (&json!({"app": "x"}), &Value::Null)
    );
    let owner = json!([{
        "apiVersion": "soluto.com/v1alpha2", "kind": "KamusSecret", "name": "my-tls-secret", "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    assert_eq!(secret["metadata"]["ownerReferences"], owner);
    // Deleted or damaged, it is repaired.
    assert!(API.delete("secrets", &namespace, "my-tls-secret"));
    wait_for(&namespace, "my-tls-secret", &before);
    API.patch("secrets", &namespace, "my-tls-secret", &json!({"data": {"key": "", "more": ""}}));
    wait_for(&namespace, "my-tls-secret", &before);
    // What changes is followed, labels and annotations too.
    let changed = json!({
        "stringData": {"key": seal("modified_hello")}, "data": {"key3": null}, "propagateAnnotations": true,
        "metadata": {"labels": {"app": "z"}},
    });
    API.patch("kamussecrets", &namespace, "my-tls-secret", &changed);
    let secret = wait_for(&namespace, "my-tls-secret", "key=modified_hello");
    assert_eq!(secret["metadata"]["labels"], json!({"app": "z"}));
    assert_eq!(secret["metadata"]["annotations"], json!({"note": "y"}));
    // In steady state nothing is written.
    let versions =
        || (version("secrets", &namespace, "my-tls-secret"), version("kamussecrets", &namespace, "my-tls-secret"));
    let still = versions();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(versions(), still);
    shows_none(&operator.shown(), &[CANARY, "modified_hello"]);
    assert!(API.delete("kamussecrets", &namespace, "my-tls-secret"));
    eventually("the Secret goes with it", || match API.get("secrets", &namespace, "my-tls-secret") {
        None => Ok(()),
        Some(_) => Err("it is there"),
    });
}

#[test]
fn s5_a_secret_of_somebody_else_is_left_alone_until_it_may_be_taken() {
    let (keys, namespace) = (&*KEYS, namespace(&CLUSTER, &[]));
    let _operator = operator(keys, &namespace, ANYBODY, &[]);
    let theirs =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "taken"}, "stringData": {"a": "theirs"}});
    assert_eq!(API.create("secrets", &namespace, &theirs).0, 201);
    create(&namespace, "taken", &json!({"stringData": {"a": keys.seal(&namespace, "some-sa", "ours")}}));
    let words = ["this KamusSecret did not make it", "strongroom.dev/adopt=true"];
    wait_until_told(&namespace, "taken", "False CannotWrite", &words);
    assert_eq!(data(&API.get("secrets", &namespace, "taken").unwrap())["a"], "theirs");
    API.patch("secrets", &namespace, "taken", &json!({"metadata": {"annotations": {"strongroom.dev/adopt": "true"}}}));
    wait_for(&namespace, "taken", "a=ours");
}

#[test]
fn what_cannot_be_decrypted_is_told_key_by_key_and_blanks_nothing() {
    let (keys, namespace) = (&*KEYS, namespace(&CLUSTER, &[]));
    let operator = operator(keys, &namespace, ANYBODY, &[]);
    let good = keys.seal(&namespace, "some-sa", CANARY);
    create(&namespace, "app", &json!({"stringData": {"good": good}}));
    wait_for(&namespace, "app", &format!("good={CANARY}"));
    let other = keys.seal(&namespace, "other-sa", "x");
    let unknown = other.replace(&keys.id.to_string(), "0123456789abcdef");
    let wrong = json!({
        "stringData": {"other": other, "unknown": unknown, "plain": "hunter2!"},
        "data": {"text": keys.seal(&namespace, "some-sa", "no base64!")},
    });
    API.patch("kamussecrets", &namespace, "app", &wrong);
    let words = [
        "stringData[\"other\"]: it was not encrypted for this service account, or was changed",
        "stringData[\"plain\"]: this is no encrypted text",
        "stringData[\"unknown\"]",
        "the key that it was encrypted for is not known here",
        "data[\"text\"]: what was encrypted is no base64",
    ];
    let told = wait_until_told(&namespace, "app", "False CannotDecrypt", &words);
    assert!(!told.contains("good") && !told.contains("hunter2"), "{told}");
    assert_eq!(line(&API.get("secrets", &namespace, "app").unwrap()), format!("good={CANARY}"));
    // One that has nothing yet gets nothing, rather than half.
    create(&namespace, "new", &json!({"stringData": {"good": good, "bad": other}}));
    wait_until_told(&namespace, "new", "False CannotDecrypt", &["stringData[\"bad\"]"]);
    assert_eq!(API.get("secrets", &namespace, "new"), None);
    create(&namespace, "empty", &json!({"serviceAccount": ""}));
    wait_until_told(&namespace, "empty", "False Invalid", &["serviceAccount: is missing", "there are no values"]);
    shows_none(&operator.shown(), &[CANARY, "hunter2"]);
}

#[test]
fn while_the_key_management_is_down_what_was_delivered_stays() {
    VAULT.command(&["secrets", "enable", "-path=kamus-down", "transit"]).unwrap();
    VAULT.command(&["write", "-f", "kamus-down/keys/k"]).unwrap();
    let _ = &*KEYS;
    let way = Switchboard::to(VAULT.address().trim_start_matches("http://")).unwrap();
    let variables = [("VAULT_ADDR", way.address()), ("VAULT_TOKEN", VAULT.root_token())];
    let keys = Keys::of(&["--key-management=transit", "--key=kamus-down/k"], &variables);
    let namespace = namespace(&CLUSTER, &[]);
    let first = operator(&keys, &namespace, ANYBODY, &variables);
    create(&namespace, "app", &json!({"stringData": {"a": keys.seal(&namespace, "some-sa", "1")}}));
    wait_for(&namespace, "app", "a=1");
    drop(first);
    // A new one, which has unwrapped nothing yet.
    way.add(Fault::answer(503, &[], r#"{"errors": ["sealed"]}"#));
    let second = operator(&keys, &namespace, ANYBODY, &variables);
    let is_told = |value: &str, words: &str| {
        let sealed = keys.seal(&namespace, "some-sa", value);
        API.patch("kamussecrets", &namespace, "app", &json!({"stringData": {"a": sealed}}));
        let told = wait_until_told(&namespace, "app", "False CannotDecrypt", &["stringData[\"a\"]: ", words]);
        assert!(told.contains(&keys.id.to_string()), "{told}");
        assert_eq!(line(&API.get("secrets", &namespace, "app").unwrap()), "a=1");
    };
    is_told("2", "sealed");
    // The version of the key that wrapped ours is put out of use, and taken back.
    VAULT.command(&["write", "-f", "kamus-down/keys/k/rotate"]).unwrap();
    VAULT.command(&["write", "kamus-down/keys/k/config", "min_decryption_version=2"]).unwrap();
    way.clear();
    is_told("2", "too old");
    way.add(Fault::throttle(None));
    VAULT.command(&["write", "kamus-down/keys/k/config", "min_decryption_version=1"]).unwrap();
    is_told("2", "429");
    way.clear();
    wait_for(&namespace, "app", "a=2");
    let metrics = second.scraped();
    assert!(metrics.contains("strongroom_kamus_syncs_total"), "{metrics}");
}

#[test]
fn keys_that_are_not_there_yet_are_waited_for() {
    let (keys, namespace) = (&*KEYS, namespace(&CLUSTER, &[]));
    let key_file = format!("--local-key-file={}", keys.folder.path().join("key").display());
    let place = format!("--keys-secret={namespace}/kamus-keys");
    let flags = ["--kamus", &format!("--namespace={namespace}"), &key_file, &place, "--kamus-allow-unverified"];
    let operator = Operator::spawn(&CLUSTER, &flags, &[]);
    operator.wait_until_ready();
    create(&namespace, "app", &json!({"stringData": {"a": keys.seal(&namespace, "some-sa", "1")}}));
    wait_until_told(
        &namespace,
        "app",
        "False KeysUnavailable",
        &["there are no keys yet", "strongroom kamus keys create"],
    );
    // The same keys, brought there.
    let from = keys.flags().iter().find_map(|flag| flag.strip_prefix("--keys-secret=")).unwrap().to_owned();
    let ring = API.get("secrets", from.split('/').next().unwrap(), "kamus-keys").unwrap();
    let copy = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kamus-keys"}, "data": ring["data"]});
    assert_eq!(API.create("secrets", &namespace, &copy).0, 201);
    wait_for(&namespace, "app", "a=1");
}

#[test]
fn s2_only_who_may_act_as_an_account_has_its_values_read() {
    let keys = &*KEYS;
    let label = ("kamus-tests", "seen");
    let (namespace, unseen) = (namespace(&CLUSTER, &[label]), namespace(&CLUSTER, &[]));
    let admission = Admission::start(&keys.flags());
    admission.called_for("kamus-tests", &[label]);
    let _operator = operator(keys, &format!("{namespace},{unseen}"), &[], &[]);
    let account = |name: &str, rules: &Value| {
        let metadata = json!({"name": name, "namespace": namespace});
        let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
        for object in [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": reference, "subjects": [subject],
            }),
        ] {
            CLUSTER.apply(&object.to_string()).unwrap();
        }
    };
    let objects = json!({"apiGroups": ["soluto.com"], "resources": ["kamussecrets"], "verbs": ["*"]});
    let tokens = json!({
        "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["some-sa"], "verbs": ["create"],
    });
    account("owner", &json!([objects, tokens]));
    account("stranger", &json!([objects]));
    let apply = |who: &str, place: &str, name: &str, rest: &Value| {
        let mut object = json!({
            "apiVersion": "soluto.com/v1alpha2", "kind": "KamusSecret", "metadata": {"name": name, "namespace": place},
            "serviceAccount": "some-sa",
        });
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), object.to_string()).unwrap();
        let user = format!("--as=system:serviceaccount:{namespace}:{who}");
        let words = ["apply", &user, "-f", path(file.path())];
        CLUSTER.kubectl(&words).map(drop).map_err(|error| format!("{error:#}"))
    };
    let value = json!({"stringData": {"a": keys.seal(&namespace, "some-sa", "1")}});
    let refused = apply("stranger", &namespace, "app", &value).unwrap_err();
    assert!(
        refused.contains("may not create tokens of the service account") && refused.contains("some-sa"),
        "{refused}"
    );
    assert_eq!(API.get("kamussecrets", &namespace, "app"), None);
    apply("owner", &namespace, "app", &value).unwrap();
    wait_for(&namespace, "app", "a=1");
    // Whoever may write the object may label it, and change no value.
    let user = format!("--as=system:serviceaccount:{namespace}:stranger");
    CLUSTER.kubectl(&["label", &user, "kamussecret", "app", "-n", &namespace, "touched=yes"]).unwrap();
    let other = json!({"stringData": {"a": keys.seal(&namespace, "some-sa", "1"), "b": "x"}});
    assert!(apply("stranger", &namespace, "app", &other).unwrap_err().contains("may not create tokens"));
    eventually("the label is copied", || {
        let secret = API.get("secrets", &namespace, "app").unwrap();
        if secret["metadata"]["labels"] == json!({"touched": "yes"}) {
            Ok(())
        } else {
            Err(secret["metadata"].to_string())
        }
    });
    // Where admission does not look, and with a mark from elsewhere, nothing is read.
    let marked = API.get("kamussecrets", &namespace, "app").unwrap();
    let mark = &marked["metadata"]["annotations"]["strongroom.dev/kamus-verified"];
    assert!(mark.is_string(), "{}", marked["metadata"]);
    let copied = json!({"name": "app", "namespace": unseen, "annotations": {"strongroom.dev/kamus-verified": mark}});
    let rest = json!({"metadata": copied, "stringData": {"a": keys.seal(&unseen, "some-sa", "1")}});
    create(&unseen, "app", &rest);
    wait_until_told(&unseen, "app", "False NotVerified", &["nobody has verified", "--kamus-allow-unverified"]);
    assert_eq!(API.get("secrets", &unseen, "app"), None);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
