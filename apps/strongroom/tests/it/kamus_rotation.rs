//! An installation's keys change while everything is in use: `strongroom kamus keys rotate`, `rewrap` in a cluster and in
//! files, killed half way and begun again, and `keys retire`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use strongroom_kamus::{Identity, PublicKey};
use strongroom_secret::SecretBytes;
use world::part::Part;

use crate::admission::support::Admission;
use crate::operator::api::{API, Api, data, line};
use crate::operator::support::{CLUSTER, Operator, condition, eventually, namespace};
use crate::{Ended, strongroom};

const LOCAL: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";

/// Kamus' published key, and a text under it without key derivation: `test`.
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";
const LEGACY: &str = "4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==";

const ACCOUNT: &str = "some-sa";

/// An installation's keys in a Secret of a namespace of their own, wrapped by a key in a file.
struct Keys {
    folder: tempfile::TempDir,
    flags: Vec<String>,
}

impl Keys {
    fn create() -> Self {
        CLUSTER.apply(&strongroom_api::kamus::crd_yaml().unwrap()).unwrap();
        let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd/kamussecrets.soluto.com"];
        CLUSTER.kubectl(&established).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, LOCAL).unwrap();
        let place = namespace(&CLUSTER, &[]);
        let flags = vec![format!("--keys-secret={place}/kamus-keys"), format!("--local-key-file={}", file.display())];
        let keys = Self { folder, flags };
        assert_eq!(keys.run(&["keys", "create"]).code, 0);
        keys
    }

    fn flags(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn words<'a>(&'a self, kubeconfig: &'a Path, words: &[&'a str]) -> Vec<&'a str> {
        let kubeconfig = ["--kubeconfig", path(kubeconfig)];
        [&["kamus"][..], words, &self.flags(), &kubeconfig].concat()
    }

    fn run(&self, words: &[&str]) -> Ended {
        strongroom(&self.words(CLUSTER.kubeconfig(), words), &[], b"")
    }

    /// What encrypts, for the newest key.
    fn public(&self) -> PublicKey {
        PublicKey::read(self.run(&["keys", "public"]).text().as_bytes()).unwrap()
    }
}

fn seal(key: &PublicKey, namespace: &str, text: &str) -> String {
    let plain = SecretBytes::from(text.to_owned());
    key.seal(&Identity::new(namespace, ACCOUNT).unwrap(), &plain).unwrap().to_string()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes a KamusSecret by the version that is named.
fn create(version: &str, namespace: &str, name: &str, rest: &Value) {
    let mut object = json!({
        "apiVersion": format!("soluto.com/{version}"), "kind": "KamusSecret", "metadata": {"name": name},
        "serviceAccount": ACCOUNT,
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let path = format!("/apis/soluto.com/{version}/namespaces/{namespace}/kamussecrets");
    let (status, answer) = API.ask("POST", &path, "application/json", &object.to_string());
    assert_eq!(status, 201, "{name}: {}", answer["message"]);
}

/// All texts of a namespace, as `NAME LIST.KEY`.
fn texts(namespace: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (name, object) in API.list("kamussecrets", namespace) {
        for list in ["data", "stringData"] {
            for (key, text) in object[list].as_object().into_iter().flatten() {
                texts.insert(format!("{name} {list}.{key}"), text.as_str().unwrap().to_owned());
            }
        }
    }
    texts
}

/// Each Secret of a namespace with its data, and its version: whether it was written.
fn secrets(api: &Api, namespace: &str) -> BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = api.list("secrets", namespace).into_iter();
    secrets.map(|(name, secret)| (name, (line(&secret), text(&secret["metadata"]["resourceVersion"])))).collect()
}

/// A running decryptor without limits.
struct Decryptor {
    _part: Part,
    _folder: tempfile::TempDir,
    address: String,
}

impl Decryptor {
    fn start(keys: &Keys) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/bin:/bin", env!("CARGO_BIN_EXE_strongroom")]);
        let flags = ["decryptor", "--listen-address=127.0.0.1:0", "--audit=off", "--rate=0"];
        command.args(keys.words(CLUSTER.kubeconfig(), &flags));
        let part = Part::start("decryptor", &command, folder.path()).unwrap();
        let address = eventually("the decryptor listens", || {
            let logged = std::fs::read_to_string(part.log()).unwrap_or_default();
            let line = logged.lines().find(|line| line.contains("msg=serving"));
            let address = line.and_then(|line| line.split("address=").nth(1)).map(|rest| rest.trim().to_owned());
            address.ok_or(logged)
        });
        Self { _part: part, _folder: folder, address }
    }
}

/// What a decryptor answers: status and text.
fn decrypt(address: &str, token: &str, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = json!({"data": text}).to_string();
    let length = body.len();
    let head = format!(
        "POST /api/v1/decrypt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Asks for values, one after the other, and looks at all Secrets, until it is told to stop.
struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Reader {
    /// `values` by the object that has them under `a`; `git` has each as it was encrypted first.
    fn start(
        address: String,
        namespace: String,
        token: String,
        values: BTreeMap<String, String>,
        git: BTreeMap<String, String>,
    ) -> Self {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&reads));
        let thread = std::thread::spawn(move || {
            let api = Api::of(&CLUSTER);
            let mut wrong = Vec::new();
            for (number, (name, value)) in values.iter().cycle().enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let object = api.get("kamussecrets", &namespace, name).unwrap();
                for text in [object["stringData"]["a"].as_str().unwrap(), &git[name]] {
                    let (status, answer) = decrypt(&address, &token, text);
                    // What was answered may be a value.
                    if (status, &answer) != (200, value) {
                        let words = if status == 200 { "another value" } else { &answer };
                        wrong.push(format!("{name}: {status} {words}"));
                    }
                }
                if number.is_multiple_of(20) {
                    let found = secrets(&api, &namespace);
                    let bad = values.iter().filter(|(name, value)| {
                        found.get(*name).is_none_or(|(line, _)| *line != format!("a={value} b=fixed"))
                    });
                    wrong.extend(bad.map(|(name, _)| format!("Secret {name} is gone or another one")));
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        });
        Self { stop, reads, thread }
    }

    /// How often it has asked, after that all went well.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        assert_eq!(self.thread.join().unwrap(), Vec::<String>::new());
        self.reads.load(Ordering::Relaxed)
    }
}

/// Starts the program and kills it, as the kernel does, once it has printed so many lines.
fn killed_after(lines: usize, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.args(words).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let printed = BufReader::new(child.stdout.take().unwrap()).lines().take(lines).count();
    child.kill().unwrap();
    assert_eq!((child.wait().unwrap().code(), printed), (None, lines), "it had ended already");
    // What it asked for may still be on its way.
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn every_value_is_readable_at_each_moment_of_a_rotation_that_is_killed_half_way() {
    const OBJECTS: usize = 120;
    let keys = Keys::create();
    let place = namespace(&CLUSTER, &[]);
    let old = keys.public();
    let scope = format!("--namespace={place}");
    let operator = Operator::spawn(
        &CLUSTER,
        &[&["--kamus", "--kamus-allow-unverified", scope.as_str()][..], &keys.flags()].concat(),
        &[],
    );
    let (mut values, mut git) = (BTreeMap::new(), BTreeMap::new());
    for number in 0..OBJECTS {
        let (name, value) = (format!("s{number}"), format!("value {number}"));
        let text = seal(&old, &place, &value);
        let rest =
            json!({"stringData": {"a": text}, "data": {"b": seal(&old, &place, &BASE64_STANDARD.encode("fixed"))}});
        create("v1alpha2", &place, &name, &rest);
        git.insert(name.clone(), text);
        values.insert(name, value);
    }
    // What v1alpha1 wrote under data is text, and base64 beside it is not.
    create("v1alpha1", &place, "written-by-v1alpha1", &json!({"data": {"a": seal(&old, &place, "a text")}}));
    let more = json!({"data": {"b": seal(&old, &place, &BASE64_STANDARD.encode("fixed"))}});
    API.patch("kamussecrets", &place, "written-by-v1alpha1", &more);
    eventually("all Secrets are there", || {
        let found = secrets(&API, &place);
        let is_right = |(name, value): (&String, &String)| {
            found.get(name).is_some_and(|(line, _)| *line == format!("a={value} b=fixed"))
        };
        let right = values.iter().filter(|value| is_right(*value)).count();
        let of_old = found.get("written-by-v1alpha1").is_some_and(|(line, _)| line == "a=a text b=fixed");
        if right == OBJECTS && of_old { Ok(()) } else { Err(format!("{right} of {OBJECTS}, {of_old}")) }
    });
    let before = secrets(&API, &place);
    let decryptor = Decryptor::start(&keys);
    let token = CLUSTER.service_account_token(&place, ACCOUNT, &[]).unwrap();
    let reader = Reader::start(decryptor.address.clone(), place.clone(), token, values, git);
    assert_eq!(keys.run(&["keys", "rotate"]).code, 0);
    let new = keys.public();
    let rewrap = ["rewrap", "--cluster", "--kamus-allow-unverified", scope.as_str()];
    let rehearsed = keys.run(&[&rewrap[..], &["--dry-run"]].concat());
    assert_eq!((rehearsed.code, rehearsed.text().lines().count()), (0, OBJECTS + 1), "{}", rehearsed.stderr);
    let count = |key: &PublicKey| {
        let begins = format!("sr1.{}.", key.id());
        texts(&place).values().filter(|text| text.starts_with(&begins)).count()
    };
    assert_eq!((count(&old), count(&new)), (2 * OBJECTS + 2, 0));
    killed_after(OBJECTS / 2, &keys.words(CLUSTER.kubeconfig(), &rewrap));
    let done = count(&new);
    assert!((OBJECTS..2 * OBJECTS).contains(&done), "{done}");
    let resumed = keys.run(&rewrap);
    assert_eq!((resumed.code, resumed.text().lines().count()), (0, OBJECTS + 1 - done / 2), "{}", resumed.stderr);
    let words = format!("{} KamusSecrets; {} changed; 0 texts stay as they are", OBJECTS + 1, OBJECTS + 1 - done / 2);
    assert!(resumed.stderr.contains(&words), "{}", resumed.stderr);
    assert_eq!((count(&old), count(&new)), (0, 2 * OBJECTS + 2));
    eventually("the operator has seen all of it", || {
        let objects = API.list("kamussecrets", &place);
        let is_well = |object: &Value| {
            condition(object, "Ready").is_some_and(|(status, ..)| status == "True")
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        let behind: Vec<_> = objects.iter().filter(|(_, object)| !is_well(object)).map(|(name, _)| name).collect();
        if behind.is_empty() { Ok(()) } else { Err(format!("{behind:?}")) }
    });
    // The same values: no Secret was as much as touched.
    assert_eq!(secrets(&API, &place), before);
    assert!(reader.end() > 20);
    let again = keys.run(&rewrap);
    assert_eq!((again.code, again.text()), (0, ""), "{}", again.stderr);
    drop(operator);
}

#[test]
fn what_cannot_be_opened_in_a_cluster_is_named_and_stays() {
    let keys = Keys::create();
    let place = namespace(&CLUSTER, &[]);
    let old = keys.public();
    let foreign = old.seal(&Identity::new(&place, "other-sa").unwrap(), &SecretBytes::from("x".to_owned())).unwrap();
    let foreign = foreign.to_string();
    let good = seal(&old, &place, "1");
    create(
        "v1alpha2",
        &place,
        "mixed",
        &json!({"stringData": {"good": good, "of/another": foreign, "plain": "hunter2!"}}),
    );
    create("v1alpha2", &place, "of-kamus", &json!({"stringData": {"a": LEGACY}}));
    create("v1alpha2", &place, "nobody", &json!({"serviceAccount": "", "stringData": {"a": good}}));
    assert_eq!(keys.run(&["keys", "rotate"]).code, 0);
    let scope = format!("--namespace={place}");
    let rewrap = ["rewrap", "--cluster", "--kamus-allow-unverified", scope.as_str()];
    let ended = keys.run(&rewrap);
    assert_eq!((ended.code, ended.text()), (1, &*format!("{place}/mixed: 1 encrypted anew\n")), "{}", ended.stderr);
    for words in [
        "/mixed: stringData[\"of/another\"]: it was not encrypted for this service account, or was changed",
        "/mixed: stringData[\"plain\"]: this is no encrypted text (encrypt the value again: strongroom encrypt)",
        "/of-kamus: stringData[\"a\"]: it was encrypted by Kamus with an AES key, which is not read here",
        "/nobody: serviceAccount: ",
        "3 KamusSecrets; 1 changed; 4 texts stay as they are",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("hunter2"));
    let found = texts(&place);
    assert_eq!(
        (&found["mixed stringData.of/another"], &found["mixed stringData.plain"]),
        (&foreign, &"hunter2!".to_owned())
    );
    assert_eq!(found["of-kamus stringData.a"], LEGACY);
    // With the key of Kamus, and its danger named, its texts are moved over as well.
    let published = keys.folder.path().join("published");
    std::fs::write(&published, PUBLISHED).unwrap();
    let legacy = ["--kamus-aes-key-file", path(&published), "--insecure-any-account-reads-kamus-texts"];
    let ended = keys.run(&[&rewrap[..], &legacy].concat());
    assert_eq!((ended.code, ended.text()), (1, &*format!("{place}/of-kamus: 1 encrypted anew\n")), "{}", ended.stderr);
    let moved = &texts(&place)["of-kamus stringData.a"];
    let decryptor = Decryptor::start(&keys);
    let token = |account: &str| CLUSTER.service_account_token(&place, account, &[]).unwrap();
    assert_eq!(decrypt(&decryptor.address, &token(ACCOUNT), moved), (200, "test".to_owned()));
    assert_eq!(decrypt(&decryptor.address, &token("other-sa"), moved).0, 400);
}

/// A kubeconfig of the shared cluster for the owner of a token.
fn kubeconfig(folder: &Path, token: &str) -> PathBuf {
    let authority = BASE64_STANDARD.encode(std::fs::read(CLUSTER.certificate_authority()).unwrap());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": CLUSTER.server(), "certificate-authority-data": authority}}],
        "users": [{"name": "x", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

#[test]
fn s2_marks_are_right_after_a_rotation_and_nobody_is_vouched_for_by_it() {
    let keys = Keys::create();
    let keys_in = keys.flags[0].trim_start_matches("--keys-secret=").split('/').next().unwrap().to_owned();
    let place = namespace(&CLUSTER, &[]);
    let old = keys.public();
    // Before admission looks, nobody asks who names the account.
    create("v1alpha2", &place, "unseen", &json!({"stringData": {"a": seal(&old, &place, "1")}}));
    CLUSTER.kubectl(&["label", "namespace", &place, "kamus-rotation=seen"]).unwrap();
    let admission = Admission::start(&keys.flags());
    admission.called_for("kamus-rotation", &[("kamus-rotation", "seen")]);
    let scope = format!("--namespace={place}");
    let flags = [&["--kamus", scope.as_str()][..], &keys.flags()].concat();
    let operator = Operator::spawn(&CLUSTER, &flags, &[]);
    eventually("admission marks", || {
        // A configuration of webhooks is heeded a moment after it was made.
        API.delete("kamussecrets", &place, "app");
        create("v1alpha2", &place, "app", &json!({"stringData": {"a": seal(&old, &place, "2")}}));
        let object = API.get("kamussecrets", &place, "app").unwrap();
        let is_marked = object["metadata"]["annotations"]["strongroom.dev/kamus-verified"].is_string();
        if is_marked { Ok(()) } else { Err("not yet") }
    });
    let is_well = |name: &str| {
        eventually(&format!("{name} is well"), || {
            let object = API.get("kamussecrets", &place, name).unwrap();
            let (status, reason, message) = condition(&object, "Ready").unwrap_or_default();
            let is_current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            if status == "True" && is_current { Ok(()) } else { Err(format!("{reason}: {message}")) }
        });
        data(&API.get("secrets", &place, name).unwrap())["a"].clone()
    };
    assert_eq!(is_well("app"), "2");
    assert_eq!(keys.run(&["keys", "rotate"]).code, 0);
    let rewrap = ["rewrap", "--cluster", scope.as_str()];

    // Who may write the objects, and not act as their account, changes nothing by it.
    let token = CLUSTER.service_account_token(&place, "stranger", &[]).unwrap();
    for (place, resource, group, verbs) in [
        (&place, "kamussecrets", "soluto.com", ["list", "get", "patch"]),
        (&keys_in, "secrets", "", ["list", "get", "watch"]),
    ] {
        let metadata = json!({"name": "stranger", "namespace": place});
        let rules = json!([{"apiGroups": [group], "resources": [resource], "verbs": verbs}]);
        let account = token_owner(&token);
        let subject = json!({"kind": "ServiceAccount", "name": "stranger", "namespace": account});
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "stranger"});
        for object in [
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": reference, "subjects": [subject],
            }),
        ] {
            CLUSTER.apply(&object.to_string()).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = kubeconfig(folder.path(), &token);
    let before = texts(&place);
    let refused = strongroom(&keys.words(&config, &rewrap), &[], b"");
    assert_eq!((refused.code, refused.text()), (1, ""), "{}", refused.stderr);
    let words = format!("{place}/app: cannot update KamusSecret app: the admission webhook");
    for words in [words.as_str(), "refuses it", "create on serviceaccounts/token of their accounts"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert_eq!(texts(&place), before);

    // Who may, does: a mark that was right stays right, and what nobody has verified stays as it is.
    let ended = keys.run(&rewrap);
    assert_eq!((ended.code, ended.text()), (1, &*format!("{place}/app: 1 encrypted anew\n")), "{}", ended.stderr);
    assert!(ended.stderr.contains("/unseen: nobody has verified that its author may act"), "{}", ended.stderr);
    assert_eq!(texts(&place)["unseen stringData.a"], before["unseen stringData.a"]);
    assert_eq!(API.get("kamussecrets", &place, "unseen").unwrap()["metadata"]["annotations"], Value::Null);
    assert_eq!(is_well("app"), "2");

    // The key that made the first marks leaves, and the marks hold.
    let (old, new) = (old.id().to_string(), keys.public().id().to_string());
    let stays = keys.run(&["keys", "retire", &old, "--yes"]);
    let words = format!("KamusSecret {place}/unseen: stringData[\"a\"] needs the key\n");
    assert_eq!((stays.code, stays.text()), (1, words.as_str()), "{}", stays.stderr);
    assert!(API.delete("kamussecrets", &place, "unseen"));
    assert_eq!(keys.run(&["keys", "retire", &old, "--yes"]).code, 0);
    drop(operator);
    let _operator = Operator::spawn(&CLUSTER, &flags, &[]);
    let more = json!({"stringData": {"b": seal(&keys.public(), &place, "3")}});
    API.patch("kamussecrets", &place, "app", &more);
    assert_eq!(is_well("app"), "2");
    assert_eq!(data(&API.get("secrets", &place, "app").unwrap())["b"], "3");
    let listed = keys.run(&["keys", "list"]);
    assert!(listed.text().contains(&new) && !listed.text().contains(&old), "{}", listed.text());
}

/// The namespace of the service account that a token is of.
fn token_owner(token: &str) -> String {
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["kubernetes.io"]["namespace"].as_str().unwrap().to_owned()
}

#[test]
fn a_key_is_retired_only_when_nothing_needs_it() {
    let keys = Keys::create();
    let place = namespace(&CLUSTER, &[]);
    let old = keys.public();
    let text = seal(&old, &place, "1");
    let (old, folder) = (old.id().to_string(), tempfile::tempdir().unwrap());
    let file = folder.path().join("values.txt");
    std::fs::write(&file, format!("x: {text}\n")).unwrap();
    let retire = |words: &[&str]| keys.run(&[&["keys", "retire"][..], words].concat());
    let failed = |words: &[&str], said: &str| {
        let ended = retire(words);
        assert!(ended.code == 1 && ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
        ended.text().to_owned()
    };
    failed(&[&old, "--yes"], "is the newest key");
    assert_eq!(keys.run(&["keys", "rotate"]).code, 0);
    failed(&["0123456789abcdef", "--yes"], "there is no key 0123456789abcdef");
    failed(&["nonsense", "--yes"], "this is no key's name");
    create("v1alpha2", &place, "app", &json!({"stringData": {"a": text}}));
    // As an init container has it.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "encrypted"}, "data": {"a": text}});
    assert_eq!(API.create("configmaps", &place, &map).0, 201);
    let needed = failed(&[&old, "--yes", path(&file)], "3 texts and marks need it");
    let lines: Vec<&str> = needed.lines().collect();
    let expected = [
        format!("KamusSecret {place}/app: stringData[\"a\"] needs the key"),
        format!("ConfigMap {place}/encrypted: data[\"a\"] needs the key"),
        format!("{} needs the key", file.display()),
    ];
    assert_eq!(lines, expected);
    // Another one has it: then it must go, and texts with it. Told first, done when that is said.
    let listed = || keys.run(&["keys", "list"]).text().to_owned();
    assert_eq!(retire(&[&old, "--lose-texts"]).code, 0);
    assert!(listed().contains(&old));
    let gone = retire(&[&old, "--lose-texts", "--yes"]);
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert!(!listed().contains(&old));
    let decryptor = Decryptor::start(&keys);
    let token = CLUSTER.service_account_token(&place, ACCOUNT, &[]).unwrap();
    let (status, words) = decrypt(&decryptor.address, &token, &text);
    assert!(status == 400 && words.contains("the key that it was encrypted for is not known here"), "{status} {words}");
}

#[test]
fn a_folder_whose_rewrap_is_killed_has_no_torn_file_and_is_finished_by_the_next() {
    const FILES: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let (local, ring, files) = (folder.path().join("local"), folder.path().join("ring"), folder.path().join("files"));
    std::fs::write(&local, LOCAL).unwrap();
    std::fs::create_dir(&files).unwrap();
    let flags = ["--keys-file", path(&ring), "--local-key-file", path(&local)];
    let kamus = |words: &[&str]| strongroom(&[&["kamus"], words, &flags].concat(), &[], b"");
    assert_eq!(kamus(&["keys", "create"]).code, 0);
    let public = || PublicKey::read(kamus(&["keys", "public"]).text().as_bytes()).unwrap();
    let old = public();
    let manifest = |text: &str| {
        let head =
            "# ours\napiVersion: soluto.com/v1alpha2\nkind: KamusSecret\nmetadata: {name: s, namespace: team-a}\n";
        format!("{head}serviceAccount: {ACCOUNT}\nstringData:\n  a: {text} # why\n# the end\n")
    };
    let text = seal(&old, "team-a", "x");
    let names: Vec<String> = (0..FILES).map(|number| path(&files.join(format!("{number}.yaml"))).to_owned()).collect();
    for name in &names {
        std::fs::write(name, manifest(&text)).unwrap();
    }
    assert_eq!(kamus(&["keys", "rotate"]).code, 0);
    let new = public();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let words = [&["kamus", "rewrap"], &flags[..], &names].concat();
    // Whole, as it was or as it is to be; how many are done.
    let done = || {
        let is_done = |name: &&&str| {
            let read = std::fs::read_to_string(name).unwrap();
            let found = read.split("  a: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            assert_eq!(read, manifest(found), "{name} is torn");
            assert!(found == text || found.len() == text.len() && found.starts_with(&format!("sr1.{}.", new.id())));
            found != text
        };
        names.iter().filter(is_done).count()
    };
    let mut so_far = 0;
    for lines in [1, 20, 40] {
        killed_after(lines, &words);
        let now = done();
        assert!((so_far + lines..FILES).contains(&now), "{now} after {so_far} and {lines}");
        so_far = now;
    }
    let rest = strongroom(&words, &[], b"");
    assert_eq!((rest.code, rest.text().lines().count()), (0, FILES - so_far), "{}", rest.stderr);
    assert_eq!(done(), FILES);
}
