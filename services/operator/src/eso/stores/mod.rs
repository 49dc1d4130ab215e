//! Opens the provider that a SecretStore or ClusterSecretStore describes: External Secrets Operator's spec becomes the
//! settings of our provider crates, one module a slot. Nothing of the spec goes further.

mod aws;
mod azure;
mod custom_resource;
mod fake;
mod google;
mod kubernetes;
mod scope;
#[cfg(test)]
pub(crate) mod table;
mod vault;
mod webhook;

use std::sync::Arc;

use strongroom_api::external_secrets::Capabilities;
use strongroom_api::external_secrets::provider::SecretStoreProvider;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;

pub(crate) use self::aws::{endpoints_of as aws_endpoints, session as aws_session};
pub use self::scope::{ClusterReader, LabelledSecret, Scope, ServiceAccount, StoreIdentity};
pub(crate) use self::vault::open_generator as open_vault;
pub(crate) use self::webhook::open_generator as open_webhook;

/// Opens the provider of `spec` for one asker, without asking the store: credentials that are written in the cluster
/// are read now, tokens when a login needs them.
///
/// # Errors
/// `Invalid` where the spec is wrong or names a system that is not served, `Denied` where it reaches for what its
/// namespace may not use, `NotFound` where a Secret that it names is missing.
pub async fn open(spec: &SecretStoreProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("spec.provider");
    let mut slots = 0;
    let mut opened = None;
    if let Some(spec) = &spec.aws {
        slots += 1;
        opened = Some(aws::open(spec, scope).await);
    }
    if let Some(spec) = &spec.azure {
        slots += 1;
        opened = Some(azure::open(spec, scope).await);
    }
    if let Some(spec) = &spec.google {
        slots += 1;
        opened = Some(google::open(spec, scope).await);
    }
    if let Some(spec) = &spec.vault {
        slots += 1;
        opened = Some(vault::open(spec, scope).await);
    }
    if let Some(spec) = &spec.open_bao {
        slots += 1;
        opened = Some(vault::open_bao(spec, scope).await);
    }
    if let Some(spec) = &spec.kubernetes {
        slots += 1;
        opened = Some(kubernetes::open(spec, scope).await);
    }
    if let Some(spec) = &spec.custom_resource {
        slots += 1;
        opened = Some(custom_resource::open(spec, scope).await);
    }
    if let Some(spec) = &spec.webhook {
        slots += 1;
        opened = Some(webhook::open(spec, scope).await);
    }
    if let Some(spec) = &spec.fake {
        slots += 1;
        opened = Some(fake::open(spec, scope).await);
    }
    match (slots + spec.others.len(), opened, spec.others.keys().next()) {
        (1, Some(opened), _) => opened,
        (1, None, Some(other)) => Err(invalid(format!("the provider \"{other}\" is not served by Strongroom"))
            .with_hint("docs/compatibility/eso.md lists what is; leave such stores to External Secrets Operator")),
        (0, ..) => Err(invalid("no provider is named".to_owned())),
        _ => Err(invalid("exactly one provider must be named".to_owned())),
    }
}

/// What can be done with a store of this kind, whether it can be opened or not.
pub(crate) fn capabilities(spec: &SecretStoreProvider) -> Capabilities {
    let is_only_read = spec.custom_resource.is_some() || spec.webhook.is_some() || spec.served().is_empty();
    if is_only_read { Capabilities::ReadOnly } else { Capabilities::ReadWrite }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_be_written_to_says_so() {
        let check = |slot: &str, expected: Capabilities| {
            // What is inside decides nothing.
            let inside = match slot {
                "aws" => json!({"service": "ParameterStore", "region": "eu-west-1"}),
                "azurekv" => json!({"vaultUrl": "https://a.vault.azure.net"}),
                "fake" => json!({"data": []}),
                "vault" | "openBao" => json!({"server": "https://vault", "auth": {}}),
                "crd" => json!({"resource": {"group": "", "version": "v1", "kind": "ConfigMap"}}),
                "webhook" => json!({"url": "https://hook", "result": {}}),
                _ => json!({}),
            };
            let spec: SecretStoreProvider = serde_json::from_value(json!({slot: inside})).unwrap();
            assert_eq!(capabilities(&spec), expected, "{slot}");
        };
        for slot in ["aws", "azurekv", "gcpsm", "vault", "openBao", "kubernetes", "fake"] {
            check(slot, Capabilities::ReadWrite);
        }
        for slot in ["crd", "webhook", "akeyless"] {
            check(slot, Capabilities::ReadOnly);
        }
    }
}
