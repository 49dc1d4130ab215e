//! Finding secrets and reading what the engine says about them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_failure::Class;
use strongroom_provider::{Facet, Find, Pattern, Provider, RemoteKey};
use strongroom_vault::{KvVersion, Settings, Vault};
use world::switchboard::Fault;

use super::server::{CANARY, Server, at, checked, open, read, read_name};

/// A search by path, name and tags, where given.
fn query(path: &str, name: &str, tags: &[(&str, &str)]) -> Find {
    Find {
        path: Some(path.to_owned()).filter(|path| !path.is_empty()),
        name: Some(name).filter(|name| !name.is_empty()).map(|name| Pattern::new(name).unwrap()),
        tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// The names that were found, after each was read by its key.
async fn found(vault: &Vault, query: Find) -> Vec<String> {
    let found = vault.find(&query).await.map_err(checked).unwrap();
    let keys: Vec<_> = found.iter().map(|found| found.key.clone()).collect();
    let answers = vault.read(&keys).await;
    for (found, answer) in found.iter().zip(answers) {
        let value: Value = serde_json::from_slice(answer.map_err(checked).unwrap().value.expose()).unwrap();
        assert!(found.name.ends_with(value["name"].as_str().unwrap()), "{} {value}", found.name);
    }
    found.into_iter().map(|found| found.name).collect()
}

/// A mount of its own, with secrets at these paths that hold their own paths.
async fn mounted(server: &Server, mount: &str, version: &str, names: &[&str]) {
    let options = json!({"type": "kv", "options": {"version": version}});
    server.admin("POST", &format!("sys/mounts/{mount}"), options).await;
    for name in names {
        let data = json!({"name": name, "canary": CANARY});
        let (path, body) = match version {
            "2" => (format!("{mount}/data/{name}"), json!({ "data": data })),
            _ => (format!("{mount}/{name}"), data),
        };
        server.admin("POST", &path, body).await;
    }
}

fn settings(server: &Server, mount: Option<&str>, kv_version: Option<KvVersion>) -> Settings {
    Settings { mount: mount.map(str::to_owned), kv_version, ..server.root() }
}

const NAMES: [&str; 6] = ["a", "data/e", "team/b", "team/deep/er/c", "team/d", "find/kv2/f"];

#[tokio::test]
async fn a_mount_is_searched_to_its_depths() {
    let server = Server::shared();
    mounted(&server, "find/kv2", "2", &NAMES).await;
    let vault = open(settings(&server, Some("find/kv2"), Some(KvVersion::Two)));
    let check = async |path: &str, name: &str, expected: &[&str]| {
        assert_eq!(found(&vault, query(path, name, &[])).await, expected, "{path} {name}");
    };
    check("", "", &["a", "data/e", "find/kv2/f", "team/b", "team/d", "team/deep/er/c"]).await;
    check("team", "", &["team/b", "team/d", "team/deep/er/c"]).await;
    check("/team/deep/", "", &["team/deep/er/c"]).await;
    check("", "(^a|c)$", &["a", "team/deep/er/c"]).await;
    check("team", "^team/d", &["team/d", "team/deep/er/c"]).await;
    check("team", "nothing", &[]).await;
    check("find/kv2/team", "d$", &["find/kv2/team/d"]).await;
    let nowhere = checked(vault.find(&query("nowhere", "", &[])).await.unwrap_err());
    assert_eq!(
        (nowhere.class, nowhere.words.as_str()),
        (Class::NotFound, "there are no secrets below the path find/kv2/metadata/nowhere",)
    );
    // Without a mount in the settings, the path names it.
    let vault = open(settings(&server, None, Some(KvVersion::Two)));
    assert_eq!(found(&vault, query("find/kv2/data/team/deep", "", &[])).await, ["find/kv2/data/team/deep/er/c"]);
    // Without a version either, the server knows.
    let vault = open(server.root());
    assert_eq!(found(&vault, query("find/kv2/team", "b$", &[])).await, ["find/kv2/team/b"]);
    assert_eq!(found(&vault, query("find/kv2", "^find/kv2/[a-z]$", &[])).await, ["find/kv2/a"]);
}

#[tokio::test]
async fn version_1_is_searched_by_name() {
    let server = Server::shared();
    mounted(&server, "find-kv1", "1", &["a", "data/e", "team/b"]).await;
    let vault = open(settings(&server, Some("find-kv1"), Some(KvVersion::One)));
    assert_eq!(found(&vault, query("", "", &[])).await, ["a", "data/e", "team/b"]);
    assert_eq!(found(&vault, query("team", "b", &[])).await, ["team/b"]);
    let tags = checked(vault.find(&query("", "", &[("owner", "a")])).await.unwrap_err());
    assert_eq!(tags.class, Class::Invalid);
    assert!(tags.words.contains("only KV version 2 keeps"), "{tags}");
    let metadata = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("a") };
    assert_eq!(read(&vault, metadata.clone()).await.unwrap_err().class, Class::Invalid);
    let key = RemoteKey { name: "find-kv1/a".to_owned(), ..metadata };
    assert_eq!(read(&open(server.root()), key).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test]
async fn tags_are_custom_metadata() {
    let server = Server::shared();
    mounted(&server, "find-tags", "2", &["a", "b", "team/c"]).await;
    for (name, tags) in [
        ("a", json!({"owner": "x"})),
        ("b", json!({"owner": "x", "stage": "prod"})),
        ("team/c", json!({"owner": "y", "stage": "prod"})),
    ] {
        server.admin("POST", &format!("find-tags/metadata/{name}"), json!({ "custom_metadata": tags })).await;
    }
    let vault = open(settings(&server, Some("find-tags"), Some(KvVersion::Two)));
    let check = async |path: &str, name: &str, tags: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(found(&vault, query(path, name, tags)).await, expected, "{path} {name} {tags:?}");
    };
    check("", "", &[("owner", "x")], &["a", "b"]).await;
    check("", "", &[("owner", "x"), ("stage", "prod")], &["b"]).await;
    check("", "", &[("stage", "prod")], &["b", "team/c"]).await;
    check("team", "", &[("stage", "prod")], &["team/c"]).await;
    check("", "^b", &[("owner", "x")], &["b"]).await;
    check("", "", &[("owner", "z")], &[]).await;
    check("", "", &[("current_version", "1")], &["a", "b", "team/c"]).await;
}

#[tokio::test]
async fn metadata_is_what_people_and_the_engine_know() {
    let server = Server::shared();
    for number in 1..=2 {
        server.put("about/app", json!({ "k": number })).await;
    }
    let custom = json!({"custom_metadata": {"owner": "team-a"}, "delete_version_after": "1h"});
    server.admin("POST", "secret/metadata/about/app", custom).await;
    let about = async |vault: &Vault, name: &str| {
        let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(name) };
        read(vault, key).await.map(|(text, version)| {
            let facts: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
            (facts, version)
        })
    };
    let fixed = open(settings(&server, Some("secret"), Some(KvVersion::Two)));
    let free = open(server.root());
    for (vault, name) in [(&fixed, "about/app"), (&free, "secret/about/app"), (&free, "secret/data/about/app")] {
        let (facts, version) = about(vault, name).await.unwrap();
        assert_eq!(
            facts.keys().collect::<Vec<_>>(),
            ["created_time", "current_version", "delete_version_after", "owner"]
        );
        assert_eq!((facts["current_version"].as_str(), facts["owner"].as_str()), ("2", "team-a"));
        assert_eq!(facts["delete_version_after"], "1h0m0s");
        assert_eq!(version.as_deref(), Some("2"));
    }
    let missing = about(&fixed, "about/none").await.unwrap_err();
    assert_eq!(
        (missing.class, missing.words.as_str()),
        (Class::NotFound, "there is no secret at the path secret/metadata/about/none",)
    );
    let plan = fixed.plan(&[RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("about/app") }]);
    assert_eq!(plan[0].operation, "GET secret/metadata/about/app");
    // The answer of a secret and of its metadata stay apart.
    assert_eq!(read(&fixed, at("about/app", "1")).await.unwrap().0, r#"{"k":1}"#);
}

#[tokio::test]
async fn a_search_runs_together_and_survives_a_token_that_is_refused() {
    let server = Server::shared();
    let names: Vec<_> = (0..40).map(|number| format!("folder-{number}/app")).collect();
    mounted(&server, "find-many", "2", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let rules = json!({"policy": r#"path "find-many/*" { capabilities = ["read", "list"] }"#});
    server.admin("PUT", "sys/policies/acl/find-many", rules).await;
    let role = server.app_role("find-many", json!({"token_policies": ["find-many"]})).await;
    let (switchboard, root) = server.behind_switchboard();
    let fixed = Settings {
        mount: Some("find-many".to_owned()),
        kv_version: Some(KvVersion::Two),
        auth: strongroom_vault::Auth::AppRole(role),
        ..root
    };
    let vault = open(fixed);
    assert_eq!(found(&vault, query("", "", &[])).await.len(), 40);
    assert!(switchboard.counts().in_flight_peak > 4, "{:?}", switchboard.counts());
    server.admin("POST", "sys/leases/revoke-prefix/auth/find-many/login", json!({})).await;
    switchboard.reset_counts();
    assert_eq!(vault.find(&query("", "", &[])).await.map_err(checked).unwrap().len(), 40);
    assert_eq!(switchboard.counts().by_operation.iter().filter(|(name, _)| name.ends_with("/login")).count(), 1);
    // An outage in one folder is one of the whole search: half a result would look like removed secrets.
    switchboard.add(Fault::answer(503, &[], "{}").on_path("folder-7"));
    assert_eq!(vault.find(&query("", "", &[])).await.unwrap_err().class, Class::Unavailable);
    switchboard.clear();
    let denied = json!({"policy": r#"path "find-many/metadata/*" { capabilities = ["read"] }"#});
    server.admin("PUT", "sys/policies/acl/find-many", denied).await;
    let failure = checked(vault.find(&query("", "", &[])).await.unwrap_err());
    assert_eq!(failure.class, Class::Denied);
    assert!(failure.words.contains("may not list find-many/metadata"), "{failure}");
    assert!(read_name(&vault, "folder-1/app").await.is_err());
}
