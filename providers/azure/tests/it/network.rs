//! Certificates, proxies, addresses, clouds.

use std::net::SocketAddr;

use strongroom_azure::{Cloud, KeyVault, Settings, Vaults};
use strongroom_failure::Class;
use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
use strongroom_provider::{Provider, Validation};
use world::azure::AzureStandIn;
use world::certificates::Authority;
use world::proxy::ForwardProxy;

use crate::{check_failure, open, read_one, settings, text};

fn address_of(azure: &AzureStandIn) -> SocketAddr {
    azure.endpoint().trim_start_matches("https://").parse().unwrap()
}

fn through(proxy: &ForwardProxy) -> Proxy {
    Proxy::new(None, Some(proxy.url()), "").unwrap()
}

#[tokio::test]
async fn only_the_named_authority_is_trusted() {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("db", "value");
    let stranger = Authority::new().unwrap();
    let file = stranger.certificate_file().display().to_string();
    let tls: TlsSettings = serde_json::from_value(serde_json::json!({"roots": {"only": [{"file": file}]}})).unwrap();
    let answer = read_one(&open(Settings { tls, ..settings(&azure) }), "db").await;
    check_failure(&answer, Class::Unavailable, "the certificate of 127.0.0.1 is not accepted");
    assert_eq!(azure.tokens_issued(), 0);
}

#[tokio::test]
async fn each_clouds_own_addresses_are_asked_through_the_proxy() {
    let clouds = [
        (Cloud::public(), "world.vault.azure.net", "login.microsoftonline.com"),
        (Cloud::us_government(), "world.vault.usgovcloudapi.net", "login.microsoftonline.us"),
    ];
    for (cloud, host, login) in clouds {
        let azure = AzureStandIn::start().unwrap();
        azure.put_secret("db", "value");
        azure.set_resource(&format!("https://{}", host.trim_start_matches("world.")));
        let proxy = ForwardProxy::with_password("bob", "canary-9d41").unwrap();
        proxy.route(host, address_of(&azure));
        proxy.route(login, address_of(&azure));
        let vault_url = format!("https://{host}/");
        let store = open(Settings { vault_url, cloud, proxy: through(&proxy), ..settings(&azure) });
        assert_eq!(text(&read_one(&store, "db").await), "value");
        assert_eq!(store.describe(), format!("Azure Key Vault ({host})"));
        let destinations = proxy.destinations();
        for host in [host, login] {
            assert!(destinations.contains(&format!("{host}:443")), "{destinations:?}");
        }
    }
}

#[tokio::test]
async fn a_private_cloud_says_itself_what_tokens_are_for() {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("db", "value");
    azure.set_resource("https://vault.local.azurestack.external/c0ffee");
    let (host, login) = ("world.vault.local.azurestack.external", "login.local.azurestack.external");
    let proxy = ForwardProxy::start().unwrap();
    proxy.route(host, address_of(&azure));
    proxy.route(login, address_of(&azure));
    let cloud = Cloud { login: format!("https://{login}/"), vaults: Vaults::Asked(None) };
    let private = || Settings {
        vault_url: format!("https://{host}"),
        cloud: cloud.clone(),
        proxy: through(&proxy),
        ..settings(&azure)
    };
    let store = open(private());
    assert_eq!(store.validate().await.unwrap(), Validation::Valid);
    assert_eq!(text(&read_one(&store, "db").await), "value");
    assert_eq!(azure.tokens_issued(), 1);
    // A vault that asks for what opens other doors gets nothing.
    azure.set_resource("https://management.azure.com");
    let answer = read_one(&open(private()), "db").await;
    check_failure(&answer, Class::Invalid, "asks for those of another domain");
    assert_eq!(azure.tokens_issued(), 1);
}

#[tokio::test]
async fn a_vault_of_another_cloud_and_local_addresses_are_refused() {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("db", "value");
    let elsewhere = Settings { cloud: Cloud::public(), ..settings(&azure) };
    let failure = KeyVault::open(elsewhere, Default::default()).err().unwrap();
    assert_eq!(failure.class, Class::Invalid);
    let words = "vaultUrl: 127.0.0.1 is no vault of this cloud, whose vaults are below vault.azure.net";
    assert_eq!(failure.to_string(), words);
    let tenant = Settings { addresses: AddressPolicy::NoLocal, ..settings(&azure) };
    check_failure(&read_one(&open(tenant), "db").await, Class::Invalid, "loopback address");
    assert_eq!(azure.tokens_issued(), 0);
}
