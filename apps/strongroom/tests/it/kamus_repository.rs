//! What `docs/guides/from-kamus.md` says of Git, done as it is written there by a real git: its shell text is read out of the
//! page, so that page and tests stay one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use strongroom_decrypt::{Decrypter, Limits, LocalKey};
use strongroom_kamus::{Identity, KeyRing};
use strongroom_secret::SecretBytes;

use crate::{CANARY, Ended, strongroom};

const LOCAL: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";

/// The key that Kamus' chart has, and what stands under it without key derivation, its default (KA-01).
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";
const TEXTS: [(&str, &str); 4] = [
    ("J9NYLzTC/O44DvlCEZ+LfQ==:Cc9O5zQzFOyxwTD5ZHseqg==", "hello"),
    ("fX+zM9o709PGkitf0f7PNg==:1iLWChg0N5+SwysTXvLSCw==", "modified_hello"),
    ("ezBR+Ew+Itwg6fA/tQjxzg==:/DH+kSV3UN8eRUxT/cJp5w==", "supuper-secret"),
    ("4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==", "test"),
];

const ACCOUNTS: [&str; 4] = ["web", "api", "worker", "mailer"];

/// The shell texts of the page below a heading, in their order.
fn shell_texts(heading: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/from-kamus.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
    let texts = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let texts: Vec<String> = texts.map(str::to_owned).collect();
    assert!(!texts.is_empty(), "the page has no {heading}");
    texts
}

/// A git repository with an installation's keys beside it.
struct Repository {
    folder: tempfile::TempDir,
    keys: Vec<String>,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let beside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(beside("local"), LOCAL).unwrap();
        std::fs::create_dir(beside("repository")).unwrap();
        let keys = vec![format!("--keys-file={}", beside("ring")), format!("--local-key-file={}", beside("local"))];
        let repository = Self { folder, keys };
        assert_eq!(repository.kamus(&["keys", "create"]).code, 0);
        repository.git(&["init", "--quiet"]);
        repository.write("public-key.json", repository.kamus(&["keys", "public"]).text());
        repository
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root().join(name)).unwrap()
    }

    fn kamus(&self, words: &[&str]) -> Ended {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        strongroom(&[&["kamus"], words, &keys].concat(), &[], b"")
    }

    /// A program in the repository, with ours in its path and nobody's settings.
    fn run(&self, program: &str, words: &[&str]) -> Ended {
        let ours = Path::new(env!("CARGO_BIN_EXE_strongroom")).parent().unwrap().display();
        let mut command = Command::new(program);
        command.args(words).current_dir(self.root()).env_clear();
        command.env("PATH", format!("{ours}:/usr/local/bin:/usr/bin:/bin")).env("HOME", self.folder.path());
        command.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Test").env(format!("GIT_{who}_EMAIL"), "test@example.com");
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }

    fn git(&self, words: &[&str]) -> String {
        let ended = self.run("git", words);
        assert_eq!(ended.code, 0, "git {words:?}: {}", ended.stderr);
        ended.text().to_owned()
    }

    fn commit(&self, message: &str) -> Ended {
        self.git(&["add", "--all"]);
        self.run("git", &["commit", "--quiet", "--message", message])
    }

    fn keys(&self) -> Decrypter {
        let ring = std::fs::read(self.folder.path().join("ring")).unwrap();
        let local = LocalKey::new(&SecretBytes::from(LOCAL.to_owned())).unwrap();
        Decrypter::new(Arc::new(local), None, KeyRing::read(&ring).unwrap(), Limits::default())
    }
}

/// One of many manifests, with its values by their lines' beginnings: as people write them, not as programs do.
fn manifest(number: usize) -> (String, Vec<(String, &'static str)>) {
    let text = |place: usize| TEXTS[(number + place) % TEXTS.len()];
    let account = ACCOUNTS[number % ACCOUNTS.len()];
    let (first, second, third) = (text(0), text(1), text(2));
    let mut manifest = format!(
        "# number {number}: for {account}\napiVersion: soluto.com/v1alpha2\nkind: KamusSecret   # Kamus\nmetadata:\n  name: \
         s{number}\n  namespace: team-{}\ntype: Opaque\nserviceAccount: {account}\nstringData:\n",
        number % 3
    );
    write!(manifest, "  # the first\n  first: {}   # why\n", first.0).unwrap();
    write!(manifest, "\n  second.txt: '{}'\n  'third': \"{}\"  # quoted\n", second.0, third.0).unwrap();
    if number.is_multiple_of(5) {
        manifest
            .push_str("---\n# of no concern\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: other}\ndata: {a: b}\n");
    }
    let values = [("  first: ", first.1), ("  second.txt: ", second.1), ("  'third': ", third.1)];
    (manifest, values.map(|(begins, value)| (begins.to_owned(), value)).into())
}

#[test]
fn a_repository_in_kamus_default_mode_is_moved_by_the_guides_command_and_the_diff_is_its_values_alone() {
    const FILES: usize = 200;
    let repository = Repository::new();
    let name = |number: usize| format!("deploy/{}/s{number}.yaml", ACCOUNTS[number % ACCOUNTS.len()]);
    for number in 0..FILES {
        repository.write(&name(number), &manifest(number).0);
    }
    repository.write("chart/templates/x.yaml", "kind: {{ .Values.kind }}\n");
    assert_eq!(repository.commit("As it was").code, 0);
    repository.write("kamus-key", PUBLISHED);
    // The page's command; only where the keys lie is another place.
    let command = shell_texts("Moving a repository over").remove(0);
    let where_ = "--keys-secret kamus/kamus-keys --key-management transit --key transit/kamus";
    assert!(command.contains(where_), "{command}");
    let moved = repository.run("sh", &["-ec", &command.replace(where_, &repository.keys.join(" "))]);
    assert_eq!(moved.code, 0, "{}", moved.stderr);
    assert!(moved.text().contains(&format!("{}: 3 encrypted anew\n", name(7))), "{}", moved.stderr);

    let counts = repository.git(&["diff", "--numstat"]);
    let counts: BTreeMap<&str, &str> =
        counts.lines().filter_map(|line| line.rsplit_once('\t')).map(|(n, f)| (f, n)).collect();
    assert_eq!(counts.len(), FILES);
    assert!(counts.values().all(|count| *count == "3\t3"), "{counts:?}");
    let (keys, runtime) =
        (repository.keys(), tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let opened = |text: &str, namespace: &str, account: &str| {
        let value = runtime.block_on(keys.decrypt(text, &Identity::new(namespace, account).unwrap())).ok()?;
        value.expose_text().map(str::to_owned)
    };
    for number in 0..FILES {
        let (before, values) = manifest(number);
        let after = repository.read(&name(number));
        assert_eq!(before.lines().count(), after.lines().count(), "{}", name(number));
        let mut values = values.iter();
        for (old, new) in before.lines().zip(after.lines()).filter(|(old, new)| old != new) {
            // The key before it and the comment behind it are as they were.
            let (begins, value) = values.next().unwrap();
            let text = new.strip_prefix(begins.as_str()).unwrap();
            let (text, comment) = text.split_at(text.find(' ').unwrap_or(text.len()));
            assert!(
                text.starts_with("sr1.") && old.starts_with(begins.as_str()) && old.ends_with(comment),
                "{old}\n{new}"
            );
            let (namespace, account) = (format!("team-{}", number % 3), ACCOUNTS[number % ACCOUNTS.len()]);
            assert_eq!(opened(text, &namespace, account).as_deref(), Some(*value), "{}", name(number));
            let other = ACCOUNTS[(number + 1) % ACCOUNTS.len()];
            assert_eq!(opened(text, &namespace, other), None, "{} opens for {other}", name(number));
        }
        assert_eq!(values.next(), None, "{} kept a text of Kamus", name(number));
    }
    // What CI runs finds nothing more to do.
    let check = shell_texts("Nothing plain in Git").remove(0);
    let clean = repository.run("sh", &["-ec", &check]);
    assert_eq!((clean.code, clean.text()), (0, ""), "{}", clean.stderr);
}

#[test]
fn the_guides_hook_stops_plain_manifests_as_they_are_staged_and_lets_encrypted_ones_pass() {
    let repository = Repository::new();
    let hook = shell_texts("Nothing plain in Git").into_iter().find(|text| text.starts_with("#!/bin/sh\n")).unwrap();
    repository.write(".git/hooks/pre-commit", &hook);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(repository.root().join(".git/hooks/pre-commit"), mode).unwrap();
    let plain = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  password: {CANARY}\n");
    repository.write("deploy/of two words.yaml", &plain);
    repository.write("chart/x.yaml", "kind: Deployment\nx: {{ .Values.x }}\n");
    let stopped = |ended: &Ended| {
        let said = format!("{}{}", ended.text(), ended.stderr);
        assert!(ended.code != 0 && said.contains("deploy/of two words.yaml: Secret s: stringData.password"), "{said}");
        assert!(!said.contains(CANARY));
    };
    stopped(&repository.commit("Plain"));
    let file = repository.root().join("deploy/of two words.yaml");
    let public = repository.root().join("public-key.json");
    let (file, public) = (file.to_str().unwrap(), public.to_str().unwrap());
    let words = ["encrypt", "--in-place", file, "-a", "web", "-n", "team-a", "--public-key", public];
    assert_eq!(strongroom(&words, &[], b"").code, 0);
    // Encrypted in the folder, and plain in what is to be committed.
    stopped(&repository.run("git", &["commit", "--quiet", "--message", "Still plain"]));
    let passed = repository.commit("Encrypted");
    assert_eq!(passed.code, 0, "{}", passed.stderr);
    assert!(!repository.git(&["log", "--patch"]).contains(CANARY));
    // Nothing to look at is no reason to stop.
    repository.write("readme.md", "kind: Secret\n");
    assert_eq!(repository.commit("Words").code, 0);
}

#[test]
fn the_guides_text_converter_shows_keys_and_no_long_texts() {
    let repository = Repository::new();
    let encrypted = |value: &str| {
        let public = repository.root().join("public-key.json");
        let words = ["encrypt", "-a", "web", "-n", "n", "-q", "-f", "-", "--public-key", public.to_str().unwrap()];
        strongroom(&words, &[], value.as_bytes()).text().trim_end().to_owned()
    };
    let manifest = |text: &str| format!("kind: KamusSecret\nstringData:\n  password: {text} # why\n  other: x\n");
    let (before, after) = (encrypted("1"), encrypted("2"));
    repository.write("app.yaml", &manifest(&before));
    let texts = shell_texts("Nothing plain in Git");
    let settings = texts.iter().find(|text| text.contains("textconv")).unwrap();
    let set = repository.run("sh", &["-ec", settings]);
    assert_eq!(set.code, 0, "{}", set.stderr);
    assert_eq!(repository.commit("Before").code, 0);
    repository.write("app.yaml", &manifest(&after));
    let shown = repository.git(&["diff"]);
    let key = before.split('.').nth(1).unwrap();
    for (sign, text) in [('-', &before), ('+', &after)] {
        let line = format!("{sign}  password: sr1.{key}.…{} # why\n", &text[text.len() - 12..]);
        assert!(shown.contains(&line), "{shown}");
        assert!(!shown.contains(text.as_str()));
    }
    assert!(shown.lines().all(|line| line.chars().count() < 100), "{shown}");
}
