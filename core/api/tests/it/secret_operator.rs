//! secret-operator's kind.

use std::path::Path;

use strongroom_api::secret_operator::{SecretsRotationMapping, crd_yaml};

#[test]
#[expect(clippy::disallowed_methods, reason = "a developer's own checkout, which nobody reads meanwhile")]
fn the_committed_definition_is_that_of_the_type() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds/secret-operator.yaml");
    let made = crd_yaml().unwrap();
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "deploy/crds/secret-operator.yaml is not what the type says: run UPDATE_CRDS=1 cargo test -p strongroom-api, \
         and commit the file"
    );
    assert!(made.contains("secretsrotationmappings.awssecretsoperator.secretoperator"), "{made}");
}

#[test]
fn so_01_mappings_are_read_as_secret_operator_has_them() {
    let sample = "{apiVersion: awssecretsoperator.secretoperator/v1, kind: SecretsRotationMapping, \
                  metadata: {name: sample, namespace: team}, \
                  spec: {SecretID: eks-controller-test-secret, Labels: {environment: operatortest}}}";
    let mapping: SecretsRotationMapping = serde_saphyr::from_str(sample).unwrap();
    assert_eq!(mapping.spec.secret_id, "eks-controller-test-secret");
    assert_eq!(mapping.spec.labels["environment"], "operatortest");
}
