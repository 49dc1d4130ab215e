//! The Helm chart as one file, with what its links lead to.

use anyhow::{Context, Result};
use world::helm::Helm;

use crate::metadata::Metadata;

/// Writes `out/charts/strongroom-VERSION.tgz`.
pub(crate) fn run() -> Result<()> {
    let root = Metadata::read()?.workspace_root;
    let charts = root.join("out/charts");
    std::fs::create_dir_all(&charts).with_context(|| format!("cannot make {}", charts.display()))?;
    let (chart, to) = (root.join("deploy/helm/strongroom"), charts.display().to_string());
    let said = Helm::new()?.run(&["package", &chart.display().to_string(), "--destination", &to])?;
    eprint!("{said}");
    Ok(())
}
