use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::json;
use strongroom_aws_ssm::Values;
use strongroom_aws_ssm::secret::{FIELD_MANAGER, digest, plan};

use crate::{line, value};

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect()
}

fn written_by(manager: &str, keys: &[&str]) -> ObjectMeta {
    let names: serde_json::Map<_, _> = keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
    let fields = FieldsV1(json!({"f:data": names}));
    let entry =
        ManagedFieldsEntry { manager: Some(manager.into()), fields_v1: Some(fields), ..ManagedFieldsEntry::default() };
    ObjectMeta { managed_fields: Some(vec![entry]), ..ObjectMeta::default() }
}

#[test]
fn only_our_own_keys_are_written_and_only_where_they_differ() {
    let check = |wanted: &[(&str, &str)], metadata: &ObjectMeta, data: &[(&str, &str)], expected: Option<&str>| {
        let planned = plan(&values(wanted), metadata, false, &values(data)).unwrap();
        assert_eq!(planned.as_ref().map(line).as_deref(), expected, "{data:?}");
    };
    let nobody = ObjectMeta::default();
    check(&[("String", "a")], &nobody, &[], Some("String=a"));
    check(&[("String", "a")], &nobody, &[("String", "a"), ("other", "x")], None);
    check(&[("String", "b")], &nobody, &[("String", "a"), ("other", "x")], Some("String=b other=x"));
    // What vanished from a directory goes where we wrote it, and stays where somebody else did.
    check(&[("a", "1")], &written_by(FIELD_MANAGER, &["a", "b"]), &[("a", "1"), ("b", "2")], Some("a=1"));
    check(&[("a", "1")], &written_by("kubectl-client-side-apply", &["a", "b"]), &[("a", "1"), ("b", "2")], None);
}

#[test]
fn what_is_immutable_is_told_where_it_would_have_to_change() {
    let data = values(&[("String", "a")]);
    assert!(plan(&data, &ObjectMeta::default(), true, &data).unwrap().is_none());
    let failure = plan(&values(&[("String", "b")]), &ObjectMeta::default(), true, &data).unwrap_err();
    assert_eq!(failure.words, "the Secret is immutable and would have to change");
}

#[test]
fn digests_tell_values_apart() {
    let all = [values(&[]), values(&[("a", "1")]), values(&[("a", "2")]), values(&[("a1", "")])];
    for (place, one) in all.iter().enumerate() {
        let same = all.iter().filter(|other| digest(one) == digest(other)).count();
        assert_eq!(same, 1, "{place}");
    }
}
