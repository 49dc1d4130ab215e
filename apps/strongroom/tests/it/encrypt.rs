//! KA-06 of the catalogue: what `kamus-cli encrypt` takes, says and ends with, against an encryptor of the test's own; and
//! what it never did: encrypting without a service, in manifests, and checking them.

use std::path::Path;
use std::sync::Arc;

use strongroom_kamus::{Identity, Installation, KeyRing, NewRecord, OpenedKey, Text};
use strongroom_secret::SecretBytes;
use world::certificates::Authority;
use world::scripted::{Scripted, answer};
use world::switchboard::Switchboard;

use crate::{CANARY, Ended, strongroom};

/// Answers every request with the same.
fn stub(status: &str, headers: &str, body: &str) -> Scripted {
    let given = answer(status, headers, body);
    Scripted::start(move |_| given.clone()).unwrap()
}

fn encrypt(words: &[&str], stdin: &[u8]) -> Ended {
    strongroom(&[&["encrypt"], words].concat(), &[], stdin)
}

fn error(ended: &Ended, words: &str) {
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let last = ended.text().lines().last().unwrap_or_default();
    assert_eq!(last, format!("[error kamus-cli]: Error while trying to encrypt with kamus: {words}"));
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn ka_06_the_transcript_is_the_originals() {
    let stub = stub("200 OK", "Content-Type: text/plain; charset=utf-8\r\n", "the-text");
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", CANARY);
    let url = format!("{}/prefix/", stub.url());
    let usual = ["-a", "web", "-n", "team-a", "-u", &url, "--allow-insecure-url"];
    let begins = "[info  kamus-cli]: Encryption started...\n[info  kamus-cli]: service account: web\n[info  kamus-cli]: namespace: team-a\n[warn  kamus-cli]: Auth options were not provided, will try to encrypt without authentication to kamus\n";
    let succeeded = "[info  kamus-cli]: Successfully encrypted data to web service account in team-a namespace\n";
    let ends = "[info  kamus-cli]: Encrypted data:\nthe-text\n";
    let ended = encrypt(&[&usual[..], &["-f", &secret, "-v", "--auth-resource", "x"]].concat(), b"");
    assert_eq!((ended.code, ended.text(), ended.stderr.as_str()), (0, &*format!("{begins}{succeeded}{ends}"), ""));
    let (head, body) = stub.asked().remove(0);
    assert!(head.starts_with("post /prefix/api/v1/encrypt http/1.1"), "{head}");
    assert!(head.contains("user-agent: kamus-cli-0.3.6\r\n") && head.contains("content-type: application/json"));
    assert!(!head.contains("authorization"));
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(sent == serde_json::json!({"data": CANARY, "service-account": "web", "namespace": "team-a"}));
    // The output in a file of its own, once.
    let output = folder.path().join("out").display().to_string();
    let words = [&usual[..], &["-f", &secret, "-o", &output]].concat();
    let saved = format!("[info  kamus-cli]: Encrypted data was saved to {output}.\n");
    assert_eq!(encrypt(&words, b"").text(), format!("{begins}{succeeded}{saved}"));
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "the-text");
    error(&encrypt(&words, b""), &format!("EEXIST: file already exists, open '{output}'"));
    std::fs::write(&output, "old").unwrap();
    assert_eq!(encrypt(&[&words[..], &["-O"]].concat(), b"").code, 0);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "the-text");
    // All that is said, at the end of a file.
    let log = file(folder.path(), "log", "before\n");
    let ended = encrypt(&[&usual[..], &["-f", &secret, "--log-output", &log]].concat(), b"");
    assert_eq!((ended.code, ended.text()), (0, ""));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), format!("before\n{begins}{succeeded}{ends}"));
    // On the command line it is seen by others: that is said, and not where the result is.
    let ended = encrypt(&[&usual[..], &["-s", "x"]].concat(), b"");
    assert_eq!((ended.code, ended.text()), (0, &*format!("{begins}{succeeded}{ends}")));
    assert!(ended.stderr.contains("warning: a secret on the command line"), "{}", ended.stderr);
}

#[test]
fn ka_06_options_are_checked_in_the_originals_order_and_words() {
    let stub = stub("200 OK", "", "text");
    let insecure = ["-a", "web", "-n", "team-a", "-u", &stub.url()];
    let usual = [&insecure[..], &["--allow-insecure-url"]].concat();
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", CANARY);
    error(&encrypt(&insecure, b""), "Neither secret nor secret-file options were set.");
    error(&encrypt(&[&insecure[..], &["-s", ""]].concat(), b""), "Neither secret nor secret-file options were set.");
    let both = [&insecure[..], &["-s", "x", "-f", &secret]].concat();
    error(&encrypt(&both, b""), "Both secret nor secret-file options were set.");
    error(&encrypt(&[&insecure[..], &["-f", &secret]].concat(), b""), "Insecure Kamus URL is not allowed.");
    let id = "6fa459ea-ee8a-3ca4-894e-db77e160355e";
    let login = ["-f", &secret, "--auth-tenant", id, "--auth-application", id, "--auth-resource", "r"];
    error(&encrypt(&[&usual[..], &login].concat(), b""), "logging in at Azure by a device code is not offered here");
    assert!(stub.asked().is_empty());
    // An empty file is sent.
    let empty = file(folder.path(), "empty", "");
    assert_eq!(encrypt(&[&usual[..], &["-f", &empty]].concat(), b"").code, 0);
    for wrong in
        [&["--unknown"][..], &["--auth-tenant", "x"], &["extra"], &["-s", "a", "-s", "b"], &["--log-level", "x"]]
    {
        assert_eq!(encrypt(&[&usual[..], wrong].concat(), b"").code, 2, "{wrong:?}");
    }
    // Newlines are asked about; without consent the end is a good one, and nothing is sent.
    let lines = file(folder.path(), "lines", "a\nb");
    let sent = stub.asked().len();
    for answer in [&b""[..], b"n\n"] {
        let ended = encrypt(&[&usual[..], &["-f", &lines]].concat(), answer);
        assert_eq!(ended.code, 0);
        assert!(ended.stderr.contains("Secret contains newlines at index 1. Continue"), "{}", ended.stderr);
        assert!(!ended.text().contains("Successfully"));
    }
    assert_eq!(stub.asked().len(), sent);
    assert_eq!(encrypt(&[&usual[..], &["-f", &lines]].concat(), b"y\n").code, 0);
    assert_eq!(encrypt(&[&usual[..], &["-f", &lines, "-i"]].concat(), b"").code, 0);
    assert_eq!(encrypt(&[&usual[..], &["-f", "-", "-i", "-q"]].concat(), b"a\n").text(), "text\n");
    error(&encrypt(&[&usual[..], &["-f", "-"]].concat(), b"a\n"), "Secret contains newlines at index 1.");
    assert_eq!(stub.asked().len(), sent + 3);
}

#[test]
fn ka_06_what_is_no_answer_of_an_encryptor_is_an_error_without_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", CANARY);
    let failed = |body: &str, status: u16| {
        format!("Encrypt request failed due to unexpected error ({body}). Status code: {status}")
    };
    let missing = "One or more of the required fields doesn't present in the request body.";
    let echo = format!("bad {CANARY}");
    for (status, headers, body, words) in [
        ("400 Bad Request", "", missing, failed(missing, 400)),
        ("500 Internal Server Error", "", &echo, failed("bad [redacted]", 500)),
        ("307 Temporary Redirect", "Location: /elsewhere\r\n", "", failed("", 307)),
        ("204 No Content", "", "", failed("", 204)),
        ("200 OK", "", "", failed("", 200)),
        (
            "200 OK",
            "Content-Type: text/html\r\n",
            "<p>",
            "Encrypt request failed: the answer is a page (text/html)".to_owned(),
        ),
    ] {
        let stub = stub(status, headers, body);
        let ended = encrypt(&["-f", &secret, "-u", &stub.url(), "--allow-insecure-url"], b"");
        error(&ended, &words);
        assert!(ended.text().contains("service account: undefined\n"));
        assert!(!ended.text().contains(CANARY) && !ended.stderr.contains(CANARY), "{status}");
        assert_eq!(stub.asked().len(), 1, "{status}");
        assert!(!stub.asked()[0].1.contains("namespace"), "what nobody gave is not sent");
    }
}

#[test]
fn ka_06_a_server_with_another_fingerprint_gets_nothing() {
    let authority = Authority::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", CANARY);
    let trusted = authority.certificate_file().to_str().unwrap();
    let run = |url: &str, fingerprint: &str, variables: &[(&str, &str)]| {
        let words = ["encrypt", "-f", &secret, "-u", url, "-a", "web", "-n", "n", "--allow-insecure-url"];
        strongroom(&[&words[..], &["--cert-fingerprint", fingerprint]].concat(), variables, b"")
    };
    for variable in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        let stub = stub("200 OK", "", "text");
        let face = Switchboard::with_tls(stub.host_port(), &authority).unwrap();
        let trusting = [(variable, trusted)];
        let ended = run(face.address(), "AA:BB", &trusting);
        let last = ended.text().lines().last().unwrap().to_owned();
        let found = last.split("Server fingerprint ").nth(1).and_then(|rest| rest.split(' ').next());
        let Some(found) = found else { panic!("{last}") };
        error(&ended, &format!("Server fingerprint {found} does not match provided fingerprint AA:BB"));
        assert!(stub.asked().is_empty());
        assert_eq!(run(face.address(), found, &trusting).code, 0);
        // Compared letter by letter, and never in the place of trust.
        assert_eq!(run(face.address(), &found.to_lowercase(), &trusting).code, 1);
        let untrusted = run(face.address(), found, &[]);
        assert!(untrusted.code == 1 && !untrusted.text().contains("fingerprint"), "{}", untrusted.text());
        assert_eq!(run(&stub.url(), "AA:BB", &[]).code, 0, "without TLS there is none");
    }
}

/// The newest key of an installation, its document in a file, and what opens.
struct Keys {
    ring: KeyRing,
    opened: OpenedKey,
    file: String,
}

impl Keys {
    fn new(folder: &Path, name: &str) -> Self {
        let installation = Installation::new("production").unwrap();
        let fresh = NewRecord::generate(&installation).unwrap();
        let key = fresh.key.clone();
        let record = fresh.wrapped(String::new(), String::new());
        let opened = record.open(&installation, &key).unwrap();
        let document = serde_json::json!({"installation": "production", "key": opened.id.to_string(), "publicKey": record.public_key});
        let file = file(folder, name, &document.to_string());
        Self { ring: KeyRing { installation, keys: vec![record] }, opened, file }
    }

    fn open(&self, text: &str, namespace: &str, account: &str) -> Option<String> {
        let Ok(Text::Sealed(text)) = Text::read(text) else { return None };
        let reader = Identity::new(namespace, account).unwrap();
        let fresh = text.unwrap(&self.opened.key, &self.ring.installation, &reader).ok()?;
        text.open(&fresh).ok().map(|plain| plain.expose_text().unwrap().to_owned())
    }
}

#[test]
fn with_the_public_key_no_service_is_asked_and_only_the_account_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(folder.path(), "public.json");
    let words = ["-a", "web", "-n", "team-a", "--public-key", &keys.file, "-f", "-"];
    let ended = encrypt(&[&words[..], &["-q"]].concat(), CANARY.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(keys.open(ended.text(), "team-a", "web").as_deref(), Some(CANARY));
    assert_eq!(keys.open(ended.text(), "team-a", "api"), None);
    let told = encrypt(&words, b"x");
    assert!(!told.text().contains("Auth options") && told.text().contains("Encrypted data:\nsr1."), "{}", told.text());
    let default = encrypt(&["-a", "default", "-n", "team-a", "--public-key", &keys.file, "-s", "x"], b"");
    error(&default, "You cannot encrypt a secret for the default service account");
    error(&encrypt(&["-n", "team-a", "--public-key", &keys.file, "-s", "x"], b""), "the service account is missing");
    assert_eq!(encrypt(&["-u", "https://x", "--public-key", &keys.file, "-s", "x"], b"").code, 2);
    let broken = file(folder.path(), "broken.json", "{}");
    assert_eq!(encrypt(&["-a", "web", "-n", "n", "--public-key", &broken, "-s", "x"], b"").code, 1);
}

#[test]
fn plain_values_of_manifests_are_found_and_encrypted_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, newer) = (Keys::new(folder.path(), "public.json"), Keys::new(folder.path(), "newer.json"));
    let text = format!(
        "# ours\napiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  password: {CANARY} # why\n"
    );
    let manifest = file(folder.path(), "secret.yaml", &text);
    let template = file(folder.path(), "chart.yaml", "kind: Deployment\nx: {{ .Values.x }}\n");
    let check = |key: &str| encrypt(&["--check", "--public-key", key, &template, &manifest], b"");
    let plain = encrypt(&["--check", &manifest], b"");
    assert_eq!(
        (plain.code, plain.text()),
        (1, &*format!("{manifest}: Secret app: stringData.password: is not encrypted\n"))
    );
    let words = ["--in-place", &manifest, "-a", "web", "-n", "team-a", "--public-key", &keys.file];
    let ended = encrypt(&words, b"");
    assert_eq!((ended.code, ended.text()), (0, &*format!("{manifest}: values encrypted: 1\n")), "{}", ended.stderr);
    let edited = std::fs::read_to_string(&manifest).unwrap();
    let begins = "# ours\napiVersion: soluto.com/v1alpha2\nkind: KamusSecret\nserviceAccount: web\nmetadata:\n  name: app\nstringData:\n  password: sr1.";
    assert!(edited.starts_with(begins) && edited.ends_with(" # why\n"), "{edited}");
    let sealed = edited.split("password: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert_eq!(keys.open(sealed, "team-a", "web").as_deref(), Some(CANARY));
    assert_eq!((check(&keys.file).code, check(&keys.file).text()), (0, ""));
    let old = check(&newer.file);
    assert!(old.code == 1 && old.text().contains("is encrypted for the key"), "{}", old.text());
    let shown = encrypt(&["--textconv", &manifest], b"");
    assert!(shown.text().contains(&format!("password: sr1.{}.…", keys.opened.id)), "{}", shown.text());
    // Done once, it is done.
    assert_eq!(encrypt(&words, b"").code, 0);
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), edited);
    // What cannot be done leaves the file as it is.
    let text = format!("{edited}  other: !!str {CANARY}\n");
    std::fs::write(&manifest, &text).unwrap();
    let refused = encrypt(&words, b"");
    assert!(refused.code == 1 && refused.stderr.contains("stringData.other: has a tag"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(CANARY));
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), text);
}

/// A key management's key, and the one that Kamus published.
const LOCAL: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";

/// Under the published key, without key derivation: `test`.
const LEGACY: &str = "4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==";

#[test]
fn a_repository_of_kamus_is_moved_over_by_one_command_and_again_after_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (local, published) = (file(folder.path(), "local", LOCAL), file(folder.path(), "published", PUBLISHED));
    let ring = folder.path().join("ring.json");
    let keys = ["--keys-file", ring.to_str().unwrap(), "--local-key-file", &local];
    let kamus = |words: &[&str], more: &[&str]| strongroom(&[&["kamus"], words, &keys, more].concat(), &[], b"");
    let manifest = |number: usize| {
        format!(
            "# number {number}\napiVersion: soluto.com/v1alpha2\nkind: KamusSecret\nmetadata: {{name: s{number}, namespace: team-a}}\nserviceAccount: web\nstringData:\n  a: {LEGACY}  # why\n  b: |\n    {LEGACY}\ntype: Opaque\n"
        )
    };
    let files: Vec<String> =
        (0..200).map(|number| file(folder.path(), &format!("{number}.yaml"), &manifest(number))).collect();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(kamus(&["keys", "create"], &[]).code, 0);
    let public = |name: &str| file(folder.path(), name, kamus(&["keys", "public"], &[]).text());
    let check = |key: &str| strongroom(&[&["encrypt", "--public-key", key, "--check"], &names[..]].concat(), &[], b"");
    let first = public("first.json");
    assert!(
        check(&first).text().contains("0.yaml: KamusSecret s0: stringData.b: is encrypted in a form of Kamus' own")
    );
    // Only where the danger is named, and nothing changes before.
    let refused = kamus(&["rewrap"], &names[..1]);
    assert!(refused.code == 1 && refused.stderr.contains("s0: stringData.a: "), "{}", refused.stderr);
    let legacy = ["--kamus-aes-key-file", &published, "--insecure-any-account-reads-kamus-texts"];
    let rehearsed = kamus(&["rewrap", "--dry-run"], &[&legacy[..], &names[..1]].concat());
    assert_eq!(rehearsed.text(), format!("{}: 2 would be encrypted anew\n", names[0]), "{}", rehearsed.stderr);
    assert_eq!(std::fs::read_to_string(names[0]).unwrap(), manifest(0));
    // Stopped half way, and begun again with all.
    assert_eq!(kamus(&["rewrap"], &[&legacy[..], &names[..90]].concat()).code, 0);
    let rest = kamus(&["rewrap"], &[&legacy[..], &names[..]].concat());
    assert_eq!((rest.code, rest.text().lines().count()), (0, 110), "{}", rest.stderr);
    assert_eq!((check(&first).code, check(&first).text()), (0, ""));
    let moved = std::fs::read_to_string(names[7]).unwrap();
    assert!(!moved.contains(LEGACY), "{moved}");
    let kept: Vec<String> =
        manifest(7).lines().filter(|line| !line.contains(LEGACY) && *line != "  b: |").map(str::to_owned).collect();
    let lines: Vec<&str> = moved.lines().filter(|line| !line.contains("sr1.")).collect();
    assert_eq!(lines, kept);
    assert!(moved.contains("  # why\n") && moved.starts_with("# number 7\n") && moved.ends_with("\ntype: Opaque\n"));
    // Another key: all of it once more, without Kamus' key.
    assert_eq!(kamus(&["keys", "rotate"], &[]).code, 0);
    let second = public("second.json");
    assert_eq!((check(&first).code, check(&second).text().lines().count()), (0, 400));
    assert_eq!(kamus(&["rewrap"], &names).code, 0);
    assert_eq!(check(&second).code, 0);
    assert_eq!(kamus(&["rewrap"], &names).text(), "");
    let moved = std::fs::read_to_string(names[199]).unwrap();
    let text = moved.split("  a: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert_eq!(opened(&ring, text, "web").as_deref(), Some("test"));
    assert_eq!(opened(&ring, text, "api"), None);
}

/// What the installation's keys open for an account of team-a.
fn opened(ring: &Path, text: &str, account: &str) -> Option<String> {
    let ring = KeyRing::read(&std::fs::read(ring).unwrap()).unwrap();
    let local = strongroom_decrypt::LocalKey::new(&SecretBytes::from(LOCAL.to_owned())).unwrap();
    let keys = strongroom_decrypt::Decrypter::new(Arc::new(local), None, ring, strongroom_decrypt::Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let identity = Identity::new("team-a", account).unwrap();
    let value = runtime.block_on(keys.decrypt(text, &identity)).ok()?;
    value.expose_text().map(str::to_owned)
}
