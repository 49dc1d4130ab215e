//! Vault and OpenBao: each login may read what bears its name, and is made over TLS, with an authority that the store
//! brings along.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use world::certificates::Authority;
use world::directory::{Directory, GROUPS, USERS};
use world::open_bao::{OpenBao, Options, is_still_mounting};
use world::part::{Part, free_port};
use world::sts::{CheckedSts, Key};

use super::super::support::CLUSTER;
use super::super::world_of_stores::{World, core, send};
use super::aws::{self, Accounts};
use super::{Forms, account, encoded, key, kubernetes, token, user, with, within};
use crate::AWS;

/// What the server calls itself for logins by AWS identity.
const SERVER_ID: &str = "vault.world";

const PASSWORD: &str = "canary-8e02-password";
const DIRECTORY_PASSWORD: &str = "canary-8e02-directory";

/// The server, and what it asks about those who log in.
pub(super) struct Parts {
    bao: OpenBao,
    authority: Authority,
    directory: Directory,
    sts: CheckedSts,
}

/// How often a mount that was just made is asked again, every 50 ms.
const MOUNTING_ROUNDS: usize = 200;

impl Parts {
    fn start(accounts: &Accounts) -> Self {
        let authority = Authority::new().unwrap();
        let options = Options { authority: Some(&authority), has_vault_logins: true };
        let bao = OpenBao::start_with(&options).unwrap();
        let directory = Directory::start("alice", DIRECTORY_PASSWORD, "readers").unwrap();
        let arn = |account: &str| format!("arn:aws:iam::{account}:user/app");
        let arns = [aws::KEY, aws::OPERATOR].map(|account| (account, arn(account)));
        let keys = arns.each_ref().map(|(account, arn)| {
            let [id, secret] = accounts.lasting(account);
            Key { id, secret, token: None, arn }
        });
        let sts = CheckedSts::start(&keys, Some(&*AWS)).unwrap();
        Self { bao, authority, directory, sts }
    }

    /// Asks as root, and wants success; of a mount that was just made, when it is ready.
    fn admin_in(&self, namespace: &str, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("X-Vault-Token", self.bao.root_token()), ("X-Vault-Namespace", namespace)];
        let headers = if namespace.is_empty() { &headers[..1] } else { &headers[..] };
        let path = format!("/v1/{path}");
        let ask = || send(self.bao.host_port(), method, &path, headers, &body.to_string()).unwrap();
        let mut asked = ask();
        for _ in 0..MOUNTING_ROUNDS {
            if !is_still_mounting(&asked.1) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            asked = ask();
        }
        let (status, answer) = asked;
        assert!(matches!(status, 200 | 204), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.admin_in("", "POST", path, body)
    }

    /// Something to read, and the policy of the same name that allows to read it.
    fn put(&self, name: &str) {
        self.post(&format!("secret/data/forms/{name}"), &json!({"data": {"value": format!("of {name}")}}));
        self.allow("", name, &format!("secret/data/forms/{name}"));
    }

    fn allow(&self, namespace: &str, policy: &str, path: &str) {
        let rules = json!({"policy": format!("path \"{path}\" {{ capabilities = [\"read\"] }}")});
        self.admin_in(namespace, "POST", &format!("sys/policies/acl/{policy}"), &rules);
    }

    fn enable(&self, method: &str) {
        self.post(&format!("sys/auth/{method}"), &json!({"type": method}));
    }

    /// A token that may read `name`, and nothing else where it `is_bare`: not even itself.
    fn token(&self, name: &str, is_bare: bool) -> String {
        self.put(name);
        let made = self.post("auth/token/create", &json!({"policies": [name], "no_default_policy": is_bare}));
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Role id and secret id of a role that has this policy.
    fn app_role(&self, namespace: &str, policy: &str) -> [String; 2] {
        self.admin_in(namespace, "POST", "sys/auth/approle", &json!({"type": "approle"}));
        let role = "auth/approle/role/app";
        self.admin_in(namespace, "POST", role, &json!({"token_policies": [policy]}));
        let role_id = self.admin_in(namespace, "GET", &format!("{role}/role-id"), &json!({}))["data"]["role_id"].take();
        let secret = self.admin_in(namespace, "POST", &format!("{role}/secret-id"), &json!({}));
        [&role_id, &secret["data"]["secret_id"]].map(|text| text.as_str().unwrap().to_owned())
    }

    /// A store that trusts and logs in like this.
    fn store(&self, trust: &Value, auth: &Value) -> Value {
        let server = json!({"server": self.bao.secure_address().unwrap(), "path": "secret", "auth": auth});
        with(&server, trust)
    }
}

/// What a login of this name reads.
fn remote(name: &str) -> Value {
    json!({"key": format!("forms/{name}"), "property": "value"})
}

/// Returns what must go on running.
pub(super) fn add(forms: &mut Forms, world: &World, accounts: &Accounts) -> (Parts, Part) {
    let parts = Parts::start(accounts);
    let home = forms.home.clone();
    let pem = parts.authority.certificate_pem();
    core(&home, "ConfigMap", "bao", &json!({"data": {"ca.crt": pem}}));
    // Under another name than that of the logins, since it is not theirs.
    core(&home, "Secret", "bao-authority", &json!({"stringData": {"ca.crt": pem}}));
    ["bao", "bao-jwt", "bao-audience"].iter().for_each(|name| account(&home, name, &json!({})));
    account(&forms.away, "bao", &json!({}));
    given(forms, &parts);
    cluster_accounts(forms, &parts);
    people(forms, &parts);
    by_aws(forms, &parts);
    namespaces(forms, &parts);
    let agent = agent(forms, &parts, world);
    (parts, agent)
}

/// Three ways to say whom to trust; every store takes one of them.
fn trusts(parts: &Parts, home: &str) -> [Value; 3] {
    let provider = |kind: &str, name: &str| {
        let place = json!({"type": kind, "name": name, "key": "ca.crt", "namespace": home});
        json!({"caProvider": place})
    };
    [
        json!({"caBundle": encoded(&parts.authority.certificate_pem())}),
        provider("ConfigMap", "bao"),
        provider("Secret", "bao-authority"),
    ]
}

/// Tokens and AppRoles.
fn given(forms: &mut Forms, parts: &Parts) {
    let (home, away) = (forms.home.clone(), forms.away.clone());
    let (token, other) = (parts.token("token", true), parts.token("token-away", true));
    parts.put("approle");
    let [role_id, secret_id] = parts.app_role("", "approle");
    let hidden = [("token", token.as_str()), ("secret-id", &secret_id)];
    forms.secret(&home, "bao", &[("role-id", &role_id)], &hidden);
    forms.secret(&away, "bao", &[], &[("token", &other)]);
    let by_token = json!({"tokenSecretRef": key("bao", "token")});
    let by_id = json!({"appRole": {"path": "approle", "roleId": role_id, "secretRef": key("bao", "secret-id")}});
    let by_reference = json!({"appRole": {
        "path": "approle", "roleRef": key("bao", "role-id"), "secretRef": key("bao", "secret-id"),
    }});
    let named = json!({"tokenSecretRef": within(&home, &key("bao", "token"))});
    let trusts = trusts(parts, &home);
    for slot in ["vault", "openBao"] {
        let store = |trust: &Value, auth: &Value| json!({slot: parts.store(trust, auth)});
        let name = |form: &str| format!("{}-{form}", slot.to_lowercase());
        let own = [("token", &by_token, "token"), ("role-id", &by_id, "approle"), ("role", &by_reference, "approle")];
        for ((form, auth, login), trust) in own.into_iter().zip(&trusts) {
            forms.own(&name(form), store(trust, auth), remote(login), &format!("of {login}"));
        }
        forms.cluster(&name("named-token"), store(&trusts[1], &named), remote("token"), "of token");
        let readers = ["token", "token-away"].map(|login| (remote(login), format!("of {login}")));
        forms.referent(&name("askers-token"), store(&trusts[2], &by_token), readers);
    }
}

/// Service accounts of the cluster, by a review of their token and by its signature.
fn cluster_accounts(forms: &mut Forms, parts: &Parts) {
    let (home, away) = (forms.home.clone(), forms.away.clone());
    prepare_cluster(forms, parts);
    let trusts = trusts(parts, &home);
    let by_account = json!({"role": "app", "serviceAccountRef": {"name": "bao"}});
    let by_secret = json!({"role": "app", "secretRef": key("bao-token", "token")});
    // The key of a token is `token` where none is named.
    let by_name = json!({"role": "app", "secretRef": {"name": "bao-token"}});
    let named = json!({"role": "app", "serviceAccountRef": {"name": "bao", "namespace": home}});
    let of = |namespace: &str| (remote(&format!("account-{namespace}")), format!("of account-{namespace}"));
    let (key_of_home, value_of_home) = of(&home);
    for (slot, path) in [("vault", "mountPath"), ("openBao", "path")] {
        let store = |trust: &Value, auth: &Value| {
            let auth = json!({"kubernetes": with(auth, &json!({path: "kubernetes"}))});
            json!({slot: parts.store(trust, &auth)})
        };
        let name = |form: &str| format!("{}-{form}", slot.to_lowercase());
        for ((form, auth), trust) in [("account", &by_account), ("secret", &by_secret)].into_iter().zip(&trusts) {
            forms.own(&name(form), store(trust, auth), key_of_home.clone(), &value_of_home);
        }
        forms.own(&name("secret-name"), store(&trusts[2], &by_name), key_of_home.clone(), &value_of_home);
        forms.cluster(&name("named-account"), store(&trusts[0], &named), key_of_home.clone(), &value_of_home);
        forms.referent(&name("askers-account"), store(&trusts[1], &by_account), [of(&home), of(&away)]);
    }
    let jwt = |role: &str, more: Value| json!({"jwt": with(&json!({"path": "jwt", "role": role}), &more)});
    let reference = json!({"serviceAccountRef": {"name": "bao-jwt"}, "expirationSeconds": 600});
    let audience = json!({"serviceAccountRef": {"name": "bao-audience", "audiences": ["bao.world"]}});
    let deprecated = json!({"serviceAccountRef": {"name": "bao-audience"}, "audiences": ["bao.world"]});
    let issued = |reference: Value| json!({"kubernetesServiceAccountToken": reference});
    let own = [
        ("vault-jwt-secret", jwt("app", json!({"secretRef": key("bao-jwt", "jwt")})), "jwt"),
        ("vault-jwt-account", jwt("app", issued(reference)), "jwt"),
        ("vault-jwt-audience", jwt("audience", issued(audience)), "audience"),
        ("vault-jwt-audiences", jwt("audience", issued(deprecated)), "audience"),
    ];
    for ((name, auth, login), trust) in own.into_iter().zip(trusts.iter().cycle()) {
        forms.own(name, json!({"vault": parts.store(trust, &auth)}), remote(login), &format!("of {login}"));
    }
}

/// Both of the server's logins for service accounts. What an account may read depends on its namespace.
fn prepare_cluster(forms: &mut Forms, parts: &Parts) {
    let (home, away) = (forms.home.clone(), forms.away.clone());
    ["kubernetes", "jwt"].iter().for_each(|method| parts.enable(method));
    let config = json!({
        "kubernetes_host": CLUSTER.server(), "kubernetes_ca_cert": kubernetes::authority(),
        "token_reviewer_jwt": CLUSTER.token_reviewer().unwrap(), "disable_local_ca_jwt": true,
    });
    parts.post("auth/kubernetes/config", &config);
    let mount = parts.admin_in("", "GET", "sys/auth/kubernetes", &json!({}));
    let accessor = mount["data"]["accessor"].as_str().or(mount["accessor"].as_str()).unwrap();
    let place = format!("{{{{identity.entity.aliases.{accessor}.metadata.service_account_namespace}}}}");
    [&home, &away].iter().for_each(|namespace| parts.put(&format!("account-{namespace}")));
    parts.allow("", "account", &format!("secret/data/forms/account-{place}"));
    let role = json!({
        "bound_service_account_names": ["bao"], "bound_service_account_namespaces": [home, away],
        "token_policies": ["account"],
    });
    parts.post("auth/kubernetes/role/app", &role);
    forms.hide(&kubernetes::lasting_token(&home, "bao"));

    let keys = format!("{}/openid/v1/jwks", CLUSTER.server());
    let config = json!({
        "jwks_url": keys, "jwks_ca_pem": kubernetes::authority(), "bound_issuer": CLUSTER.server(),
    });
    parts.post("auth/jwt/config", &config);
    for (role, login, audience, account) in
        [("app", "jwt", "vault", "bao-jwt"), ("audience", "audience", "bao.world", "bao-audience")]
    {
        parts.put(login);
        let role_of = json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": [audience],
            "bound_subject": user(&home, account), "token_policies": [login],
        });
        parts.post(&format!("auth/jwt/role/{role}"), &role_of);
    }
    let jwt = token(&home, "bao-jwt", &["vault"]);
    forms.secret(&home, "bao-jwt", &[], &[("jwt", &jwt)]);
}

/// Names and passwords, and certificates.
fn people(forms: &mut Forms, parts: &Parts) {
    let home = forms.home.clone();
    ["userpass", "ldap", "cert"].iter().for_each(|method| {
        parts.enable(method);
        parts.put(method);
    });
    parts.post("auth/userpass/users/app", &json!({"password": PASSWORD, "token_policies": ["userpass"]}));
    let config = json!({
        "url": parts.directory.address(), "userdn": USERS, "userattr": "cn", "groupdn": GROUPS, "groupattr": "cn",
    });
    parts.post("auth/ldap/config", &config);
    parts.post("auth/ldap/groups/readers", &json!({"policies": "ldap"}));
    let role = json!({
        "certificate": parts.authority.certificate_pem(), "allowed_common_names": ["app.client"],
        "token_policies": ["cert"],
    });
    parts.post("auth/cert/certs/web", &role);
    let (certificate, private_key) = parts.authority.issue_client("app.client").unwrap();
    let hidden = [("password", PASSWORD), ("directory", DIRECTORY_PASSWORD), ("tls.key", &private_key)];
    forms.secret(&home, "bao-people", &[("tls.crt", &certificate)], &hidden);

    let user = json!({"userPass": {"path": "userpass", "username": "app", "secretRef": key("bao-people", "password")}});
    let person = json!({"ldap": {"path": "ldap", "username": "alice", "secretRef": key("bao-people", "directory")}});
    let (certificate, private_key) = (key("bao-people", "tls.crt"), key("bao-people", "tls.key"));
    let any = json!({"cert": {"clientCert": certificate, "secretRef": private_key}});
    let one = json!({"cert": {
        "path": "cert", "vaultRole": "web", "clientCert": certificate, "secretRef": private_key,
    }});
    let own = [
        ("vault", "vault-user", &user, "userpass"),
        ("openBao", "openbao-user", &user, "userpass"),
        ("vault", "vault-person", &person, "ldap"),
        ("vault", "vault-certificate", &any, "cert"),
        ("vault", "vault-certificate-role", &one, "cert"),
    ];
    for ((slot, name, auth, login), trust) in own.into_iter().zip(trusts(parts, &home).iter().cycle()) {
        forms.own(name, json!({slot: parts.store(trust, auth)}), remote(login), &format!("of {login}"));
    }
}

/// Identities of AWS: the server has what they sign checked by an STS that knows their keys.
fn by_aws(forms: &mut Forms, parts: &Parts) {
    parts.enable("aws");
    let config = json!({"sts_endpoint": parts.sts.endpoint(), "iam_server_id_header_value": SERVER_ID});
    parts.post("auth/aws/config/client", &config);
    let principals = [
        ("iam-key", format!("arn:aws:iam::{}:user/app", aws::KEY)),
        ("iam-session", format!("arn:aws:iam::{}:role/setup", aws::SESSION)),
        ("iam-role", aws::role(aws::ROLE)),
        ("iam-account", aws::role(aws::WEB)),
        ("iam-own", format!("arn:aws:iam::{}:user/app", aws::OPERATOR)),
    ];
    for (name, principal) in principals {
        parts.put(name);
        let role = json!({
            "auth_type": "iam", "resolve_aws_unique_ids": false, "token_policies": [name],
            "bound_iam_principal_arn": [principal],
        });
        parts.post(&format!("auth/aws/role/{name}"), &role);
    }
    let by_key = json!({"secretRef": aws::access_key("access-key"), "path": "aws", "region": "eu-west-1"});
    let web = json!({"jwt": {"serviceAccountRef": {"name": "aws-web"}}, "region": "eu-west-1"});
    let [trust, ..] = trusts(parts, &forms.home);
    let store = |role: &str, more: &Value| {
        let login = json!({"vaultRole": role, "vaultAwsIamServerID": SERVER_ID});
        json!({"vault": parts.store(&trust, &json!({"iam": with(&login, more)}))})
    };
    let own = [
        ("iam-key", by_key.clone()),
        ("iam-session", json!({"secretRef": aws::brief_key("session-key")})),
        ("iam-role", with(&by_key, &aws::entered(aws::ROLE))),
        ("iam-account", web),
    ];
    for (login, more) in own {
        forms.own(&format!("vault-{login}"), store(login, &more), remote(login), &format!("of {login}"));
    }
    forms.cluster("vault-iam-own", store("iam-own", &json!({})), remote("iam-own"), "of iam-own");
}

/// Namespaces of the server: one for both the login and what is read, or one for each.
fn namespaces(forms: &mut Forms, parts: &Parts) {
    let home = forms.home.clone();
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    for (parent, name, whole) in [("", "outer", "outer"), ("outer", "inner", "outer/inner")] {
        parts.admin_in(parent, "POST", &format!("sys/namespaces/{name}"), &json!({}));
        parts.admin_in(whole, "POST", "sys/mounts/secret", &mount);
        let value = json!({"data": {"value": format!("of {name}")}});
        parts.admin_in(whole, "POST", &format!("secret/data/forms/{name}"), &value);
    }
    let rules = r#"path "secret/data/forms/outer" { capabilities = ["read"] }
        path "inner/secret/data/forms/inner" { capabilities = ["read"] }"#;
    parts.admin_in("outer", "POST", "sys/policies/acl/both", &json!({"policy": rules}));
    let [role_id, secret_id] = parts.app_role("outer", "both");
    forms.secret(&home, "bao-outer", &[("role-id", &role_id)], &[("secret-id", &secret_id)]);
    let role = json!({
        "path": "approle", "roleRef": key("bao-outer", "role-id"), "secretRef": key("bao-outer", "secret-id"),
    });
    let [trust, ..] = trusts(parts, &home);
    for slot in ["vault", "openBao"] {
        let store = |namespace: &str, auth: &Value| {
            let store = parts.store(&trust, &with(&json!({"appRole": role}), auth));
            json!({slot: with(&store, &json!({"namespace": namespace}))})
        };
        let name = |form: &str| format!("{}-{form}", slot.to_lowercase());
        forms.own(&name("namespace"), store("outer", &json!({})), remote("outer"), "of outer");
        let login = json!({"namespace": "outer"});
        forms.own(&name("login-namespace"), store("outer/inner", &login), remote("inner"), "of inner");
    }
}

/// OpenBao's own proxy, which has a token and adds it to what comes without one, and which serves nobody who does not
/// show a certificate.
fn agent(forms: &mut Forms, parts: &Parts, world: &World) -> Part {
    let home = forms.home.clone();
    // The proxy asks what its token is.
    let token = parts.token("agent", false);
    forms.hide(&token);
    let (certificate, private_key) = parts.authority.issue_client("agents.client").unwrap();
    forms.secret(&home, "bao-agent", &[("tls.crt", &certificate)], &[("tls.key", &private_key)]);
    let (part, address) = start_agent(parts, &token, world.folder());
    let [trust, ..] = trusts(parts, &home);
    let tls = json!({"certSecretRef": key("bao-agent", "tls.crt"), "keySecretRef": key("bao-agent", "tls.key")});
    let store = with(&json!({"server": address, "path": "secret", "tls": tls}), &trust);
    forms.own("vault-agent", json!({"vault": store}), remote("agent"), "of agent");
    part
}

fn start_agent(parts: &Parts, token: &str, folder: &Path) -> (Part, String) {
    let port = free_port().unwrap();
    let file = folder.join("bao-token");
    std::fs::write(&file, token).unwrap();
    let (certificate, private_key) = parts.authority.issue_files(&["127.0.0.1"]).unwrap();
    let settings = json!({
        "vault": {"address": parts.bao.address()},
        "auto_auth": {"method": [{"type": "token_file", "config": {"token_file_path": file}}]},
        "api_proxy": {"use_auto_auth_token": true},
        "listener": [{"tcp": {
            "address": format!("127.0.0.1:{port}"), "tls_cert_file": certificate, "tls_key_file": private_key,
            "tls_require_and_verify_client_cert": true, "tls_client_ca_file": parts.authority.certificate_file(),
        }}],
    });
    let configuration = folder.join("bao-proxy.json");
    std::fs::write(&configuration, settings.to_string()).unwrap();
    let mut command = Command::new(world::python::prepare().unwrap().program("bao"));
    command.args(["proxy", &format!("-config={}", configuration.display())]).env("HOME", folder);
    let mut part = Part::start("bao-proxy", &command, folder).unwrap();
    part.wait_until(Duration::from_secs(30), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).unwrap();
    (part, format!("https://127.0.0.1:{port}"))
}
