//! Disks without room, clocks that jump, certificates that are exchanged, files that are rotated (docs/reliability.md).

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use world::certificates::Authority;

use super::serving::{Serving, folder};

#[test]
fn a_disk_without_room_refuses_writes_reads_go_on_and_room_brings_writes_back() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/kept", &root, Some(&json!({"data": {"k": "kept"}})));
    let folder = server.stop();
    // A limit on the size of files stands for the end of a disk; the trail lies elsewhere.
    let trail = super::serving::folder();
    let trail = trail.path().join("audit.log");
    let server = Serving::limited(&folder, 4 << 20, &[&format!("--audit={}", trail.display())]);
    let value = "x".repeat(256 * 1024);
    let mut last = 0;
    let refused = (0..60).find_map(|n| {
        let told = server.ask("PUT", &format!("secret/data/big/{n}"), &root, Some(&json!({"data": {"k": value}})));
        last = n;
        (told.status != 200).then_some(told)
    });
    let refused = refused.expect("15 MiB do not fit into 4");
    assert!(refused.status == 503 && refused.errors()[0].contains("no room"), "{}", refused.text);
    assert_eq!(server.ask("GET", "secret/data/kept", &root, None).data()["data"], json!({"k": "kept"}));
    let read = server.ask("GET", &format!("secret/data/big/{}", last - 1), &root, None);
    assert_eq!(read.status, 200, "what was acknowledged is there");
    assert_eq!(server.ask("GET", &format!("secret/data/big/{last}"), &root, None).status, 404, "what was not is not");
    let folder = server.kill();
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("GET", &format!("secret/data/big/{}", last - 1), &root, None).status, 200);
    let again = server.ask("PUT", &format!("secret/data/big/{last}"), &root, Some(&json!({"data": {"k": value}})));
    assert_eq!(again.status, 200, "{}", again.text);
}

#[test]
fn a_clock_that_jumps_ends_tokens_early_or_late_and_breaks_nothing() {
    let folder = folder();
    let clock = folder.path().join("clock");
    let set = |seconds: i64| std::fs::write(&clock, seconds.to_string()).unwrap();
    set(0);
    let seal = format!("--seal=file:{}", folder.path().join("seal.key").display());
    let variables = [("STRONGROOM_TEST_CLOCK".to_owned(), clock.display().to_string())];
    let server = Serving::start_with(&folder, &[&seal], &variables);
    let root = server.initialise();
    server.with_secrets(&root);
    let token = |ttl: &str| {
        let made = server.ask("POST", "auth/token/create", &root, Some(&json!({"policies": ["default"], "ttl": ttl})));
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let alive = |token: &str| server.ask("GET", "auth/token/lookup-self", token, None).status == 200;
    let (short, long) = (token("1h"), token("48h"));
    server.ask("PUT", "secret/metadata/a", &root, Some(&json!({"delete_version_after": "1h"})));
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"n": 1}})));
    // A day ahead: what would have ended meanwhile has, and stays so when the clock is right again.
    set(86_400);
    assert!(!alive(&short) && alive(&long) && alive(&root));
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).status, 404);
    assert_eq!(server.ask("PUT", "secret/data/b", &root, Some(&json!({"data": {"n": 1}}))).status, 200);
    // Time for the expiry to take it away.
    std::thread::sleep(Duration::from_millis(2500));
    set(0);
    assert!(!alive(&short), "a token that has ended comes back");
    assert!(alive(&long));
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"n": 1}), "data are not lost");
    // A day back: versions keep their order, whatever their times say.
    set(-86_400);
    let written = server.ask("PUT", "secret/data/b", &root, Some(&json!({"data": {"n": 2}, "options": {"cas": 1}})));
    assert_eq!(written.data()["version"], json!(2), "{}", written.text);
    assert_eq!(server.ask("GET", "secret/data/b", &root, None).data()["data"], json!({"n": 2}));
    assert!(alive(&long) && alive(&root));
    let early = token("1h");
    set(0);
    assert!(!alive(&early), "made in a time that was wrong, and over");
    // The trail goes by its own numbers.
    let verified = server.ask("POST", "sys/audit-verify", &root, None);
    assert_eq!(verified.data()["whole"], json!(true), "{}", verified.text);
    let server = Serving::over(&server.stop(), &[]);
    assert_eq!(server.ask("GET", "secret/data/b", &root, None).data()["metadata"]["version"], json!(2));
    assert!(!server.folder.path().join("audit.log.suspect-1").exists());
}

/// What curl says of a request: its status, or why there is none.
fn curl(address: &str, path: &str, more: &[&str]) -> Result<String, String> {
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"])
        .args(more)
        .arg(format!("https://{}{path}", address.replace("127.0.0.1", "localhost")))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn file(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn tls_is_served_with_certificates_that_are_exchanged_while_it_runs_and_asks_for_clients_where_told() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let folder = folder();
    let [certificate, key, clients] = ["tls.crt", "tls.key", "clients.crt"].map(|name| folder.path().join(name));
    let install = |authority: &Authority| {
        let (pem, secret) = authority.issue(&["localhost"]).unwrap();
        std::fs::write(&certificate, pem).unwrap();
        std::fs::write(&key, secret).unwrap();
    };
    install(&authority);
    let (one, two) = (format!("--tls-certificate={}", file(&certificate)), format!("--tls-key={}", file(&key)));
    let server = Serving::over(&folder, &[&one, &two]);
    let health = "/v1/sys/health?uninitcode=200";
    let by = |authority: &Authority, more: &[&str]| {
        curl(&server.address, health, &[&["--cacert", file(authority.certificate_file())], more].concat())
    };
    assert_eq!(by(&authority, &[]), Ok("200".to_owned()));
    assert!(by(&other, &[]).is_err(), "another authority's");
    assert!(by(&authority, &["--tls-max", "1.1"]).is_err(), "TLS 1.1 is served");
    assert_eq!(by(&authority, &["--tlsv1.2", "--tls-max", "1.2"]), Ok("200".to_owned()));
    install(&other);
    assert!(Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap().success());
    let begun = Instant::now();
    while by(&other, &[]).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the certificate is not exchanged: {}", server.logged());
        std::thread::sleep(Duration::from_millis(50));
    }
    // What cannot be read is not taken.
    std::fs::write(&key, "nonsense").unwrap();
    assert!(Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(by(&other, &[]), Ok("200".to_owned()));
    assert!(server.logged().contains("the certificate stays what it was"), "{}", server.logged());
    let folder = server.stop();
    // Clients have to show who they are.
    install(&authority);
    std::fs::write(&clients, authority.certificate_pem()).unwrap();
    let three = format!("--tls-client-authorities={}", file(&clients));
    let server = Serving::over(&folder, &[&one, &two, &three]);
    let own = ["--cacert", file(authority.certificate_file())];
    assert!(curl(&server.address, health, &own).is_err(), "without a certificate");
    let (pem, secret) = authority.issue_client("app").unwrap();
    let [shown, secret_file] = ["client.crt", "client.key"].map(|name| folder.path().join(name));
    std::fs::write(&shown, pem).unwrap();
    std::fs::write(&secret_file, secret).unwrap();
    let with = ["--cert", file(&shown), "--key", file(&secret_file)];
    assert_eq!(curl(&server.address, health, &[own.as_slice(), &with].concat()), Ok("200".to_owned()));
}

#[test]
fn a_trail_that_is_moved_away_goes_on_in_a_new_file_and_both_are_whole() {
    let (server, root) = Serving::new();
    for _ in 0..5 {
        server.ask("GET", "sys/mounts", &root, None);
    }
    let (file, moved) = (server.audit_file(), server.folder.path().join("audit.log.1"));
    std::fs::rename(&file, &moved).unwrap();
    assert!(Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap().success());
    for _ in 0..5 {
        assert_eq!(server.ask("GET", "sys/mounts", &root, None).status, 200);
    }
    assert!(super::serving::entries(&moved).len() >= 10 && server.entries().len() == 10);
    let verified = server.ask("POST", "sys/audit-verify", &root, None);
    assert_eq!((verified.data()["whole"].clone(), verified.data()["first"].clone()), (json!(true), json!(1)));
}

#[test]
fn random_requests_of_a_token_that_may_do_little_never_get_what_it_may_not_read() {
    use strongroom_server::in_process::{HIDDEN, InProcess};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(InProcess::new()).unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let words = [
        "secret",
        "plain",
        "data",
        "metadata",
        "other",
        "mine",
        "a",
        "sys",
        "auth",
        "token",
        "create",
        "lookup-self",
        "..",
        "%2e%2e",
        "%2f",
        "",
        "subkeys",
        "destroy",
        "undelete",
        "usage",
        "stale",
        "policies",
        "acl",
        "mounts",
        "internal",
        "ui",
        "wrapping",
        "unwrap",
        "wrap",
        "cubbyhole",
        "approle",
        "login",
        "role",
        "tools",
        "random",
        "hash",
        "leases",
        "remount",
        "capabilities-self",
        "storage",
        "raft",
        "snapshot",
        "*",
        "+",
        "{{identity}}",
    ];
    let bodies = [
        "",
        "{}",
        "null",
        "[]",
        "{\"data\":{\"a\":1}}",
        "{\"data\":null}",
        "{\"versions\":[1]}",
        "{\"token\":\"s.x\"}",
        "{\"paths\":[\"secret/data/other\"]}",
        "{\"policies\":[\"root\"]}",
        "{\"data\":{\"a\":{\"b\":[[[1]]]}}}",
        "{",
        "{\"from\":\"secret\",\"to\":\"mine\"}",
        "{\"bytes\":-1}",
        "{\"input\":\"QQ==\",\"ttl\":\"99999999h\"}",
    ];
    let (mut done, mut statuses) = (0, std::collections::BTreeMap::<u16, usize>::new());
    for _ in 0..20_000 {
        let method = ["GET", "PUT", "POST", "LIST", "PATCH", "DELETE", "SCAN", "HEAD", "BREW"][random.usize(0..9)];
        let count = random.usize(1..7);
        let path: Vec<&str> = (0..count).map(|_| words[random.usize(0..words.len())]).collect();
        let query = ["", "?list=true", "?version=1", "?days=0", "?list=maybe", "?%"][random.usize(0..6)];
        let path = format!("/v1/{}{query}", path.join("/"));
        let kind = ["application/json", "application/merge-patch+json", "text/plain"][random.usize(0..3)];
        let wrap = ["", "60s", "-1", "9999999h"][random.usize(0..4)];
        let headers = [("x-vault-token", store.token()), ("content-type", kind), ("x-vault-wrap-ttl", wrap)];
        let body = bodies[random.usize(0..bodies.len())];
        let Some((status, answer)) = runtime.block_on(store.answer(method, &path, &headers, body.as_bytes())) else {
            continue;
        };
        assert!(status != 500, "{method} {path} {body}");
        assert!(!String::from_utf8_lossy(&answer).contains(HIDDEN), "{method} {path} {body}");
        done += 1;
        *statuses.entry(status).or_default() += 1;
    }
    assert!(done > 10_000 && statuses.len() > 6, "{statuses:?}");
}
