//! Dependencies point one way: `apps -> commands -> services -> pipeline -> providers -> edge -> core`, and inside a
//! room along the order that the code map in ARCHITECTURE.md gives.

use std::collections::HashMap;

use crate::metadata::{Dependency, Metadata};

/// The rooms from below to above. `dev` is beside them: it may use everything, and only tests use it.
const ROOMS: &[&str] = &["core", "edge", "providers", "pipeline", "services", "commands", "apps"];

/// The crates of each room in the order of the code map: a crate may use those before it.
const ORDER: &[&str] = &[
    "core/secret",
    "core/failure",
    "core/reference",
    "core/select",
    "core/crypto",
    "core/pattern",
    "core/template",
    "core/files",
    "core/policy",
    "core/api",
    "core/sync",
    "core/kes",
    "core/restart",
    "core/aws-ssm",
    "core/inject",
    "core/generate",
    "core/event",
    "core/audit",
    "core/storage",
    "core/barrier",
    "core/kv",
    "core/token",
    "core/jwt",
    "core/transit",
    "core/kamus",
    "core/kamus-secret",
    "edge/http",
    "edge/process",
    "edge/telemetry",
    "edge/javascript",
    "edge/kube",
    "edge/registry",
    "edge/storage-redb",
    "edge/storage-etcd",
    "edge/audit",
    "providers/provider",
    "providers/aws",
    "providers/google",
    "providers/vault",
    "providers/file",
    "providers/environment",
    "providers/fake",
    "providers/azure",
    "providers/kubernetes",
    "providers/webhook",
    "pipeline/resolve",
    "pipeline/stores",
    "pipeline/render",
    "pipeline/renew",
    "pipeline/deliver-env",
    "pipeline/deliver-files",
    "pipeline/reconcile",
    "pipeline/decrypt",
    "services/agent",
    "services/restarts",
    "services/certificates",
    "services/kamus",
    "services/operator",
    "services/server",
    "services/admission",
    "commands/read",
    "commands/launch",
    "commands/inspect",
    "commands/template",
    "commands/es",
    "commands/migrate",
    "commands/store",
    "commands/encrypt",
    "apps/strongroom",
    "apps/strongroom-init",
];

/// Libraries that only some of our crates may name, and who: (names, allowed folders, what to do instead).
const KEPT: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "aws-lc-rs",
            "ring",
            "sha2",
            "hmac",
            "aes-gcm",
            "chacha20poly1305",
            "p256",
            "ed25519-dalek",
            "argon2",
            "bcrypt",
            "aes",
            "rsa",
            "hkdf",
            "sha1",
            "pbkdf2",
            "scrypt",
            "sha3",
            "p12-keystore",
            "pkcs8",
            "rcgen",
            "x509-parser",
            "aws-lc-sys",
            "openssl",
        ],
        &["core/crypto", "edge/http", "dev/"],
        "core/crypto is the one place that names crypto libraries (edge/http sets up TLS)",
    ),
    (
        &["kube-client", "kube-runtime", "kube"],
        &["edge/kube", "providers/kubernetes", "pipeline/reconcile", "services/", "commands/", "dev/"],
        "talk to a cluster through edge/kube",
    ),
    (&["hyper", "hyper-util", "reqwest"], &["edge/http", "dev/"], "edge/http is the one HTTP client and server"),
    (&["libc"], &["edge/process"], "edge/process is the one place for what the standard library and nix lack"),
];

/// Findings about who names whom.
pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let folders: HashMap<&str, String> =
        metadata.members().map(|(package, folder)| (package.name.as_str(), folder)).collect();
    let mut findings = Vec::new();
    for (package, folder) in metadata.members() {
        if !folder.starts_with("dev/") && rank(&folder).is_none() {
            findings.push(format!("{folder} is in no place of the code map: add it to ORDER in dev/xtask/src/tidy/arrows.rs and to ARCHITECTURE.md"));
        }
        for dependency in &package.dependencies {
            let ours = dependency.path.as_ref().and_then(|_| folders.get(dependency.name.as_str()));
            findings.extend(ours.and_then(|used| wrong_arrow(&folder, used, dependency)));
            findings.extend(kept(&folder, dependency));
        }
    }
    findings
}

fn wrong_arrow(folder: &str, used: &str, dependency: &Dependency) -> Option<String> {
    let for_tests = dependency.kind.as_deref() == Some("dev");
    if folder.starts_with("dev/")
        // A crate's tests name the crate itself to have it with a feature that is off elsewhere.
        || (for_tests && (used.starts_with("dev/") || used == folder))
        || rank(used) < rank(folder) && !used.starts_with("dev/")
    {
        return None;
    }
    Some(format!(
        "{folder} depends on {used}, against the one direction ({}): move what both need below, or pass it in",
        ROOMS.iter().rev().copied().collect::<Vec<_>>().join(" -> ")
    ))
}

/// Room and place in it; `None` for `dev` and for folders that nobody placed.
fn rank(folder: &str) -> Option<(usize, usize)> {
    let room = ROOMS.iter().position(|room| folder.split('/').next() == Some(room))?;
    Some((room, ORDER.iter().position(|place| *place == folder)?))
}

fn kept(folder: &str, dependency: &Dependency) -> Option<String> {
    if dependency.kind.as_deref() == Some("dev") {
        return None;
    }
    let (_, allowed, instead) = KEPT.iter().find(|(names, _, _)| names.contains(&dependency.name.as_str()))?;
    let is_allowed = allowed.iter().any(|place| folder == *place || place.ends_with('/') && folder.starts_with(place));
    (!is_allowed).then(|| format!("{folder} names {}: {instead}", dependency.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, kind: Option<&str>) -> Dependency {
        Dependency { name: name.to_owned(), req: "*".to_owned(), kind: kind.map(str::to_owned), path: None }
    }

    #[test]
    fn arrows_point_down_and_along_the_map() {
        let check = |folder, used, kind, right: bool| {
            assert_eq!(wrong_arrow(folder, used, &dependency("x", kind)).is_none(), right, "{folder} -> {used}");
        };
        check("core/failure", "core/secret", None, true);
        check("core/secret", "core/failure", None, false);
        check("core/select", "edge/http", None, false);
        check("apps/strongroom", "core/secret", None, true);
        check("providers/vault", "edge/http", None, true);
        check("edge/http", "providers/vault", None, false);
        check("core/secret", "dev/world", Some("dev"), true);
        check("core/secret", "dev/world", None, false);
        check("dev/world", "edge/http", None, true);
        check("providers/vault", "providers/vault", Some("dev"), true);
        check("providers/vault", "providers/vault", None, false);
    }

    #[test]
    fn kept_libraries_are_named_where_they_belong() {
        let check = |folder, name, kind, right: bool| {
            assert_eq!(kept(folder, &dependency(name, kind)).is_none(), right, "{folder} names {name}");
        };
        check("edge/http", "aws-lc-rs", None, true);
        check("providers/aws", "aws-lc-rs", None, false);
        check("providers/aws", "hyper", None, false);
        check("commands/launch", "kube", None, true);
        check("pipeline/resolve", "kube", None, false);
        check("pipeline/resolve", "sha2", Some("dev"), true);
    }
}
