//! Making a Secret that belongs to an object of its own name what it is to be: at most one write, none where it is that
//! already. Of kubernetes-external-secrets' objects and of Kamus'.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{SecretObject, Secrets, WriteFailure};
use strongroom_reconcile::Priority;
use strongroom_sync::owned::{Current, Plan, Wanted};

use crate::index::Key;
use crate::names::Name;
use crate::operator::Operator;

/// Others may write in between; more than this often in a row is a fight.
const MOST_TRIES: usize = 5;

/// Who writes which object's Secret.
pub(crate) struct Writing<'a> {
    pub(crate) operator: &'a Operator,
    /// The object.
    pub(crate) own: Key,
    /// Its name, and the Secret's.
    pub(crate) name: &'a Name,
    /// Who writes, as `managedFields` have it.
    pub(crate) manager: &'static str,
    /// The Secret as it was left: its resource version, and a digest of what was wanted.
    pub(crate) left: Option<&'a (String, [u8; 28])>,
}

/// What was done, and how the Secret was left.
pub(crate) struct Written {
    pub(crate) event: Option<(&'static str, &'static str)>,
    pub(crate) left: (String, [u8; 28]),
}

impl Writing<'_> {
    /// Writes `wanted` where the cluster has something else; the Secret is read only where it is not known to be as it
    /// was left.
    pub(crate) async fn write(&self, wanted: &Wanted) -> Result<Written, Failure> {
        let digest = wanted.digest();
        let known = self.operator.index().secret(self.name).map(|facts| facts.resource_version.to_string());
        let is_as_left = |known: &String| self.left.is_some_and(|(version, left)| version == known && *left == digest);
        if let Some(version) = known.clone().filter(is_as_left) {
            return Ok(Written { event: None, left: (version, digest) });
        }
        let secrets = Secrets::new(self.operator.connection.client(), self.manager);
        let mut is_there = known.is_some();
        for _ in 0..MOST_TRIES {
            let current = match is_there {
                true => secrets.read(&wanted.namespace, &wanted.name).await?.map(current),
                false => None,
            };
            let (written, event) = match wanted.plan(current.as_ref())? {
                Plan::Nothing => {
                    let version = current.and_then(|current| current.metadata.resource_version).unwrap_or_default();
                    return Ok(Written { event: None, left: (version, digest) });
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
                    let version = metadata.resource_version.unwrap_or_default();
                    return Ok(Written { event: Some(event), left: (version, digest) });
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
        self.operator.learn(|index| {
            let wakes = index.apply_secret(metadata).into_iter().filter(|(key, _)| *key != self.own);
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
