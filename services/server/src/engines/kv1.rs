//! Secrets without versions (governance.md §10.2).

use async_trait::async_trait;
use serde_json::{Map, Value};
use strongroom_barrier::View;
use strongroom_kv::V1;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Leased, Response};
use crate::members::{Members, duration};
use crate::mounts::LONGEST_LEASE;
use crate::trouble::of_kv;

/// The engine of a kv mount of version 1.
pub(crate) struct Kv1(V1);

impl Kv1 {
    pub(super) fn new(view: View) -> Self {
        Self(V1::new(view))
    }

    async fn read(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let text = self.0.read(call.path).await.map_err(of_kv)?;
        let data = object(&text)?;
        // People say how long a secret should be used; whoever reads looks for it here.
        let asked = ["ttl", "lease"].into_iter().find_map(|name| data.text(name).ok().flatten());
        let time = asked.and_then(|text| duration(&text)).map_or(LONGEST_LEASE, |time| time.as_secs());
        let lease = Leased { time: std::time::Duration::from_secs(time), ..Leased::default() };
        Ok(Response { lease: Some(lease), ..Response::of(data) })
    }
}

#[async_trait]
impl Engine for Kv1 {
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        self.0.exists(call.path).await.map(Some).map_err(of_kv)
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        match call.operation {
            Operation::Read => self.read(call).await,
            Operation::List => Response::of_names(self.0.list(call.path).await.map_err(of_kv)?),
            Operation::Create | Operation::Update => {
                let data = call.request.data.expose();
                if data.is_empty() {
                    return Err(Fault::invalid("missing data fields"));
                }
                self.0.write(call.path, &text(data)?).await.map_err(of_kv)?;
                Ok(Response::empty())
            }
            Operation::Delete => {
                self.0.delete(call.path).await.map_err(of_kv)?;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }
}

/// JSON text of an object.
pub(super) fn text(members: &Map<String, Value>) -> Result<SecretBytes, Fault> {
    serde_json::to_vec(members).map(SecretBytes::new).map_err(|_| Fault::invalid("the data cannot be written as JSON"))
}

/// The members of the object whose text was kept.
pub(super) fn object(text: &SecretBytes) -> Result<Members, Fault> {
    let unread = |_| Fault::internal("a record is no JSON object: it was written by a newer version");
    serde_json::from_slice::<Map<String, Value>>(text.expose()).map(Members::from).map_err(unread)
}
