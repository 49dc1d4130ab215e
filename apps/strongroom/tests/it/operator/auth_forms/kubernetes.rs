//! Another cluster's Secrets and objects, with this cluster in its place: whoever asks may get one Secret and one
//! ConfigMap by name, and nothing else.

use serde_json::{Value, json};

use super::super::api::{API, data};
use super::super::support::{CLUSTER, eventually};
use super::super::world_of_stores::{core, post};
use super::{Forms, UNKNOWN, account, encoded, key, token, with, within};

/// The authority of the API server, in PEM.
pub(super) fn authority() -> String {
    std::fs::read_to_string(CLUSTER.certificate_authority()).unwrap()
}

/// Lets an account do what `rule` says in the namespace `place`.
fn allow(place: &str, name: &str, rule: &Value, [namespace, account]: [&str; 2]) {
    let group = "rbac.authorization.k8s.io";
    let path = |kind: &str| format!("/apis/{group}/v1/namespaces/{place}/{kind}");
    let role =
        json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": name}, "rules": [rule]});
    post(&path("roles"), &role);
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    });
    post(&path("rolebindings"), &binding);
}

fn get(resource: &str, name: &str) -> Value {
    json!({"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": ["get"]})
}

/// The token of an account that lies in a Secret and lasts, as it was for all accounts once.
pub(super) fn lasting_token(namespace: &str, account: &str) -> String {
    let name = format!("{account}-token");
    let metadata = json!({"annotations": {"kubernetes.io/service-account.name": account}});
    core(namespace, "Secret", &name, &json!({"metadata": metadata, "type": "kubernetes.io/service-account-token"}));
    eventually("the account's token is in its Secret", || {
        let secret = API.get("secrets", namespace, &name).unwrap();
        data(&secret).remove("token").filter(|token| !token.is_empty()).ok_or("not yet")
    })
}

fn kubeconfig(user: &Value) -> String {
    let cluster = json!({"server": CLUSTER.server(), "certificate-authority-data": encoded(&authority())});
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "reader"}}],
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "reader", "user": user}],
    })
    .to_string()
}

/// Accounts and Secrets of one namespace, which may see what bears its name in `home`.
fn prepare(forms: &mut Forms, namespace: &str) {
    let (home, name) = (forms.home.clone(), format!("of-{namespace}"));
    core(&home, "Secret", &name, &json!({"stringData": {"value": name}}));
    core(&home, "ConfigMap", &name, &json!({"data": {"value": name}}));
    for account_name in ["reader", "viewer"] {
        account(namespace, account_name, &json!({}));
    }
    allow(&home, &format!("read-{namespace}"), &get("secrets", &name), [namespace, "reader"]);
    // A SecretStore's account must be allowed to get objects, whatever their names.
    let map = if *namespace == home {
        json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
    } else {
        get("configmaps", &name)
    };
    allow(&home, &format!("view-{namespace}"), &map, [namespace, "viewer"]);
    forms.hide(&lasting_token(namespace, "reader"));
    let [reader, viewer] = ["reader", "viewer"].map(|name| token(namespace, name, &[]));
    let [for_reader, for_viewer] = [&reader, &viewer].map(|token| kubeconfig(&json!({"token": token})));
    [&reader, &viewer].iter().for_each(|token| forms.hide(token));
    let configs = [("reader", for_reader.as_str()), ("viewer", for_viewer.as_str())];
    forms.secret(namespace, "kubeconfigs", &[], &configs);
    forms.secret(namespace, "tokens", &[], &[("viewer", &format!("{viewer}\n"))]);
}

pub(super) fn add(forms: &mut Forms) {
    let (home, away) = (forms.home.clone(), forms.away.clone());
    prepare(forms, &home);
    prepare(forms, &away);
    account(&home, "actor", &json!({}));
    let act = json!({
        "apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["viewer"], "verbs": ["impersonate"],
    });
    allow(&home, "act", &act, [&home, "actor"]);
    core(&home, "ConfigMap", "cluster", &json!({"data": {"ca.crt": authority()}}));
    // An administrator's: nobody else has a certificate here.
    let pem = |name: &str| std::fs::read_to_string(CLUSTER.certificate_authority().with_file_name(name)).unwrap();
    let (certificate, private_key, all) = (pem("admin.crt"), pem("admin.key"), authority());
    let shown = [("tls.crt", certificate.as_str()), ("ca.crt", &all)];
    forms.secret(&home, "certificate", &shown, &[("tls.key", &private_key)]);
    let user = json!({"client-certificate-data": encoded(&certificate), "client-key-data": encoded(&private_key)});
    forms.hide(&encoded(&private_key));
    forms.secret(&home, "kubeconfig", &[], &[("config", &kubeconfig(&user))]);
    secrets(forms);
    objects(forms);
}

/// The API server by its address, and whom to trust there.
fn server(trust: &Value) -> Value {
    json!({"server": with(&json!({"url": CLUSTER.server()}), trust)})
}

fn trusts(namespace: Option<&str>) -> [Value; 3] {
    let provider = |kind: &str, name: &str| {
        let provider = json!({"type": kind, "name": name, "key": "ca.crt"});
        json!({"caProvider": namespace.map_or(provider.clone(), |namespace| within(namespace, &provider))})
    };
    [json!({"caBundle": encoded(&authority())}), provider("ConfigMap", "cluster"), provider("Secret", "certificate")]
}

fn secrets(forms: &mut Forms) {
    let (home, away) = (forms.home.clone(), forms.away.clone());
    let store = |more: &Value| json!({"kubernetes": with(&json!({"remoteNamespace": home}), more)});
    let remote = |namespace: &str| json!({"key": format!("of-{namespace}"), "property": "value"});
    let value = |namespace: &str| format!("of-{namespace}");
    let by_account = json!({"auth": {"serviceAccount": {"name": "reader"}}});
    let by_token = json!({"auth": {"token": {"bearerToken": key("reader-token", "token")}}});
    let by_certificate = json!({"auth": {"cert": {
        "clientCert": key("certificate", "tls.crt"), "clientKey": key("certificate", "tls.key"),
    }}});
    let [bundle, map, secret] = trusts(None);
    let own = [
        ("kubernetes-account", by_account.clone()),
        ("kubernetes-account-here", with(&by_account, &json!({"server": {"url": "kubernetes.default"}}))),
        ("kubernetes-account-there", with(&by_account, &server(&map))),
        ("kubernetes-token", with(&by_token, &server(&bundle))),
        ("kubernetes-certificate", with(&by_certificate, &server(&secret))),
        ("kubernetes-config-token", json!({"authRef": key("kubeconfigs", "reader")})),
        ("kubernetes-config-certificate", json!({"authRef": key("kubeconfig", "config")})),
    ];
    for (name, more) in own {
        forms.own(name, store(&more), remote(&home), &value(&home));
    }
    let [_, map, secret] = trusts(Some(&home));
    let named_account = json!({"auth": {"serviceAccount": {"name": "reader", "namespace": home}}});
    // Without a key it is `token`, and a certificate's are `tls.crt` and `tls.key`.
    let named_token = json!({"auth": {"token": {"bearerToken": {"name": "reader-token", "namespace": home}}}});
    let named = json!({"name": "certificate", "namespace": home});
    let named_certificate = json!({"auth": {"cert": {"clientCert": named, "clientKey": named}}});
    let cluster = [
        ("kubernetes-named-account", with(&named_account, &server(&map))),
        ("kubernetes-named-token", with(&named_token, &server(&secret))),
        ("kubernetes-named-certificate", with(&named_certificate, &server(&map))),
        ("kubernetes-named-config", json!({"authRef": within(&home, &key("kubeconfigs", "reader"))})),
    ];
    for (name, more) in cluster {
        forms.cluster(name, store(&more), remote(&home), &value(&home));
    }
    let referent = [
        ("kubernetes-askers-account", by_account),
        ("kubernetes-askers-token", by_token),
        ("kubernetes-askers-config", json!({"authRef": key("kubeconfigs", "reader")})),
    ];
    for (name, more) in referent {
        forms.referent(name, store(&more), [&home, &away].map(|namespace| (remote(namespace), value(namespace))));
    }
}

fn objects(forms: &mut Forms) {
    let (home, away) = (forms.home.clone(), forms.away.clone());
    let resource = json!({"resource": {"group": "", "version": "v1", "kind": "ConfigMap"}});
    let store = |more: &Value| json!({"crd": with(&resource, more)});
    let remote = |key: String| json!({"key": key, "property": "data.value"});
    let value = |namespace: &str| format!("of-{namespace}");
    let account = |name: &str| json!({"auth": {"serviceAccount": {"name": name}}});
    let short = json!({"serviceAccountRef": {"name": "viewer"}});
    let by_token = json!({"auth": {"token": {"bearerToken": key("tokens", "viewer")}}});
    let by_certificate = json!({"auth": {"cert": {
        "clientCert": key("certificate", "tls.crt"), "clientKey": key("certificate", "tls.key"),
    }}});
    let config = json!({"authRef": key("kubeconfigs", "viewer")});
    let [bundle, map, _] = trusts(None);
    let own = [
        ("crd-account", account("viewer")),
        ("crd-short", short.clone()),
        ("crd-acting", with(&account("actor"), &short)),
        ("crd-token", with(&by_token, &server(&bundle))),
        ("crd-certificate", with(&by_certificate, &server(&map))),
        ("crd-config", config.clone()),
    ];
    for (name, more) in own {
        forms.own(name, store(&more), remote(value(&home)), &value(&home));
    }
    let placed = |namespace: &str| remote(format!("{home}/of-{namespace}"));
    let viewer = json!({"name": "viewer", "namespace": home});
    let actor = json!({"auth": {"serviceAccount": {"name": "actor", "namespace": home}}});
    let cluster = [
        ("crd-named", json!({"auth": {"serviceAccount": viewer}})),
        ("crd-named-short", json!({"serviceAccountRef": viewer})),
        ("crd-named-acting", with(&actor, &json!({"serviceAccountRef": viewer}))),
    ];
    for (name, more) in cluster {
        // Of a namespace's objects it cannot be told beforehand whether they may be read.
        forms.cluster(name, store(&more), placed(&home), &value(&home)).reason = UNKNOWN;
    }
    for (name, more) in [("crd-askers", account("viewer")), ("crd-askers-short", short), ("crd-askers-config", config)]
    {
        forms.referent(name, store(&more), [&home, &away].map(|namespace| (placed(namespace), value(namespace))));
    }
}
