//! What is served, as the document tells it; metrics and probes; further sinks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::serving::{Serving, folder};

/// A server with one mount of each kind.
fn with_all() -> (Serving, String) {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    for (path, body) in [
        ("sys/mounts/plain", json!({"type": "kv", "options": {"version": "1"}})),
        ("sys/auth/approle", json!({"type": "approle"})),
        ("sys/auth/userpass", json!({"type": "userpass"})),
        ("sys/auth/kubernetes", json!({"type": "kubernetes"})),
        ("sys/auth/jwt", json!({"type": "jwt"})),
    ] {
        assert_eq!(server.ask("POST", path, &root, Some(&body)).status, 204, "{path}");
    }
    (server, root)
}

#[test]
fn the_document_is_made_of_what_is_served_and_lies_in_the_docs() {
    let (server, root) = with_all();
    let served = server.ask("GET", "sys/internal/specs/openapi", &root, None);
    assert_eq!(served.status, 200);
    let text = format!("{:#}\n", served.json());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == text, "docs/openapi.json is another one: run UPDATE_DOCS=1 make docs");
}

#[test]
fn each_path_of_the_document_is_served_by_each_of_its_methods_and_by_no_other() {
    let (server, root) = with_all();
    let document = server.ask("GET", "sys/internal/specs/openapi", &root, None).json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 100, "{}", paths.len());
    for (path, item) in paths {
        let place = path.trim_start_matches('/').replace(['{', '}'], "");
        // Those would end the test.
        if matches!(place.as_str(), "sys/seal" | "sys/init" | "sys/unseal" | "auth/token/revoke-self") {
            continue;
        }
        let known = item.as_object().unwrap();
        for (method, asked) in [("get", "GET"), ("post", "POST"), ("patch", "PATCH"), ("delete", "DELETE")] {
            let Some(described) = known.get(method) else { continue };
            let needs_list = described["parameters"][0]["required"] == json!(true);
            let query = if needs_list { "?list=true" } else { "" };
            let body = (method != "get").then(|| json!({}));
            let answer = server.ask(asked, &format!("{place}{query}"), &root, body.as_ref());
            let words = answer.text.as_str();
            let is_unserved = answer.status == 405 || words.contains("no handler for route") || answer.status >= 500;
            assert!(!is_unserved, "{asked} {place}: {} {words}", answer.status);
            // Whoever has no token gets nowhere, but where the document says so.
            let is_open = described["security"] == json!([]);
            let nobody = server.ask(asked, &format!("{place}{query}"), "", body.as_ref());
            assert!(is_open || nobody.status == 403, "{asked} {place} without a token: {}", nobody.status);
        }
    }
    // What is not in it.
    for (method, path, status) in [
        ("PATCH", "secret/config", 405),
        ("DELETE", "secret/subkeys/a", 405),
        ("GET", "secret/undelete/a", 405),
        ("GET", "auth/approle/nothing", 405),
        ("GET", "sys/nothing", 404),
        ("POST", "sys/raw/core", 404),
        ("GET", "secret/nothing/a", 404),
    ] {
        assert_eq!(server.ask(method, path, &root, None).status, status, "{method} {path}");
    }
}

#[test]
fn metrics_and_probes_tell_how_the_server_does_and_no_path_name_or_value() {
    let folder = folder();
    let port = world::part::free_port().unwrap();
    let server = Serving::over(&folder, &[&format!("--metrics-listen=127.0.0.1:{port}")]);
    let probe = |path: &str| {
        let served = Serving::ask_at(&format!("127.0.0.1:{port}"), path);
        (served.status, served.text)
    };
    assert_eq!(probe("/livez").0, 200);
    assert_eq!(probe("/readyz"), (503, "not ready: the store was never initialised\n".to_owned()));
    let root = server.initialise();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/namecanary", &root, Some(&json!({"data": {"k": super::serving::CANARY}})));
    server.ask("GET", "secret/data/namecanary", &root, None);
    assert_eq!(probe("/readyz").0, 200);
    let (status, text) = probe("/metrics");
    assert_eq!(status, 200);
    for line in [
        "strongroom_requests_total{operation=\"read\",status=\"200\"} 1",
        "strongroom_active 1",
        "strongroom_sealed 0",
        "strongroom_audit_entries_total{sink=\"required\",outcome=\"refused\"} 0",
        "strongroom_request_seconds_count{operation=\"read\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for secret in [super::serving::CANARY, "namecanary", &root] {
        assert!(!text.contains(secret), "a name, a value or a token is in the metrics");
    }
    assert_eq!(server.ask("GET", "sys/metrics", "", None).status, 403);
    let by_token = server.ask("GET", "sys/metrics?format=prometheus", &root, None);
    assert!(by_token.status == 200 && by_token.text.contains("strongroom_active 1"), "{}", by_token.text);
    server.ask("PUT", "sys/seal", &root, None);
    assert_eq!(probe("/readyz").1, "not ready: the store is sealed\n");
}

#[test]
fn further_sinks_get_the_same_lines_and_one_that_hangs_or_is_full_keeps_nobody_waiting() {
    let folder = folder();
    let (copy, pipe) = (folder.path().join("copy.log"), folder.path().join("pipe"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let also = [&copy, &pipe].map(|path| format!("--audit-also={}", path.display()));
    let server = Serving::over(&folder, &[&also[0], &also[1], "--audit-also=/dev/full"]);
    let root = server.initialise();
    let begun = Instant::now();
    for _ in 0..600 {
        assert_eq!(server.ask("GET", "sys/mounts", &root, None).status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
    let counts = server.ask("GET", "sys/metrics", &root, None).text;
    let dropped = |sink: &str| {
        let start = format!("strongroom_audit_entries_total{{sink=\"{sink}\",outcome=\"dropped\"}} ");
        let line = counts.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start} in\n{counts}")).parse::<f64>().unwrap()
    };
    assert!(dropped("/dev/full") > 1000.0 && dropped(&pipe.display().to_string()) > 100.0);
    assert!(dropped(&copy.display().to_string()) == 0.0);
    let sinks = server.ask("GET", "sys/audit", &root, None).data();
    assert_eq!(sinks["further-1/"]["options"]["file_path"], json!(copy.display().to_string()));
    let begun = Instant::now();
    loop {
        let (own, copied): (Vec<Value>, Vec<Value>) = (server.entries(), super::serving::entries(&copy));
        if own == copied {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{} and {} entries", own.len(), copied.len());
        std::thread::sleep(Duration::from_millis(50));
    }
}
