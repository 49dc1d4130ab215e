use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_api::external_secrets::provider::WebhookProvider;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;
use strongroom_secret::SecretBytes;
use strongroom_webhook::{Settings, Webhook};

use super::Scope;
use super::kubernetes::{authorities, proxy, trusting, within};

const SLOT: &str = "webhook";

/// The labels by which a Secret's owner allows templates to send it somewhere: for stores the first one, for generators
/// either.
const LABELS: [&str; 2] = ["external-secrets.io/type", "generators.external-secrets.io/type"];

/// What the label says.
const LABELLED: &str = "webhook";

/// Opens any HTTP endpoint as `spec` says.
pub(super) async fn open(spec: &WebhookProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    Ok(Arc::new(opened(spec, scope, &LABELS[..1]).await?))
}

/// The endpoint that a generator's `spec` describes, without asking it.
pub(crate) async fn open_generator(spec: &WebhookProvider, scope: &Scope) -> Result<Webhook, Failure> {
    opened(spec, scope, &LABELS).await
}

async fn opened(spec: &WebhookProvider, scope: &Scope, labels: &[&str]) -> Result<Webhook, Failure> {
    if spec.auth.is_some() {
        let words = "NTLM is not served: Windows' servers of today take Kerberos or a token";
        return Err(invalid("auth.ntlm", words).with_hint(
            "send a token or a user and password in headers, or leave this store to External Secrets Operator",
        ));
    }
    let field = format!("spec.provider.{SLOT}");
    let trusted = authorities(&field, spec.ca_bundle.as_deref(), spec.ca_provider.as_ref(), scope).await?;
    let timeout = spec
        .timeout
        .as_ref()
        .map(|timeout| timeout.duration().map_err(|failure| failure.in_field(format!("{field}.timeout"))));
    let settings = Settings {
        method: spec.method.clone().unwrap_or_default(),
        url: spec.url.clone(),
        headers: spec.headers.clone(),
        body: spec.body.clone().unwrap_or_default(),
        json_path: spec.result.json_path.clone().unwrap_or_default(),
        secrets: secrets(spec, scope, labels).await?,
        namespace: scope.store().asker.clone(),
        timeout: timeout.transpose()?,
        tls: trusting(trusted),
        addresses: scope.addresses(),
        proxy: proxy(scope)?,
    };
    // Templates see on whose behalf they are rendered: what one namespace gets is no other's.
    scope.mark_dependent_on_asker();
    Webhook::open(settings, scope.meter()).map_err(|failure| within(failure, SLOT))
}

/// The Secrets for the templates, by the names that templates have for them.
async fn secrets(
    spec: &WebhookProvider,
    scope: &Scope,
    labels: &[&str],
) -> Result<BTreeMap<String, BTreeMap<String, SecretBytes>>, Failure> {
    let mut secrets: BTreeMap<String, BTreeMap<String, SecretBytes>> = BTreeMap::new();
    for (place, secret) in spec.secrets.iter().enumerate() {
        let name = format!("secrets[{place}].secretRef");
        let is_placed = secret.secret_ref.namespace.as_deref().is_some_and(|namespace| !namespace.is_empty());
        if scope.is_cluster_store() && !is_placed {
            // Else whoever asks could have any of its Secrets sent to the store's endpoint.
            return Err(invalid(&format!("{name}.namespace"), "a ClusterSecretStore must name the Secret's namespace"));
        }
        let field = format!("spec.provider.{SLOT}.{name}");
        let data = scope.labelled_secret(&field, &secret.secret_ref, labels, LABELLED).await?;
        // Of two with one name the later entries count, as in External Secrets Operator.
        secrets.entry(secret.name.clone()).or_default().extend(data);
    }
    Ok(secrets)
}

fn invalid(name: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("spec.provider.{SLOT}.{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::kubernetes::tests::scope;
    use super::*;

    async fn shown(more: Value, scope: &Scope) -> Result<(String, String), String> {
        let mut spec = json!({"url": "https://api.example/{{ .remoteRef.key }}", "result": {}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec: WebhookProvider = serde_json::from_value(spec).unwrap();
        let opened = open(&spec, scope).await;
        let shown = opened.map(|provider| (provider.describe(), provider.identity()));
        assert!(!format!("{shown:?}").contains("canary"), "a secret is shown");
        shown.map_err(|failure| format!("{:?} {failure}", failure.class))
    }

    fn secret(reference: Value) -> Value {
        json!({"secrets": [{"name": "auth", "secretRef": reference}]})
    }

    #[tokio::test]
    async fn the_spec_says_which_endpoint_and_with_which_secrets() {
        let scope = scope(false);
        let more = json!({
            "method": "POST", "timeout": "1m30s", "body": "{{ .auth.token }}", "result": {"jsonPath": "$.a"},
            "headers": {"X": "{{ .auth.token }}"}, "caBundle": "T1dO",
            "secrets": [{"name": "auth", "secretRef": {"name": "a"}}],
        });
        let found = shown(more, &scope).await.unwrap();
        assert_eq!(found, ("the webhook at api.example".into(), "whoever the Secrets auth stand for".into()));
        assert_eq!(scope.secrets_seen(), [("team-a".to_owned(), "a".to_owned())].into());
    }

    #[tokio::test]
    async fn a_cluster_store_serves_each_namespace_by_itself() {
        let scope = scope(true);
        shown(secret(json!({"name": "a", "namespace": "shared"})), &scope).await.unwrap();
        assert!(scope.depends_on_asker());
    }

    #[tokio::test]
    async fn what_a_store_may_not_use_is_refused() {
        let check = async |more: Value, is_cluster_store: bool, expected: &str| {
            let refused = shown(more, &scope(is_cluster_store)).await.unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        };
        let unlabelled =
            "Denied spec.provider.webhook.secrets[0].secretRef: the Secret team-a/plain may not be used here";
        check(secret(json!({"name": "plain"})), false, unlabelled).await;
        let foreign = secret(json!({"name": "a", "namespace": "shared"}));
        check(foreign, false, "Denied spec.provider.webhook.secrets[0].secretRef: ").await;
        let placeless = "Invalid spec.provider.webhook.secrets[0].secretRef.namespace: ";
        check(secret(json!({"name": "a"})), true, placeless).await;
        let ntlm = json!({"auth": {"ntlm": {"usernameSecret": {"name": "a"}, "passwordSecret": {"name": "a"}}}});
        check(ntlm, false, "Invalid spec.provider.webhook.auth.ntlm: NTLM is not served").await;
        check(json!({"timeout": "soon"}), false, "Invalid spec.provider.webhook.timeout: ").await;
        check(json!({"url": "{{ .x"}), false, "Invalid spec.provider.webhook.url: ").await;
        let named = json!({"secrets": [{"name": "remoteRef", "secretRef": {"name": "a"}}]});
        check(named, false, "Invalid spec.provider.webhook.secrets: ").await;
    }
}
