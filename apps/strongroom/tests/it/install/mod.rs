//! Installing the operator and admission by their chart: what is rendered, with which rights, and that the operator works
//! on a real node.

mod admission;
mod chart;
mod injected;
mod kamus;
mod kamus_node;
pub(crate) mod node;
mod values;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use world::helm::Helm;

pub(crate) static HELM: LazyLock<Helm> = LazyLock::new(|| Helm::new().unwrap());

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap().join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The chart's folder.
pub(crate) fn chart() -> String {
    file("deploy/helm/strongroom").display().to_string()
}

/// A file with this content, for programs that ask for one.
fn written(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

/// Where such a file is.
fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}
