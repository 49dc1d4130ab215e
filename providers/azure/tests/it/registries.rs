//! Logins for registries, through a proxy that leads Azure's own names to the stand-in.

use std::sync::Arc;

use strongroom_azure::{Cloud, Credentials, ManagedEndpoint, Registries, RegistryLogin, RegistrySettings, Timeouts};
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, Proxy};
use strongroom_provider::{Meter, SecretBytes};
use world::azure::AzureStandIn;
use world::proxy::ForwardProxy;
use world::switchboard::{Fault, Switchboard};

use crate::{secret, trusting};

const HOSTS: [&str; 4] = ["team.azurecr.io", "other.azurecr.io", "team.azurecr.cn", "login.microsoftonline.com"];

fn proxy_to(endpoint: &str) -> ForwardProxy {
    let proxy = ForwardProxy::start().unwrap();
    let address = endpoint.trim_start_matches("https://").parse().unwrap();
    HOSTS.iter().for_each(|host| proxy.route(host, address));
    proxy
}

fn settings(azure: &AzureStandIn, proxy: &ForwardProxy, credentials: Credentials) -> RegistrySettings {
    RegistrySettings {
        credentials,
        login: Cloud::public().login,
        tls: trusting(azure),
        proxy: Proxy::new(None, Some(proxy.url()), "").unwrap(),
        addresses: AddressPolicy::NoLocal,
        timeouts: Timeouts::default(),
    }
}

fn machine(host: &str) -> Credentials {
    Credentials::Managed { id: None, endpoint: ManagedEndpoint::Machine(format!("http://{host}")) }
}

async fn login(settings: &RegistrySettings, host: &str) -> Result<Option<RegistryLogin>, Failure> {
    Registries::open(settings, Arc::default()).unwrap().login(host).await
}

#[tokio::test]
async fn a_token_for_registries_is_exchanged_at_each_registry() {
    let azure = AzureStandIn::start().unwrap();
    let proxy = proxy_to(azure.endpoint());
    for credentials in [secret(&azure), machine(azure.metadata_host())] {
        let meter = Arc::new(Meter::default());
        let registries = Registries::open(&settings(&azure, &proxy, credentials), Arc::clone(&meter)).unwrap();
        let before = azure.tokens_issued();
        for host in ["team.azurecr.io", "other.azurecr.io"] {
            let login = registries.login(host).await.unwrap().unwrap();
            assert!(login.token.expose().starts_with(b"e30."), "no refresh token");
            assert!((10_790..=10_800).contains(&login.life.as_secs()), "{:?}", login.life);
        }
        assert_eq!(azure.tokens_issued() - before, 1, "one token opens all registries of a cloud");
        registries.login("team.azurecr.cn").await.unwrap().unwrap();
        assert_eq!(azure.tokens_issued() - before, 2, "and none of another's");
    }
}

#[tokio::test]
async fn a_machine_without_an_identity_has_no_login() {
    let azure = AzureStandIn::start().unwrap();
    let proxy = proxy_to(azure.endpoint());
    assert!(login(&settings(&azure, &proxy, machine("127.0.0.1:1")), "team.azurecr.io").await.unwrap().is_none());
    let none = Credentials::Managed {
        id: Some("not-there".to_owned()),
        endpoint: ManagedEndpoint::Machine(format!("http://{}", azure.metadata_host())),
    };
    assert!(login(&settings(&azure, &proxy, none), "team.azurecr.io").await.unwrap().is_none());
    let Credentials::Secret { tenant, client_id, .. } = secret(&azure) else { panic!("no secret") };
    let wrong = Credentials::Secret { tenant, client_id, secret: SecretBytes::from("canary-9d41".to_owned()) };
    let failure = login(&settings(&azure, &proxy, wrong), "team.azurecr.io").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated, "one that was set up and does not work is a failure");
}

#[tokio::test]
async fn a_registrys_refusal_says_who_was_refused() {
    let azure = AzureStandIn::start().unwrap();
    let switchboard = Switchboard::with_tls_for(azure.host_port(), azure.authority(), &["team.azurecr.io"]).unwrap();
    let check = async |status: u16, body: &str, class: Class, words: &str| {
        switchboard.clear();
        switchboard.add(Fault::answer(status, &[], body).on_path("/oauth2/exchange"));
        let proxy = ForwardProxy::start().unwrap();
        proxy.route("login.microsoftonline.com", azure.endpoint().trim_start_matches("https://").parse().unwrap());
        proxy.route("team.azurecr.io", switchboard.address().trim_start_matches("https://").parse().unwrap());
        let failure = login(&settings(&azure, &proxy, secret(&azure)), "team.azurecr.io").await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
        let hint = failure.hint.unwrap_or_default();
        let refused = matches!(class, Class::Unauthenticated | Class::Denied);
        assert_eq!(hint.contains(&azure.client_id()), refused, "{hint}");
    };
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    check(401, body, Class::Unauthenticated, "Azure Container Registry (team.azurecr.io)").await;
    check(403, body, Class::Denied, "may not log in: authentication required").await;
    check(503, "<html>", Class::Unavailable, "HTTP 503").await;
    check(404, "{}", Class::Invalid, "HTTP 404").await;
}

#[tokio::test]
async fn a_token_goes_to_registries_of_azure_alone() {
    let azure = AzureStandIn::start().unwrap();
    let proxy = proxy_to(azure.endpoint());
    for host in ["azurecr.io", "team.azurecr.io.evil.example", "evil.example", "", "team.azurecr.io:443"] {
        let failure = login(&settings(&azure, &proxy, secret(&azure)), host).await.unwrap_err();
        assert_eq!(failure.class, Class::Invalid, "{host}: {failure}");
    }
    assert_eq!(azure.tokens_issued(), 0);
}
