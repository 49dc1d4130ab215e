use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;
use strongroom_generate::ssh_key;

/// What `ssh-keygen` makes of the private key, and the public key beside it.
#[expect(clippy::disallowed_methods, reason = "a folder of the test's own")]
fn read_by_openssh(spec: serde_json::Value) -> (String, String) {
    let values = ssh_key(&serde_json::from_value(spec).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, values["privateKey"].expose()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let read = Command::new("ssh-keygen").arg("-y").arg("-P").arg("").arg("-f").arg(&path).output().unwrap();
    assert!(read.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&read.stderr));
    (String::from_utf8(read.stdout).unwrap(), values["publicKey"].expose_text().unwrap().to_owned())
}

#[test]
fn openssh_reads_every_kind_of_key() {
    for (spec, beginning) in [
        (json!({}), "ssh-rsa "),
        (json!({"keyType": "rsa", "keySize": 3072, "comment": "ci@example"}), "ssh-rsa "),
        (json!({"keyType": "ed25519"}), "ssh-ed25519 "),
        (json!({"keyType": "ed25519", "keySize": 256, "comment": "one two"}), "ssh-ed25519 "),
        (json!({"keyType": "ecdsa"}), "ecdsa-sha2-nistp256 "),
        (json!({"keyType": "ecdsa", "keySize": 384, "comment": "c"}), "ecdsa-sha2-nistp384 "),
        (json!({"keyType": "ecdsa", "keySize": 521}), "ecdsa-sha2-nistp521 "),
    ] {
        let (read, public) = read_by_openssh(spec.clone());
        assert_eq!(read, public, "{spec}");
        assert!(public.starts_with(beginning), "{public}");
        assert!(public.trim_end().ends_with(spec["comment"].as_str().unwrap_or_default()), "{public}");
    }
}

#[test]
fn sizes_that_there_are_not_are_refused() {
    for spec in [json!({"keySize": 1024}), json!({"keyType": "ecdsa", "keySize": 2048})] {
        assert!(ssh_key(&serde_json::from_value(spec).unwrap()).is_err());
    }
}
