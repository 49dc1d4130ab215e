//! Kamus' services against a real API server and a real transit engine, by the requests that its clients make.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use strongroom_crypto::{JwtAlgorithm, JwtSigningKey};
use strongroom_secret::SecretBytes;
use world::open_bao::OpenBao;
use world::part::Part;
use world::switchboard::{Fault, Switchboard};

use crate::operator::api::API;
use crate::operator::support::{CLUSTER, eventually, namespace};
use crate::{AWS, CANARY, REGION, VAULT, strongroom};

const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";
const INCOMPLETE_ENCRYPTION: &str = "One or more of the required fields doesn't present in the request body.";
const INCOMPLETE_DECRYPTION: &str = "One or more of required fields doesn't present in the request body.";
const FAILED: &str = "server failed to handle response: ";

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
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: kamus-cli-0.3.6\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        exchange(&self.address, &request)
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

/// Sends these bytes; the status, the head in lower case and the body of the answer.
pub(crate) fn exchange(address: &str, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

/// What `kamus-cli` 0.3.6 sends, byte for byte: in one chunk, without a length.
pub(crate) fn request_of_original_command(host: &str, namespace: &str, account: &str, data: &str) -> String {
    let (data, account, namespace) = (json!(data), json!(account), json!(namespace));
    let body = format!(r#"{{"data":{data},"service-account":{account},"namespace":{namespace}}}"#);
    format!(
        "POST /api/v1/encrypt HTTP/1.1\r\nUser-Agent: kamus-cli-0.3.6\r\nContent-Type: application/json\r\nhost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

/// What `kamus-init-container` 1.4.3 sends, byte for byte.
pub(crate) fn request_of_original_init_container(host: &str, token: &str, text: &str) -> String {
    let body = format!(r#"{{"data":{}}}"#, json!(text));
    format!(
        "POST /api/v1/decrypt HTTP/1.1\r\nAccept: application/json, text/plain, */*\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\nUser-Agent: axios/0.21.1\r\nContent-Length: {}\r\nHost: {host}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What the command line encrypts by the encryptor at `url`: the original's where `KAMUS_CLI` is its command
/// (`KAMUS_CLI='npx kamus-cli'`), else ours. The value is in a file, not among the arguments.
pub(crate) fn encrypted_by_command(url: &str, namespace: &str, account: &str, value: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value");
    std::fs::write(&file, value).unwrap();
    let words = ["encrypt", "-f", file.to_str().unwrap(), "-a", account, "-n", namespace, "-u", url];
    let words = [&words[..], &["--allow-insecure-url"]].concat();
    let (code, said) = if std::env::var_os("KAMUS_CLI").is_some() {
        let mut command = Command::new("sh");
        let output = command.args(["-c", "exec $KAMUS_CLI \"$@\"", "kamus-cli"]).args(&words).output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap())
    } else {
        let ended = strongroom(&words, &[], b"");
        (ended.code, ended.text().to_owned())
    };
    assert!(code == 0 && !said.contains(value), "{code}: {}", said.replace(value, "[the value]"));
    said.lines().last().unwrap_or_default().to_owned()
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

#[test]
fn ka_06_what_the_command_line_encrypts_comes_back_to_its_account_alone() {
    let kamus = &*KAMUS;
    let url = format!("http://{}/", kamus.encryptor.address);
    let (web, other) = (token(&kamus.namespace, "web", &[]), token(&kamus.namespace, "other", &[]));
    for value in [CANARY, "with \"quotes\", ünïcödé and $HOME", r#"{"port": 1.0}"#] {
        let text = encrypted_by_command(&url, &kamus.namespace, "web", value);
        assert!(kamus.decryptor.decrypt(&web, &text) == (200, value.to_owned()), "{text} is another value");
        assert_eq!(kamus.decryptor.decrypt(&other, &text).0, 400);
    }
}

#[test]
fn requests_of_the_original_clients_are_served_byte_for_byte() {
    let kamus = &*KAMUS;
    let value = format!("{CANARY} \"\u{e9}\"");
    let request = request_of_original_command("kamus-encryptor.example", &kamus.namespace, "web", &value);
    let (status, head, text) = exchange(&kamus.encryptor.address, &request);
    assert!(status == 200 && head.contains("content-type: text/plain; charset=utf-8"), "{head}");
    let web = token(&kamus.namespace, "web", &[]);
    let host = "kamus-decryptor.default.svc.cluster.local";
    let (status, head, body) =
        exchange(&kamus.decryptor.address, &request_of_original_init_container(host, &web, &text));
    assert!(status == 200 && head.contains("content-type: text/plain; charset=utf-8"), "{head}");
    assert!(body == value, "another value came back");
    // Files that people write have a newline at their end.
    let with_newline = request_of_original_init_container(host, &web, &format!("{text}\n"));
    assert!(exchange(&kamus.decryptor.address, &with_newline).2 == value, "another value came back");
}

/// A token of the API server with other claims, signed by its own key.
fn signed_anew(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut parts = token.split('.');
    let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
    let mut claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    change(&mut claims);
    let signed = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = std::fs::read(CLUSTER.certificate_authority().with_file_name("sa.key")).unwrap();
    let key = JwtSigningKey::from_pem(JwtAlgorithm::Rs256, &SecretBytes::new(key)).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap()))
}

#[test]
fn only_tokens_that_are_meant_for_us_and_not_over_are_taken_where_audiences_are_strict() {
    let kamus = &*KAMUS;
    let secret = format!("--keys-secret={}/kamus-keys", kamus.namespace);
    let flags = [secret.as_str(), "--key-management=transit", "--key=kamus-transit/installation", "--strict-audience"];
    let vault = [("VAULT_ADDR", VAULT.address()), ("VAULT_TOKEN", VAULT.root_token())];
    let strict = Service::start("decryptor", &flags, &vault, CLUSTER.kubeconfig());
    let (_, text) = kamus.encryptor.encrypt(&kamus.namespace, "web", CANARY);
    let (ours, elsewhere) = (token(&kamus.namespace, "web", &["kamus"]), namespace(&CLUSTER, &[]));
    let gone = token(&kamus.namespace, "gone", &["kamus"]);
    assert!(API.delete("serviceaccounts", &kamus.namespace, "gone"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let over = |claims: &mut Value| {
        for (claim, before) in [("iat", 4200), ("nbf", 4200), ("exp", 600)] {
            claims[claim] = json!(now - before);
        }
    };
    for (who, token, expected) in [
        ("the owner", ours.clone(), 200),
        ("the owner, signed anew", signed_anew(&ours, |_| ()), 200),
        ("the owner, for others too", token(&kamus.namespace, "web", &["vault", "kamus"]), 200),
        ("the owner, of an hour ago", signed_anew(&ours, over), 401),
        ("the owner, for the API server", token(&kamus.namespace, "web", &[]), 401),
        ("the owner, for others", token(&kamus.namespace, "web", &["vault"]), 401),
        ("an account that is gone", gone, 401),
        ("another account", token(&kamus.namespace, "other", &["kamus"]), 400),
        ("another namespace", token(&elsewhere, "web", &["kamus"]), 400),
    ] {
        let (status, words) = strict.decrypt(&token, &text);
        assert_eq!((status, words.contains(CANARY)), (expected, expected == 200), "{who}");
        let told =
            if expected == 400 { words.contains("not encrypted for this service account") } else { words.is_empty() };
        assert!(status == 200 || told, "{who}: {words}");
    }
}

/// A decryptor that reaches its key management by a way that may fail, with texts under a key that it has unwrapped and
/// under one that it has not.
struct Failing {
    way: Switchboard,
    decryptor: Service,
    owner: String,
    known: String,
    unknown: String,
}

impl Failing {
    /// `variables` are what programs need to find the key management at an address.
    fn start(host_port: &str, flags: &[&str], variables: &dyn Fn(&str) -> Vec<(&'static str, String)>) -> Self {
        let (way, place) = (Switchboard::to(host_port).unwrap(), namespace(&CLUSTER, &[]));
        let secret = format!("--keys-secret={place}/kamus-keys");
        let flags = [&[secret.as_str()][..], flags].concat();
        let kubeconfig = CLUSTER.kubeconfig().to_str().unwrap();
        let direct = variables(&format!("http://{host_port}"));
        let through = variables(way.address());
        let keys = |action: &str| {
            let words = [&["kamus", "keys", action, "--kubeconfig", kubeconfig][..], &flags].concat();
            let ended = strongroom(&words, &borrowed(&direct), b"");
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            ended.text().to_owned()
        };
        let encrypted = |value: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), keys("public")).unwrap();
            let to = ["-a", "web", "-n", &place, "--public-key", file.path().to_str().unwrap()];
            let ended = strongroom(&[&["encrypt", "-f", "-", "--quiet"], &to[..]].concat(), &[], value.as_bytes());
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            ended.text().trim().to_owned()
        };
        keys("create");
        let decryptor = Service::start("decryptor", &flags, &borrowed(&through), CLUSTER.kubeconfig());
        let known = encrypted("known");
        keys("rotate");
        let (unknown, owner) = (encrypted(CANARY), token(&place, "web", &[]));
        let failing = Self { way, decryptor, owner, known, unknown };
        // A text under a key that nobody has makes it look at the ring; what another ring unwrapped is not taken over.
        assert_eq!(failing.decryptor.decrypt(&failing.owner, "sr1.0123456789abcdef.AQID").0, 400);
        failing.opens().unwrap();
        failing
    }

    fn opens(&self) -> Result<(), String> {
        let (status, words) = self.decryptor.decrypt(&self.owner, &self.known);
        if status == 200 && words == "known" { Ok(()) } else { Err(format!("{status} {words}")) }
    }

    /// Told is what is wrong, by this status and in these words; what is known opens all the while.
    fn tells(&self, status: u16, words: &str) {
        let data = json!({"data": self.unknown}).to_string();
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {}\r\n", self.owner);
        let (found, head, body) = self.decryptor.send("POST", "/api/v1/decrypt", &headers, &data);
        assert!(found == status && body.starts_with(FAILED) && body.contains(words), "{words}: {found} {body}");
        // A client that may try again is told when.
        assert_eq!(head.contains("retry-after: "), status == 503, "{head}");
        self.opens().unwrap();
    }

    /// The same while requests meet this fault.
    fn tells_at(&self, fault: Fault, status: u16, words: &str) {
        self.way.add(fault);
        self.tells(status, words);
        self.way.clear();
    }

    fn recovers(&self) {
        eventually("it opens again", || match self.decryptor.decrypt(&self.owner, &self.unknown) {
            (200, value) if value == CANARY => Ok(()),
            (status, _) => Err(status),
        });
        assert!(!self.decryptor.logged().contains(CANARY) && !self.decryptor.logged().contains(&self.owner));
    }
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn while_a_transit_engine_throttles_is_down_or_refuses_the_decryptor_says_so() {
    VAULT.command(&["secrets", "enable", "-path=kamus-failing", "transit"]).unwrap();
    VAULT.command(&["write", "-f", "kamus-failing/keys/k"]).unwrap();
    let variables =
        |address: &str| vec![("VAULT_ADDR", address.to_owned()), ("VAULT_TOKEN", VAULT.root_token().to_owned())];
    let flags = ["--key-management=transit", "--key=kamus-failing/k"];
    let failing = Failing::start(VAULT.host_port(), &flags, &variables);
    failing.tells_at(Fault::throttle(Some(60)), 503, "429");
    failing.tells_at(Fault::answer(503, &[], r#"{"errors": ["Vault is sealed"]}"#), 503, "sealed");
    failing.tells_at(Fault::hangup(), 503, "");
    failing.tells_at(Fault::answer(403, &[], r#"{"errors": ["permission denied"]}"#), 500, "");
    // The version of the key that wrapped ours is put out of use.
    VAULT.command(&["write", "-f", "kamus-failing/keys/k/rotate"]).unwrap();
    VAULT.command(&["write", "kamus-failing/keys/k/config", "min_decryption_version=2"]).unwrap();
    failing.tells(500, "too old");
    VAULT.command(&["write", "kamus-failing/keys/k/config", "min_decryption_version=1"]).unwrap();
    failing.recovers();
}

#[test]
fn while_aws_kms_throttles_is_down_or_has_the_key_disabled_the_decryptor_says_so() {
    let made = AWS.call(REGION, "TrentService.CreateKey", &json!({})).unwrap();
    let key = format!("--key={}", made["KeyMetadata"]["KeyId"].as_str().unwrap());
    let variables = |address: &str| {
        let text = str::to_owned;
        vec![
            ("AWS_ENDPOINT_URL", text(address)),
            ("AWS_REGION", text(REGION)),
            ("AWS_ACCESS_KEY_ID", text("AKIAIOSFODNN7EXAMPLE")),
            ("AWS_SECRET_ACCESS_KEY", text("not-a-real-key")),
        ]
    };
    let failing = Failing::start(AWS.host_port(), &["--key-management=aws", &key], &variables);
    failing.tells_at(Fault::aws("ThrottlingException"), 503, "AWS asks for patience");
    failing.tells_at(Fault::answer(503, &[], ""), 503, "");
    failing.tells_at(Fault::hangup(), 503, "");
    failing.tells_at(Fault::aws("AccessDeniedException"), 500, "");
    failing.tells_at(Fault::aws("DisabledException"), 500, "the key is disabled");
    failing.recovers();
}
