//! The node world: pods really run, and nothing of it is left or seen on the machine.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use world::binaries;
use world::image::Image;
use world::node::{Node, Options};

use crate::{control_groups, is_root, processes};

const IMAGE: &str = "docker.io/world/shell:1";

/// A node that can run [`IMAGE`]: busybox and nothing else.
fn node_with_shell() -> Node {
    let start = Instant::now();
    let node = Node::start(&Options::default()).unwrap();
    // A figure for people, not a condition.
    world::cache::progress(&format!("a node was ready after {:?}", start.elapsed()));
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("shell.tar");
    let programs = ["sh", "cat", "echo", "env", "httpd", "ls", "mount", "nslookup", "sleep", "timeout", "wget"];
    let image = Image::new(IMAGE).file("bin/busybox", &binaries::busybox().unwrap(), 0o755).variable("PATH", "/bin");
    let image = programs.iter().fold(image, |image, name| image.link(&format!("bin/{name}"), "busybox"));
    image.directory("tmp", 0o1777).entrypoint(&["sh", "-c"]).write(&archive).unwrap();
    node.import_image(&archive).unwrap();
    node
}

static NODE: LazyLock<Node> = LazyLock::new(node_with_shell);

/// Runs a pod of one container, and waits until it is ready.
fn run(node: &Node, name: &str, script: &str) {
    node.apply(&pod(name, script)).unwrap();
    let waited = node.kubectl(&["wait", "--for=condition=Ready", "pod", name, "--timeout=60s"]);
    assert!(waited.is_ok(), "{waited:?}\n{}", node.kubectl(&["describe", "pod", name]).unwrap());
}

fn pod(name: &str, script: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "restartPolicy": "Never",
            "containers": [{
                "name": "app",
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "args": [script],
                "volumeMounts": [{"name": "memory", "mountPath": "/memory"}],
            }],
            "volumes": [{"name": "memory", "emptyDir": {"medium": "Memory"}}],
        },
    })
    .to_string()
}

fn run_in(node: &Node, pod: &str, script: &str) -> String {
    node.kubectl(&["exec", pod, "--", "sh", "-c", script]).unwrap()
}

#[test]
fn a_pod_runs_and_shows_its_output() {
    if !is_root("a_pod_runs_and_shows_its_output") {
        return;
    }
    run(&NODE, "talker", "echo it runs; exec sleep 1000");
    assert_eq!(NODE.kubectl(&["logs", "talker"]).unwrap(), "it runs\n");
    assert_eq!(run_in(&NODE, "talker", "cat /proc/1/comm"), "sleep\n");
    assert!(run_in(&NODE, "talker", "mount").contains("tmpfs on /memory type tmpfs"));
    let command = |process| std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    assert!(NODE.processes().into_iter().any(|process| command(process) == b"sleep\x001000\x00"));
    assert!(NODE.mounts().unwrap().contains("/kubernetes.io~empty-dir/memory tmpfs"));
    let token = run_in(&NODE, "talker", "cat /var/run/secrets/kubernetes.io/serviceaccount/token");
    assert_eq!(token.split('.').count(), 3, "a service account's token has three parts");
}

#[test]
fn a_pod_that_ends_gives_its_exit_code() {
    if !is_root("a_pod_that_ends_gives_its_exit_code") {
        return;
    }
    NODE.apply(&pod("failing", "exit 7")).unwrap();
    NODE.kubectl(&["wait", "--for=jsonpath={.status.phase}=Failed", "pod", "failing", "--timeout=60s"]).unwrap();
    let path = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(NODE.kubectl(&["get", "pod", "failing", "-o", path]).unwrap(), "7");
}

#[test]
fn pods_find_each_other_by_the_name_of_a_service() {
    if !is_root("pods_find_each_other_by_the_name_of_a_service") {
        return;
    }
    run(&NODE, "web", "mkdir /tmp/www; echo from the web > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www");
    run(&NODE, "visitor", "exec sleep 1000");
    NODE.kubectl(&["expose", "pod", "web", "--port=80", "--target-port=8080"]).unwrap();
    let address = NODE.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"]).unwrap();
    let found = run_in(&NODE, "visitor", "nslookup web.default.svc.cluster.local");
    assert!(found.contains(&address), "{found}");
    let visit = "for try in 1 2 3 4 5 6 7 8 9; do timeout 3 wget -q -O - http://web.default.svc.cluster.local && exit; sleep 1; done";
    assert_eq!(run_in(&NODE, "visitor", visit), "from the web\n");
    assert_eq!(run_in(&NODE, "web", visit), "from the web\n", "a pod reaches itself through its Service");
    // The machine's way in is a forwarded port.
    let inside = SocketAddr::new(address.parse().unwrap(), 80);
    let mut stream = TcpStream::connect(NODE.forward(inside).unwrap()).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("from the web\n"), "{answer}");
}

#[test]
fn pods_reach_what_was_exposed_to_them_and_nothing_else() {
    if !is_root("pods_reach_what_was_exposed_to_them_and_nothing_else") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 16\r\n\r\nfrom the machine").unwrap();
        }
    });
    run(&NODE, "caller", "exec sleep 1000");
    let address = NODE.expose_to_pods(port).unwrap();
    assert_eq!(run_in(&NODE, "caller", &format!("timeout 5 wget -q -O - http://{address}")), "from the machine");
    let closed =
        NODE.kubectl(&["exec", "caller", "--", "timeout", "5", "wget", "-q", &format!("http://10.244.0.1:{port}")]);
    assert!(closed.is_err(), "the port has another number inside");
}

/// What a node must not change: links, rules, settings, and folders at fixed paths.
fn machine() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for program in [&["ip", "address"][..], &["ip", "route"], &["nft", "list", "ruleset"]] {
        let output = Command::new(program[0]).args(&program[1..]).output().unwrap();
        // How long an address stays valid counts down by itself.
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        found.insert(program.join(" "), lines.lines().filter(|line| !line.contains("valid_lft")).collect());
    }
    settings(Path::new("/proc/sys/net"), &mut found);
    for setting in ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"] {
        settings(&Path::new("/proc/sys").join(setting), &mut found);
    }
    settings(Path::new("/proc/sys/kernel/keys"), &mut found);
    for path in ["/run/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"] {
        found.insert(path.to_owned(), Path::new(path).exists().to_string());
    }
    for path in ["/etc/cni", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/opt/nri", "/usr/libexec/kubernetes"] {
        found.insert(path.to_owned(), Path::new(path).exists().to_string());
    }
    found
}

fn settings(path: &Path, found: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(path) else {
        // Some can only be written; one counts connections.
        if !path.ends_with("nf_conntrack_count") {
            found.insert(path.display().to_string(), std::fs::read_to_string(path).unwrap_or_default());
        }
        return;
    };
    for entry in entries.flatten() {
        settings(&entry.path(), found);
    }
}

#[test]
fn two_run_side_by_side_and_leave_nothing() {
    if !is_root("two_run_side_by_side_and_leave_nothing") {
        return;
    }
    let before = machine();
    let (one, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(node_with_shell), scope.spawn(node_with_shell));
        (one.join().unwrap(), other.join().unwrap())
    });
    run(&one, "same-name", "echo one; exec sleep 1000");
    run(&other, "same-name", "echo other; exec sleep 1000");
    assert_eq!(machine(), before, "a running node shows on the machine");
    let folder = one.folder().to_owned();
    assert!(!control_groups(&folder).is_empty());
    drop(one);
    assert_eq!(processes::naming(&folder), Vec::<u32>::new());
    assert_eq!(control_groups(&folder), Vec::<std::path::PathBuf>::new());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()) && !folder.exists());
    assert_eq!(other.kubectl(&["logs", "same-name"]).unwrap(), "other\n", "the other one goes on");
    drop(other);
    assert_eq!(machine(), before, "a node that ended has left its mark");
}
