//! What values leave behind on a node: arguments of processes, and memory that is mounted.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::Value;
use world::node::Node;

use crate::CANARY;
use crate::operator::support::eventually;

/// How often is looked: init containers live for a tenth of a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Does `work`, and meanwhile reads the arguments of every process of the node, those of pods too. None may have a value
/// in them, and each of `expected` must be seen.
pub(in crate::install) fn without_values_in_arguments<T>(
    node: &Node,
    expected: &[&str],
    work: impl FnOnce() -> T,
) -> T {
    let (done, seen) = std::thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        let watching = scope.spawn(move || {
            let mut seen = BTreeSet::new();
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                seen.extend(arguments(node));
            }
            seen
        });
        let done = work();
        drop(stop);
        (done, watching.join().unwrap())
    });
    for part in expected {
        assert!(seen.iter().any(|words| words.contains(part)), "no process had {part} in its arguments");
    }
    let shown: Vec<_> = seen.iter().filter(|words| words.contains(CANARY)).collect();
    assert!(shown.is_empty(), "{} processes had a value in their arguments", shown.len());
    done
}

/// The words by which each process was started.
fn arguments(node: &Node) -> Vec<String> {
    let read = |process| std::fs::read(format!("/proc/{process}/cmdline")).ok();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', " ");
    node.processes().into_iter().filter_map(read).map(text).collect()
}

/// Where a pod's volume of this name is mounted from memory: nowhere when it is gone, in each place where kubelet's folder
/// is seen when it is there.
fn in_memory(node: &Node, pod: &str, volume: &str) -> Vec<String> {
    let mounts = node.mounts().unwrap();
    let is_of_pod = |line: &&str| line.starts_with("tmpfs ") && line.contains(pod) && line.contains(volume);
    mounts.lines().filter(is_of_pod).map(str::to_owned).collect()
}

/// Ends a pod that runs and holds secrets in a volume in memory: that is gone with it.
pub(super) fn memory_goes_with_the_pod(node: &Node, name: &str, volume: &str) {
    let stored: Value =
        serde_json::from_str(&node.kubectl(&["get", "pod", name, "-n", "team", "-o", "json"]).unwrap()).unwrap();
    let id = stored["metadata"]["uid"].as_str().unwrap();
    let folder = node.folder().join("kubelet/pods").join(id).join("volumes/kubernetes.io~empty-dir").join(volume);
    assert!(!in_memory(node, id, volume).is_empty(), "{name} has no secrets in memory");
    assert!(folder.is_dir(), "there is no {}", folder.display());
    node.kubectl(&["delete", "pod", name, "-n", "team", "--wait=false"]).unwrap();
    eventually("the memory is gone", || match in_memory(node, id, volume).first() {
        Some(mount) => Err(mount.clone()),
        None if folder.exists() => Err(format!("{} is there", folder.display())),
        None => Ok(()),
    });
}
