//! The program `world`, as people use it, and as it dies.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use world::cache::RunFolder;

use crate::processes;

/// A world that `up` started; ends it when dropped, also when the test failed.
struct Running {
    name: String,
    variables: Vec<(String, String)>,
}

fn world(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_world")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

impl Running {
    fn start(test: &str, flags: &[&str]) -> Self {
        let name = format!("{test}-{}", std::process::id());
        let exports = said(&world(&[&["up", "--name", &name], flags].concat()));
        let variables = exports.lines().map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('\'').to_owned())
        });
        let variables = variables.collect();
        Self { name, variables }
    }

    fn variable(&self, name: &str) -> &str {
        &self.variables.iter().find(|(known, _)| known == name).unwrap().1
    }

    fn folder(&self) -> PathBuf {
        Path::new(self.variable("KUBECONFIG")).parent().unwrap().to_owned()
    }

    /// The process that holds the world.
    fn process(&self) -> Pid {
        let list = said(&world(&["list"]));
        let line = list.lines().find(|line| line.starts_with(&self.name)).unwrap();
        let process = line.split('\t').find_map(|field| field.strip_prefix("process ")).unwrap();
        Pid::from_raw(process.parse().unwrap())
    }

    /// Kills the holder as nothing can be prepared for, and checks that everything dies with it.
    fn kill_and_check(&self) {
        let folder = self.folder();
        assert!(processes::naming(&folder).len() >= 2);
        kill(self.process(), Signal::SIGKILL).unwrap();
        processes::wait_until("every part is dead", || processes::naming(&folder).is_empty());
        // The holder itself may be the last to be buried.
        processes::wait_until("it is listed no longer", || !said(&world(&["list"])).contains(&self.name));
        // Any next start sweeps up what the dead could not.
        drop(RunFolder::new().unwrap());
        assert!(!folder.exists());
        assert_eq!(crate::control_groups(&folder), Vec::<PathBuf>::new());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        world(&["down", "--name", &self.name]);
    }
}

#[test]
fn up_list_logs_down() {
    let running = Running::start("people", &[]);
    assert!(running.variable("VAULT_ADDR").starts_with("http://127.0.0.1:"));
    assert!(running.variable("AWS_ENDPOINT_URL").starts_with("http://127.0.0.1:"));
    assert!(Path::new(running.variable("KUBECONFIG")).is_file());
    assert!(Path::new(running.variable("WORLD_GOOGLE_CA_FILE")).is_file());
    let again = said(&world(&["up", "--name", &running.name]));
    assert!(again.contains(running.variable("VAULT_TOKEN")), "a second `up` shows the same world");
    let log = said(&world(&["logs", "kube-apiserver", "--name", &running.name]));
    assert!(log.contains("Serving securely"), "{log}");
    let missing = world(&["logs", "nothing", "--name", &running.name]);
    let words = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && words.contains("has no part \"nothing\"; it has etcd, "), "{words}");
    let folder = running.folder();
    said(&world(&["down", "--name", &running.name]));
    assert!(!folder.exists() && processes::naming(&folder).is_empty());
    let words = world(&["down", "--name", &running.name]).stderr;
    assert!(String::from_utf8_lossy(&words).contains("no world named"));
}

#[test]
fn a_control_plane_dies_with_its_killed_holder() {
    Running::start("killed", &[]).kill_and_check();
}

#[test]
fn a_node_dies_with_its_killed_holder() {
    if crate::is_root("a_node_dies_with_its_killed_holder") {
        Running::start("killed-node", &["--node"]).kill_and_check();
    }
}
