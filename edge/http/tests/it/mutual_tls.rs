use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use strongroom_http::{Cause, Client, ClientCertificate, Error, Pem, Request, Response, Roots, Settings, TlsSettings};
use strongroom_secret::SecretBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &Issuer, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap(), key)
}

/// A server that answers only to clients whose certificate `issuer` signed.
async fn demanding_server(issuer: &Issuer) -> String {
    let (certificate, key) = issue(issuer, "localhost");
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    format!("https://localhost:{port}/")
}

async fn ask(
    address: &str,
    issuer: &Issuer,
    client: Option<(&rcgen::Certificate, &KeyPair)>,
) -> Result<Response, Error> {
    let text = |text: String| Pem::Text(SecretBytes::from(text));
    let client = client.map(|(certificate, key)| ClientCertificate {
        certificate: text(certificate.pem()),
        key: text(key.serialize_pem()),
    });
    let tls = TlsSettings { roots: Roots::Only(vec![text(issuer.pem())]), client, ..TlsSettings::default() };
    assert!(!format!("{tls:?}").contains("BEGIN"));
    let client = Client::new(Settings { tls, ..Settings::default() }).unwrap();
    client.send(Request::get(address).body(SecretBytes::default()).unwrap()).await
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_servers_that_ask() {
    let (ours, theirs) = (authority(), authority());
    let address = demanding_server(&ours).await;
    let (certificate, key) = issue(&ours, "client");
    assert_eq!(ask(&address, &ours, Some((&certificate, &key))).await.unwrap().status, 204);
    let (stranger, strangers_key) = issue(&theirs, "client");
    for client in [None, Some((&stranger, &strangers_key))] {
        let error = ask(&address, &ours, client).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Certificate | Cause::Tls), "{error}");
        assert!(error.to_string().contains("localhost"), "{error}");
    }
    let (_, other_key) = issue(&ours, "client");
    let error = ask(&address, &ours, Some((&certificate, &other_key))).await.unwrap_err();
    assert!(error.to_string().contains("the client certificate cannot be used"), "{error}");
}
