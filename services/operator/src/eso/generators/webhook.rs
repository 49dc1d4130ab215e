//! What an HTTP endpoint makes.

use strongroom_api::generators::WebhookSpec;
use strongroom_failure::Failure;
use strongroom_sync::Values;
use strongroom_sync::json::members;

use super::of_spec;
use crate::eso::stores::{Scope, open_webhook};

/// The members of the object that the endpoint answers, or that its JSONPath leads to.
pub(super) async fn values(spec: &WebhookSpec, scope: &Scope) -> Result<Values, Failure> {
    let opened = open_webhook(&spec.endpoint, scope).await;
    let webhook = opened.map_err(|failure| of_spec(failure, "spec.provider.webhook"))?;
    let made = webhook.made().await.map_err(|failure| match failure.subject.field.clone() {
        Some(field) => failure.in_field(format!("spec.{field}")),
        None => failure,
    })?;
    members(&made).map_err(|failure| {
        failure.in_field("spec.result.jsonPath").with_hint("let it lead to an object: its members become the values")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use world::switchboard::{Fault, Switchboard};

    use super::*;
    use crate::eso::stores::StoreIdentity;
    use crate::eso::stores::table::Cluster;

    const CANARY: &str = "canary-31c9";

    async fn answered(answer: Fault, more: Value) -> Result<Values, String> {
        let server = Switchboard::to("127.0.0.1:1").unwrap();
        server.add(answer);
        let mut cluster = Cluster::default();
        cluster.secret("team-a", "login", &[("token", CANARY)]);
        cluster.labels("team-a", "login", &[("generators.external-secrets.io/type", "webhook")]);
        cluster.secret("team-a", "login-of-stores", &[("token", CANARY)]);
        cluster.labels("team-a", "login-of-stores", &[("external-secrets.io/type", "webhook")]);
        cluster.secret("team-a", "plain", &[("token", CANARY)]);
        let mut spec = json!({"url": server.address(), "result": {}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec: WebhookSpec = serde_json::from_value(spec).unwrap();
        let name = "generator".to_owned();
        let identity = StoreIdentity { namespace: Some("team-a".to_owned()), name, asker: "team-a".to_owned() };
        let scope = Scope::new(Arc::new(cluster), identity, false, true, Arc::default());
        values(&spec, &scope).await.map_err(|failure| {
            assert!(!format!("{failure:?}").contains(CANARY), "a secret is shown");
            format!("{:?} {failure}", failure.class)
        })
    }

    fn path(path: &str) -> Value {
        json!({"result": {"jsonPath": path}})
    }

    #[tokio::test]
    async fn an_objects_members_become_values() {
        let body = r#"{"data": {"a": "one", "b": 2, "c": {"d": [true]}, "e": null}, "text": "{\"a\": \"one\"}"}"#;
        let check = async |more: Value, expected: &[(&str, &str)]| {
            let values = answered(Fault::answer(200, &[], body), more).await.unwrap();
            let values: Vec<_> =
                values.iter().map(|(key, value)| (key.as_str(), value.expose_text().unwrap())).collect();
            assert_eq!(values, expected);
        };
        check(path("$.data"), &[("a", "one"), ("b", "2"), ("c", r#"{"d":[true]}"#), ("e", "")]).await;
        check(path("$.text"), &[("a", "one")]).await;
        check(path("$.data.c"), &[("d", "[true]")]).await;
    }

    #[tokio::test]
    async fn what_is_no_object_or_no_answer_is_told_without_quoting_it() {
        let check = async |answer: Fault, more: Value, expected: &str| {
            let refused = answered(answer, more).await.err().unwrap();
            assert!(refused.starts_with(expected), "{refused}");
        };
        let body = format!(r#"{{"data": "{CANARY}"}}"#);
        let ok = |body: &str| Fault::answer(200, &[], body);
        check(ok(&body), path("$.data"), "Invalid spec.result.jsonPath: the value is not a JSON object").await;
        check(ok(&body), path("$.nope"), "Invalid spec.result.jsonPath: ").await;
        check(ok(CANARY), json!({}), "Invalid spec.result.jsonPath: ").await;
        check(Fault::answer(404, &[], CANARY), json!({}), "NotFound the webhook at 127.0.0.1").await;
        check(Fault::answer(403, &[], CANARY), json!({}), "Denied the webhook at 127.0.0.1").await;
    }

    #[tokio::test]
    async fn secrets_are_sent_where_their_label_allows_it() {
        let with = |name: &str| {
            let secret = json!({"name": "auth", "secretRef": {"name": name}});
            json!({"headers": {"Authorization": "Bearer {{ .auth.token }}"}, "secrets": [secret]})
        };
        for name in ["login", "login-of-stores"] {
            answered(Fault::answer(200, &[], "{}"), with(name)).await.unwrap();
        }
        let refused = answered(Fault::answer(200, &[], "{}"), with("plain")).await.err().unwrap();
        let expected = "Denied spec.secrets[0].secretRef: the Secret team-a/plain may not be used here without the label \
             generators.external-secrets.io/type: webhook";
        assert!(refused.starts_with(expected), "{refused}");
    }
}
