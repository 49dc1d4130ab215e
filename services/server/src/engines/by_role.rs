//! What methods share whose users log in by a role: `login`, `config`, `role`, `role/NAME`.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_barrier::View;
use strongroom_policy::acl::Operation;

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::records::{delete, read, write};
use crate::trouble::of_view;

const ROLES: &str = "role/";

/// A method whose users name a role when they log in.
#[async_trait]
pub(super) trait ByRole: Send + Sync {
    /// As a role is kept.
    type Role: Default + Serialize + DeserializeOwned + Send + Sync;

    /// Its records.
    fn view(&self) -> &View;

    /// Serves `config`.
    async fn config(&self, call: &Call<'_>) -> Result<Response, Fault>;

    /// Serves `login`.
    async fn log_in(&self, call: &Call<'_>) -> Result<Response, Fault>;

    /// A role as a request changes it, and what whoever does so should know.
    fn changed(&self, before: Self::Role, data: &Members) -> Result<(Self::Role, Vec<String>), Fault>;

    /// A role as it is shown.
    fn shown(&self, role: &Self::Role) -> Members;

    /// A role by its name, without regard to letters' size.
    async fn role(&self, name: &str) -> Result<Option<Self::Role>, Fault> {
        Ok(read(self.view(), &key(name)).await?.map(|(role, _)| role))
    }
}

fn key(name: &str) -> String {
    format!("{ROLES}{}", name.to_lowercase())
}

#[async_trait]
impl<Method: ByRole> Engine for Method {
    fn is_for_everybody(&self, path: &str, operation: Operation) -> bool {
        path == "login" && operation == Operation::Update
    }

    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        match call.path.strip_prefix(ROLES) {
            Some(name) => Ok(Some(self.role(name).await?.is_some())),
            None => Ok(None),
        }
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        match call.path.trim_end_matches('/') {
            "login" => self.log_in(call).await,
            "config" => self.config(call).await,
            "role" => Response::of_names(self.view().list(ROLES).await.map_err(of_view)?),
            path => match path.strip_prefix(ROLES) {
                Some(name) => of_role(self, call, name).await,
                None => Err(Fault::unsupported()),
            },
        }
    }
}

async fn of_role(method: &impl ByRole, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
    match call.operation {
        Operation::Read => {
            let role = method.role(name).await?.ok_or_else(Fault::absent)?;
            Ok(Response::of(method.shown(&role)))
        }
        Operation::Delete => {
            delete(method.view(), vec![key(name)]).await?;
            Ok(Response::empty())
        }
        _ => {
            let before = method.role(name).await?.unwrap_or_default();
            let (role, warnings) = method.changed(before, &call.request.data)?;
            write(method.view(), &key(name), &role).await?;
            Ok(Response { warnings, ..Response::empty() })
        }
    }
}
