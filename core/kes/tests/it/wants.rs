use strongroom_kes::wants::{What, wants};
use strongroom_secret::{RemoteKey, Version};

use super::object;

fn wanted(spec: &str) -> Result<Vec<What>, String> {
    let object = object(spec);
    let spec = object.spec.as_ref().unwrap();
    let wants = wants("spec", spec, spec.backend().unwrap());
    wants.map(|wants| wants.into_iter().map(|want| want.what).collect()).map_err(|failure| failure.to_string())
}

fn key(spec: &str) -> RemoteKey {
    match wanted(spec).unwrap().remove(0) {
        What::Value { key, .. } | What::Members { key } => key,
        What::Path { path, .. } => RemoteKey::current(path),
    }
}

#[test]
fn ke_17_later_parts_win_and_come_last() {
    let spec =
        "{backendType: secretsManager, data: [{key: c, name: a}], dataFrom: [a], dataFromWithOptions: [{key: b}]}";
    let names = wanted(spec).unwrap().into_iter().map(|what| match what {
        What::Value { key, .. } | What::Members { key } => key.name,
        What::Path { path, .. } => path,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn ke_19_an_id_goes_before_a_stage() {
    let sm = |more: &str| key(&format!("{{backendType: secretsManager, data: [{{key: k, name: a{more}}}]}}")).version;
    assert_eq!(sm(""), None);
    assert_eq!(sm(", versionStage: AWSPREVIOUS"), Some(Version::Stage("AWSPREVIOUS".to_owned())));
    assert_eq!(sm(", versionStage: AWSPREVIOUS, versionId: v-1"), Some(Version::Id("v-1".to_owned())));
    let from = "{backendType: secretsManager, dataFromWithOptions: [{key: k, versionId: v-2}]}";
    assert_eq!(key(from).version, Some(Version::Id("v-2".to_owned())));
}

#[test]
fn ke_22_a_version_may_be_a_number() {
    let spec = "{backendType: gcpSecretsManager, data: [{key: k, name: a, version: 1}]}";
    assert_eq!(key(spec).version, Some(Version::Stage("1".to_owned())));
    assert_eq!(key("{backendType: gcpSecretsManager, data: [{key: k, name: a}]}").version, None);
}

#[test]
fn a_parameters_version_stands_behind_its_name() {
    let ssm = |name: &str| key(&format!("{{backendType: systemManager, data: [{{key: '{name}', name: a}}]}}"));
    assert_eq!(ssm("/a/b:3"), RemoteKey::at("/a/b", Version::Stage("3".to_owned())));
    assert_eq!(ssm("/a/b"), RemoteKey::current("/a/b"));
    let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/a";
    assert_eq!(ssm(arn), RemoteKey::current(arn));
}

#[test]
fn ke_25_paths_are_for_parameters_alone() {
    let paths = wanted("{backendType: systemManager, data: [{path: /a, recursive: true}, {path: /b}]}").unwrap();
    let path =
        |path: &str, is_recursive| What::Path { path: path.to_owned(), is_recursive, property: None, is_binary: false };
    assert_eq!(paths, [path("/a", true), path("/b", false)]);
    let words = wanted("{backendType: vault, data: [{path: /a}]}").unwrap_err();
    assert!(words.starts_with("spec.data[0]: _getByPath not implemented"), "{words}");
}
