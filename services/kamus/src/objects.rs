//! Objects of a cluster, a page at a time.

use std::fmt::Debug;

use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;
use strongroom_failure::Failure;
use strongroom_kube::failure::failure;

/// Objects of one page: KamusSecrets of 100 KiB each are 10 MB then.
const PAGE: u32 = 100;

/// All objects that an API gives, page by page.
pub(crate) struct Pages<K> {
    api: Api<K>,
    what: &'static str,
    /// Nothing after the last page.
    next: Option<ListParams>,
}

impl<K: Clone + DeserializeOwned + Debug> Pages<K> {
    /// From the first page on; `what` they are, for people.
    pub(crate) fn of(api: Api<K>, what: &'static str) -> Self {
        Self { api, what, next: Some(ListParams::default().limit(PAGE)) }
    }

    /// The next page; nothing behind the last one.
    ///
    /// # Errors
    /// The API server's; `NotFound` where there is no such kind.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<K>>, Failure> {
        let Some(parameters) = self.next.take() else { return Ok(None) };
        let page = self.api.list(&parameters).await;
        let page = page.map_err(|error| failure(&error, &format!("list {}", self.what), &[]))?;
        let token = page.metadata.continue_.filter(|token| !token.is_empty());
        self.next = token.map(|token| parameters.continue_token(&token));
        Ok(Some(page.items))
    }
}
