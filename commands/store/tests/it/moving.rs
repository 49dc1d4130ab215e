//! `strongroom kv copy`, `export` and `import`: many secrets.

use serde_json::{Value, json};

use super::store::{CANARY, Store};

fn filled() -> Store {
    let store = Store::new();
    store.put("app", &json!({"password": CANARY, "port": 5432}));
    store.put("team-a/db", &json!({"password": CANARY, "is": true, "digits": "0123", "pool": {"max": [1, 2.50]}}));
    store.put("team-a/deep/web", &json!({"cert": format!("-----BEGIN\n{CANARY}\n")}));
    store
}

#[test]
fn what_was_exported_is_imported_the_same() {
    let store = filled();
    let exports = ["json", "yaml"].map(|format| (format, store.run(&["kv", "export", "/", "--format", format]).well()));
    for (format, exported) in exports {
        let file = store.file(&format!("all.{format}"), &exported);
        let again = store.run(&["kv", "import", &file]).well();
        assert_eq!(
            again,
            "same    app\nsame    team-a/db\nsame    team-a/deep/web\n0 to create, 0 to change, 3 the same\n"
        );
        let prefix = format!("copy-{format}");
        let imported = store.run(&["kv", "import", &file, "--prefix", &prefix, "--yes"]).well();
        assert!(imported.contains("3 to create, 0 to change, 0 the same") && !imported.contains(CANARY), "{imported}");
        assert_eq!(store.data(&format!("{prefix}/team-a/db")), store.data("team-a/db"));
    }
    let part: Value = store.run(&["kv", "export", "team-a/"]).json();
    let paths: Vec<&String> = part.as_object().unwrap().keys().collect();
    assert_eq!(paths, ["team-a/db", "team-a/deep/web"]);
    store.run(&["kv", "export", "none/"]).fails(4, "there is no secret there");
}

#[test]
fn variables_become_one_secret_and_it_becomes_variables() {
    let store = filled();
    let exported = store.run(&["kv", "export", "app", "--format", "env"]).well();
    assert_eq!(exported, format!("password='{CANARY}'\nport='5432'\n"));
    let file = store.file("prod.env", &exported);
    store.run(&["kv", "import", &file]).fails(1, "--prefix");
    store.run(&["kv", "import", &file, "--prefix", "web", "--yes"]).well();
    assert_eq!(store.data("web"), json!({"password": CANARY, "port": "5432"}));
    store.run(&["kv", "export", "/", "--format", "env"]).fails(1, "holds one");
    store.run(&["kv", "import", &store.file("odd", &exported)]).fails(1, "--format");
    store
        .run(&["kv", "import", &store.file("bad.json", &json!({"a": CANARY}).to_string())])
        .fails(1, "a: is no object");
    store.run(&["kv", "import", &store.file("bad.yaml", &format!("a: [{CANARY}"))]).fails(1, "holds no YAML");
}

#[test]
fn nothing_is_written_without_consent() {
    let store = filled();
    let wanted = json!({"app": {"password": "new", "user": "ann"}, "fresh": {"password": CANARY}}).to_string();
    let file = store.file("wanted.json", &wanted);
    let plan = "change  app  (over version 1: 1 added, 1 removed, 1 changed)\ncreate  fresh  (1 key)\n\
                1 to create, 1 to change, 0 the same\n";
    assert_eq!(store.run(&["kv", "import", &file, "--dry-run"]).well(), plan);
    let refused = store.run(&["kv", "import", &file]);
    refused.fails(1, "--yes");
    assert_eq!(refused.text, plan);
    let (code, screen) = store.at_terminal(&["kv", "import", &file], &[("[y/N]", &|| "n".to_owned())]);
    assert!(code == 1 && screen.contains("nothing was changed") && !screen.contains(CANARY), "{screen}");
    store.run(&["kv", "get", "fresh"]).fails(4, "there is no such secret");
    let (code, screen) = store.at_terminal(&["kv", "import", &file], &[("[y/N]", &|| "y".to_owned())]);
    assert!(code == 0 && screen.contains("fresh: version 1") && !screen.contains(CANARY), "{screen}");
    assert_eq!(store.data("app"), json!({"password": "new", "user": "ann"}));
}

#[test]
fn what_somebody_else_writes_after_the_plan_is_not_written_over() {
    let store = filled();
    let wanted = json!({"app": {"password": CANARY, "a": 1}, "fresh": {"a": 1}, "other": {"a": 1}}).to_string();
    let file = store.file("wanted.json", &wanted);
    let meanwhile = || {
        store.put("app", &json!({"password": "theirs"}));
        store.put("fresh", &json!({"password": "theirs"}));
        "y".to_owned()
    };
    let (code, screen) = store.at_terminal(&["kv", "import", &file], &[("[y/N]", &meanwhile)]);
    assert!(code == 1 && screen.contains("2 of 3 secrets were not written"), "{screen}");
    assert!(screen.matches("somebody has written it since").count() == 2 && !screen.contains(CANARY), "{screen}");
    assert_eq!(store.data("app"), json!({"password": "theirs"}));
    assert_eq!(store.data("fresh"), json!({"password": "theirs"}));
    assert_eq!(store.data("other"), json!({"a": 1}));
}

#[test]
fn a_deleted_secret_is_written_over_and_not_exported() {
    let store = filled();
    store.run(&["kv", "delete", "app"]).well();
    let exported = store.run(&["kv", "export", "/"]);
    assert!(exported.errors.contains("app: version 1 is deleted; it is left out"), "{}", exported.errors);
    assert!(!exported.text.contains("\"app\""));
    let file = store.file("app.json", &json!({"app": {"a": 1}}).to_string());
    let imported = store.run(&["kv", "import", &file, "--yes"]).well();
    assert!(imported.contains("create  app") && imported.ends_with("app: version 2\n"), "{imported}");
}

#[test]
fn another_store_is_read_with_a_token_of_its_own() {
    let (source, store) = (filled(), Store::new());
    source.with_old_secrets();
    let words = ["kv", "import", "--from-vault", &source.address, "--prefix", "moved", "--yes"];
    store.run(&words).fails(1, "VAULT_SOURCE_TOKEN");
    let variables = [("STRONGROOM_TOKEN", store.token.as_str()), ("VAULT_SOURCE_TOKEN", source.token.as_str())];
    let moved = store.run_with(&[&words[..], &["--source-prefix", "team-a/"]].concat(), &variables, "");
    assert!(!moved.errors.contains(CANARY) && !moved.text.contains(CANARY), "a value is told");
    moved.well();
    assert_eq!(store.data("moved/team-a/db"), source.data("team-a/db"));
    let file = source.file("source-token", &source.token);
    let old = [&words[..], &["--source-mount", "old", "--source-token-file", &file]].concat();
    assert!(store.run(&old).well().contains("moved/team/app: version 1"));
    assert_eq!(store.data("moved/team/app"), json!({"password": CANARY}));
    let wrong = [("STRONGROOM_TOKEN", store.token.as_str()), ("VAULT_SOURCE_TOKEN", "hvs.canary7f3a9c51")];
    store.run_with(&words, &wrong, "").fails(1, "403");
}

#[test]
fn who_may_not_list_exports_what_may_be_read() {
    let store = filled();
    let token = store.token_of("reader-of-app", "path \"secret/data/app\" { capabilities = [\"read\"] }");
    let exported = store.run_with(&["kv", "export", "app"], &[("VAULT_TOKEN", &token)], "");
    assert!(exported.errors.contains("app/ may not be listed"), "{}", exported.errors);
    assert_eq!(exported.json(), json!({"app": {"password": CANARY, "port": 5432}}));
    store.run_with(&["kv", "export", "team-a/"], &[("VAULT_TOKEN", &token)], "").fails(1, "403");
}

#[test]
fn a_secret_is_copied_to_another_path_and_another_mount() {
    let store = filled();
    assert_eq!(store.run(&["kv", "copy", "app", "app-2"]).well(), "app-2: version 1\n");
    assert_eq!(store.data("app-2"), store.data("app"));
    let again = store.run(&["kv", "copy", "app", "app-2"]).well();
    assert!(again.contains("same    app-2"), "{again}");
    assert_eq!(store.run(&["kv", "copy", "team-a/db", "app-2"]).well(), "app-2: version 2\n");
    store.run(&["secrets", "enable", "kv", "--path", "archive"]).well();
    store.run(&["kv", "copy", "app", "x/app", "--to-mount", "archive"]).well();
    assert_eq!(store.run(&["kv", "list", "x", "--mount", "archive"]).well(), "app\n");
    store.run(&["kv", "copy", "app", "app"]).fails(1, "not copied to itself");
    store.run(&["kv", "copy", "none", "some"]).fails(4, "there is no such secret");
    store.run(&["kv", "copy", "app", "a//b"]).fails(1, "no path of a secret");
}

#[test]
fn a_folder_is_copied_after_its_plan_was_shown() {
    let store = filled();
    let words = ["kv", "copy", "team-a/", "team-b/"];
    store.run(&words).fails(1, "--yes");
    let dry = store.run(&[&words[..], &["--dry-run"]].concat()).well();
    assert!(dry.contains("create  team-b/deep/web  (1 key)"), "{dry}");
    store.run(&[&words[..], &["--yes"]].concat()).well();
    assert_eq!(store.data("team-b/deep/web"), store.data("team-a/deep/web"));
    store.run(&["kv", "copy", "nowhere/", "team-b/"]).fails(4, "no secret in this folder");
    // A mount without versions is copied from, and not written to.
    store.with_old_secrets();
    store.run(&["kv", "copy", "--mount", "old", "/", "moved/", "--to-mount", "secret", "--yes"]).well();
    assert_eq!(store.data("moved/team/app"), json!({"password": CANARY}));
    store.run(&["kv", "copy", "app", "app", "--to-mount", "old"]).fails(1, "keeps no versions");
    store.run(&["kv", "export", "/", "--mount", "sys"]).fails(1, "holds no key-value secrets");
}

#[test]
fn all_versions_are_copied_to_where_nothing_is() {
    let store = filled();
    store.put("app", &json!({"password": "two"}));
    store.put("app", &json!({"password": "three"}));
    store.run(&["kv", "destroy", "app", "--versions", "2"]).well();
    let settings = json!({"max_versions": 7, "custom_metadata": {"owner": "ann"}}).to_string();
    let set = std::process::Command::new("curl")
        .args(["-sS", "--fail", "-H", &format!("X-Vault-Token: {}", store.token), "-d", &settings])
        .arg(format!("{}/v1/secret/metadata/app", store.address))
        .status();
    assert!(set.unwrap().success());
    let copied = store.run(&["kv", "copy", "app", "app-2", "--all-versions"]);
    assert!(copied.errors.contains("version 2 is deleted or destroyed"), "{}", copied.errors);
    assert_eq!(copied.well(), "app-2: 2 versions\n");
    let first = store.run(&["kv", "get", "app-2", "--version", "1", "--field", "password"]).well();
    assert_eq!(first, CANARY);
    assert_eq!(store.data("app-2"), json!({"password": "three"}));
    let known = store.run(&["kv", "get", "app-2", "--json"]).json();
    assert_eq!(known["metadata"]["custom_metadata"], json!({"owner": "ann"}));
    store.run(&["kv", "copy", "app", "app-2", "--all-versions"]).fails(1, "there is a secret already");
    let all = store.run(&["kv", "copy", "team-a/", "team-b/", "--all-versions", "--yes"]).well();
    assert!(all.contains("team-b/db: 1 version\n"), "{all}");
}
