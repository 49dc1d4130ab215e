use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use strongroom_aws_ssm::selector::selector;
use strongroom_aws_ssm::{Asked, Kind};

fn metadata(annotations: &[(&str, &str)]) -> ObjectMeta {
    let annotations = annotations.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() }
}

/// `name kind role`, or what is wrong.
fn request(annotations: &[(&str, &str)]) -> Option<String> {
    let asked = Asked::of(&metadata(annotations))?;
    Some(match asked.request() {
        Ok(request) => format!("{} {} {}", request.name, request.kind, request.role.unwrap_or_default()),
        Err(failure) => failure.to_string(),
    })
}

#[test]
fn as_03_both_prefixes_are_read_and_the_newer_one_wins() {
    let check = |annotations: &[(&str, &str)], expected: &str| {
        assert_eq!(request(annotations).as_deref(), Some(expected), "{annotations:?}");
    };
    check(&[("aws-ssm/aws-param-name", "foo"), ("aws-ssm/aws-param-type", "String")], "foo String ");
    let alpha =
        [("alpha.ssm.cmattoon.com/aws-param-name", "old"), ("alpha.ssm.cmattoon.com/aws-param-type", "SecureString")];
    check(&alpha, "old SecureString ");
    check(&[alpha[0], alpha[1], ("aws-ssm/aws-param-name", "new")], "new SecureString ");
    check(&[alpha[0], alpha[1], ("aws-ssm/aws-param-name", "")], "old SecureString ");
    let role = "arn:aws:iam::111122223333:role/reader";
    check(&[alpha[0], alpha[1], ("iam.amazonaws.com/role", role)], &format!("old SecureString {role}"));
    check(
        &[alpha[0], alpha[1], ("iam.amazonaws.com/role", "arn:aws:iam::1:role/other"), ("aws-iam/role-arn", role)],
        &format!("old SecureString {role}"),
    );
    // Documented by the original, and without effect there.
    check(
        &[alpha[0], alpha[1], ("aws-ssm/k8s-secret-name", "else"), ("aws-ssm/aws-param-key", "k")],
        "old SecureString ",
    );
}

#[test]
fn as_04_without_a_name_or_a_type_a_secret_is_left_alone() {
    for annotations in [
        &[][..],
        &[("aws-ssm/aws-param-name", "foo")],
        &[("aws-ssm/aws-param-type", "String")],
        &[("aws-ssm/aws-param-name", "foo"), ("aws-ssm/aws-param-type", "")],
        &[("aws-ssm/aws-param-name", "foo"), ("other/aws-param-type", "String")],
    ] {
        assert_eq!(request(annotations), None, "{annotations:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_told_by_its_annotation() {
    let check = |name: &str, kind: &str, role: Option<&str>, expected: &str| {
        let mut annotations = vec![("aws-ssm/aws-param-name", name), ("aws-ssm/aws-param-type", kind)];
        annotations.extend(role.map(|role| ("aws-iam/role-arn", role)));
        let found = request(&annotations).unwrap();
        assert!(found.contains(expected), "{found}");
    };
    check("foo", "string", None, "aws-ssm/aws-param-type: there is no such type of parameter");
    check("foo", "Directory", None, "aws-ssm/aws-param-name: the path of a directory begins with a slash");
    // These would be more than letters in a policy or a shell.
    for name in ["**", "/a/*", "a'b", "{{ .namespace }}", "a b", "a\nb"] {
        check(name, "String", None, "aws-ssm/aws-param-name: a parameter's name has letters");
    }
    check("foo", "String", Some("reader"), "aws-iam/role-arn: this is no ARN of a role");
    check("foo", "String", Some("arn:aws:iam::1:role/*"), "aws-iam/role-arn: this is no ARN of a role");
}

#[test]
fn what_an_external_secret_writes_is_its_own() {
    let owner = OwnerReference {
        controller: Some(true),
        kind: "ExternalSecret".into(),
        name: "db".into(),
        ..OwnerReference::default()
    };
    let annotated = metadata(&[("aws-ssm/aws-param-name", "foo"), ("aws-ssm/aws-param-type", "String")]);
    let asked = Asked::of(&ObjectMeta { owner_references: Some(vec![owner]), ..annotated }).unwrap();
    assert!(asked.request().unwrap_err().words.contains("the ExternalSecret db controls this Secret"));
    assert_eq!(Kind::Directory.name(), "Directory");
}

#[test]
fn selectors_are_understood_as_kubectl_has_them() {
    let check = |text: &str, labels: &[(&str, &str)], expected: bool| {
        let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(selector(text).unwrap().selects(&labels), expected, "{text} {labels:?}");
    };
    check("", &[], true);
    check("a=b", &[("a", "b")], true);
    check("a==b , c!=d", &[("a", "b"), ("c", "x")], true);
    check("a=b,c!=d", &[("a", "b"), ("c", "d")], false);
    check("a in (b, c),d", &[("a", "c"), ("d", "")], true);
    check("a in (b,c),d", &[("a", "c")], false);
    check("a notin (b,c)", &[("a", "c")], false);
    check("!a", &[("a", "c")], false);
    check("!a", &[], true);
    for text in ["a on (b)", "=b", "a b", "(a)"] {
        assert!(selector(text).is_err(), "{text}");
    }
}
