//! What `cargo metadata` says, as far as the chores ask.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The whole graph of packages that this workspace builds from.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) resolve: Resolve,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) req: String,
    /// `null`, `"dev"` or `"build"`.
    pub(crate) kind: Option<String>,
    pub(crate) path: Option<PathBuf>,
}

/// What is really built, after features and targets are decided.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<NodeDependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NodeDependency {
    pub(crate) pkg: String,
}

impl Metadata {
    /// Asks cargo, for the target that we ship.
    pub(crate) fn read() -> Result<Self> {
        let mut command = Command::new(cargo());
        command.args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"]);
        let output = command.output().context("cannot run cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata says")
    }

    /// Name and version of every package that is really compiled. `cargo metadata` also lists those that a weak feature
    /// (`ring?/std`) merely mentions; `cargo tree` knows better.
    pub(crate) fn compiled() -> Result<HashSet<(String, String)>> {
        let mut command = Command::new(cargo());
        command.args(["tree", "--locked", "--workspace", "--prefix=none", "--edges=all", "--format={p}"]);
        command.args(["--target=x86_64-unknown-linux-gnu"]);
        let output = command.output().context("cannot run cargo tree")?;
        ensure!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
        let name_and_version = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
        };
        Ok(String::from_utf8(output.stdout)?.lines().filter_map(name_and_version).collect())
    }

    pub(crate) fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }

    /// Our own packages, with their folder relative to the workspace: `core/secret`.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Package, String)> {
        self.workspace_members.iter().filter_map(|id| {
            let package = self.package(id)?;
            let folder = package.manifest_path.parent()?.strip_prefix(&self.workspace_root).ok()?;
            Some((package, folder.to_string_lossy().into_owned()))
        })
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
