//! Control groups of a node world: a root of its own in every hierarchy, found again by the world's name.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const HIERARCHIES: &str = "/sys/fs/cgroup";

/// The root's name, below every hierarchy.
pub(crate) fn name(world: &str) -> String {
    format!("strongroom-world-{world}")
}

/// Makes the world's root in every hierarchy.
pub(crate) fn make(world: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let root = hierarchy.join(name(world));
        std::fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        inherit_cpus(&hierarchy, &root)?;
    }
    Ok(())
}

/// Version 1 starts a cpuset empty, and nothing may run in an empty one.
fn inherit_cpus(hierarchy: &Path, root: &Path) -> Result<()> {
    for setting in ["cpuset.cpus", "cpuset.mems"] {
        if is_version_2() || !hierarchy.join(setting).exists() {
            continue;
        }
        let value = std::fs::read(hierarchy.join(setting))?;
        let file = std::fs::OpenOptions::new().write(true).open(root.join(setting));
        file.and_then(|mut file| std::io::Write::write_all(&mut file, &value))
            .with_context(|| format!("cannot set {setting} of {}", root.display()))?;
    }
    Ok(())
}

/// Removes the world's groups as soon as the kernel has buried its processes, which may take as long as `burial`. A
/// world without groups is fine.
pub(crate) fn remove(world: &str, burial: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        let roots = hierarchies()?.into_iter().map(|hierarchy| hierarchy.join(name(world)));
        let left: Vec<_> = roots.filter(|root| root.exists() && remove_tree(root).is_err()).collect();
        match left.first() {
            None => return Ok(()),
            Some(root) if start.elapsed() > burial => {
                bail!("the control group {} still has processes after {burial:?}", root.display());
            }
            Some(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn remove_tree(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

fn is_version_2() -> bool {
    Path::new(HIERARCHIES).join("cgroup.controllers").exists()
}

/// The folders below which a world has its root: the one hierarchy of version 2, or each of version 1. Controllers that
/// share a hierarchy (`cpu` and `cpuacct`) are symbolic links to one folder.
fn hierarchies() -> Result<Vec<PathBuf>> {
    if is_version_2() {
        return Ok(vec![HIERARCHIES.into()]);
    }
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(HIERARCHIES) else { return Ok(found) };
    for entry in entries {
        let entry = entry?;
        // Version 2 may be there too, beside version 1: runc makes groups in it.
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
