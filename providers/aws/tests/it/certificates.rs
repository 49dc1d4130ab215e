//! Certificate Manager: what is exported and what is imported.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use strongroom_aws::CertificateManager;
use strongroom_crypto::{NewCertificate, NewKey, PrivateKey, pem_blocks};
use strongroom_failure::Class;
use strongroom_provider::{Content, Deleted, Facet, Provider, Push, Pushed, RemoteKey, SecretBytes, Source};
use world::switchboard::Fault;

use crate::common::{Line, REGION, failure, moto, text};
use crate::push::{deleted, place, pushed, refused, with};

/// A certificate that signed itself, and its key.
struct Made {
    certificate: String,
    key: String,
}

fn made(name: &str) -> Made {
    let key = PrivateKey::generate(NewKey::Rsa2048).expect("a key");
    let certificate = NewCertificate {
        common_name: name.to_owned(),
        addresses: Vec::new(),
        names: vec![name.to_owned()],
        begins: 1_767_225_600,
        days: 10_000,
        is_authority: false,
    };
    Made {
        certificate: certificate.signed_by_itself(&key).expect("a certificate"),
        key: key.to_usual_pem().to_string(),
    }
}

fn secret(key: &str, certificate: &str, private_key: &str) -> Push {
    let data = [("tls.crt", certificate), ("tls.key", private_key)];
    let data = data.map(|(name, value)| (name.to_owned(), SecretBytes::from(value.to_owned())));
    let content = Content::Whole(data.into());
    Push { place: place(key, None), content, metadata: None, source: Source::default(), only_if_absent: false }
}

impl Made {
    fn pushed_to(&self, key: &str) -> Push {
        secret(key, &self.certificate, &self.key)
    }
}

fn call(what: &str, body: &Json) -> Json {
    moto().call(REGION, &format!("CertificateManager.{what}"), body).expect("an answer of moto")
}

/// A certificate that AWS issued and gives away with its key.
fn issued(name: &str) -> String {
    let request = json!({"DomainName": name, "Options": {"Export": "ENABLED"}});
    call("RequestCertificate", &request)["CertificateArn"].as_str().expect("an ARN").to_owned()
}

/// The ARN of the one certificate that bears a name.
fn found(name: &str) -> String {
    let filter = json!({"TagFilters": [{"Key": "external-secrets-remote-key", "Values": [name]}]});
    let target = "ResourceGroupsTaggingAPI_20170126.GetResources";
    let found = moto().call(REGION, target, &filter).expect("resources");
    let found = found["ResourceTagMappingList"].as_array().expect("a list");
    assert_eq!(found.len(), 1, "{name}");
    found[0]["ResourceARN"].as_str().expect("an ARN").to_owned()
}

fn tags(arn: &str) -> Json {
    let tags = call("ListTagsForCertificate", &json!({"CertificateArn": arn}))["Tags"].clone();
    let tags = tags.as_array().cloned().unwrap_or_default();
    tags.into_iter().map(|tag| (tag["Key"].as_str().expect("a key").to_owned(), tag["Value"].clone())).collect()
}

async fn read(store: &CertificateManager, arn: &str) -> Vec<strongroom_provider::Answer> {
    store.read(&[RemoteKey::current(arn)]).await
}

#[tokio::test]
async fn a_certificate_is_read_with_its_chain_and_its_key_and_exported_once() {
    let arn = issued("read.example");
    let line = Line::new();
    let store = line.session.certificate_manager(None);
    for exports in [1, 1] {
        let answers = read(&store, &arn).await;
        let (blocks, has_rest) = pem_blocks(text(&answers[0]));
        let labels: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
        assert_eq!((labels.as_slice(), has_rest), (&["CERTIFICATE", "CERTIFICATE", "PRIVATE KEY"][..], false));
        assert!(text(&answers[0]).ends_with("-----END PRIVATE KEY-----\n"));
        assert!(PrivateKey::from_der(&blocks[2].bytes).is_some());
        assert_eq!(line.count("ExportCertificate"), exports);
    }
    assert_eq!(line.count("GetCertificate"), 2);
    // What is kept is served for the certificate that it was exported with, and for no other.
    let other = made("read.example");
    let import = json!({
        "CertificateArn": arn, "Certificate": base64(&other.certificate), "PrivateKey": base64(&other.key),
    });
    call("ImportCertificate", &import);
    let answers = read(&store, &arn).await;
    let failure = failure(&answers[0]);
    assert_eq!(failure.class, Class::Invalid, "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("were requested with")), "{failure:?}");
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn keys_are_arns_and_each_fails_by_itself() {
    let arn = issued("each.example");
    let line = Line::new();
    let store = line.session.certificate_manager(None);
    let missing = format!("{}0", arn.trim_end_matches(|letter: char| letter != '-'));
    let metadata = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(&arn) };
    let keys = [RemoteKey::current("web"), RemoteKey::current(&missing), RemoteKey::current(&arn), metadata];
    let answers = store.read(&keys).await;
    assert!(failure(&answers[0]).words.contains("by its ARN"));
    assert_eq!(failure(&answers[1]).class, Class::NotFound);
    assert!(text(&answers[2]).contains("BEGIN PRIVATE KEY"));
    assert_eq!(text(&answers[3]), "{}");
    line.switchboard.add(Fault::aws("RequestInProgressException").on_operation("GetCertificate").times(1));
    assert_eq!(failure(&read(&store, &arn).await[0]).class, Class::Unavailable);
    line.switchboard.add(Fault::aws("AccessDeniedException").on_operation("ExportCertificate").times(1));
    let fresh = line.session.certificate_manager(None);
    assert_eq!(failure(&read(&fresh, &arn).await[0]).class, Class::Denied);
}

#[tokio::test]
async fn a_renewed_certificate_keeps_its_arn_and_the_same_is_not_imported_again() {
    let (first, second) = (made("push.example"), made("push.example"));
    let line = Line::new();
    let store = line.session.certificate_manager(None).with_prefix("pre/");
    line.switchboard.add(Fault::aws("LimitExceededException").on_operation("ImportCertificate").times(1));
    let failure = refused(&store, first.pushed_to("web")).await;
    assert!(failure.class == Class::Invalid && failure.words.contains("a quota is reached"), "{failure}");
    assert_eq!(pushed(&store, &[first.pushed_to("web")]).await, [Pushed::Written]);
    let arn = found("pre/web");
    let marks = json!({"managed-by": "external-secrets", "external-secrets-remote-key": "pre/web"});
    assert_eq!(tags(&arn), marks);
    let imports = line.count("ImportCertificate");
    assert_eq!(pushed(&store, &[first.pushed_to("web")]).await, [Pushed::Unchanged]);
    assert_eq!(line.count("ImportCertificate"), imports);
    assert_eq!(pushed(&store, &[second.pushed_to("web")]).await, [Pushed::Written]);
    assert_eq!((found("pre/web"), tags(&arn)), (arn.clone(), marks));
    let kept = Push { only_if_absent: true, ..first.pushed_to("web") };
    assert_eq!(pushed(&store, &[kept]).await, [Pushed::Kept]);
    // Another operator remembers nothing and finds it by its tags.
    let other = line.session.certificate_manager(None).with_prefix("pre/");
    assert_eq!(pushed(&other, &[second.pushed_to("web")]).await, [Pushed::Unchanged]);
    assert_eq!(line.count("ImportCertificate"), imports + 1);
    let chained = secret("web", &format!("{}{}", second.certificate, first.certificate), &second.key);
    assert_eq!(pushed(&other, std::slice::from_ref(&chained)).await, [Pushed::Written]);
    assert_eq!(pushed(&store, &[chained]).await, [Pushed::Unchanged]);
    assert_eq!(deleted(&store, &[place("web", None)]).await, [Deleted::Removed]);
    assert_eq!(deleted(&other, &[place("web", None)]).await, [Deleted::Absent]);
    assert_eq!(pushed(&other, &[first.pushed_to("web")]).await, [Pushed::Written]);
    assert_ne!(found("pre/web"), arn);
}

#[tokio::test]
async fn tags_of_a_certificate_become_what_was_written() {
    let certificate = made("tags.example");
    let line = Line::new();
    let store = line.session.certificate_manager(None);
    let push = |spec| with(certificate.pushed_to("tagged"), spec);
    assert_eq!(pushed(&store, &[push(json!({"tags": {"team": "a", "old": "x"}}))]).await, [Pushed::Written]);
    let arn = found("tagged");
    let marks = |more: Json| {
        let mut tags = json!({"managed-by": "external-secrets", "external-secrets-remote-key": "tagged"});
        tags.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        tags
    };
    assert_eq!(tags(&arn), marks(json!({"team": "a", "old": "x"})));
    assert_eq!(pushed(&store, &[push(json!({"tags": {"team": "b"}}))]).await, [Pushed::Written]);
    assert_eq!(tags(&arn), marks(json!({"team": "b"})));
    assert_eq!(pushed(&store, &[push(json!({"tags": {"team": "b"}}))]).await, [Pushed::Unchanged]);
    assert_eq!(pushed(&store, &[certificate.pushed_to("tagged")]).await, [Pushed::Unchanged]);
    for name in ["managed-by", "external-secrets-remote-key"] {
        let failure = refused(&store, push(json!({"tags": {name: "me"}}))).await;
        assert!(failure.class == Class::Invalid && failure.words.contains(name), "{failure}");
    }
    assert_eq!(line.count("ImportCertificate"), 1);
}

#[tokio::test]
async fn what_others_imported_is_refused_and_stays() {
    let certificate = made("foreign.example");
    let import = json!({
        "Certificate": base64(&certificate.certificate), "PrivateKey": base64(&certificate.key),
        "Tags": [{"Key": "external-secrets-remote-key", "Value": "foreign"}],
    });
    let arn = call("ImportCertificate", &import)["CertificateArn"].clone();
    let line = Line::new();
    let store = line.session.certificate_manager(None);
    let failure = refused(&store, made("mine.example").pushed_to("foreign")).await;
    assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some("foreign")));
    assert_eq!(deleted(&store, &[place("foreign", None)]).await, [Deleted::Foreign]);
    let there = call("GetCertificate", &json!({"CertificateArn": arn}))["Certificate"].clone();
    assert_eq!(there.as_str().map(str::trim_end), Some(certificate.certificate.trim_end()));
    assert_eq!(line.count("ImportCertificate") + line.count("DeleteCertificate"), 0);
}

/// Another process with the same account, which remembers nothing, for which the index of tags is late.
fn successor() -> Line {
    let line = Line::new();
    let nothing = json!({"PaginationToken": "", "ResourceTagMappingList": []}).to_string();
    let headers = [("content-type", "application/x-amz-json-1.1")];
    line.switchboard.add(Fault::answer(200, &headers, &nothing).on_operation("GetResources"));
    line
}

#[tokio::test]
async fn an_import_that_the_index_of_tags_does_not_know_yet_is_not_made_twice_and_is_deleted() {
    let certificate = made("late.example");
    let first = Line::new();
    let store = first.session.certificate_manager(None);
    assert_eq!(pushed(&store, &[certificate.pushed_to("late")]).await, [Pushed::Written]);
    let line = successor();
    let store = line.session.certificate_manager(None);
    assert_eq!(pushed(&store, &[certificate.pushed_to("late")]).await, [Pushed::Unchanged]);
    assert_eq!(line.count("ImportCertificate"), 0);
    let line = successor();
    assert_eq!(deleted(&line.session.certificate_manager(None), &[place("late", None)]).await, [Deleted::Removed]);
    // Whoever may not list certificates does without.
    let line = successor();
    line.switchboard.add(Fault::aws("AccessDeniedException").on_operation("ListCertificates"));
    let store = line.session.certificate_manager(None);
    assert_eq!(deleted(&store, &[place("late", None)]).await, [Deleted::Absent]);
}

#[tokio::test]
async fn of_several_certificates_of_ours_with_one_name_none_is_left() {
    let line = Line::new();
    let store = line.session.certificate_manager(None);
    assert_eq!(pushed(&store, &[made("twice.example").pushed_to("twice")]).await, [Pushed::Written]);
    let other = made("twice.example");
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    let import = json!({
        "Certificate": base64(&other.certificate), "PrivateKey": base64(&other.key),
        "Tags": [tag("external-secrets-remote-key", "twice"), tag("managed-by", "external-secrets")],
    });
    call("ImportCertificate", &import);
    assert_eq!(deleted(&store, &[place("twice", None)]).await, [Deleted::Removed]);
    assert_eq!(line.count("DeleteCertificate"), 2);
    assert_eq!(deleted(&store, &[place("twice", None)]).await, [Deleted::Absent]);
}
