//! Whoever asks for what they should not, in ways that they should not.

use serde_json::json;

use super::serving::{CANARY, Serving};

#[test]
fn no_trick_with_a_path_reads_what_a_policy_denies() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/other/db", &root, Some(&json!({"data": {"k": CANARY}})));
    server.ask("PUT", "secret/data/mine/db", &root, Some(&json!({"data": {"k": "mine"}})));
    let token =
        server.token_of(&root, "mine", r#"path "secret/data/mine/*" { capabilities = ["read", "create", "update"] }"#);
    for path in [
        "secret/data/mine/../other/db",
        "secret/data/mine/%2e%2e/other/db",
        "secret/data/mine/..%2fother/db",
        "secret/data/mine/%2e%2e%2fother%2fdb",
        "secret/data/mine/.%2e/other/db",
        "secret/data/mine/%252e%252e/other/db",
        "secret/data/mine//../other/db",
        "secret//data/other/db",
        "secret/./data/other/db",
        "secret/data/mine/x\\..\\..\\other\\db",
        "secret/data/mine%2f..%2fother%2fdb",
        "secret/data/other%2fdb",
        "secret/data/%6fther/db",
        "secret/data/other/db/",
        "secret/data/other/db%00",
        "secret/data/mine/%c0%ae%c0%ae/other/db",
        "Secret/data/other/db",
        "secret/data/other/db?list=true",
        "secret/data/other/db;x",
        "secret/subkeys/other/db",
        "secret/metadata/other/db",
        "/secret/data/other/db",
    ] {
        let answer = server.ask("GET", path, &token, None);
        assert!(answer.status != 200 && !answer.text.contains(CANARY), "{path}: {} {}", answer.status, answer.text);
    }
    // A path that is written in another way is the same path, for the policy too.
    assert_eq!(server.ask("GET", "secret/data/%6dine/db", &token, None).status, 200);
    let cleaned = server.ask("GET", "secret/data/x/../mine/db", &token, None);
    assert!(cleaned.status == 307 && cleaned.head.contains("location: /v1/secret/data/mine/db"), "{}", cleaned.head);
}

#[test]
fn no_trick_with_a_token_is_taken_for_one() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": CANARY}})));
    let longer = format!("{root}x");
    let lower = root.to_lowercase();
    for token in ["", "root", "s.", longer.as_str(), &root[..25], lower.as_str(), "../token", "s.%00", "*"] {
        let answer = server.ask("GET", "secret/data/a", token, None);
        assert!(answer.status == 403 || token == root, "{}", answer.text);
        assert!(!answer.text.contains(CANARY));
    }
    let bearer =
        |value: String| server.ask_with("GET", "/v1/secret/data/a", &[("Authorization", value.as_str())], b"").status;
    assert_eq!(
        [bearer(format!("Bearer {root}")), bearer(format!("bearer {root}")), bearer(root.clone())],
        [200, 403, 403]
    );
    assert_eq!(server.ask("GET", &format!("secret/data/a?token={root}"), "", None).status, 403);
    let namespaced = server.ask_with(
        "GET",
        "/v1/secret/data/a",
        &[("X-Vault-Token", root.as_str()), ("X-Vault-Namespace", "team")],
        b"",
    );
    assert_eq!(namespaced.status, 404);
}

#[test]
fn bodies_and_heads_beyond_their_limits_are_refused_and_the_server_goes_on() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let headers = [("X-Vault-Token", root.as_str())];
    let write = |body: &[u8]| server.ask_with("PUT", "/v1/secret/data/a", &headers, body).status;
    assert_eq!(write(format!("{{\"data\":{}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).as_bytes()), 400);
    assert_eq!(write(b"{\"data\":"), 400);
    assert_eq!(write(b"[]"), 400);
    assert_eq!(write(b"\xff\xfe"), 400);
    assert_eq!(write(format!("{{\"data\":{{\"k\":\"{}\"}}}}", "x".repeat(2 << 20)).as_bytes()), 413);
    let announced = format!(
        "PUT /v1/secret/data/a HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {root}\r\nContent-Length: 99999999999\r\n\r\nx"
    );
    assert_eq!(server.send(announced.as_bytes()).map(|answer| answer.status), Some(413));
    let long = format!("GET /v1/secret/data/{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(100_000));
    assert!(server.send(long.as_bytes()).is_none_or(|answer| answer.status >= 400));
    // Two lengths, and a length beside chunks: whoever is behind could read another request.
    for smuggled in ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\nTransfer-Encoding: chunked"] {
        let request = format!(
            "PUT /v1/secret/data/a HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {root}\r\n{smuggled}\r\n\r\n0\r\n\r\nGET /v1/sys/health HTTP/1.1\r\n\r\n"
        );
        let answer = server.send(request.as_bytes());
        assert!(answer.is_none_or(|answer| answer.status >= 400), "{smuggled}");
    }
    for method in ["OPTIONS", "CONNECT", "TRACE", "BREW"] {
        let answer = server.ask(method, "secret/data/a", &root, None);
        assert!(answer.status >= 400, "{method}");
    }
    assert_eq!(write(b"{\"data\":{\"k\":\"v\"}}{\"data\":{\"k\":\"second\"}}"), 200);
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"k": "v"}));
    assert!(!server.logged().contains("panick"), "{}", server.logged());
}
