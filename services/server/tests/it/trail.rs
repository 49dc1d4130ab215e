//! The audit trail, and what lies on the disk.

use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::serving::{CANARY, Serving, entries, folder};

#[test]
fn every_request_leaves_two_entries_whose_values_are_hashed_and_can_be_found() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let before = server.entries().len();
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": CANARY, "n": 5}})));
    server.ask("GET", "secret/data/a", &root, None);
    server.ask("GET", "secret/data/a", "", None);
    let told = &server.entries()[before..];
    assert_eq!(told.len(), 6);
    let kinds: Vec<_> = told.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["request", "response", "request", "response", "request", "response"]);
    assert_eq!(told[0]["request"]["id"], told[1]["request"]["id"]);
    assert_eq!(
        (told[0]["request"]["operation"].clone(), told[0]["request"]["path"].clone()),
        (json!("create"), json!("secret/data/a"))
    );
    assert_eq!(told[0]["auth"]["policy_results"]["granting_policies"][0]["name"], json!("root"));
    assert_eq!(told[0]["request"]["mount_type"], json!("kv"));
    let hash = server.ask("POST", "sys/audit-hash/file", &root, Some(&json!({"input": CANARY}))).data()["hash"].clone();
    assert_eq!(told[0]["request"]["data"]["data"]["k"], hash);
    assert_eq!(told[3]["response"]["data"]["data"]["k"], hash);
    assert!(told[0]["request"]["data"]["data"]["n"].as_str().unwrap().starts_with("hmac-sha256:"), "numbers too");
    assert_eq!(
        (told[4]["auth"]["policy_results"]["allowed"].clone(), told[5]["error"].clone()),
        (json!(false), json!("permission denied"))
    );
    let tokens = [&told[2]["request"]["client_token"], &told[2]["auth"]["client_token"]];
    assert!(tokens.iter().all(|token| token.as_str().unwrap().starts_with("hmac-sha256:")));
}

#[test]
fn without_the_trail_nothing_is_done_and_health_says_so() {
    let folder = folder();
    let server = Serving::over(&folder, &[]);
    let root = server.initialise();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": "old"}})));
    server.stop();
    // A device that is always full.
    let server = Serving::over(&folder, &["--audit=/dev/full"]);
    let refused = server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": "new"}})));
    assert!(refused.status == 503 && refused.errors()[0].contains("audit"), "{}", refused.text);
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).status, 503);
    let health = server.ask("GET", "sys/health", "", None);
    assert!(health.status == 503 && health.json()["audit"]["failing"].is_string(), "{}", health.text);
    server.kill();
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"k": "old"}));
}

#[test]
fn a_trail_that_was_changed_is_set_aside_and_told_and_an_untouched_one_goes_on() {
    let (server, root) = Serving::new();
    for _ in 0..5 {
        server.ask("GET", "sys/mounts", &root, None);
    }
    let folder = server.stop();
    let (path, suspect) = (folder.path().join("audit.log"), folder.path().join("audit.log.suspect-1"));
    let before = entries(&path).len();
    let server = Serving::over(&folder, &[]);
    server.ask("GET", "sys/mounts", &root, None);
    assert_eq!(server.entries().len(), before + 2, "it goes on");
    server.stop();
    let text = std::fs::read_to_string(&path).unwrap();
    let without: Vec<&str> = text.lines().enumerate().filter(|(place, _)| *place != 3).map(|(_, line)| line).collect();
    std::fs::write(&path, format!("{}\n", without.join("\n"))).unwrap();
    let server = Serving::over(&folder, &[]);
    assert!(suspect.exists() && server.logged().contains("was changed outside"), "{}", server.logged());
    assert_eq!(server.ask("GET", "sys/mounts", &root, None).status, 200);
}

#[test]
fn a_line_that_was_changed_long_before_the_end_is_told_soon_after_the_start() {
    let (server, root) = Serving::new();
    server.ask("GET", "sys/mounts", &root, None);
    server.with_secrets(&root);
    let many: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("key{n}"), n.into())).collect();
    for _ in 0..4 {
        assert_eq!(server.ask("PUT", "secret/data/many", &root, Some(&json!({"data": many}))).status, 200);
    }
    let folder = server.stop();
    let path = folder.path().join("audit.log");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("sys/mounts", "sys/mount5", 1)).unwrap();
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("GET", "sys/mounts", &root, None).status, 200);
    let told = || server.logged().contains("before what its last start read");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !told() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(told(), "{}", server.logged());
}

/// All bytes of all files in a folder, with their names.
pub(crate) fn bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(path.to_string_lossy().as_bytes());
        if path.is_dir() {
            all.extend(bytes(&path));
        } else {
            std::fs::File::open(&path).unwrap().read_to_end(&mut all).unwrap();
        }
    }
    all
}

#[test]
fn no_value_name_or_token_is_found_on_the_disk_or_in_the_log() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let name = "namecanary91b2";
    for n in 0..20 {
        let data: Value = json!({"data": {"key": CANARY, "n": n, "deep": {"er": [CANARY]}}});
        server.ask("PUT", &format!("secret/data/{name}/app"), &root, Some(&data));
    }
    server.ask(
        "PUT",
        &format!("secret/metadata/{name}/app"),
        &root,
        Some(&json!({"custom_metadata": {"note": CANARY}})),
    );
    server.ask("GET", &format!("secret/data/{name}/app"), &root, None);
    server.ask("PUT", "cubbyhole/x", &root, Some(&json!({"k": CANARY})));
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": CANARY})));
    server.ask_with(
        "PUT",
        "/v1/secret/data/a",
        &[("X-Vault-Token", root.as_str())],
        format!("{{\"{CANARY}").as_bytes(),
    );
    let made = server.ask("POST", "auth/token/create", &root, Some(&json!({"policies": ["default"]}))).json();
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let (logged, address) = (server.logged(), server.child.id());
    for file in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{address}/{file}")).unwrap();
        assert!(!holds(&text, &root[2..]), "{file}");
    }
    let folder = server.stop();
    let found = bytes(folder.path());
    for (what, text) in [("a value", CANARY), ("the root token", &root[2..]), ("a token", &token[2..])] {
        assert!(!holds(&found, text), "{what} is on the disk");
        assert!(!holds(logged.as_bytes(), text), "{what} is in the log");
    }
    // Paths are told in the trail, as in Vault's, and nowhere else.
    std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(folder.path().join("audit.log"))
        .unwrap()
        .flush()
        .unwrap();
    assert!(!holds(&bytes(folder.path()), name), "a name is on the disk");
}

/// Whether a text is found in bytes.
pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All memory of a process that can be written.
fn memory(process: u32) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let file = std::fs::File::open(format!("/proc/{process}/mem")).expect("reading another process takes root");
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let mut page = [0; 4096];
        for place in (address(start)..address(end)).step_by(page.len()) {
            // What is mapped and was never used cannot be read.
            if file.read_exact_at(&mut page, place).is_ok() {
                all.extend(page);
            }
        }
    }
    all
}

#[test]
fn nothing_of_a_value_or_a_token_is_in_memory_once_the_store_is_sealed() {
    let folder = folder();
    let server = Serving::start(&folder, &[]);
    let made = server.ask("PUT", "sys/init", "", Some(&json!({"secret_shares": 1, "secret_threshold": 1}))).json();
    let (key, root) = (made["keys_base64"][0].as_str().unwrap().to_owned(), made["root_token"].as_str().unwrap());
    server.ask("PUT", "sys/unseal", "", Some(&json!({"key": key})));
    server.with_secrets(root);
    for n in 0..200 {
        let data = json!({"data": {"key": format!("{CANARY}-{n}"), "deep": {"er": [CANARY]}}});
        server.ask("PUT", &format!("secret/data/a{}", n % 7), root, Some(&data));
        server.ask("GET", &format!("secret/data/a{}", n % 7), root, None);
    }
    server.ask("PATCH", "secret/data/a1", root, Some(&json!({"data": {"key": CANARY}})));
    server.ask("PUT", "cubbyhole/x", root, Some(&json!({"k": CANARY})));
    let marked = format!("# {0}{0}\npath \"a\" {{ capabilities = [\"read\"] }}", "marked-");
    server.ask("PUT", "sys/policies/acl/p", root, Some(&json!({"policy": marked})));
    let process = server.child.id();
    assert!(holds(&memory(process), "marked-marked-"), "the search finds what is there");
    assert_eq!(server.ask("PUT", "sys/seal", root, None).status, 204);
    // Connections that are closed let their buffers go.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let left = memory(process);
    for (what, text) in [("a value", CANARY), ("the root token", &root[2..]), ("the key", &key)] {
        let places = left.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
        assert_eq!(places, 0, "{what} is in memory still");
    }
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
}
