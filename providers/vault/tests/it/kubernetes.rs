use serde_json::json;
use strongroom_failure::Class;
use strongroom_vault::{Auth, Credential, Jwt, Settings};
use world::control_plane::{ControlPlane, Options};

use crate::server::{Server, open, read_name};

/// A service account's token, reviewed by a real API server.
#[tokio::test]
async fn a_service_account_logs_in() {
    let server = Server::shared();
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    cluster.apply(r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team-a"}}"#).unwrap();
    server.put("kubernetes/app", json!({"k": "v"})).await;
    server.allow_reading("kubernetes", "kubernetes").await;
    server.admin("POST", "sys/auth/kubernetes", json!({"type": "kubernetes"})).await;
    let authority = std::fs::read_to_string(cluster.certificate_authority()).unwrap();
    let config = json!({
        "kubernetes_host": cluster.server(), "kubernetes_ca_cert": authority,
        "token_reviewer_jwt": cluster.token_reviewer().unwrap(), "disable_local_ca_jwt": true,
    });
    server.admin("POST", "auth/kubernetes/config", config).await;
    let role = json!({
        "bound_service_account_names": ["app"], "bound_service_account_namespaces": ["team-a"],
        "token_policies": ["kubernetes"],
    });
    server.admin("POST", "auth/kubernetes/role/app", role).await;

    let folder = tempfile::tempdir().unwrap();
    let reading = async |account: &str, role: &str| {
        let path = folder.path().join(account);
        let token = cluster.service_account_token("team-a", account, &[]).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), token.as_bytes()).unwrap();
        let jwt = Jwt { mount: None, role: Some(role.to_owned()), jwt: Credential::File(path) };
        let vault = open(Settings { auth: Auth::Kubernetes(jwt), ..server.root() });
        read_name(&vault, "secret/kubernetes/app").await.map(|read| read.0)
    };
    assert_eq!(reading("app", "app").await.unwrap(), r#"{"k":"v"}"#);
    let stranger = reading("other", "app").await.unwrap_err();
    assert_eq!(stranger.class, Class::Unauthenticated);
    assert!(stranger.words.contains("role app by auth/kubernetes"), "{stranger}");
    let wrong_role = reading("app", "nope").await.unwrap_err();
    assert!(wrong_role.words.contains("invalid role name"), "{wrong_role}");
}
