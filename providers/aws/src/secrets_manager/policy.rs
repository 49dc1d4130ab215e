//! The policy of a secret: who else may read it.

use serde::Deserialize;
use serde_json::Value;
use strongroom_failure::{Class, Failure};

use super::SecretsManager;

/// `resourcePolicy` of an entry's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResourcePolicy {
    /// Whether AWS refuses a policy that lets everybody in.
    block_public_policy: Option<bool>,
    /// The policy itself, as a JSON text. Whoever passes metadata on puts what `policySourceRef` names here.
    policy: Option<String>,
}

impl ResourcePolicy {
    /// What the policy says; nothing where there shall be none.
    pub(super) fn wanted(&self) -> Result<Option<Value>, Failure> {
        let Some(text) = self.policy.as_deref().filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let policy: Option<Value> = serde_json::from_str(text).ok().filter(Value::is_object);
        policy.map(Some).ok_or_else(|| {
            Failure::new(Class::Invalid, "metadata: the policy of resourcePolicy is no JSON object")
                .with_hint("mend what policySourceRef names")
        })
    }
}

impl SecretsManager {
    /// Brings the policy of a secret to what is wanted; whether it was another one. `is_new`: it has none yet.
    pub(super) async fn change_policy(
        &self,
        name: &str,
        wanted: Option<&ResourcePolicy>,
        is_new: bool,
    ) -> Result<bool, Failure> {
        let Some(settings) = wanted else { return Ok(false) };
        let wanted = settings.wanted()?;
        let there = if is_new { None } else { self.policy(name).await? };
        if wanted == there {
            return Ok(false);
        }
        let client = self.client().await?;
        if wanted.is_none() {
            let request = client.delete_resource_policy().secret_id(name);
            let deleted = self.session.call("secretsmanager:DeleteResourcePolicy", || request.clone().send()).await;
            return deleted.map(|_| true).map_err(|refusal| refusal.failure);
        }
        let request = client.put_resource_policy().secret_id(name);
        let request =
            request.set_resource_policy(settings.policy.clone()).set_block_public_policy(settings.block_public_policy);
        let put = self.session.call("secretsmanager:PutResourcePolicy", || request.clone().send()).await;
        put.map(|_| true).map_err(|refusal| refusal.failure)
    }

    async fn policy(&self, name: &str) -> Result<Option<Value>, Failure> {
        let request = self.client().await?.get_resource_policy().secret_id(name);
        let output = self.session.call("secretsmanager:GetResourcePolicy", || request.clone().send()).await;
        let output = output.map_err(|refusal| refusal.failure)?;
        // What cannot be read is another one than what is wanted.
        Ok(output.resource_policy().map(|text| serde_json::from_str(text).unwrap_or(Value::Null)))
    }
}
