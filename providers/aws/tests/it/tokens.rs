//! Tokens that are handed on, from the emulator, and what is said where AWS gives none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_aws::SessionTokenRequest;
use strongroom_failure::Class;
use world::switchboard::Fault;

use crate::common::{Line, REGION, assert_clean};

/// What registries are asked for, by both services.
const TOKEN: &str = "GetAuthorizationToken";

#[tokio::test]
async fn the_accounts_registry_gives_a_user_a_password_and_an_address() {
    let line = Line::new();
    let token = line.session.registry_token(false).await.unwrap();
    assert_eq!(token.username, "AWS");
    assert!(token.password.expose().ends_with(b"-auth-token"));
    let endpoint = token.endpoint.unwrap();
    assert!(endpoint.starts_with("https://") && endpoint.ends_with(&format!(".dkr.ecr.{REGION}.amazonaws.com")));
    // What the emulator says.
    assert_eq!(token.expires_at, 1_420_070_400);
    assert_eq!(line.count(TOKEN), 1);
}

#[tokio::test]
async fn the_public_registry_gives_a_token_without_an_address() {
    let line = Line::new();
    let token = STANDARD.encode("AWS:canary:with a colon");
    let body = json!({"authorizationData": {"authorizationToken": token, "expiresAt": 1_800_000_000}}).to_string();
    let answer = Fault::answer(200, &[("Content-Type", "application/x-amz-json-1.1")], &body);
    line.switchboard.add(answer.on_operation(TOKEN).times(1));
    let token = line.session.registry_token(true).await.unwrap();
    assert_eq!((token.username.as_str(), token.expires_at, token.endpoint), ("AWS", 1_800_000_000, None));
    assert!(token.password.expose() == b"canary:with a colon");
    let target = line.switchboard.requests().pop().unwrap();
    assert_eq!(target.header("x-amz-target"), Some("SpencerFrontendService.GetAuthorizationToken"));
}

#[tokio::test]
async fn a_session_has_keys_for_as_long_as_was_asked() {
    let line = Line::new();
    let wanted = SessionTokenRequest { seconds: Some(900), ..SessionTokenRequest::default() };
    let token = line.session.session_token(&wanted).await.unwrap();
    assert!(token.access_key_id.starts_with("AKIA"));
    assert!(!token.secret_access_key.is_empty() && !token.session_token.is_empty());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let left = token.expiration - i64::try_from(now).unwrap();
    assert!((800..=901).contains(&left), "{left} seconds");
    assert_eq!(line.count("GetSessionToken"), 1);
}

#[tokio::test]
async fn what_aws_refuses_is_told_with_what_to_allow() {
    let line = Line::new();
    let denied = Fault::aws("AccessDeniedException");
    line.switchboard.add(denied.clone().on_operation(TOKEN).times(2));
    for (is_public, name, permission) in [
        (false, "Amazon ECR", "ecr:GetAuthorizationToken"),
        (true, "Amazon ECR Public", "ecr-public:GetAuthorizationToken"),
    ] {
        let Err(failure) = line.session.registry_token(is_public).await else { panic!("a token") };
        assert_eq!(failure.class, Class::Denied);
        assert!(failure.words.starts_with(&format!("{name} gives no token: ")), "{failure}");
        assert!(
            failure.hint.as_deref().unwrap_or_default().starts_with(&format!("allow {permission} to ")),
            "{failure}"
        );
        assert_clean(&failure);
    }
}

#[tokio::test]
async fn an_answer_without_a_token_is_none() {
    let line = Line::new();
    let two = json!({"authorizationToken": STANDARD.encode("AWS:canary"), "expiresAt": 1});
    let colonless = json!({"authorizationToken": STANDARD.encode("canary"), "expiresAt": 1});
    let wrong = json!({"authorizationToken": "canary!", "expiresAt": 1});
    let endless = json!({"authorizationToken": STANDARD.encode("AWS:canary")});
    for data in [json!([]), json!([two, two]), json!([colonless]), json!([wrong]), json!([endless])] {
        let body = json!({"authorizationData": data}).to_string();
        let answer = Fault::answer(200, &[("Content-Type", "application/x-amz-json-1.1")], &body);
        line.switchboard.add(answer.on_operation(TOKEN).times(1));
        let Err(failure) = line.session.registry_token(false).await else { panic!("a token") };
        assert_eq!(
            (failure.class, failure.words.as_str()),
            (Class::Unavailable, "Amazon ECR gives no token: the answer holds none")
        );
    }
}
