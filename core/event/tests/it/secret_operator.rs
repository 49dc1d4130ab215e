use std::collections::BTreeMap;

use strongroom_event::secret_operator::{Decision, Mapping, Workload, is_rolled, rolls};

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mapping(secret_id: &str, of: &[(&str, &str)]) -> Mapping {
    Mapping { secret_id: secret_id.to_owned(), labels: labels(of) }
}

fn message(event: &str, secret: &str) -> Vec<u8> {
    format!(r#"{{"detail":{{"eventName":"{event}","requestParameters":{{"secretId":"{secret}"}}}}}}"#).into_bytes()
}

const SECRET: &str = "eks-controller-test-secret";
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:1:secret:eks-controller-test-secret-AbCdEf";

#[test]
fn so_01_a_new_value_of_a_mapped_secret_rolls_the_workloads_with_its_labels() {
    let mappings = [mapping(SECRET, &[("environment", "operatortest")]), mapping("other", &[("app", "other")])];
    let Decision::Roll(sets) = rolls(&mappings, &message("PutSecretValue", SECRET)) else { panic!("nothing rolls") };
    assert_eq!(sets, [labels(&[("environment", "operatortest")])]);
    assert!(is_rolled(&labels(&[("environment", "operatortest"), ("app", "shop")]), &sets));
    assert!(!is_rolled(&labels(&[("environment", "production")]), &sets));
    assert_eq!(Workload::Deployment.label(), "aws-secrets-controller-redeloyed");
    assert_eq!(Workload::DaemonSet.label(), "aws-secrets-operator-redeloyed");
    assert_eq!(Workload::StatefulSet.label(), "aws-secrets-operator-redeloyed");
}

#[test]
fn so_02_another_event_is_deleted_and_another_secret_is_left() {
    let mappings = [mapping(SECRET, &[("environment", "operatortest")])];
    for event in ["GetSecretValue", "DeleteSecret", "UpdateSecret", "RotateSecret"] {
        assert_eq!(rolls(&mappings, &message(event, SECRET)), Decision::Delete, "{event}");
    }
    assert_eq!(rolls(&mappings, &message("PutSecretValue", "another")), Decision::Leave);
    assert_eq!(rolls(&[], &message("PutSecretValue", SECRET)), Decision::Leave);
}

#[test]
fn the_end_of_a_rotation_rolls_and_names_and_arns_are_the_same_secret() {
    let rotated = format!(
        r#"{{"source":"aws.secretsmanager","detail":{{"eventName":"RotationSucceeded","requestParameters":null,"additionalEventData":{{"SecretId":"{ARN}"}}}}}}"#
    );
    let app = [("app", "shop")];
    for mapped in [SECRET, ARN] {
        let mappings = [mapping(mapped, &app)];
        for body in [rotated.clone().into_bytes(), message("PutSecretValue", SECRET), message("PutSecretValue", ARN)] {
            assert_eq!(rolls(&mappings, &body), Decision::Roll(vec![labels(&app)]), "{mapped}");
        }
    }
}

#[test]
fn several_mappings_of_one_secret_share_the_message() {
    let mappings = [mapping(SECRET, &[("a", "1")]), mapping(SECRET, &[("b", "2")]), mapping(ARN, &[("a", "1")])];
    let expected = Decision::Roll(vec![labels(&[("a", "1")]), labels(&[("b", "2")])]);
    assert_eq!(rolls(&mappings, &message("PutSecretValue", SECRET)), expected);
}

#[test]
fn a_mapping_without_labels_rolls_nothing() {
    assert_eq!(rolls(&[mapping(SECRET, &[])], &message("PutSecretValue", SECRET)), Decision::Roll(Vec::new()));
    assert!(!is_rolled(&labels(&[("a", "1")]), &[labels(&[])]));
}

#[test]
fn a_malformed_message_is_refused_and_not_quoted() {
    let Decision::Refuse(failure) = rolls(&[], b"canary") else { panic!("it was taken") };
    assert!(!failure.to_string().contains("canary"));
}
