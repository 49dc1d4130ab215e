use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use strongroom_failure::{Class, Failure};
use strongroom_operator::explain::{Desk, Inquiry};

/// Which cluster, as who, and where in it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClusterOptions {
    /// The namespace; the kubeconfig's when absent
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// kubeconfig file; KUBECONFIG, the pod's service account or ~/.kube/config when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// Flags of the operator that decide what it allows.
#[derive(Args, Clone, Debug)]
pub(crate) struct OperatorFlags {
    /// Flags that the operator is started with, where they matter: -- --controller-class=mine
    #[arg(last = true, value_name = "OPERATOR FLAGS", allow_hyphen_values = true)]
    pub(crate) flags: Vec<String>,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl ClusterOptions {
    /// Connects.
    ///
    /// # Errors
    /// Where no cluster is known, or its credentials cannot be used.
    pub(crate) async fn desk(&self, flags: &[String], variables: &[OsString]) -> Result<Desk, Failure> {
        let inquiry = Inquiry { kubeconfig: self.kubeconfig.clone(), flags: flags.to_vec(), ..Inquiry::default() };
        Desk::open(inquiry.with_variables(variables)).await
    }

    /// The namespace that is meant.
    pub(crate) fn namespace<'n>(&'n self, desk: &'n Desk) -> &'n str {
        self.namespace.as_deref().unwrap_or_else(|| desk.namespace())
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
