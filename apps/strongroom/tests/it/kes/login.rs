//! The login to Vault that kubernetes-external-secrets has: the operator's own service account, by a role and a mount that
//! the object names, or that the operator's environment does.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use world::switchboard::Switchboard;

use super::support::{API, CLUSTER, create, status, variables, wait_for};
use crate::VAULT;
use crate::install::node;
use crate::operator::api::KES;
use crate::operator::support::{Operator, eventually, namespace};

/// `INSTANCE_ID` of an operator of its own, and the mount of its login.
const INSTANCE: &str = "kes-login";

/// Puts a link to the file `$0` where kubelet puts a pod's token, for the command `$@` alone.
const AS_IN_A_POD: &str = "mount -t tmpfs none /var/run && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount && \
                           ln -s \"$0\" /var/run/secrets/kubernetes.io/serviceaccount/token && exec \"$@\"";

/// An operator that finds the token of its service account as in a pod, and Vault behind `door`.
fn start(door: &Switchboard, token: &Path) -> Operator {
    let mut variables = variables();
    variables.retain(|(name, _)| !["VAULT_TOKEN", "VAULT_ADDR"].contains(name));
    let more = [
        ("VAULT_ADDR", door.address()),
        ("DEFAULT_VAULT_MOUNT_POINT", INSTANCE),
        ("DEFAULT_VAULT_ROLE", "secrets-reader"),
        ("INSTANCE_ID", INSTANCE),
    ];
    let known = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> = known.chain(more).collect();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", AS_IN_A_POD]).arg(token).arg("env");
    let class = format!("--controller-class={INSTANCE}");
    let operator = Operator::spawn_by(command, CLUSTER.kubeconfig(), &[&class], &variables);
    operator.wait_until_ready();
    operator
}

/// Has Vault take service accounts of this namespace: `operator` and `successor` by one role, `somebody` by another.
fn prepare(namespace: &str) {
    let bao = |words: &[&str]| drop(VAULT.command(words).unwrap());
    bao(&["auth", "enable", &format!("-path={INSTANCE}"), "kubernetes"]);
    let authority = format!("kubernetes_ca_cert=@{}", CLUSTER.certificate_authority().display());
    let server = format!("kubernetes_host={}", CLUSTER.server());
    let reviewer = format!("token_reviewer_jwt={}", CLUSTER.token_reviewer().unwrap());
    bao(&["write", &format!("auth/{INSTANCE}/config"), &server, &authority, &reviewer, "disable_local_ca_jwt=true"]);
    let policy = format!("policy=path \"secret/data/{INSTANCE}/*\" {{ capabilities = [\"read\"] }}");
    bao(&["write", &format!("sys/policies/acl/{INSTANCE}"), &policy]);
    for (role, accounts) in [("secrets-reader", "operator,successor"), ("others", "somebody")] {
        let role = format!("auth/{INSTANCE}/role/{role}");
        let names = format!("bound_service_account_names={accounts}");
        let namespaces = format!("bound_service_account_namespaces={namespace}");
        bao(&["write", &role, &names, &namespaces, &format!("token_policies={INSTANCE}")]);
    }
}

fn put(value: &str) {
    VAULT.command(&["kv", "put", &format!("secret/{INSTANCE}/app"), &format!("a={value}")]).unwrap();
}

/// How often the operator logged in as this role.
fn logins(door: &Switchboard, role: &str) -> usize {
    let named = format!("\"{role}\"");
    let is_it = |path: &str, body: &[u8]| {
        path.contains(&format!("/auth/{INSTANCE}/login")) && String::from_utf8_lossy(body).contains(&named)
    };
    door.requests().iter().filter(|seen| is_it(&seen.path, &seen.body)).count()
}

#[test]
fn ke_21_vault_is_logged_in_to_as_the_operators_own_service_account() {
    // Only root may put something where kubelet does.
    if !node::can_run() {
        return;
    }
    let namespace = namespace(&CLUSTER, &[]);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let become_account = |account: &str| {
        std::fs::write(&token, CLUSTER.service_account_token(&namespace, account, &[]).unwrap()).unwrap();
    };
    become_account("operator");
    prepare(&namespace);
    put("first");
    let door = Switchboard::to(VAULT.host_port()).unwrap();
    let operator = start(&door, &token);
    let of = |more: &str| {
        format!(
            "{{controllerId: {INSTANCE}, backendType: vault, {more} data: [{{key: secret/data/{INSTANCE}/app, property: \
             a, name: a}}]}}"
        )
    };
    create(&namespace, "named", &of(&format!("vaultMountPoint: {INSTANCE}, vaultRole: secrets-reader,")));
    create(&namespace, "by-default", &of(""));
    create(&namespace, "refused", &of("vaultRole: others,"));
    create(&namespace, "no-mount", &of("vaultMountPoint: kes-login-none, vaultRole: secrets-reader,"));
    wait_for(&namespace, "named", "a=first");
    wait_for(&namespace, "by-default", "a=first");
    for (name, words) in
        [("refused", "role others by auth/kes-login"), ("no-mount", "role secrets-reader by auth/kes-login-none")]
    {
        eventually(&format!("{name} is an error that names the login"), || match status(&namespace, name) {
            Some(status) if status.starts_with("ERROR, ") && status.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(API.get("secrets", &namespace, name), None, "{name}: an error makes no Secret");
    }
    assert_eq!(logins(&door, "secrets-reader"), 1, "one login serves all objects of a mount and role");
    // What keeps failing fills the record of requests.
    ["refused", "no-mount"].iter().for_each(|name| assert!(API.delete(KES, &namespace, name)));

    // A token is good for an hour or so: kubelet brings another one, and the login's own ends sooner or later.
    become_account("successor");
    CLUSTER.kubectl(&["delete", "serviceaccount", "operator", "-n", &namespace]).unwrap();
    VAULT.command(&["lease", "revoke", "-sync", "-prefix", &format!("auth/{INSTANCE}/login")]).unwrap();
    put("second");
    wait_for(&namespace, "named", "a=second");
    wait_for(&namespace, "by-default", "a=second");
    assert_eq!(logins(&door, "secrets-reader"), 2, "the first login is over");
    let jwt = std::fs::read_to_string(&token).unwrap();
    let objects = json!(API.list(KES, &namespace)).to_string();
    assert!(!operator.logged().contains(&jwt) && !objects.contains(&jwt), "the token is shown");
    operator.stop();
}
