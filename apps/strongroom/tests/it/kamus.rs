//! Kamus' services against a real API server and a real transit engine, by the requests that its clients make.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use world::open_bao::OpenBao;
use world::part::Part;

use crate::operator::api::API;
use crate::operator::support::{CLUSTER, eventually, namespace};
use crate::{CANARY, VAULT};

const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";
const INCOMPLETE_ENCRYPTION: &str = "One or more of the required fields doesn't present in the request body.";
const INCOMPLETE_DECRYPTION: &str = "One or more of required fields doesn't present in the request body.";

/// Both services, with the installation's keys in a Secret of the shared cluster and wrapped by a transit engine.
static KAMUS: LazyLock<Kamus> = LazyLock::new(|| {
    let bao: &OpenBao = &VAULT;
    bao.command(&["secrets", "enable", "-path=kamus-transit", "transit"]).unwrap();
    bao.command(&["write", "-f", "kamus-transit/keys/installation"]).unwrap();
    let place = namespace(&CLUSTER, &[]);
    let secret = format!("--keys-secret={place}/kamus-keys");
    let flags = [secret.as_str(), "--key-management=transit", "--key=kamus-transit/installation"];
    let vault = [("VAULT_ADDR", bao.address()), ("VAULT_TOKEN", bao.root_token())];
    // Both at once, with no keys there yet: both must come to the same.
    let encryptor = Service::start("encryptor", &flags, &vault, CLUSTER.kubeconfig());
    let decryptor = Service::start("decryptor", &flags, &vault, CLUSTER.kubeconfig());
    Kamus { encryptor, decryptor, namespace: place }
});

struct Kamus {
    encryptor: Service,
    decryptor: Service,
    namespace: String,
}

/// A running service; dropping it kills it.
struct Service {
    part: Part,
    folder: tempfile::TempDir,
    address: String,
}

impl Service {
    fn start(name: &str, flags: &[&str], variables: &[(&str, &str)], kubeconfig: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("env");
        command
            .args(["-i", "PATH=/usr/bin:/bin"])
            .args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(env!("CARGO_BIN_EXE_strongroom")).args(["kamus", name, "--listen-address=127.0.0.1:0"]);
        command.arg("--kubeconfig").arg(kubeconfig).args(flags);
        let part = Part::start(name, &command, folder.path()).unwrap();
        let mut service = Self { part, folder, address: String::new() };
        service.address = eventually("the service listens", || {
            let logged = service.logged();
            let line = logged.lines().find(|line| line.contains("msg=serving"));
            let address = line.and_then(|line| line.split("address=").nth(1)).map(|rest| rest.trim().to_owned());
            address.ok_or(logged)
        });
        service
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(self.part.log()).unwrap_or_default()
    }

    /// Sends a request; the status, the head and the body of the answer.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: kamus-cli-0.3.6\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    /// What an encryption answers: status and text.
    fn encrypt(&self, namespace: &str, account: &str, data: &str) -> (u16, String) {
        let body = json!({"data": data, "service-account": account, "namespace": namespace}).to_string();
        let (status, _, text) = self.send("POST", "/api/v1/encrypt", "Content-Type: application/json\r\n", &body);
        (status, text)
    }

    /// What a decryption answers to the owner of a token.
    fn decrypt(&self, token: &str, text: &str) -> (u16, String) {
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        let (status, _, body) = self.send("POST", "/api/v1/decrypt", &headers, &json!({"data": text}).to_string());
        (status, body)
    }
}

fn token(namespace: &str, account: &str, audiences: &[&str]) -> String {
    CLUSTER.service_account_token(namespace, account, audiences).unwrap()
}

#[test]
fn a_value_comes_back_to_its_account_and_to_nobody_else() {
    let kamus = &*KAMUS;
    let (status, text) = kamus.encryptor.encrypt(&kamus.namespace, "web", CANARY);
    assert!(status == 200 && text.starts_with("sr1."), "{status} {text}");
    let web = token(&kamus.namespace, "web", &[]);
    for token in [web.as_str(), &token(&kamus.namespace, "web", &["kamus"]), &format!(" {web} ")] {
        assert!(kamus.decryptor.decrypt(token, &text) == (200, CANARY.to_owned()), "the owner is refused");
    }
    let elsewhere = namespace(&CLUSTER, &[]);
    for stranger in [token(&kamus.namespace, "other", &[]), token(&elsewhere, "web", &[])] {
        let (status, words) = kamus.decryptor.decrypt(&stranger, &text);
        assert_eq!((status, words.contains(CANARY)), (400, false), "{words}");
        assert!(words.contains("not encrypted for this service account"), "{words}");
    }
    for foreign in [token(&kamus.namespace, "web", &["vault"]), format!("{web}x"), "nonsense".to_owned()] {
        assert_eq!(kamus.decryptor.decrypt(&foreign, &text), (401, String::new()));
    }
    // Every account may read what the default one may not have had encrypted.
    let (status, words) = kamus.encryptor.encrypt(&kamus.namespace, "default", "x");
    assert_eq!((status, words.as_str()), (400, "You cannot encrypt a secret for the default service account"));
    // Each decryption is in the trail, the refused ones too, without token or value.
    let trail = kamus.decryptor.logged();
    let entries: Vec<Value> = trail.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |account: &str| {
        entries.iter().filter(|entry| entry["auth"]["metadata"]["service_account_name"] == account).count()
    };
    assert!(of("web") >= 4 && of("other") >= 1, "{trail}");
    assert!(!trail.contains(CANARY) && !trail.contains(&web), "the trail tells a secret");
}

#[test]
fn ka_03_texts_and_codes_are_those_of_kamus() {
    let kamus = &*KAMUS;
    let json = "Content-Type: application/json\r\n";
    for body in [
        "",
        "{}",
        "nonsense",
        r#"{"data":"x","namespace":"n"}"#,
        r#"{"data":null,"service-account":"a","namespace":"n"}"#,
    ] {
        let (status, _, words) = kamus.encryptor.send("POST", "/api/v1/encrypt", json, body);
        assert_eq!((status, words.as_str()), (400, INCOMPLETE_ENCRYPTION), "{body}");
    }
    let web = token(&kamus.namespace, "web", &[]);
    let known = format!("{json}Authorization: bearer {web}\r\n");
    for (headers, body, expected, words) in [
        (json, r#"{"data":"x"}"#, 401, ""),
        (json, "nonsense", 401, ""),
        (&known, "nonsense", 400, INCOMPLETE_DECRYPTION),
        (&known, "{}", 400, INCOMPLETE_DECRYPTION),
        (&known, r#"{"data":null}"#, 400, INCOMPLETE_DECRYPTION),
    ] {
        let (status, _, text) = kamus.decryptor.send("POST", "/api/v1/decrypt", headers, body);
        assert_eq!((status, text.as_str()), (expected, words), "{body}");
    }
    // Kamus answered 500 to a text that is none (#122).
    let (status, words) = kamus.decryptor.decrypt(&web, "garbage!");
    assert_eq!((status, words.as_str()), (400, "this is no encrypted text"));
    let (_, head, _) = kamus.encryptor.send("POST", "/api/v1/encrypt", json, "{}");
    assert!(head.contains("content-type: text/plain; charset=utf-8"), "{head}");
}

#[test]
fn ka_04_both_say_that_they_are_alive() {
    for service in [&KAMUS.encryptor, &KAMUS.decryptor] {
        let get = |path: &str| {
            let (status, _, body) = service.send("GET", path, "", "");
            (status, body)
        };
        assert_eq!(get("/api/v1/isAlive"), (200, "true".to_owned()));
        assert_eq!(get("/"), (200, "welcome".to_owned()));
        assert_eq!(get("/readyz"), (200, "ok".to_owned()));
        assert_eq!(get("/nothing").0, 404);
        let (_, metrics) = get("/metrics");
        let names = ["application_httprequests_transactions", "strongroom_kamus_request_duration_seconds"];
        assert!(names.iter().all(|name| metrics.contains(name)), "{metrics}");
    }
}

#[test]
fn a_key_that_is_added_encrypts_and_the_old_one_still_opens() {
    let kamus = &*KAMUS;
    let web = token(&kamus.namespace, "web", &[]);
    let (_, old) = kamus.encryptor.encrypt(&kamus.namespace, "web", "old");
    let place = format!("--keys-secret={}/kamus-keys", kamus.namespace);
    let kubeconfig = CLUSTER.kubeconfig().to_str().unwrap().to_owned();
    let flags = [&place, "--kubeconfig", &kubeconfig, "--key-management=transit", "--key=kamus-transit/installation"];
    let vault = [("VAULT_ADDR", VAULT.address()), ("VAULT_TOKEN", VAULT.root_token())];
    let rotated = crate::strongroom(&[&["kamus", "keys", "rotate"][..], &flags].concat(), &vault, b"");
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    let newest = rotated.text().lines().last().unwrap().split(' ').next().unwrap().to_owned();
    assert!(!old.contains(&newest));
    eventually("the encryptor follows", || {
        let (_, new) = kamus.encryptor.encrypt(&kamus.namespace, "web", "new");
        if new.contains(&newest) && kamus.decryptor.decrypt(&web, &new) == (200, "new".to_owned()) {
            Ok(())
        } else {
            Err(new)
        }
    });
    assert_eq!(kamus.decryptor.decrypt(&web, &old), (200, "old".to_owned()));
    // What lies in the cluster opens nothing by itself.
    let secret = API.get("secrets", &kamus.namespace, "kamus-keys").unwrap();
    assert_eq!(secret["data"].as_object().unwrap().len(), 1, "{}", secret["metadata"]);
}

#[test]
fn ka_02_without_key_derivation_everybody_reads_and_only_where_that_is_allowed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (local, published) = (file("local", KEY), file("published", PUBLISHED));
    let ring = folder.path().join("ring.json");
    let ring = format!("--keys-file={}", ring.display());
    let text = "4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==";
    let place = namespace(&CLUSTER, &[]);
    let anybody = token(&place, "anybody", &[]);
    let flags = [&ring, "--local-key-file", &local, "--kamus-aes-key-file", &published];
    let allowed = [&flags[..], &["--insecure-any-account-reads-kamus-texts"]].concat();
    let service = Service::start("decryptor", &allowed, &[], CLUSTER.kubeconfig());
    assert_eq!(service.decrypt(&anybody, text), (200, "test".to_owned()));
    assert!(service.logged().contains("every service account can read all texts"), "{}", service.logged());
    let service = Service::start("decryptor", &flags, &[], CLUSTER.kubeconfig());
    let (status, words) = service.decrypt(&anybody, text);
    assert!(status == 400 && words.contains("not read here"), "{status} {words}");
    drop(service);
    // Nothing is encrypted under the key that everybody has, and nothing else stands in for it.
    for (variables, flags) in [
        (&[("KeyManagement__AES__Key", PUBLISHED)][..], &[ring.as_str()][..]),
        (&[], &[ring.as_str(), "--local-key-file", &published]),
    ] {
        let words = [&["kamus", "encryptor", "--listen-address=127.0.0.1:0"][..], flags].concat();
        let ended = crate::strongroom(&words, variables, b"");
        assert!(ended.code == 1 && ended.stderr.contains("everybody has it"), "{}", ended.stderr);
    }
}

#[test]
fn who_cannot_be_identified_gets_nothing_and_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let (local, kubeconfig) = (folder.path().join("local"), folder.path().join("kubeconfig"));
    std::fs::write(&local, KEY).unwrap();
    // Nobody listens on the discard port.
    let nowhere = std::fs::read_to_string(CLUSTER.kubeconfig()).unwrap();
    let nowhere = nowhere.replace(CLUSTER.server(), "https://127.0.0.1:9");
    std::fs::write(&kubeconfig, nowhere).unwrap();
    let ring = format!("--keys-file={}", folder.path().join("ring.json").display());
    let flags = [&ring, "--local-key-file", local.to_str().unwrap(), "--rate=1", "--burst=2", "--strict-audience"];
    let service = Service::start("decryptor", &flags, &[], &kubeconfig);
    let ours = token(&KAMUS.namespace, "web", &["kamus"]);
    let (status, words) = service.decrypt(&ours, "sr1.0123456789abcdef.AQID");
    assert!(status == 503 && words.starts_with("server failed to handle response: "), "{status} {words}");
    // Told by the token itself that it is not meant for us, the API server need not be asked.
    assert_eq!(service.decrypt(&token(&KAMUS.namespace, "web", &[]), "x").0, 401);
    let service = Service::start("decryptor", &flags, &[], CLUSTER.kubeconfig());
    let statuses: Vec<u16> = (0..3).map(|_| service.decrypt(&ours, "sr1.0123456789abcdef.AQID").0).collect();
    assert_eq!(statuses, [400, 400, 429]);
    assert!(service.folder.path().exists());
}
