//! Giving the Secret its keys: at most one write, none where it has them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_aws_ssm::Values;
use strongroom_aws_ssm::secret::{FIELD_MANAGER, plan};
use strongroom_failure::{Class, Failure};
use strongroom_kube::{SecretObject, Secrets, WriteFailure};
use strongroom_reconcile::Priority;

use super::round::Round;
use crate::index::Key;

/// Others may write in between; more than this often in a row is a fight.
const MOST_TRIES: usize = 5;

/// What was done, and the resource version that the Secret was left with.
pub(super) struct Written {
    pub(super) is_new: bool,
    pub(super) resource_version: String,
}

impl Round<'_> {
    /// Writes `wanted` where the Secret has something else; it is read only where it is not known to be as it was left.
    /// Nothing is written where it is gone, or another of its name is there.
    pub(super) async fn write(&self, wanted: &Values, digest: [u8; 28]) -> Result<Written, Failure> {
        let known = self.secret_version();
        if let Some(version) = known.filter(|known| self.remembered.left == Some((known.clone(), digest))) {
            return Ok(Written { is_new: false, resource_version: version });
        }
        let secrets = Secrets::new(self.operator.connection.client(), FIELD_MANAGER);
        for _ in 0..MOST_TRIES {
            let current = secrets.read(&self.name.namespace, &self.name.name).await?;
            let is_same = |secret: &SecretObject| secret.metadata.uid.as_deref() == Some(self.asked.uid.as_str());
            let Some(current) = current.filter(is_same) else {
                return Err(Failure::new(Class::Unavailable, "the Secret is gone"));
            };
            let version = current.metadata.resource_version.clone().unwrap_or_default();
            let is_immutable = current.immutable.unwrap_or_default();
            let Some(data) = plan(wanted, &current.metadata, is_immutable, &current.data)? else {
                return Ok(Written { is_new: false, resource_version: version });
            };
            // What is not sent of them stays.
            let metadata = ObjectMeta { managed_fields: None, ..current.metadata };
            match secrets.replace(&SecretObject { metadata, data, ..current }).await {
                Ok(metadata) => {
                    // Its echo is no news to us.
                    let own = Key::AwsSsm(self.name.clone());
                    self.operator.learn(|index| {
                        let wakes = index.apply_secret(&metadata).into_iter().filter(|(key, _)| *key != own);
                        wakes.map(|(key, _)| (key, Priority::Routine)).collect()
                    });
                    let resource_version = metadata.resource_version.unwrap_or_default();
                    return Ok(Written { is_new: true, resource_version });
                }
                Err(WriteFailure::Conflict) => {}
                Err(failure) => return Err(failure.into_failure(&format!("write Secret {}", self.name))),
            }
        }
        Err(Failure::new(Class::Unavailable, format!("others keep writing the Secret {}", self.name)))
    }
}
