//! What a child can do, asked of the kernel and of a child that tries.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use strongroom_javascript::Limits;

use crate::{engine, render};

#[test]
fn a_child_that_shut_itself_in_can_only_compute_and_answer() {
    let output = Command::new(env!("CARGO_BIN_EXE_javascript-probe")).arg("escape").output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let told = String::from_utf8(output.stdout).unwrap();
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("compute: done"));
    let refused: Vec<&str> = lines.clone().filter(|line| line.ends_with(": PermissionDenied")).collect();
    assert_eq!(refused.len(), 11, "{told}");
    assert_eq!(lines.count(), 11, "{told}");
}

/// The folder in /proc of a child of this process that has shut itself in.
fn a_child_at_work() -> Option<PathBuf> {
    let children = fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: String = children.collect();
    children.split_whitespace().map(|child| PathBuf::from("/proc").join(child)).find(|child| {
        let read = |name: &str| fs::read_to_string(child.join(name)).unwrap_or_default();
        read("comm").starts_with("javascript-prob") && read("status").contains("Seccomp:\t2")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_holds_a_child_to_its_limits() {
    let engine = engine(Limits::default());
    let rendering = tokio::spawn(async move { render(&engine, &[], &["<% while (true); %>"]).await });
    let start = Instant::now();
    let child = loop {
        if let Some(child) = a_child_at_work() {
            break child;
        }
        assert!(start.elapsed() < Duration::from_secs(2), "no child is at work");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let status = fs::read_to_string(child.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Threads:\t1"), "{status}");
    let limits = fs::read_to_string(child.join("limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, expected) in [
        ("Max cpu time", "3"),
        ("Max file size", "0"),
        ("Max core file size", "0"),
        ("Max processes", "0"),
        ("Max open files", "0"),
        ("Max locked memory", "0"),
        ("Max data size", "134217728"),
        ("Max address space", "671088640"),
    ] {
        assert_eq!(limit(name), [expected, expected], "{name}");
    }
    assert_eq!(fs::read(child.join("environ")).unwrap(), b"");
    assert_eq!(fs::read_link(child.join("cwd")).unwrap(), PathBuf::from("/"));
    assert_eq!(fs::read_link(child.join("fd/2")).unwrap(), PathBuf::from("/dev/null"));
    drop(rendering.await);
}
