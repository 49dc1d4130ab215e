//! TLS, private authorities, proxies and partitions.

use std::sync::Arc;

use strongroom_aws::{Endpoints, ProxySettings, Session, Settings};
use strongroom_failure::Class;
use strongroom_provider::{Answer, Meter};
use world::certificates::Authority;
use world::proxy::ForwardProxy;
use world::switchboard::{Line as Telephone, Switchboard};

use crate::common::{Store, assert_all, class, failure, keys, moto, settings};

async fn read(store: Store, name: &str, settings: Settings) -> Vec<Answer> {
    let keys = keys(name, 3);
    store.put_all(&keys);
    let session = Session::new(settings, Arc::new(Meter::default())).unwrap();
    let answers = store.open(&session).read(&keys).await;
    assert_eq!(answers.len(), 3);
    answers
}

fn through(proxy: &str, no_proxy: &str) -> Option<ProxySettings> {
    let proxy = Some(proxy.to_owned().into());
    Some(ProxySettings { https: proxy.clone(), http: proxy, no_proxy: no_proxy.to_owned() })
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let authority = Authority::new().unwrap();
    let switchboard = Switchboard::with_tls(moto().host_port(), &authority).unwrap();
    for store in Store::BOTH {
        let mut trusting = settings(switchboard.address());
        trusting.ca_file = Some(authority.certificate_file().to_owned());
        assert_all(&keys("tls", 3), &read(store, "tls", trusting).await);
        // Another authority is not good enough.
        let mut doubting = settings(switchboard.address());
        let other = Authority::new().unwrap();
        doubting.ca_file = Some(other.certificate_file().to_owned());
        let answers = read(store, "tls", doubting).await;
        assert_eq!(class(&answers[0]), Class::Invalid, "{}", failure(&answers[0]));
        assert!(failure(&answers[0]).words.contains("certificate is not trusted"), "{}", failure(&answers[0]));
        assert!(failure(&answers[0]).hint.as_ref().unwrap().contains("AWS_CA_BUNDLE"));
    }
}

#[tokio::test]
async fn a_file_that_holds_no_authorities_is_refused_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path().to_owned(), file.path().with_extension("missing")] {
        let mut settings = settings(moto().endpoint());
        settings.ca_file = Some(path.clone());
        let failure = Session::new(settings, Arc::new(Meter::default())).unwrap_err();
        assert_eq!(failure.class, Class::Invalid);
        assert!(failure.to_string().starts_with("caFile: "), "{failure}");
        assert!(failure.words.contains(&path.display().to_string()), "{failure}");
    }
}

/// AWS's own addresses in every partition, over TLS through a proxy's tunnel, as companies have it.
#[tokio::test]
async fn each_partition_has_its_own_addresses_behind_a_proxy() {
    let authority = Authority::new().unwrap();
    let partitions =
        [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn"), ("us-gov-west-1", "amazonaws.com")];
    for (region, domain) in partitions {
        for (store, service) in [(Store::SecretsManager, "secretsmanager"), (Store::ParameterStore, "ssm")] {
            let host = format!("{service}.{region}.{domain}");
            let switchboard = Switchboard::with_tls_for(moto().host_port(), &authority, &[&host]).unwrap();
            let proxy = ForwardProxy::with_password("user", "pa:ss@w/rd").unwrap();
            proxy.route(&host, switchboard.host_port().parse().unwrap());
            let mut settings = settings("http://unused");
            settings.region = Some(region.to_owned());
            settings.endpoints = Endpoints::default();
            settings.ca_file = Some(authority.certificate_file().to_owned());
            let address = proxy.url().rsplit('@').next().unwrap();
            settings.proxy = through(&format!("http://user:pa%3Ass%40w%2Frd@{address}"), "");
            let session = Session::new(settings, Arc::new(Meter::default())).unwrap();
            // What is asked for does not exist there; that AWS's emulator says so is the proof that it was asked.
            let answers = store.open(&session).read(&keys("partition", 2)).await;
            assert_eq!(class(&answers[0]), Class::NotFound, "{host}: {}", failure(&answers[0]));
            assert_eq!((switchboard.counts().requests, proxy.tunnels()), (1, 1));
            assert_eq!(proxy.destinations(), [format!("{host}:443")]);
        }
    }
}

#[tokio::test]
async fn plain_addresses_go_through_the_proxy_unless_they_are_left_out() {
    for store in Store::BOTH {
        let proxy = ForwardProxy::with_password("user", "password").unwrap();
        for (no_proxy, requests) in [("", 1), ("127.0.0.1", 1), ("other.example", 2)] {
            let mut settings = settings(moto().endpoint());
            settings.proxy = through(proxy.url(), no_proxy);
            assert_all(&keys("proxy", 3), &read(store, "proxy", settings).await);
            assert_eq!(proxy.requests(), requests, "{no_proxy}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_us_is_told_from_aws() {
    let authority = Authority::new().unwrap();
    let switchboard = Switchboard::with_tls(moto().host_port(), &authority).unwrap();
    let proxy = ForwardProxy::with_password("user", "password").unwrap();
    let address = proxy.url().replace("password", "canary");
    for endpoint in [moto().endpoint(), switchboard.address()] {
        let mut settings = settings(endpoint);
        settings.ca_file = Some(authority.certificate_file().to_owned());
        settings.proxy = through(&address, "");
        let answers = read(Store::SecretsManager, "refusing-proxy", settings).await;
        assert_eq!(class(&answers[0]), Class::Invalid, "{}", failure(&answers[0]));
        assert!(failure(&answers[0]).words.contains("the proxy wants"), "{}", failure(&answers[0]));
    }
    assert_eq!(switchboard.counts().requests, 0);
}

#[tokio::test]
async fn a_proxy_that_is_away_is_unavailable() {
    let gone = Switchboard::to(moto().host_port()).unwrap();
    gone.set_line(Telephone::Refused).unwrap();
    let mut settings = settings(moto().endpoint());
    settings.proxy = through(gone.address(), "");
    assert_eq!(class(&read(Store::SecretsManager, "proxy-away", settings).await[0]), Class::Unavailable);
}
