//! What serves a mount.

use async_trait::async_trait;
use strongroom_policy::acl::Operation;

use crate::exchange::{Fault, Request, Response};
use crate::mounts::Mount;
use crate::open::{Asker, Open};

/// A request on its way to the engine of a mount.
pub(crate) struct Call<'a> {
    /// The request, whole.
    pub(crate) request: &'a Request,
    /// What is to be done; of a write it is known whether something is there already.
    pub(crate) operation: Operation,
    /// The path below the mount.
    pub(crate) path: &'a str,
    /// The mount.
    pub(crate) mount: &'a Mount,
    /// Who asks; nobody where the engine let that pass.
    pub(crate) asker: Option<&'a Asker>,
    /// The store.
    pub(crate) open: &'a Open,
}

/// What serves a mount: secrets, logins, or the system itself.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    /// Whether everybody may ask this without a token: logins, and the store's health.
    fn is_for_everybody(&self, _path: &str, _operation: Operation) -> bool {
        false
    }

    /// Whether a policy has to grant `sudo` for it as well.
    fn needs_sudo(&self, _path: &str, _operation: Operation) -> bool {
        false
    }

    /// Whether something is at the path of a write already: writes where nothing is need `create`, others `update`.
    /// `None` where the engine makes no difference, which is an update.
    async fn exists(&self, _call: &Call<'_>) -> Result<Option<bool>, Fault> {
        Ok(None)
    }

    /// Does what is asked, which is allowed and in the audit trail.
    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault>;

    /// The answer for a path or an operation that the mount does not serve ([`crate::routes`]).
    fn absent(&self, _call: &Call<'_>) -> Fault {
        Fault::unsupported()
    }

    /// Before the mount goes: ends what stands outside of its records. The records themselves go afterwards.
    async fn retire(&self, _open: &Open, _mount: &Mount) -> Result<(), Fault> {
        Ok(())
    }
}
