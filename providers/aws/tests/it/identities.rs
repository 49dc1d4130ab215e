use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use strongroom_aws::{Role, Session, WebIdentity, WebToken};
use strongroom_failure::Class;
use strongroom_failure::Failure;
use strongroom_provider::{Meter, Provider as _, SecretBytes, TokenSource, Validation};
use world::switchboard::{Fault, Which};

use crate::common::{Line, Store, access_key, assert_all, assert_clean, class, failure, keys, moto, settings};

fn role(name: &str) -> Role {
    Role { arn: format!("arn:aws:iam::123456789012:role/{name}"), ..Role::default() }
}

#[tokio::test]
async fn a_chain_of_roles_is_assumed_once_for_everything() {
    let line = Line::with(|settings| settings.roles = vec![role("lower"), role("upper")]);
    let keys = keys("roles", 50);
    for store in Store::BOTH {
        store.put_all(&keys);
    }
    line.switchboard.add(Fault::delay(Duration::from_millis(100)));
    let (secrets, parameters) = (line.session.secrets_manager(None), line.session.parameter_store(None));
    for _ in 0..2 {
        let (first, second) = futures_util::future::join(secrets.read(&keys), parameters.read(&keys)).await;
        assert_all(&keys, &first);
        assert_all(&keys, &second);
    }
    assert_eq!(line.count("AssumeRole"), 2);
    assert_eq!(
        secrets.identity(),
        "role arn:aws:iam::123456789012:role/upper assumed by role arn:aws:iam::123456789012:role/lower \
         assumed by access key AKIATEST from the settings"
    );
}

#[tokio::test]
async fn external_id_tags_and_duration_reach_sts() {
    let tagged = Role {
        external_id: Some("external-7".to_owned()),
        session_name: Some("session-7".to_owned()),
        session_tags: BTreeMap::from([("team".to_owned(), "tag-7".to_owned())]),
        transitive_tag_keys: vec!["team".to_owned()],
        duration_seconds: Some(1_234),
        ..role("tagged")
    };
    let parts = [
        "ExternalId=external-7",
        "RoleSessionName=session-7",
        "Tags.member.1.Key=team",
        "Tags.member.1.Value=tag-7",
        "TransitiveTagKeys.member.1=team",
        "DurationSeconds=1234",
    ];
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>seen</Message></Error></ErrorResponse>";
    let denied = Fault::answer(403, &[("Content-Type", "text/xml")], denied);
    for part in parts {
        let line = Line::with(|settings| settings.roles = vec![tagged.clone()]);
        line.switchboard.add(denied.clone().on(Which::Body(part.to_owned())));
        let answers = line.session.secrets_manager(None).read(&keys("external", 1)).await;
        assert_eq!(class(&answers[0]), Class::Denied, "{part} was not sent");
    }
}

#[tokio::test]
async fn a_role_that_is_refused_is_named_once_for_all_who_wait() {
    let line = Line::with(|settings| settings.roles = vec![role("refused")]);
    let denied = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                  <Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/me is not authorized to perform: \
                  sts:AssumeRole on resource: arn:aws:iam::123456789012:role/refused</Message></Error></ErrorResponse>";
    line.switchboard.add(Fault::answer(403, &[("Content-Type", "text/xml")], denied).on_operation("AssumeRole"));
    line.switchboard.add(Fault::delay(Duration::from_millis(200)));
    let answers = line.session.secrets_manager(None).read(&keys("refused", 100)).await;
    for answer in &answers {
        let failure = failure(answer);
        assert_eq!(failure.class, Class::Denied);
        assert_eq!(
            failure.words,
            "cannot assume arn:aws:iam::123456789012:role/refused: access denied: the identity \
             arn:aws:iam::1:user/me may not call sts:AssumeRole on it"
        );
        assert!(failure.hint.as_ref().unwrap().contains("trust policy"));
    }
    assert_eq!((answers.len(), line.count("AssumeRole")), (100, 1));
    // A role that cannot be had says nothing about batches.
    assert_eq!((line.switchboard.counts().requests, line.batch_denials()), (1, 0));
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    for store in Store::BOTH {
        let line = Line::with(|settings| settings.roles = vec![role("expiring")]);
        let keys = keys("expiring", 3);
        store.put_all(&keys);
        line.switchboard.add(Fault::aws("ExpiredTokenException").on_operation(store.batch()).times(1));
        assert_all(&keys, &store.open(&line.session).read(&keys).await);
        assert_eq!((line.count("AssumeRole"), line.count(store.batch())), (2, 2), "{store:?}");
        // One that stays refused is not asked for ever.
        line.switchboard.add(Fault::aws("ExpiredTokenException").on_operation(store.batch()));
        let answers = store.open(&line.session).read(&keys).await;
        assert!(answers.iter().all(|answer| class(answer) == Class::Unauthenticated));
        assert!(failure(&answers[0]).words.contains("role/expiring"), "{}", failure(&answers[0]));
        assert_eq!((line.count("AssumeRole"), line.count(store.batch())), (3, 4), "{store:?}");
    }
}

#[tokio::test]
async fn a_key_that_sts_refuses_is_named() {
    let line = Line::with(|settings| settings.roles = vec![role("app")]);
    let body = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>bad</Message></Error></ErrorResponse>";
    line.switchboard.add(Fault::answer(403, &[("Content-Type", "text/xml")], body));
    let answers = line.session.secrets_manager(None).read(&keys("sts-refuses", 2)).await;
    assert_eq!(class(&answers[1]), Class::Unauthenticated);
    assert_eq!(
        failure(&answers[1]).words,
        "cannot assume arn:aws:iam::123456789012:role/app: InvalidClientTokenId: bad (access key AKIATEST from the \
         settings)"
    );
    assert_eq!(line.switchboard.counts().requests, 1);
}

#[tokio::test]
async fn calls_in_parallel_renew_a_refused_token_together() {
    let line = Line::with(|settings| settings.roles = vec![role("herd")]);
    let keys = keys("herd", 100);
    Store::SecretsManager.put_all(&keys);
    let store = line.session.secrets_manager(None);
    assert_all(&keys[..20], &store.read(&keys[..20]).await);
    line.switchboard.add(Fault::delay(Duration::from_millis(200)));
    line.switchboard.add(Fault::aws("ExpiredTokenException").on_operation("BatchGetSecretValue").times(5));
    assert_all(&keys, &store.read(&keys).await);
    assert_eq!(line.count("AssumeRole"), 2);
}

#[tokio::test]
async fn a_slow_or_broken_sts_is_unavailable() {
    for fault in [Fault::silence(), Fault::hangup(), Fault::cut_body(), Fault::answer(503, &[], "")] {
        let line = Line::with(|settings| {
            settings.roles = vec![role("broken")];
            settings.timeouts.call = Duration::from_millis(500);
        });
        line.switchboard.add(fault.clone().on_operation("AssumeRole"));
        let answers = line.session.secrets_manager(None).read(&keys("broken", 1)).await;
        assert_eq!(class(&answers[0]), Class::Unavailable, "{fault:?}: {}", failure(&answers[0]));
    }
}

fn web_identity(token_file: &std::path::Path) -> Option<WebIdentity> {
    let role_arn = "arn:aws:iam::123456789012:role/web".to_owned();
    Some(WebIdentity { token: WebToken::File(token_file.to_owned()), role_arn, session_name: None })
}

#[tokio::test]
async fn a_web_identity_takes_its_role_and_assumes_others() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), b"canary.web.token\n").unwrap();
    let line = Line::with(|settings| {
        settings.access_key = None;
        settings.web_identity = web_identity(file.path());
        settings.roles = vec![role("upper")];
    });
    let keys = keys("web", 3);
    Store::SecretsManager.put_all(&keys);
    let store = line.session.secrets_manager(None);
    for _ in 0..2 {
        assert_all(&keys, &store.read(&keys).await);
    }
    assert_eq!((line.count("AssumeRoleWithWebIdentity"), line.count("AssumeRole")), (1, 1));
    let path = file.path().display();
    assert_eq!(
        store.identity(),
        format!(
            "role arn:aws:iam::123456789012:role/upper assumed by role arn:aws:iam::123456789012:role/web from the \
             web identity token in {path}"
        )
    );
}

#[tokio::test]
async fn a_web_identity_without_a_good_token_says_which_file() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let missing = empty.path().with_extension("missing");
    for file in [empty.path(), missing.as_path()] {
        let line = Line::with(|settings| {
            settings.access_key = None;
            settings.web_identity = web_identity(file);
        });
        let answers = line.session.parameter_store(None).read(&keys("web-missing", 2)).await;
        assert_eq!(class(&answers[1]), Class::Unauthenticated);
        assert!(failure(&answers[1]).words.contains(&file.display().to_string()), "{}", failure(&answers[1]));
        assert_eq!(line.switchboard.counts().requests, 0);
    }
}

#[tokio::test]
async fn a_rejected_web_identity_never_shows_its_token() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), b"canary.web.token").unwrap();
    let line = Line::with(|settings| {
        settings.access_key = None;
        settings.web_identity = web_identity(file.path());
    });
    let rejected = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>\
                    <Message>bad token canary.web.token</Message></Error></ErrorResponse>";
    line.switchboard.add(Fault::answer(400, &[("Content-Type", "text/xml")], rejected));
    let answers = line.session.parameter_store(None).read(&keys("web-rejected", 1)).await;
    assert_eq!(class(&answers[0]), Class::Unauthenticated);
    assert!(failure(&answers[0]).words.contains("bad token [redacted]"), "{}", failure(&answers[0]));
}

/// Tokens of a service account, or a refusal.
#[derive(Debug)]
struct Account(Option<Class>);

#[async_trait]
impl TokenSource for Account {
    fn describe(&self) -> String {
        "service account team-a/app (audience sts.amazonaws.com)".to_owned()
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        match self.0 {
            None => Ok(SecretBytes::from("canary.account.token".to_owned())),
            Some(class) => Err(Failure::new(class, "the account is not there")),
        }
    }
}

fn line_of_account(refusal: Option<Class>) -> Line {
    Line::with(|settings| {
        settings.access_key = None;
        settings.web_identity = Some(WebIdentity {
            token: WebToken::Source(Arc::new(Account(refusal))),
            role_arn: "arn:aws:iam::123456789012:role/app".to_owned(),
            session_name: Some("external-secrets-provider-aws".to_owned()),
        });
    })
}

#[tokio::test]
async fn a_token_that_is_issued_on_demand_takes_its_role_once() {
    let line = line_of_account(None);
    let keys = keys("account", 30);
    for store in Store::BOTH {
        store.put_all(&keys);
        let provider = store.open(&line.session);
        assert_eq!(provider.validate().await, Ok(Validation::Valid));
        assert_all(&keys, &provider.read(&keys).await);
    }
    assert_eq!(line.count("AssumeRoleWithWebIdentity"), 1);
    let asked = line.switchboard.requests().into_iter().find(|asked| asked.operation == "AssumeRoleWithWebIdentity");
    let body = String::from_utf8(asked.unwrap().body).unwrap();
    assert!(body.contains("WebIdentityToken=canary.account.token"));
    assert!(body.contains("RoleSessionName=external-secrets-provider-aws"));
    assert_eq!(
        line.session.identity(),
        "role arn:aws:iam::123456789012:role/app by service account team-a/app (audience sts.amazonaws.com)"
    );
    assert_clean(&line.session);
}

#[tokio::test]
async fn a_missing_account_is_no_missing_secret() {
    let check = async |refusal, expected| {
        let line = line_of_account(Some(refusal));
        let store = line.session.secrets_manager(None);
        let answers = store.read(&keys("no-account", 2)).await;
        assert_eq!(class(&answers[0]), expected);
        assert_eq!(
            failure(&answers[0]).words,
            "no token of service account team-a/app (audience sts.amazonaws.com): the account is not there"
        );
        let invalid = store.validate().await.unwrap_err();
        assert_eq!((invalid.class, invalid.subject.key.as_deref()), (expected, None));
        assert_eq!(line.switchboard.counts().requests, 0);
    };
    check(Class::NotFound, Class::Unauthenticated).await;
    check(Class::Denied, Class::Denied).await;
    check(Class::Unavailable, Class::Unavailable).await;
}

#[tokio::test]
async fn validation_assumes_the_roles_and_reads_nothing() {
    let line = Line::with(|settings| settings.roles = vec![role("lower"), role("upper")]);
    for store in Store::BOTH {
        assert_eq!(store.open(&line.session).validate().await, Ok(Validation::Valid));
    }
    assert_eq!((line.count("AssumeRole"), line.switchboard.counts().requests), (2, 2));
    let line = Line::with(|settings| settings.roles = vec![role("refused")]);
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    line.switchboard.add(Fault::answer(403, &[("Content-Type", "text/xml")], denied));
    let refused = line.session.parameter_store(None).validate().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "AWS Parameter Store (eu-west-1): cannot assume arn:aws:iam::123456789012:role/refused: access denied: no"
    );
}

#[tokio::test]
async fn aws_cannot_make_us_show_what_we_signed_with() {
    let line = Line::with(|settings| {
        let token = Some("canary-session-token".to_owned().into());
        settings.access_key = Some(strongroom_aws::AccessKey { session_token: token, ..access_key() });
    });
    let body = r#"{"__type": "InvalidSignatureException", "message": "x-amz-security-token:canary-session-token"}"#;
    line.switchboard.add(Fault::answer(400, &[], body));
    let answers = line.session.secrets_manager(None).read(&keys("echo", 2)).await;
    assert_eq!(class(&answers[0]), Class::Unauthenticated);
    assert!(failure(&answers[0]).words.contains("[redacted]"), "{}", failure(&answers[0]));
}

#[tokio::test]
async fn a_session_is_cheap_and_shows_no_secret() {
    let session = Session::new(settings(moto().endpoint()), Arc::new(Meter::default())).unwrap();
    let store = session.secrets_manager(Some("ap-south-1"));
    assert_eq!(store.describe(), "AWS Secrets Manager (ap-south-1)");
    assert_eq!(session.parameter_store(None).describe(), "AWS Parameter Store (eu-west-1)");
    assert_clean(&(session.clone(), store, session.parameter_store(None)));
}
