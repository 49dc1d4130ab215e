//! An ExternalSecret in little space: whoever serves a whole cluster keeps all of them.

use std::sync::Arc;

use strongroom_api::external_secrets::ExternalSecret;

use crate::index::{controller_of, stores_of, target_of};
use crate::names::{Name, StoreName};

/// An ExternalSecret as JSON, which is smaller than its typed form, and what the index asks about it often.
#[derive(Debug)]
pub(crate) struct Packed {
    json: Box<[u8]>,
    /// What it writes.
    pub(crate) target: Name,
    /// The stores that it names.
    pub(crate) stores: Box<[StoreName]>,
    /// The ClusterExternalSecret that made it.
    pub(crate) parent: Option<Arc<str>>,
    /// Digests of the keys that it reads, where events are followed.
    pub(crate) reads: Box<[u64]>,
}

impl Packed {
    /// `object`, called `name`, without what only the API server needs; `None` where it cannot be written as JSON.
    pub(crate) fn of(name: &Name, object: &ExternalSecret) -> Option<Self> {
        Some(Self {
            json: serde_json::to_vec(object).ok()?.into(),
            target: target_of(name, object),
            stores: stores_of(name, object).into(),
            parent: controller_of(&object.metadata, "ClusterExternalSecret"),
            reads: Box::default(),
        })
    }

    /// The object.
    pub(crate) fn object(&self) -> Option<Box<ExternalSecret>> {
        serde_json::from_slice(&self.json).ok()
    }
}
