use serde_json::json;
use strongroom_failure::Class;
use strongroom_http::{AddressPolicy, Pem, Proxy, Roots, TlsSettings};
use strongroom_vault::Settings;
use world::certificates::Authority;
use world::proxy::ForwardProxy;
use world::switchboard::Switchboard;

use crate::server::{Server, open, read_name};

const NAME: &str = "secret/data/transport/app";

async fn server() -> std::sync::Arc<Server> {
    let server = Server::shared();
    server.put("transport/app", json!({"k": "v"})).await;
    server
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings {
        roots: Roots::Only(vec![Pem::File(authority.certificate_file().to_owned())]),
        ..TlsSettings::default()
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_given() {
    let (server, authority, other) = (server().await, Authority::new().unwrap(), Authority::new().unwrap());
    let face = Switchboard::with_tls_for(server.running.host_port(), &authority, &["vault.internal"]).unwrap();
    let named = Switchboard::with_tls(server.running.host_port(), &authority).unwrap();
    let read = async |switchboard: &Switchboard, tls: TlsSettings| {
        let settings = Settings { address: switchboard.address().to_owned(), tls, ..server.root() };
        read_name(&open(settings), NAME).await.map(|read| read.0)
    };
    let value = r#"{"k":"v"}"#;
    assert_eq!(read(&named, trusting(&authority)).await.unwrap(), value);
    let text = Roots::System(vec![Pem::Text(authority.certificate_pem().into())]);
    assert_eq!(read(&named, TlsSettings { roots: text, ..TlsSettings::default() }).await.unwrap(), value);
    let strangers = [
        (TlsSettings::default(), "signed by an authority that is not trusted"),
        (trusting(&other), "not signed by the authority that is trusted under that name"),
    ];
    for (tls, words) in strangers {
        let failure = read(&named, tls).await.unwrap_err();
        assert_eq!(failure.class, Class::Unavailable);
        assert!(failure.words.contains(words), "{failure}");
    }
    let failure = read(&face, trusting(&authority)).await.unwrap_err();
    assert!(failure.words.contains("it is for another name"), "{failure}");
    let expected = TlsSettings { server_name: Some("vault.internal".to_owned()), ..trusting(&authority) };
    assert_eq!(read(&face, expected).await.unwrap(), value);
    let skipping = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
    assert_eq!(read(&face, skipping).await.unwrap(), value);
}

#[tokio::test]
async fn the_variables_of_the_official_clients_work() {
    let (server, authority) = (server().await, Authority::new().unwrap());
    let face = Switchboard::with_tls(server.running.host_port(), &authority).unwrap();
    let lookup = |name: &str| match name {
        "VAULT_ADDR" => Some(face.address().to_owned()),
        "VAULT_TOKEN" => Some(server.running.root_token().to_owned()),
        "VAULT_CACERT" => Some(authority.certificate_file().display().to_string()),
        _ => None,
    };
    let vault = open(Settings::from_environment(&lookup).unwrap());
    assert_eq!(read_name(&vault, NAME).await.unwrap().0, r#"{"k":"v"}"#);
}

#[tokio::test]
async fn a_proxy_is_used_for_hosts_that_only_it_knows() {
    let (server, authority) = (server().await, Authority::new().unwrap());
    let face = Switchboard::with_tls_for(server.running.host_port(), &authority, &["vault.internal"]).unwrap();
    let proxy = ForwardProxy::with_password("user", "canary-5b1d").unwrap();
    proxy.route("vault.internal", face.host_port().parse().unwrap());
    proxy.route("plain.internal", server.running.host_port().parse().unwrap());
    let settings = |address: &str, url: &str| Settings {
        address: address.to_owned(),
        tls: trusting(&authority),
        proxy: Proxy::new(Some(url), Some(url), "").unwrap(),
        ..server.root()
    };
    for address in ["https://vault.internal:8200", "http://plain.internal:8200"] {
        let vault = open(settings(address, proxy.url()));
        assert_eq!(read_name(&vault, NAME).await.unwrap().0, r#"{"k":"v"}"#, "{address}");
        assert!(!format!("{vault:?}").contains("canary-5b1d"));
        let stranger = proxy.url().replace("canary-5b1d", "wrong");
        let failure = read_name(&open(settings(address, &stranger)), NAME).await.unwrap_err();
        assert!(failure.words.contains("407"), "{failure}");
    }
    assert!(proxy.tunnels() >= 1);
    assert!(proxy.destinations().iter().any(|place| place == "vault.internal:8200"), "{:?}", proxy.destinations());
}

#[tokio::test]
async fn hosts_in_no_proxy_are_reached_directly() {
    let server = server().await;
    let proxy = ForwardProxy::start().unwrap();
    let reading = async |no_proxy: &str| {
        let proxy = Proxy::new(Some(proxy.url()), Some(proxy.url()), no_proxy).unwrap();
        read_name(&open(Settings { proxy, ..server.root() }), NAME).await.unwrap()
    };
    reading("127.0.0.1").await;
    assert_eq!(proxy.requests(), 0);
    reading("").await;
    assert_eq!(proxy.requests(), 1);
}

#[tokio::test]
async fn an_address_that_a_tenant_chose_may_not_be_local() {
    let server = server().await;
    for address in [server.running.address().to_owned(), server.running.address().replace("127.0.0.1", "localhost")] {
        let vault = open(Settings { addresses: AddressPolicy::NoLocal, address, ..server.root() });
        let failure = read_name(&vault, NAME).await.unwrap_err();
        assert_eq!(failure.class, Class::Invalid);
        assert!(failure.words.contains("loopback"), "{failure}");
    }
}
