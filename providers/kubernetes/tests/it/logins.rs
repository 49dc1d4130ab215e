use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
use strongroom_kubernetes::{ConnectionSettings, Token, from_kubeconfig};
use strongroom_provider::{SecretBytes, TokenSource};
use world::control_plane::ControlPlane;

use crate::cluster::{account, connection, namespace, open, read, shared, text, words};

fn prepared(cluster: &ControlPlane, name: &str) -> String {
    namespace(cluster, name);
    cluster
        .apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: app, namespace: {name}}}, stringData: {{k: v}}}}"
        ))
        .unwrap();
    account(cluster, name, "reader", "get", "", "secrets")
}

#[tokio::test]
async fn a_kubeconfig_logs_in_by_token_or_by_certificate() {
    let cluster = shared();
    let token = prepared(&cluster, "kubeconfigs");
    let authority = STANDARD.encode(std::fs::read(cluster.certificate_authority()).unwrap());
    let user = |user: &str| {
        format!(
            "{{current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {{server: '{}', certificate-authority-data: {authority}}}}}], \
             users: [{{name: u, user: {{{user}}}}}]}}",
            cluster.server()
        )
    };
    let settings = |text: String| from_kubeconfig(&SecretBytes::from(text), AddressPolicy::Any, Proxy::none()).unwrap();
    let (by_token, _) = open(settings(user(&format!("token: {token}"))), "kubeconfigs");
    assert_eq!(text(&read(&by_token, "app").await), r#"{"k":"v"}"#);
    // The administrator's own file has its certificate inside or beside it.
    let admin = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let pem = |name: &str| {
        let path = cluster.certificate_authority().with_file_name(name);
        STANDARD.encode(std::fs::read(path).unwrap())
    };
    assert!(admin.contains("client-certificate"), "an administrator logs in by certificate");
    let certificate = format!("client-certificate-data: {}, client-key-data: {}", pem("admin.crt"), pem("admin.key"));
    let (by_certificate, _) = open(settings(user(&certificate)), "kubeconfigs");
    assert_eq!(text(&read(&by_certificate, "app").await), r#"{"k":"v"}"#);
    // An administrator may act as somebody, and has then no more rights than they.
    let acting = user(&format!("{certificate}, as: 'system:serviceaccount:kubeconfigs:nobody'"));
    let (impersonating, _) = open(settings(acting), "kubeconfigs");
    let failure = read(&impersonating, "app").await.unwrap_err();
    assert!(words(&failure).contains("system:serviceaccount:kubeconfigs:nobody"), "{failure}");
    let (wrong, _) = open(settings(user("token: canary-token")), "kubeconfigs");
    let failure = read(&wrong, "app").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(!words(&failure).contains("canary"), "{failure}");
    let (anonymous, _) = open(connection(&cluster, None), "kubeconfigs");
    let failure = read(&anonymous, "app").await.unwrap_err();
    assert!(words(&failure).contains("system:anonymous"), "{failure}");
}

#[derive(Debug)]
struct Account {
    cluster: Arc<ControlPlane>,
    asked: AtomicUsize,
    /// The first token is one that no API server accepts.
    begins_badly: bool,
}

#[async_trait]
impl TokenSource for Account {
    fn describe(&self) -> String {
        "service account issued/reader".to_owned()
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 && self.begins_badly {
            return Ok(SecretBytes::from("stale".to_owned()));
        }
        let token = self.cluster.service_account_token("issued", "reader", &[]);
        Ok(SecretBytes::from(token.unwrap()))
    }
}

#[tokio::test]
async fn a_requested_token_is_kept_and_a_refused_one_replaced_once() {
    let cluster = shared();
    prepared(&cluster, "issued");
    let check = async |begins_badly: bool, expected: usize| {
        let account = Arc::new(Account { cluster: Arc::clone(&cluster), asked: AtomicUsize::new(0), begins_badly });
        let token = Token::Issued(Arc::clone(&account) as Arc<dyn TokenSource>);
        let (store, _) = open(ConnectionSettings { token: Some(token), ..connection(&cluster, None) }, "issued");
        for _ in 0..5 {
            assert_eq!(text(&read(&store, "app").await), r#"{"k":"v"}"#);
        }
        assert_eq!(account.asked.load(Ordering::SeqCst), expected);
    };
    check(false, 1).await;
    check(true, 2).await;
}

#[tokio::test]
async fn whom_nobody_vouches_for_is_not_asked() {
    let cluster = shared();
    let token = prepared(&cluster, "trusting");
    let settings = ConnectionSettings { tls: TlsSettings::default(), ..connection(&cluster, Some(&token)) };
    let failure = read(&open(settings, "trusting").0, "app").await.unwrap_err();
    assert_eq!(failure.class, Class::Unavailable);
    assert!(words(&failure).contains("an authority that is not trusted"), "{failure}");
    // A tenant's address may not be one of this machine.
    let settings = ConnectionSettings { addresses: AddressPolicy::NoLocal, ..connection(&cluster, Some(&token)) };
    let failure = read(&open(settings, "trusting").0, "app").await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid);
    assert!(words(&failure).contains("loopback"), "{failure}");
}
