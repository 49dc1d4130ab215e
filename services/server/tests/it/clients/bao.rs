//! The command line of OpenBao.

use std::process::Command;

use crate::serving::Serving;

/// What `bao` prints, without the space around; its failure as a text.
fn bao(server: &Serving, token: &str, words: &[&str]) -> Result<String, String> {
    let environment = world::python::prepare().unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(environment.program("bao"))
        .args(words)
        .env_remove("VAULT_ADDR")
        .env_remove("BAO_NAMESPACE")
        .env("BAO_ADDR", format!("http://{}", server.address))
        .env("BAO_TOKEN", token)
        .env("HOME", home.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn the_bao_command_line_passes_its_flows() {
    let (server, root) = Serving::new();
    let ok = |words: &[&str]| bao(&server, &root, words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert!(ok(&["status"]).contains("redb"));
    ok(&["secrets", "enable", "-path=secret", "-version=2", "kv"]);
    ok(&["kv", "put", "-mount=secret", "web", "user=ann", "password=x"]);
    ok(&["kv", "patch", "-mount=secret", "web", "user=bob"]);
    assert_eq!(ok(&["kv", "get", "-mount=secret", "-field=user", "web"]), "bob");
    assert_eq!(ok(&["kv", "get", "-mount=secret", "-field=user", "-version=1", "web"]), "ann");
    ok(&["kv", "put", "-mount=secret", "-cas=2", "web", "user=cas"]);
    assert!(bao(&server, &root, &["kv", "put", "-mount=secret", "-cas=2", "web", "user=no"]).is_err());
    ok(&["kv", "delete", "-mount=secret", "web"]);
    assert!(bao(&server, &root, &["kv", "get", "-mount=secret", "-field=user", "web"]).is_err());
    ok(&["kv", "undelete", "-mount=secret", "-versions=3", "web"]);
    ok(&["kv", "rollback", "-mount=secret", "-version=1", "web"]);
    assert_eq!(ok(&["kv", "get", "-mount=secret", "-field=user", "web"]), "ann");
    ok(&["kv", "metadata", "put", "-mount=secret", "-custom-metadata=owner=ann", "web"]);
    assert!(ok(&["kv", "metadata", "get", "-mount=secret", "web"]).contains("owner"));
    ok(&["kv", "destroy", "-mount=secret", "-versions=2", "web"]);
    assert!(ok(&["kv", "list", "-mount=secret"]).contains("web"));
    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), "path \"secret/data/*\" { capabilities = [\"read\"] }").unwrap();
    ok(&["policy", "write", "reader", policy.path().to_str().unwrap()]);
    assert!(ok(&["policy", "list"]).contains("reader"));
    let token = ok(&["token", "create", "-policy=reader", "-ttl=1h", "-field=token"]);
    assert_eq!(bao(&server, &token, &["kv", "get", "-mount=secret", "-field=user", "web"]), Ok("ann".to_owned()));
    assert!(bao(&server, &token, &["kv", "put", "-mount=secret", "web", "user=no"]).unwrap_err().contains("403"));
    assert_eq!(ok(&["token", "capabilities", &token, "secret/data/web"]), "read");
    ok(&["token", "renew", &token]);
    let wrapped = ok(&["read", "-wrap-ttl=60s", "-field=wrapping_token", "secret/data/web"]);
    assert!(bao(&server, &root, &["unwrap", "-format=json", &wrapped]).unwrap().contains("ann"));
    let made = ok(&["write", "-wrap-ttl=60s", "-f", "-field=wrapping_token", "auth/token/create"]);
    assert!(ok(&["unwrap", "-field=token", &made]).starts_with("s."));
    ok(&["token", "revoke", &token]);
    ok(&["kv", "metadata", "delete", "-mount=secret", "web"]);
    ok(&["secrets", "tune", "-max-lease-ttl=1h", "secret/"]);
    ok(&["secrets", "move", "secret/", "moved/"]);
    ok(&["secrets", "disable", "moved"]);
    ok(&["operator", "seal"]);
    assert!(bao(&server, &root, &["kv", "list", "-mount=secret"]).unwrap_err().contains("sealed"));
}
