//! The file of definitions that is committed.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

#[test]
#[expect(clippy::disallowed_methods, reason = "a developer's own checkout, which nobody reads meanwhile")]
fn the_committed_definitions_are_those_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds/strongroom.yaml");
    let made = strongroom_api::crds_yaml().unwrap();
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "deploy/crds/strongroom.yaml is not what the types say: run UPDATE_CRDS=1 cargo test -p strongroom-api, and \
         commit the file"
    );
}

#[test]
fn the_file_says_what_the_definitions_say() {
    let yaml = strongroom_api::crds_yaml().unwrap();
    let read: Vec<CustomResourceDefinition> =
        yaml.split("---\n").skip(1).map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(strongroom_api::crds()).unwrap());
}
