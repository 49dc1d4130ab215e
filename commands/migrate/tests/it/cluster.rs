//! Against a real API server: objects are read from it as from files, and it takes what is made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cases::{files, run};
use crate::command::{Folder, migrate};
use crate::{CLUSTER, kubeconfig};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn make_namespaces(names: &[&str]) {
    for name in names {
        CLUSTER.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")).unwrap();
    }
}

#[test]
fn objects_of_the_cluster_are_converted_as_those_of_files() {
    make_namespaces(&["kes", "team-a", "team-b"]);
    for (name, text) in files(&cases().join("vault/in")) {
        CLUSTER.apply(&text).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
    let out = Folder::new();
    let report = out.path().join("report.json");
    let arguments = ["kes", "--from-cluster", "-A", "--kes-namespace", "kes", "--report-file"];
    let mut arguments = arguments.to_vec();
    arguments.extend([report.to_str().unwrap(), "-o", out.path().to_str().unwrap()]);
    assert_eq!(migrate(&arguments, &kubeconfig()), Ok(true));
    let without_report = |mut files: BTreeMap<String, String>| {
        files.remove("report.json");
        files
    };
    let expected = without_report(files(&cases().join("vault/out")));
    assert_eq!(without_report(files(out.path())), expected);
    let told = std::fs::read_to_string(&report).unwrap();
    assert!(told.ends_with("3 objects: 3 carried, 0 carried with a difference, 0 not\n"), "{told}");
    assert!(!told.contains("was not found"), "{told}");

    // Of one namespace alone.
    let out = Folder::new();
    let output = out.path().to_str().unwrap();
    let arguments = ["kes", "--from-cluster", "-n", "team-a", "--kes-namespace", "kes", "-o", output];
    assert_eq!(migrate(&arguments, &kubeconfig()), Ok(true));
    let made = files(out.path());
    let objects: Vec<&String> = made.keys().filter(|name| name.contains("external-secret-")).collect();
    assert_eq!(objects, ["team-a/external-secret-several-mounts.yaml"]);
}

#[test]
fn the_api_server_takes_what_is_made() {
    make_namespaces(&["kes-ns", "team-a", "team-b", "open"]);
    let mut taken = 0;
    for case in std::fs::read_dir(cases()).unwrap() {
        for (name, text) in run(&case.unwrap().path()).0 {
            if name != "report.json" {
                CLUSTER.apply(&text).unwrap_or_else(|error| panic!("{name}: {error:#}"));
                taken += 1;
            }
        }
    }
    assert!(taken > 20, "{taken} objects were made");
}
