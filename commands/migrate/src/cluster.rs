//! The cluster that is meant, and whole lists of its objects.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::PathBuf;

use kube::Api;
use kube::api::ListParams;
use kube::core::{ObjectList, PartialObjectMeta};
use serde::de::DeserializeOwned;
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_kube::{Access, Connection, Settings};

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// As kubectl's own limits.
const QUERIES_PER_SECOND: f64 = 50.0;
const BURST: u32 = 100;

/// Connects as whoever asks; `variables` are the process's own.
///
/// # Errors
/// Where no cluster is known, or its credentials cannot be used.
pub(crate) async fn connect(kubeconfig: Option<&PathBuf>, variables: &[OsString]) -> Result<Connection, Failure> {
    let variables: BTreeMap<&str, &str> =
        variables.iter().filter_map(|variable| variable.to_str()?.split_once('=')).collect();
    let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let named = kubeconfig.map(|file| Access::Kubeconfig { files: vec![file.clone()], context: None });
    let access = named.or_else(|| Access::from_environment(&lookup)).ok_or_else(|| {
        Failure::new(Class::Invalid, "no cluster is known")
            .with_hint("name a file with --kubeconfig, or set KUBECONFIG")
    })?;
    let settings = Settings { access, role: "migrate", queries_per_second: QUERIES_PER_SECOND, burst: BURST };
    Connection::open(&settings).await
}

/// All objects of `api`, page by page.
///
/// # Errors
/// Where the API server does not give them; `what` says what they are.
pub(crate) async fn list<K>(api: &Api<K>, what: &str) -> Result<Vec<K>, Failure>
where
    K: Clone + DeserializeOwned + Debug,
{
    pages(what, |parameters| async move { api.list(&parameters).await }).await
}

/// The metadata of all objects of `api`, page by page; what is in them is not sent.
///
/// # Errors
/// As of [`list`].
pub(crate) async fn list_metadata<K>(api: &Api<K>, what: &str) -> Result<Vec<PartialObjectMeta<K>>, Failure>
where
    K: Clone + DeserializeOwned + Debug,
{
    pages(what, |parameters| async move { api.list_metadata(&parameters).await }).await
}

async fn pages<K: Clone, F>(what: &str, ask: impl Fn(ListParams) -> F) -> Result<Vec<K>, Failure>
where
    F: Future<Output = kube::Result<ObjectList<K>>>,
{
    let mut objects = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = ask(parameters.clone()).await;
        let page = page.map_err(|error| failure(&error, &format!("list {what}"), &[]))?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(objects),
        }
    }
}

/// Runs what waits for a cluster to its end.
///
/// # Errors
/// Its own.
pub(crate) fn blocking<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Class::Unavailable, format!("cannot start: {error}")))?;
    runtime.block_on(work)
}
