//! What is made for others: logins for registries, credentials that end.

use std::time::{Duration, SystemTime};

use strongroom_aws::{Registries, TemporaryRequest, Timeouts};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Outcome, SecretBytes};
use world::switchboard::{Fault, Seen};

use crate::common::{Line, REGION, assert_clean};

const ROLE: &str = "arn:aws:iam::123456789012:role/app";
const PUBLIC: &str = r#"{"authorizationData": {"authorizationToken": "QVdTOmNhbmFyeS1w", "expiresAt": 1767225600.5}}"#;

/// The failure, once it was searched for what must not be in it.
fn refused<T>(outcome: Result<T, Failure>) -> Failure {
    let failure = outcome.err().unwrap();
    assert_clean(&failure);
    assert_clean(&failure.to_string());
    failure
}

/// What STS was asked for, as text.
fn form(seen: &Seen) -> String {
    String::from_utf8(seen.body.clone()).unwrap()
}

#[tokio::test]
async fn a_login_for_the_accounts_registries_is_made_where_they_are() {
    let line = Line::new();
    let login = line.session.registry_login(Registries::Private).await.unwrap();
    assert_eq!(login.user, "AWS");
    assert!(login.password.expose() == b"123456789012-auth-token");
    assert_eq!(login.address.as_deref(), Some("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"));
    assert!(login.expires_at > 1_400_000_000, "{}", login.expires_at);
    let seen = line.switchboard.requests().pop().unwrap();
    assert_eq!(seen.header("x-amz-target"), Some("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"));
    let authorization = seen.header("authorization").unwrap();
    assert!(authorization.contains(&format!("/{REGION}/ecr/aws4_request")), "{authorization}");
    assert!(line.meter.counts().contains(&("ecr:GetAuthorizationToken", Outcome::Answered, 1)));
}

#[tokio::test]
async fn the_public_registry_is_asked_in_its_one_region() {
    let line = Line::new();
    line.switchboard.add(Fault::answer(200, &[], PUBLIC));
    let login = line.session.registry_login(Registries::Public).await.unwrap();
    assert!(login.password.expose() == b"canary-p");
    assert_eq!((login.user.as_str(), login.address, login.expires_at), ("AWS", None, 1_767_225_600));
    let seen = line.switchboard.requests().pop().unwrap();
    assert_eq!(seen.header("x-amz-target"), Some("SpencerFrontendService.GetAuthorizationToken"));
    let authorization = seen.header("authorization").unwrap();
    assert!(authorization.contains("/us-east-1/ecr-public/aws4_request"), "{authorization}");
    assert_eq!(seen.body, b"{}");
}

#[tokio::test]
async fn a_login_that_cannot_be_had_says_why_and_shows_nothing() {
    let timeouts = Timeouts { connect: Duration::from_millis(200), call: Duration::from_millis(300) };
    let check = async |fault: Fault, class: Class, words: &str| {
        let line = Line::with(|settings| settings.timeouts = timeouts);
        line.switchboard.add(fault);
        let failure = refused(line.session.registry_login(Registries::Private).await);
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.to_string().starts_with("Amazon ECR (eu-west-1): "), "{failure}");
        assert!(failure.words.contains(words), "{failure}");
        failure
    };
    let message = "User: arn:aws:iam::1:user/a is not authorized to perform: ecr:GetAuthorizationToken on resource: *";
    let body = format!(r#"{{"__type": "AccessDeniedException", "message": "{message}"}}"#);
    let denied = check(Fault::answer(400, &[], &body), Class::Denied, "may not call ecr:GetAuthorizationToken").await;
    let hint = "allow ecr:GetAuthorizationToken to access key AKIATEST from the settings";
    assert_eq!(denied.hint.as_deref(), Some(hint));
    check(Fault::aws("ExpiredTokenException"), Class::Unauthenticated, "access key AKIATEST").await;
    let patience = Class::Throttled { retry_after: Some(Duration::from_secs(3)) };
    check(Fault::throttle(Some(3)), patience, "429").await;
    check(Fault::answer(503, &[], "<html>canary</html>"), Class::Unavailable, "503").await;
    check(Fault::answer(200, &[], "canary, not JSON"), Class::Unavailable, "no login").await;
    check(Fault::silence(), Class::Unavailable, "").await;
    check(Fault::hangup(), Class::Unavailable, "").await;
}

#[tokio::test]
async fn a_user_gets_credentials_that_end() {
    let line = Line::new();
    let asked = TemporaryRequest {
        duration_seconds: Some(1800),
        serial_number: Some("GAHT12345678".to_owned()),
        token_code: Some(SecretBytes::from("123456".to_owned())),
        ..TemporaryRequest::default()
    };
    let made = line.session.temporary_credentials(&asked).await.unwrap();
    assert!(
        made.access_key_id.starts_with('A') && !made.secret_access_key.is_empty() && !made.session_token.is_empty()
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let lasts = made.expires_at - i64::try_from(now).unwrap();
    assert!((1700..=1800).contains(&lasts), "{lasts}");
    let form = form(&line.switchboard.requests().pop().unwrap());
    for part in ["Action=GetSessionToken", "DurationSeconds=1800", "SerialNumber=GAHT12345678", "TokenCode=123456"] {
        assert!(form.contains(part), "{part} was not sent");
    }
}

#[tokio::test]
async fn a_roles_credentials_are_made_by_assuming_it() {
    let line = Line::new();
    let asked =
        TemporaryRequest { role: Some(ROLE.to_owned()), duration_seconds: Some(900), ..TemporaryRequest::default() };
    let made = line.session.temporary_credentials(&asked).await.unwrap();
    assert!(made.access_key_id.starts_with("ASIA"), "{}", made.access_key_id);
    assert_eq!((line.count("AssumeRole"), line.count("GetSessionToken")), (1, 0));
    let form = form(&line.switchboard.requests().pop().unwrap());
    assert!(form.contains("DurationSeconds=900") && form.contains("RoleSessionName=strongroom"), "{form}");
}

#[tokio::test]
async fn credentials_that_cannot_be_had_say_why_and_show_nothing() {
    let denied = r"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Cannot call GetSessionToken with session credentials</Message></Error></ErrorResponse>";
    let check = async |role: Option<&str>, words: &str, hint: &str| {
        let line = Line::new();
        line.switchboard.add(Fault::answer(403, &[], denied));
        let asked = TemporaryRequest { role: role.map(str::to_owned), ..TemporaryRequest::default() };
        let failure = refused(line.session.temporary_credentials(&asked).await);
        assert_eq!(failure.class, Class::Denied, "{failure}");
        assert!(failure.to_string().starts_with("AWS STS (eu-west-1): ") && failure.words.contains(words), "{failure}");
        assert!(failure.hint.as_deref().unwrap_or_default().contains(hint), "{:?}", failure.hint);
    };
    check(None, "access denied: Cannot call GetSessionToken with session credentials", "a role to assume").await;
    check(Some(ROLE), &format!("cannot assume {ROLE}: access denied"), "trust policy").await;
}
