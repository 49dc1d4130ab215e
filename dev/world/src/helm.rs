//! Helm, with folders of its own, so that it neither reads nor leaves anything in a person's home.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::binaries;
use crate::control_plane::Cluster;

/// Helm, ready to be run.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Helm {
    /// Helm, built when it is not in the cache yet.
    ///
    /// # Errors
    /// As [`binaries::helm`].
    pub fn new() -> Result<Self> {
        Ok(Self { program: binaries::helm()?, home: tempfile::tempdir()? })
    }

    /// Runs it without a cluster (`lint`, `template`, `package`) and returns what it printed.
    ///
    /// # Errors
    /// When it ends with another status than 0; the error shows its standard error.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.call(None, arguments)
    }

    /// Runs it as an administrator of `cluster` (`install`, `upgrade`, `uninstall`) and returns what it printed.
    ///
    /// # Errors
    /// As [`Helm::run`].
    pub fn run_on(&self, cluster: &Cluster, arguments: &[&str]) -> Result<String> {
        self.call(Some(cluster), arguments)
    }

    fn call(&self, cluster: Option<&Cluster>, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).env_remove("KUBECONFIG");
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR"] {
            command.env(variable, self.home.path().join(variable));
        }
        match cluster {
            Some(cluster) => command.arg("--kubeconfig").arg(cluster.kubeconfig()),
            // One that does not exist, lest a person's own cluster is asked.
            None => command.env("KUBECONFIG", self.home.path().join("none")),
        };
        let output = command.output().context("cannot start helm")?;
        let printed = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("helm {} ended with {}: {}{printed}", arguments.join(" "), output.status, words);
        }
        Ok(printed)
    }
}
