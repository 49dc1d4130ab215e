//! As much of RFC 6902 and of the API server's validation as shows whether a patch is right.

use std::collections::BTreeSet;

use serde_json::Value;
use strongroom_inject::Operation;

/// Applies a patch as the API server does, from its JSON; panics where it does not apply.
pub(crate) fn apply(document: &Value, patch: &[Operation]) -> Value {
    let mut document = document.clone();
    for operation in patch {
        let operation = serde_json::to_value(operation).unwrap();
        let path = operation["path"].as_str().unwrap();
        match operation["op"].as_str().unwrap() {
            "add" => add(&mut document, path, operation["value"].clone()),
            "replace" => *document.pointer_mut(path).unwrap() = operation["value"].clone(),
            "move" => {
                let moved = remove(&mut document, operation["from"].as_str().unwrap());
                add(&mut document, path, moved);
            }
            other => panic!("{other}"),
        }
    }
    document
}

fn split(path: &str) -> (&str, String) {
    let (parent, last) = path.rsplit_once('/').unwrap();
    (parent, last.replace("~1", "/").replace("~0", "~"))
}

fn add(document: &mut Value, path: &str, value: Value) {
    let (parent, last) = split(path);
    match document.pointer_mut(parent).unwrap() {
        Value::Array(array) if last == "-" => array.push(value),
        Value::Array(array) => array.insert(last.parse().unwrap(), value),
        Value::Object(object) => {
            object.insert(last, value);
        }
        other => panic!("{other}"),
    }
}

fn remove(document: &mut Value, path: &str) -> Value {
    let (parent, last) = split(path);
    document.pointer_mut(parent).unwrap().as_array_mut().unwrap().remove(last.parse().unwrap())
}

/// Panics where the API server would refuse the pod for names that are used twice or lead nowhere.
pub(crate) fn validate(pod: &Value) {
    let list = |value: &Value, member: &str| value[member].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let spec = &pod["spec"];
    let mut volumes = BTreeSet::new();
    for volume in list(spec, "volumes") {
        assert!(volumes.insert(text(&volume, "name")), "volume twice: {volume}");
    }
    let mut names = BTreeSet::new();
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list(spec, kind) {
            assert!(names.insert(text(&container, "name")), "container twice: {container}");
            let mut paths = BTreeSet::new();
            for mount in list(&container, "volumeMounts") {
                let path = text(&mount, "mountPath");
                assert!(path.starts_with('/') && !path.contains(':'), "{mount}");
                assert!(paths.insert(path.trim_end_matches('/').to_owned()), "path twice: {mount}");
                assert!(volumes.contains(&text(&mount, "name")), "no such volume: {mount}");
                let sub_path = mount["subPath"].as_str().unwrap_or_default();
                assert!(!sub_path.starts_with('/') && !sub_path.contains(".."), "{mount}");
            }
        }
    }
}
