//! What a token keeps for itself, and loses with its life.

use async_trait::async_trait;
use strongroom_barrier::{Changes, View};
use strongroom_policy::acl::Operation;

use super::kv1::{object, text};
use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::trouble::of_view;

/// Where it is mounted.
pub(crate) const PLACE: &str = "cubbyhole/";

/// The engine of `cubbyhole/`.
pub(crate) struct Cubbyhole(View);

impl Cubbyhole {
    pub(super) fn new(view: View) -> Self {
        Self(view)
    }
}

/// Where a token keeps what it calls `path`.
fn key(call: &Call<'_>) -> Result<String, Fault> {
    let asker = call.asker.ok_or_else(Fault::bad_token)?;
    Ok(format!("{}/{}", asker.id, call.path))
}

#[async_trait]
impl Engine for Cubbyhole {
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        Ok(Some(self.0.read_one(&key(call)?).await.map_err(of_view)?.is_some()))
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let key = key(call)?;
        if call.operation != Operation::List && (call.path.is_empty() || call.path.ends_with('/')) {
            return Err(Fault::invalid("a path is needed, without a slash at its end"));
        }
        match call.operation {
            Operation::Read => {
                let found = self.0.read_one(&key).await.map_err(of_view)?.ok_or_else(Fault::absent)?;
                Ok(Response::of(object(&found.value)?))
            }
            Operation::List => {
                let folder = if key.ends_with('/') { key } else { format!("{key}/") };
                Response::of_names(self.0.list(&folder).await.map_err(of_view)?)
            }
            Operation::Create | Operation::Update => {
                let data = call.request.data.expose();
                if data.is_empty() {
                    return Err(Fault::invalid("missing data fields"));
                }
                let puts = vec![(key, text(data)?)];
                self.0.commit(&Changes { puts, ..Changes::default() }).await.map_err(of_view)?;
                Ok(Response::empty())
            }
            Operation::Delete => {
                self.0.commit(&Changes { deletes: vec![key], ..Changes::default() }).await.map_err(of_view)?;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }
}
