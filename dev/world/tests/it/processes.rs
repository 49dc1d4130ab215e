//! Which processes belong to a world.

use std::path::Path;
use std::time::{Duration, Instant};

/// The processes whose command line names `folder`, or which are in a control group of the world in it.
pub(crate) fn naming(folder: &Path) -> Vec<u32> {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let folder = format!("{}/", folder.display());
    let group = format!("/strongroom-world-{name}/");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse() else { continue };
        // A process may be gone between the two looks.
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let groups = String::from_utf8_lossy(&read("cgroup")).into_owned();
        if line.contains(&folder) || groups.contains(&group) {
            found.push(process);
        }
    }
    found
}

/// Waits until `holds`, at most 30 s.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited 30 s until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
