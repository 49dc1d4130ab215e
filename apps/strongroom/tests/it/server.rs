//! The built-in store as somebody meets it who tries it out.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{CANARY, strongroom};

/// Ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A store that was just made, and what it printed.
fn dev(folder: &std::path::Path) -> (Ending, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .args(["dev", "--listen=127.0.0.1:0", "--json"])
        .arg(format!("--data={}", folder.display()))
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Ending(child), serde_json::from_str(&line).unwrap())
}

#[test]
fn a_store_to_try_out_serves_our_own_commands_and_is_found_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("dev");
    let (ending, told) = dev(&place);
    let (address, token) = (told["address"].as_str().unwrap(), told["token"].as_str().unwrap());
    let variables = [("VAULT_ADDR", address), ("VAULT_TOKEN", token)];
    let body = json!({"data": {"password": CANARY, "port": 5432}}).to_string();
    let written = Command::new("curl")
        .args(["-sS", "--fail", "-o", "/dev/null", "-H", &format!("X-Vault-Token: {token}"), "-d", &body])
        .arg(format!("{address}/v1/secret/data/app"))
        .status();
    assert!(written.unwrap().success());
    let got = strongroom(&["get", "vault:secret/data/app#password"], &variables, b"");
    assert_eq!((got.code, got.text().trim_end()), (0, CANARY), "{}", got.stderr);
    let reference = [("PASSWORD", "vault:secret/data/app#password"), variables[0], variables[1]];
    let ran = strongroom(&["run", "--", "sh", "-c", "echo $PASSWORD"], &reference, b"");
    assert_eq!((ran.code, ran.text().trim_end()), (0, CANARY), "{}", ran.stderr);
    let mode = |name: &str| std::fs::metadata(place.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(["token", "seal.key", "store.redb", "audit.log"].map(mode), [0o600; 4]);
    let trail = std::fs::read_to_string(place.join("audit.log")).unwrap();
    assert!(trail.contains("secret/data/app") && !trail.contains(CANARY), "a value is in the trail");
    // The commands for people: values come in by standard input, and are hidden from nobody who redirects.
    let ours = [("STRONGROOM_ADDR", address), ("STRONGROOM_TOKEN", token)];
    let kv = |words: &[&str], input: &str| strongroom(&[&["kv"], words].concat(), &ours, input.as_bytes());
    let refused = kv(&["put", "web", &format!("password={CANARY}")], "");
    assert!(
        refused.code == 1 && !refused.stderr.contains(CANARY) && refused.stderr.contains("password=-"),
        "{}",
        refused.stderr
    );
    assert_eq!(kv(&["put", "web", "password=-"], "one\n").text(), "web: version 1\n");
    assert_eq!(kv(&["patch", "web", "--json", "-"], "{\"user\":\"ann\"}").text(), "web: version 2\n");
    assert_eq!(kv(&["put", "web", "--env", "-", "--cas", "2"], "export password='two'\n").text(), "web: version 3\n");
    assert_eq!(kv(&["put", "web", "x=-", "--cas", "2"], "no").code, 1);
    assert_eq!(kv(&["rollback", "web", "--version", "2"], "").text(), "web: version 4\n");
    assert_eq!(kv(&["get", "web", "--field", "user"], "").text(), "ann");
    assert!(kv(&["get", "web"], "").text().contains("password = one"));
    assert_eq!(kv(&["list"], "").text(), "app\nweb\n");
    assert_eq!(kv(&["delete", "web"], "").code, 0);
    let gone = kv(&["get", "web"], "");
    assert!(gone.code == 4 && gone.stderr.contains("was deleted at"), "{}", gone.stderr);
    assert_eq!(kv(&["undelete", "web", "--versions", "4"], "").code, 0);
    assert_eq!(kv(&["destroy", "web", "--versions", "1,3"], "").code, 0);
    let history = kv(&["history", "web"], "");
    let states: Vec<_> =
        history.text().lines().skip(1).map(|line| line.split_whitespace().nth(2).unwrap_or("")).collect();
    assert_eq!(states, ["destroyed", "", "destroyed", "current"]);
    assert_eq!(kv(&["get", "none"], "").code, 4);
    let nobody = strongroom(&["kv", "list"], &[], b"");
    assert!(nobody.code == 1 && nobody.stderr.contains("STRONGROOM_ADDR"), "{}", nobody.stderr);
    let file = place.join("audit.log").display().to_string();
    let listed = strongroom(&["audit", "list", &file, "--path", "secret/data/web"], &[], b"");
    assert!(listed.text().lines().count() > 5 && listed.text().contains("root"), "{}", listed.text());
    drop(ending);
    // Another start finds what was there.
    let (_ending, again) = dev(&place);
    assert_eq!(again["token"], told["token"]);
    let variables = [("VAULT_ADDR", again["address"].as_str().unwrap()), ("VAULT_TOKEN", token)];
    let got = strongroom(&["get", "vault:secret/data/app#port"], &variables, b"");
    assert_eq!((got.code, got.text().trim_end()), (0, "5432"), "{}", got.stderr);
}
