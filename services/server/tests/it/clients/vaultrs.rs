//! vaultrs, a Rust crate of others.

use std::collections::HashMap;

use rustls::crypto::aws_lc_rs;
use vaultrs::api::ResponseWrapper as _;
use vaultrs::api::auth::approle::requests::SetAppRoleRequest;
use vaultrs::api::auth::userpass::requests::CreateUserRequest;
use vaultrs::api::kv2::requests::{
    ReadSecretRequest, SetConfigurationRequest, SetSecretMetadataRequest, SetSecretRequestOptions,
};
use vaultrs::api::sys::requests::EnableEngineRequest;
use vaultrs::api::token::requests::{CreateRoleTokenRequest, CreateTokenRequest, SetTokenRoleRequest};
use vaultrs::auth::{approle, userpass};
use vaultrs::client::{Client as _, VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::{kv1, kv2, sys, token};

use crate::serving::{Serving, folder};

type Data = HashMap<String, String>;

fn client(server: &Serving, token: &str) -> VaultClient {
    // The crate brings no library for TLS here; another test may have named it before.
    let _ = aws_lc_rs::default_provider().install_default();
    let mut settings = VaultClientSettingsBuilder::default();
    settings.address(format!("http://{}", server.address)).token(token).ca_certs(Vec::new()).verify(true);
    VaultClient::new(settings.build().unwrap()).unwrap()
}

fn data(members: &[(&str, &str)]) -> Data {
    members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The status and the words of a failure; no words where the body is an answer all the same.
fn failed<T>(answer: Result<T, ClientError>) -> (u16, Option<Vec<String>>) {
    match answer.err().expect("a failure") {
        ClientError::APIError { code, errors } => (code, Some(errors)),
        ClientError::RestClientError { source } => {
            let told = format!("{source:?}");
            let code = told.split("code: ").nth(1).and_then(|rest| rest.split(',').next());
            (code.and_then(|code| code.parse().ok()).expect("a status"), None)
        }
        other => panic!("{other}"),
    }
}

fn words(status: u16, words: &str) -> (u16, Option<Vec<String>>) {
    (status, Some(vec![words.to_owned()]))
}

#[tokio::test]
async fn vaultrs_initialises_unseals_and_seals() {
    let server = Serving::start(&folder(), &[]);
    let nobody = client(&server, "");
    assert!(matches!(sys::status(&nobody).await, Ok(sys::ServerStatus::UNINITIALIZED)));
    let made = sys::start_initialization(&nobody, 1, 1, None).await.unwrap();
    assert!(matches!(sys::status(&nobody).await, Ok(sys::ServerStatus::SEALED)));
    assert!(!sys::unseal(&nobody, Some(made.keys[0].clone()), None, None).await.unwrap().sealed);
    let root = client(&server, &made.root_token);
    let health = sys::health(&root).await.unwrap();
    assert!(health.initialized && !health.sealed && !health.standby);
    assert!(matches!(root.status().await, Ok(sys::ServerStatus::OK)));
    assert!(!sys::tools::random(&root, None).await.unwrap().random_bytes.is_empty());
    sys::seal(&root).await.unwrap();
    assert_eq!(failed(root.lookup().await), words(503, "Vault is sealed"));
}

#[tokio::test]
async fn vaultrs_writes_versions_where_mount_and_name_have_spaces() {
    let (server, root) = Serving::new();
    let root = client(&server, &root);
    let (mount, path) = ("team secrets/of a", "my app/db password");
    let options = data(&[("version", "2")]);
    sys::mount::enable(&root, mount, "kv", Some(EnableEngineRequest::builder().options(options))).await.unwrap();
    let mounted = sys::mount::list(&root).await.unwrap();
    assert_eq!(mounted["team secrets/of a/"].mount_type, "kv");
    let first = SetSecretRequestOptions { cas: 0 };
    let written = kv2::set_with_options(&root, mount, path, &data(&[("user", "ann")]), first.clone()).await.unwrap();
    assert_eq!((written.version, written.deletion_time.as_str(), written.custom_metadata), (1, "", None));
    let stale = kv2::set_with_options(&root, mount, path, &data(&[]), first).await;
    assert_eq!(failed(stale), words(400, "check-and-set parameter did not match the current version"));
    kv2::set(&root, mount, path, &data(&[("user", "bob")])).await.unwrap();
    assert_eq!(kv2::read::<Data>(&root, mount, path).await.unwrap(), data(&[("user", "bob")]));
    assert_eq!(kv2::read_version::<Data>(&root, mount, path, 1).await.unwrap(), data(&[("user", "ann")]));
    assert_eq!(kv2::list(&root, mount, "").await.unwrap(), ["my app/"]);
    assert_eq!(kv2::list(&root, mount, "my app").await.unwrap(), ["db password"]);

    kv2::delete_latest(&root, mount, path).await.unwrap();
    assert_eq!(failed(kv2::read::<Data>(&root, mount, path).await), (404, None));
    assert_eq!(failed(kv2::read::<Data>(&root, mount, "none").await), (404, Some(Vec::new())));
    let nowhere = failed(kv2::read::<Data>(&root, "no where", "x").await);
    assert_eq!(nowhere, words(404, "no handler for route \"no where/data/x\". route entry not found."));
    kv2::undelete_versions(&root, mount, path, vec![2]).await.unwrap();
    kv2::delete_versions(&root, mount, path, vec![1]).await.unwrap();
    kv2::destroy_versions(&root, mount, path, vec![1]).await.unwrap();
    let known = kv2::read_metadata(&root, mount, path).await.unwrap();
    assert!(known.versions["1"].destroyed && known.versions["2"].deletion_time.is_empty());
    assert_eq!(kv2::read::<Data>(&root, mount, path).await.unwrap(), data(&[("user", "bob")]));
    kv2::delete_metadata(&root, mount, path).await.unwrap();
    assert_eq!(failed(kv2::read_metadata(&root, mount, path).await), (404, Some(Vec::new())));
}

#[tokio::test]
async fn vaultrs_keeps_metadata_and_settings_of_secrets() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let root = client(&server, &root);
    kv2::set(&root, "secret", "web", &data(&[("user", "ann")])).await.unwrap();
    assert_eq!(kv2::read_metadata(&root, "secret", "web").await.unwrap().custom_metadata, None);
    let mut change = SetSecretMetadataRequest::builder();
    change.max_versions(3_u64).cas_required(true).delete_version_after("1h").custom_metadata(data(&[("owner", "ann")]));
    kv2::set_metadata(&root, "secret", "web", Some(&mut change)).await.unwrap();
    let known = kv2::read_metadata(&root, "secret", "web").await.unwrap();
    assert_eq!((known.max_versions, known.cas_required, known.delete_version_after.as_str()), (3, true, "1h0m0s"));
    assert_eq!(known.custom_metadata, Some(data(&[("owner", "ann")])));
    let required = kv2::set(&root, "secret", "web", &data(&[])).await;
    assert_eq!(failed(required), words(400, "check-and-set parameter required for this call"));
    let mut settings = SetConfigurationRequest::builder();
    settings.max_versions(5_u64).delete_version_after("30m");
    kv2::config::set(&root, "secret", Some(&mut settings)).await.unwrap();
    let settings = kv2::config::read(&root, "secret").await.unwrap();
    assert_eq!((settings.max_versions, settings.delete_version_after.as_str()), (5, "30m0s"));
}

#[tokio::test]
async fn vaultrs_writes_secrets_without_versions() {
    let (server, root) = Serving::new();
    let root = client(&server, &root);
    sys::mount::enable(&root, "plain ones", "kv", None).await.unwrap();
    let value = HashMap::from([("user", "ann")]);
    kv1::set(&root, "plain ones", "my app", &value).await.unwrap();
    assert_eq!(kv1::get::<Data>(&root, "plain ones", "my app").await.unwrap(), data(&[("user", "ann")]));
    assert_eq!(kv1::list(&root, "plain ones", "").await.unwrap().data.keys, ["my app"]);
    kv1::delete(&root, "plain ones", "my app").await.unwrap();
    assert_eq!(failed(kv1::get::<Data>(&root, "plain ones", "my app").await), (404, Some(Vec::new())));
    sys::mount::disable(&root, "plain ones").await.unwrap();
    assert!(!sys::mount::list(&root).await.unwrap().contains_key("plain ones/"));
}

#[tokio::test]
async fn vaultrs_writes_policies_and_is_refused_by_them() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let root = client(&server, &root);
    kv2::set(&root, "secret", "web", &data(&[("user", "ann")])).await.unwrap();
    let rules = "path \"secret/data/*\" { capabilities = [\"read\"] }";
    sys::policy::set(&root, "reader", rules).await.unwrap();
    assert_eq!(sys::policy::list(&root).await.unwrap().policies, ["default", "reader", "root"]);
    assert_eq!(sys::policy::read(&root, "reader").await.unwrap().rules, rules);
    let made = token::new(&root, Some(CreateTokenRequest::builder().policies(vec!["reader".to_owned()]))).await;
    let reader = client(&server, &made.unwrap().client_token);
    assert_eq!(kv2::read::<Data>(&reader, "secret", "web").await.unwrap(), data(&[("user", "ann")]));
    let denied = words(403, "1 error occurred:\n\t* permission denied\n\n");
    assert_eq!(failed(kv2::set(&reader, "secret", "web", &data(&[])).await), denied);
    let unknown = client(&server, "s.none");
    assert_eq!(failed(kv2::read::<Data>(&unknown, "secret", "web").await), words(403, "permission denied"));
    sys::policy::delete(&root, "reader").await.unwrap();
    assert_eq!(failed(kv2::read::<Data>(&reader, "secret", "web").await), denied);
}

#[tokio::test]
async fn vaultrs_makes_looks_up_renews_and_revokes_tokens() {
    let (server, root) = Serving::new();
    let root = client(&server, &root);
    let mut wanted = CreateTokenRequest::builder();
    wanted.policies(vec!["reader".to_owned()]).ttl("1h").meta(data(&[("team", "a")]));
    let made = token::new(&root, Some(&mut wanted)).await.unwrap();
    assert_eq!((made.policies, made.lease_duration, made.renewable), (data_list(&["default", "reader"]), 3600, true));
    let own = client(&server, &made.client_token);
    let looked_up = own.lookup().await.unwrap();
    assert_eq!((looked_up.path.as_str(), looked_up.meta), ("auth/token/create", Some(data(&[("team", "a")]))));
    assert_eq!(token::lookup(&root, &made.client_token).await.unwrap().accessor, made.accessor);
    assert_eq!(token::lookup_accessor(&root, &made.accessor).await.unwrap().id, "");
    assert_eq!(own.renew(Some("2h")).await.unwrap().lease_duration, 7200);
    assert_eq!(token::renew(&root, &made.client_token, Some("3h")).await.unwrap().lease_duration, 10800);
    assert_eq!(token::renew_accessor(&root, &made.accessor, Some("1h")).await.unwrap().client_token, "");

    let mut role = SetTokenRoleRequest::builder();
    role.allowed_policies(vec!["reader".to_owned()]).orphan(true);
    token::role::set(&root, "ci", Some(&mut role)).await.unwrap();
    assert_eq!(token::role::list(&root).await.unwrap().keys, ["ci"]);
    assert_eq!(token::role::read(&root, "ci").await.unwrap().allowed_policies, ["reader"]);
    let mut wanted = CreateRoleTokenRequest::builder();
    wanted.policies(vec!["reader".to_owned()]);
    let by_role = token::new_role(&root, "ci", Some(&mut wanted)).await.unwrap();
    assert!(by_role.orphan);
    token::role::delete(&root, "ci").await.unwrap();
    let orphan = token::new_orphan(&root, None).await.unwrap();
    token::revoke_accessor(&root, &orphan.accessor).await.unwrap();
    token::revoke_orphan(&root, &by_role.client_token).await.unwrap();
    token::tidy(&root).await.unwrap();
    token::revoke(&root, &made.client_token).await.unwrap();
    assert_eq!(failed(own.lookup().await), words(403, "permission denied"));
    assert_eq!(failed(token::lookup(&root, &made.client_token).await), words(403, "bad token"));
    let last = token::new(&root, None).await.unwrap();
    client(&server, &last.client_token).revoke().await.unwrap();
    assert_eq!(failed(token::lookup(&root, &last.client_token).await).0, 403);
}

fn data_list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn vaultrs_logs_in_by_approle() {
    let (server, root) = Serving::new();
    let root = client(&server, &root);
    sys::auth::enable(&root, "machines", "approle", None).await.unwrap();
    assert_eq!(sys::auth::list(&root).await.unwrap()["machines/"].mount_type, "approle");
    let mut role = SetAppRoleRequest::builder();
    role.token_policies(vec!["reader".to_owned()]).token_ttl("10m");
    approle::role::set(&root, "machines", "web", Some(&mut role)).await.unwrap();
    assert_eq!(approle::role::list(&root, "machines").await.unwrap().keys, ["web"]);
    let role = approle::role::read(&root, "machines", "web").await.unwrap();
    assert_eq!((role.token_policies, role.token_ttl), (data_list(&["reader"]), 600));
    approle::role::update_id(&root, "machines", "web", "web-of-team-a").await.unwrap();
    let role_id = approle::role::read_id(&root, "machines", "web").await.unwrap().role_id;
    let made = approle::role::secret::generate(&root, "machines", "web", None).await.unwrap();
    let nobody = client(&server, "");
    let auth = approle::login(&nobody, "machines", &role_id, &made.secret_id).await.unwrap();
    assert_eq!(
        (auth.policies, auth.metadata),
        (data_list(&["default", "reader"]), Some(data(&[("role_name", "web")])))
    );
    assert_eq!(client(&server, &auth.client_token).lookup().await.unwrap().path, "auth/machines/login");
    let wrong = approle::login(&nobody, "machines", &role_id, "none").await;
    assert_eq!(failed(wrong), words(400, "invalid role or secret ID"));
    use approle::role::secret;
    assert!(secret::list(&root, "machines", "web").await.unwrap().keys.contains(&made.secret_id_accessor));
    let known = secret::read(&root, "machines", "web", &made.secret_id).await.unwrap();
    assert_eq!(known.secret_id_accessor, made.secret_id_accessor);
    let known = secret::read_accessor(&root, "machines", "web", &made.secret_id_accessor).await.unwrap();
    assert_eq!(known.secret_id_num_uses, 0);
    secret::delete_accessor(&root, "machines", "web", &made.secret_id_accessor).await.unwrap();
    assert_eq!(failed(approle::login(&nobody, "machines", &role_id, &made.secret_id).await).0, 400);
    secret::custom(&root, "machines", "web", "chosen", None).await.unwrap();
    approle::login(&nobody, "machines", &role_id, "chosen").await.unwrap();
    secret::delete(&root, "machines", "web", "chosen").await.unwrap();
    assert_eq!(failed(approle::login(&nobody, "machines", &role_id, "chosen").await).0, 400);
    approle::role::delete(&root, "machines", "web").await.unwrap();
    assert_eq!(failed(approle::role::read(&root, "machines", "web").await), (404, Some(Vec::new())));
    sys::auth::disable(&root, "machines").await.unwrap();
}

#[tokio::test]
async fn vaultrs_logs_in_by_name_and_password() {
    let (server, root) = Serving::new();
    let root = client(&server, &root);
    sys::auth::enable(&root, "people", "userpass", None).await.unwrap();
    let mut user = CreateUserRequest::builder();
    user.token_policies(vec!["reader".to_owned()]);
    userpass::user::set(&root, "people", "ann", "first", Some(&mut user)).await.unwrap();
    assert_eq!(userpass::user::list(&root, "people").await.unwrap().keys, ["ann"]);
    assert_eq!(userpass::user::read(&root, "people", "ann").await.unwrap().token_policies, ["reader"]);
    let nobody = client(&server, "");
    let auth = userpass::login(&nobody, "people", "ann", "first").await.unwrap();
    assert_eq!(auth.metadata, Some(data(&[("username", "ann")])));
    userpass::user::update_password(&root, "people", "ann", "second").await.unwrap();
    userpass::user::update_policies(&root, "people", "ann", "writer").await.unwrap();
    let wrong = userpass::login(&nobody, "people", "ann", "first").await;
    assert_eq!(failed(wrong), words(400, "invalid username or password"));
    let auth = userpass::login(&nobody, "people", "ann", "second").await.unwrap();
    assert_eq!(auth.policies, ["default", "writer"]);
    userpass::user::delete(&root, "people", "ann").await.unwrap();
    assert_eq!(failed(userpass::user::read(&root, "people", "ann").await), (404, Some(Vec::new())));
}

#[tokio::test]
async fn vaultrs_wraps_looks_up_and_unwraps_once() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let root = client(&server, &root);
    kv2::set(&root, "secret", "web", &data(&[("user", "ann")])).await.unwrap();
    let read = ReadSecretRequest::builder().mount("secret").path("web").build().unwrap();
    let wrapped = read.wrap(&root).await.unwrap();
    assert_eq!((wrapped.info.ttl, wrapped.info.creation_path.as_str()), (600, "secret/data/web"));
    let looked_up = wrapped.lookup(&root).await.unwrap();
    assert_eq!((looked_up.creation_ttl, looked_up.creation_path.as_str()), (600, "secret/data/web"));
    assert_eq!(wrapped.unwrap(&root).await.unwrap().data, serde_json::json!({"user": "ann"}));
    assert!(matches!(wrapped.lookup(&root).await, Err(ClientError::WrapInvalidError)));
    assert_eq!(failed(wrapped.unwrap(&root).await), words(400, "wrapping token is not valid or does not exist"));
}

#[tokio::test]
async fn vaultrs_moves_a_mount() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let root = client(&server, &root);
    kv2::set(&root, "secret", "web", &data(&[("user", "ann")])).await.unwrap();
    let moved = sys::remount::remount(&root, "secret", "moved").await.unwrap();
    let status = sys::remount::remount_status(&root, &moved.migration_id).await.unwrap();
    assert_eq!(status.migration_info.status, "success");
    assert_eq!(kv2::read::<Data>(&root, "moved", "web").await.unwrap(), data(&[("user", "ann")]));
    let mounted = sys::mount::get_configuration_of_a_secret_engine(&root, "moved").await.unwrap();
    assert_eq!(mounted.options, Some(data(&[("version", "2")])));
}
