//! Copies of a secret in other regions, which AWS keeps.

use aws_sdk_secretsmanager::types::ReplicaRegionType;
use strongroom_failure::Failure;

use super::SecretsManager;

/// Copies that are to be made, encrypted by the key that is written, else by AWS's own of each region.
pub(super) fn made(regions: &[String], key: Option<&String>) -> Vec<ReplicaRegionType> {
    let one = |region: &String| ReplicaRegionType::builder().region(region).set_kms_key_id(key.cloned()).build();
    regions.iter().map(one).collect()
}

/// Of `one`, what `other` has not.
fn missing(one: &[String], other: &[String]) -> Vec<String> {
    one.iter().filter(|region| !other.contains(region)).cloned().collect()
}

impl SecretsManager {
    /// Brings the regions of a secret's copies from `there` to what is wanted; whether any is another one. Where nobody
    /// wrote any, all stay.
    pub(super) async fn change_replicas(
        &self,
        name: &str,
        there: &[String],
        wanted: Option<&[String]>,
        key: Option<&String>,
    ) -> Result<bool, Failure> {
        let Some(wanted) = wanted else { return Ok(false) };
        let (gone, new) = (missing(there, wanted), missing(wanted, there));
        let is_changed = !gone.is_empty() || !new.is_empty();
        self.remove_replicas(name, gone).await?;
        if !new.is_empty() {
            let request = self.client().await?.replicate_secret_to_regions().secret_id(name);
            let request = request.set_add_replica_regions(Some(made(&new, key)));
            let called = self.session.call("secretsmanager:ReplicateSecretToRegions", || request.clone().send()).await;
            called.map_err(|refusal| refusal.failure)?;
        }
        Ok(is_changed)
    }

    pub(super) async fn remove_replicas(&self, name: &str, regions: Vec<String>) -> Result<(), Failure> {
        if regions.is_empty() {
            return Ok(());
        }
        let request = self.client().await?.remove_regions_from_replication().secret_id(name);
        let request = request.set_remove_replica_regions(Some(regions));
        let called = self.session.call("secretsmanager:RemoveRegionsFromReplication", || request.clone().send()).await;
        called.map(drop).map_err(|refusal| refusal.failure)
    }
}
