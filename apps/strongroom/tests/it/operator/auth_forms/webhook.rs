//! Webhooks over TLS, whose authority nobody else trusts, with credentials in labelled Secrets.

use serde_json::{Value, json};
use world::certificates::Authority;
use world::switchboard::Switchboard;

use super::super::world_of_stores::{core, hook};
use super::{Forms, UNKNOWN, encoded, with, within};

const TOKEN: &str = "canary-8e02-hook-token";
const PASSWORD: &str = "canary-8e02-hook-password";

pub(super) fn add(forms: &mut Forms) -> impl Sized + use<> {
    let home = forms.home.clone();
    let authority = Authority::new().unwrap();
    let secure = |authorization: &str, answer| Switchboard::with_tls(&hook(authorization, answer), &authority).unwrap();
    let by_token = secure(&format!("Bearer {TOKEN}"), r#"{"value":"of the token"}"#);
    let by_password =
        secure(&format!("Basic {}", encoded(&format!("app:{PASSWORD}"))), r#"{"value":"of the password"}"#);
    let pem = authority.certificate_pem();
    core(&home, "ConfigMap", "hook", &json!({"data": {"ca.crt": pem}}));
    let data = json!({"token": TOKEN, "password": PASSWORD, "ca.crt": pem});
    let label = json!({"labels": {"external-secrets.io/type": "webhook"}});
    core(&home, "Secret", "hook", &json!({"metadata": label, "stringData": data}));
    [TOKEN, PASSWORD, &encoded(&format!("app:{PASSWORD}"))].iter().for_each(|text| forms.hide(text));

    let store = |server: &Switchboard, authorization: &str, secret: Value, trust: &Value| {
        let hook = json!({
            "url": format!("{}/secrets/{{{{ .remoteRef.key }}}}", server.address()), "result": {"jsonPath": "$.value"},
            "headers": {"Authorization": authorization}, "secrets": [{"name": "auth", "secretRef": secret}],
        });
        json!({"webhook": with(&hook, trust)})
    };
    let provider = |kind: &str| json!({"type": kind, "name": "hook", "key": "ca.crt"});
    let own = json!({"name": "hook"});
    let (bearer, basic) = ("Bearer {{ .auth.token }}", r#"Basic {{ printf "app:%s" .auth.password | b64enc }}"#);
    let (bundle, map) = (json!({"caBundle": encoded(&pem)}), json!({"caProvider": provider("ConfigMap")}));
    let remote = || json!({"key": "app"});
    let all = [
        ("webhook-token", store(&by_token, bearer, own.clone(), &bundle), "of the token"),
        ("webhook-password", store(&by_password, basic, own.clone(), &map), "of the password"),
        (
            "webhook-secret",
            store(&by_token, bearer, own.clone(), &json!({"caProvider": provider("Secret")})),
            "of the token",
        ),
    ];
    for (name, provider, value) in all {
        forms.own(name, provider, remote(), value).reason = UNKNOWN;
    }
    let named = json!({"caProvider": within(&home, &provider("ConfigMap"))});
    let named = store(&by_token, bearer, within(&home, &own), &named);
    forms.cluster("webhook-named", named, remote(), "of the token").reason = UNKNOWN;
    (authority, by_token, by_password)
}
