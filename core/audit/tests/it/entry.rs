//! The format of entries.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_audit::chain::Digest;
use strongroom_audit::data::Omission;
use strongroom_audit::entry::{
    Auth, Data, ENTRY_LIMIT, EntryError, GrantingPolicy, Half, Leased, Mount, PolicyResults, Request, Response,
    WrapInfo,
};
use strongroom_audit::{AuditedHeaders, ClearKeys, Document, Entry, Head, Limits};
use strongroom_secret::SecretBytes;

use crate::{entry, hasher, members, new_chain, time, trail};

/// The entry as it stands in a file, as the first line of a trail.
fn written(entry: &Entry<'_>) -> String {
    let batch = new_chain(1000).prepare([&entry.body().unwrap()], time());
    String::from_utf8(batch.bytes).unwrap()
}

fn without_chain(entry: &Entry<'_>) -> Value {
    let mut line: Value = serde_json::from_str(&written(entry)).unwrap();
    let chain = line.as_object_mut().unwrap().remove("chain").unwrap();
    let origin: Digest = Head::of_new(&trail()).hash;
    assert_eq!(chain, json!({"sequence": 1, "previous": origin}));
    line
}

#[test]
fn a_request_without_a_token_leaves_empty_members_out() {
    let expected = json!({
        "time": "2026-11-27T10:00:00.123456789Z",
        "type": "request",
        "auth": {},
        "request": {"id": "1", "operation": "read", "namespace": {"id": "root"}, "path": "secret/data/app"},
    });
    assert_eq!(without_chain(&entry("1", "secret/data/app")), expected);
}

#[test]
fn an_entry_is_one_line_that_begins_with_its_time_and_type() {
    let line = written(&Entry { error: "a\nb", ..entry("1", "secret/data/a\nb") });
    assert!(line.starts_with(r#"{"time":"2026-11-27T10:00:00.123456789Z","type":"request","auth":{},"#), "{line}");
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.ends_with("\n"));
}

#[test]
fn a_request_is_told_whole_in_the_words_of_vault() {
    let (hasher, data) = (hasher(), members(&json!({"data": {"password": "hunter2"}, "options": {"cas": 1}})));
    let token = SecretBytes::from("s.token".to_owned());
    let (policies, clear) = (["root".to_owned()], ["cas"].into_iter().collect());
    let headers = AuditedHeaders::default().with("X-Request-Source", false).with("x-vault-token", false);
    let given = [("x-request-source", "ci"), ("X-VAULT-TOKEN", "s.token"), ("accept", "*/*")];
    let results = PolicyResults {
        allowed: true,
        granting_policies: vec![GrantingPolicy { name: "root", namespace_id: "root", kind: "acl" }],
    };
    let whole = Entry {
        auth: Auth {
            client_token: hasher.token(&token),
            accessor: hasher.accessor("accessor-1"),
            display_name: "token",
            policies: &policies,
            token_policies: &policies,
            policy_results: Some(results),
            metadata: BTreeMap::from([("role", "web")]),
            token_type: "service",
            token_ttl: 60,
            token_issue_time: Some(time()),
            ..Auth::default()
        },
        request: Request {
            id: "u-1",
            operation: "update",
            mount: Mount { point: "secret/", kind: "kv", accessor: "kv_1", class: "secret" },
            client_token: hasher.token(&token),
            client_token_accessor: hasher.accessor("accessor-1"),
            path: "secret/data/app",
            data: Document::new(&hasher, &data, &clear, Limits::default()).into(),
            remote_address: "10.0.0.1",
            remote_port: 4711,
            wrap_ttl: 30,
            headers: headers.pick(&hasher, given),
            ..Request::default()
        },
        ..entry("", "")
    };
    let (token, accessor) = (hasher.text("s.token"), hasher.text("accessor-1"));
    let expected = json!({
        "time": "2026-11-27T10:00:00.123456789Z",
        "type": "request",
        "auth": {"client_token": token, "accessor": accessor, "display_name": "token", "policies": ["root"],
            "token_policies": ["root"], "policy_results": {"allowed": true,
            "granting_policies": [{"name": "root", "namespace_id": "root", "type": "acl"}]},
            "metadata": {"role": "web"}, "token_type": "service", "token_ttl": 60,
            "token_issue_time": "2026-11-27T10:00:00.123456789Z"},
        "request": {"id": "u-1", "operation": "update", "mount_point": "secret/", "mount_type": "kv",
            "mount_accessor": "kv_1", "mount_class": "secret", "client_token": token,
            "client_token_accessor": accessor, "namespace": {"id": "root"}, "path": "secret/data/app",
            "data": {"data": {"password": hasher.text("hunter2")}, "options": {"cas": 1}},
            "remote_address": "10.0.0.1", "remote_port": 4711, "wrap_ttl": 30,
            "headers": {"x-request-source": ["ci"], "x-vault-token": [token]}},
    });
    assert_eq!(without_chain(&whole), expected);
}

#[test]
fn a_response_repeats_the_request_and_hides_what_a_login_made() {
    let (hasher, data, clear) = (hasher(), members(&json!({"version": 3})), ClearKeys::default());
    let wrap_info = WrapInfo {
        ttl: 30,
        token: hasher.text("wrapping"),
        accessor: hasher.accessor("a-2"),
        creation_time: time(),
        creation_path: "auth/approle/login",
        wrapped_accessor: hasher.accessor("a-3"),
    };
    let response = Response {
        auth: Some(Auth { client_token: hasher.text("s.new"), ..Auth::default() }),
        mount: Mount { point: "auth/approle/", kind: "approle", accessor: "approle_1", class: "auth" },
        secret: Some(Leased { lease_id: "auth/approle/login/1" }),
        data: Document::new(&hasher, &data, &clear, Limits::default()).into(),
        warnings: &["slow".to_owned()],
        wrap_info: Some(wrap_info),
        ..Response::default()
    };
    let whole = Entry { half: Half::Response, response: Some(response), ..entry("1", "auth/approle/login") };
    let version: Value = json!(5);
    let line = without_chain(&whole);
    assert_eq!(line["type"], "response");
    assert_eq!(line["request"]["path"], "auth/approle/login");
    assert_ne!(line["response"]["data"]["version"], version);
    let expected = json!({
        "auth": {"client_token": hasher.text("s.new")}, "mount_point": "auth/approle/", "mount_type": "approle",
        "mount_accessor": "approle_1", "mount_class": "auth", "secret": {"lease_id": "auth/approle/login/1"},
        "data": {"version": line["response"]["data"]["version"]}, "warnings": ["slow"],
        "wrap_info": {"ttl": 30, "token": hasher.text("wrapping"), "accessor": hasher.text("a-2"),
            "creation_time": "2026-11-27T10:00:00.123456789Z", "creation_path": "auth/approle/login",
            "wrapped_accessor": hasher.text("a-3")},
    });
    assert_eq!(line["response"], expected);
}

#[test]
fn a_denied_request_says_so() {
    let auth = Auth { policy_results: Some(PolicyResults::default()), ..Auth::default() };
    let line = without_chain(&Entry { auth, error: "permission denied", ..entry("1", "secret/data/app") });
    assert_eq!(line["auth"], json!({"policy_results": {"allowed": false}}));
    assert_eq!(line["error"], "permission denied");
}

#[test]
fn data_beyond_a_limit_is_told_to_be_omitted() {
    for (omission, word) in [(Omission::Depth, "depth"), (Omission::Size, "size")] {
        let request = Request { data: Data::Omitted(omission), ..Request::default() };
        let line = without_chain(&Entry { request, ..entry("", "") });
        assert_eq!(line["request"], json!({"namespace": {"id": "root"}, "data_omitted": word}));
    }
}

#[test]
fn an_entry_that_is_too_long_is_refused() {
    let path = "x".repeat(ENTRY_LIMIT);
    let error = entry("1", &path).body().unwrap_err();
    assert!(matches!(error, EntryError::TooLong { bytes } if bytes > ENTRY_LIMIT), "{error}");
    assert!(entry("1", &path[..ENTRY_LIMIT - 300]).body().is_ok());
}

#[test]
fn tokens_in_headers_are_hashed_whatever_is_configured() {
    let hasher = hasher();
    for name in ["Authorization", "Cookie", "Proxy-Authorization", "X-Vault-Token"] {
        let picked = AuditedHeaders::default().with(name, false).pick(&hasher, [(name, "s.token"), (name, "b")]);
        let expected = json!({name.to_lowercase(): [hasher.text("s.token"), hasher.text("b")]});
        assert_eq!(serde_json::to_value(picked).unwrap(), expected);
    }
}
