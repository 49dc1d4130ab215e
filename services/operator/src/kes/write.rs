//! Making the Secret what it is to be: at most one write, none where it is that already.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_failure::{Class, Failure};
use strongroom_kes::secret::{Current, Plan, Wanted};
use strongroom_kube::{SecretObject, Secrets, WriteFailure};
use strongroom_reconcile::Priority;

use super::round::Round;
use crate::index::Key;

/// Who writes these Secrets.
const FIELD_MANAGER: &str = "kubernetes-external-secrets";

/// Others may write in between; more than this often in a row is a fight.
const MOST_TRIES: usize = 5;

/// What was done, and the resource version that the Secret was left with.
pub(super) struct Written {
    pub(super) event: Option<(&'static str, &'static str)>,
    pub(super) resource_version: String,
}

impl Round<'_> {
    /// Writes `wanted` where the cluster has something else; the Secret is read only where it is not known to be as it
    /// was left.
    pub(super) async fn write(&self, wanted: &Wanted, digest: [u8; 28]) -> Result<Written, Failure> {
        let known = self.secret_version();
        if let Some(version) = known.clone().filter(|known| self.remembered.left == Some((known.clone(), digest))) {
            return Ok(Written { event: None, resource_version: version });
        }
        let secrets = Secrets::new(self.operator.connection.client(), FIELD_MANAGER);
        let mut is_there = known.is_some();
        for _ in 0..MOST_TRIES {
            let current = match is_there {
                true => secrets.read(&wanted.namespace, &wanted.name).await?.map(current),
                false => None,
            };
            let (written, event) = match wanted.plan(current.as_ref())? {
                Plan::Nothing => {
                    let version = current.and_then(|current| current.metadata.resource_version).unwrap_or_default();
                    return Ok(Written { event: None, resource_version: version });
                }
                Plan::Create(metadata) => {
                    (secrets.create(&object(wanted, metadata)).await, ("Created", "secret created"))
                }
                Plan::Replace(metadata) => {
                    (secrets.replace(&object(wanted, metadata)).await, ("Updated", "secret updated"))
                }
            };
            match written {
                Ok(metadata) => {
                    self.learn(&metadata);
                    let resource_version = metadata.resource_version.unwrap_or_default();
                    return Ok(Written { event: Some(event), resource_version });
                }
                Err(WriteFailure::AlreadyExists | WriteFailure::Conflict) => is_there = true,
                Err(WriteFailure::NotFound) if is_there => is_there = false,
                Err(failure) => return Err(failure.into_failure(&format!("write Secret {}", self.name))),
            }
        }
        Err(Failure::new(Class::Unavailable, format!("others keep writing the Secret {}", self.name)))
    }

    /// Takes our own write into the index, so that its echo is no news to us.
    fn learn(&self, metadata: &ObjectMeta) {
        let own = Key::Kes(self.name.clone());
        self.operator.learn(|index| {
            let wakes = index.apply_secret(metadata).into_iter().filter(|(key, _)| *key != own);
            wakes.map(|(key, _)| (key, Priority::Routine)).collect()
        });
    }
}

fn object(wanted: &Wanted, metadata: ObjectMeta) -> SecretObject {
    SecretObject { metadata, type_: Some(wanted.kind.clone()), immutable: wanted.immutable, data: wanted.data.clone() }
}

fn current(secret: SecretObject) -> Current {
    Current {
        metadata: secret.metadata,
        kind: secret.type_.unwrap_or_default(),
        immutable: secret.immutable.unwrap_or_default(),
        data: secret.data,
    }
}
