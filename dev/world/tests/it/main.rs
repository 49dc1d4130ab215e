//! Each part, started and asked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

mod azure;
mod command_line;
mod control_plane;
mod google;
mod image;
mod kamus;
mod moto;
mod node;
mod npm;
mod open_bao;
mod processes;
mod proxy;
mod switchboard;

/// Whether a test that needs root can run. Without root it is left out, aloud; in CI that is a failure.
fn is_root(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs root, and CI must run it");
    world::cache::progress(&format!("LEFT OUT, for it needs root: {test}; run: sudo -E cargo test -p world {test}"));
    false
}

/// The control groups of the world in `folder`, in every hierarchy.
fn control_groups(folder: &Path) -> Vec<PathBuf> {
    let name = format!("strongroom-world-{}", folder.file_name().unwrap().to_str().unwrap());
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let places = [PathBuf::from("/sys/fs/cgroup")].into_iter().chain(hierarchies);
    places.map(|place| place.join(&name)).filter(|group| group.exists()).collect()
}
