//! Every way to a token.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_azure::{Credentials, KeyVault, ManagedEndpoint, Settings, TokenFile};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Provider, SecretBytes, TokenSource};
use world::azure::AzureStandIn;
use world::switchboard::{Fault, Switchboard};

use crate::{CANARY, check_failure, cloud, failure, open, open_metered, read, read_one, settings, text};

/// A token that somebody else gives, as an API server does.
#[derive(Debug)]
struct Given(Result<String, Failure>);

#[async_trait]
impl TokenSource for Given {
    fn describe(&self) -> String {
        "service account team-a/app".to_owned()
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        self.0.clone().map(SecretBytes::from)
    }
}

fn stand_in() -> AzureStandIn {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("db", "value");
    azure
}

fn federated(azure: &AzureStandIn, tokens: impl TokenSource + 'static) -> Credentials {
    Credentials::Federated { tenant: azure.tenant(), client_id: azure.client_id(), tokens: Arc::new(tokens) }
}

fn certificate(azure: &AzureStandIn, pem: String) -> Credentials {
    let (tenant, client_id) = (azure.tenant(), azure.client_id());
    Credentials::Certificate { tenant, client_id, pem: SecretBytes::from(pem) }
}

fn managed(azure: &AzureStandIn, id: Option<&str>) -> Credentials {
    let endpoint = ManagedEndpoint::Machine(format!("http://{}", azure.metadata_host()));
    Credentials::Managed { id: id.map(ToOwned::to_owned), endpoint }
}

fn app_service(azure: &AzureStandIn, header: &str, id: Option<&str>) -> Credentials {
    let address = format!("http://{}/msi/token", azure.metadata_host());
    let endpoint = ManagedEndpoint::AppService { address, header: SecretBytes::from(header.to_owned()) };
    Credentials::Managed { id: id.map(ToOwned::to_owned), endpoint }
}

#[tokio::test]
async fn every_identity_reads_with_one_token() {
    let azure = stand_in();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("token");
    let token = azure.federated_token("api://AzureADTokenExchange").unwrap();
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), token.as_bytes()).unwrap();
    let (client, resource) = azure.user_assigned_identity();
    let header = azure.identity_header();
    let ways = [
        (certificate(&azure, azure.client_certificate()), "by its certificate"),
        (federated(&azure, TokenFile(file)), "by the token in /"),
        (federated(&azure, Given(Ok(token))), "by service account team-a/app"),
        (managed(&azure, None), "the managed identity of this machine"),
        (managed(&azure, Some(&client)), "the managed identity 9999"),
        (managed(&azure, Some(&resource)), "the managed identity /subscriptions/"),
        (app_service(&azure, &header, None), "the managed identity of this machine"),
        (app_service(&azure, &header, Some(&client)), "the managed identity 9999"),
        (app_service(&azure, &header, Some(&resource)), "the managed identity /subscriptions/"),
    ];
    for (credentials, identity) in ways {
        let (store, meter) = open_metered(Settings { credentials, ..settings(&azure) });
        assert!(store.identity().contains(identity), "{}", store.identity());
        let answers = read(&store, &["db"; 10]).await;
        assert!(answers.iter().all(|answer| text(answer) == "value"), "{}", store.identity());
        assert_eq!(meter.counts().iter().find(|(name, ..)| name.ends_with("Token")).unwrap().2, 1);
    }
}

#[tokio::test]
async fn wrong_credentials_are_named_and_not_shown() {
    let azure = stand_in();
    let stranger = AzureStandIn::start().unwrap();
    let wrong_secret = |tenant: &str, client_id: &str| Credentials::Secret {
        tenant: tenant.to_owned(),
        client_id: client_id.to_owned(),
        secret: SecretBytes::from(CANARY.to_owned()),
    };
    let (tenant, client) = (azure.tenant(), azure.client_id());
    let meant_for_another = azure.federated_token("another").unwrap();
    let foreign = stranger.federated_token("api://AzureADTokenExchange").unwrap();
    let refused = Class::Unauthenticated;
    let missing = Failure::new(Class::NotFound, "there is no such service account");
    let checks = [
        (wrong_secret(&tenant, &client), refused, "refuses the credentials: invalid_client: AADSTS7000215"),
        (wrong_secret("other", &client), refused, "invalid_request: AADSTS90002: Tenant 'other' not found"),
        (wrong_secret(&tenant, "other"), refused, "unauthorized_client: AADSTS700016"),
        (certificate(&azure, stranger.client_certificate()), refused, "AADSTS700027"),
        (federated(&azure, Given(Ok(meant_for_another))), refused, "AADSTS700212"),
        (federated(&azure, Given(Ok(foreign))), refused, "AADSTS700027"),
        (federated(&azure, Given(Err(missing))), refused, "there is no such service account"),
        (managed(&azure, Some("nobody")), refused, "the machine refuses the credentials: invalid_request: Identity"),
        (app_service(&azure, CANARY, None), refused, "the machine refuses the credentials: HTTP 401"),
    ];
    for (credentials, class, words) in checks {
        let store = open(Settings { credentials, ..settings(&azure) });
        let (first, second) = (read_one(&store, "db").await, read_one(&store, "db").await);
        check_failure(&first, class, words);
        check_failure(&first, class, "no access token as ");
        // The login's trace ids differ from answer to answer; what is shown must not.
        assert_eq!(failure(&first).words, failure(&second).words);
    }
}

#[tokio::test]
async fn an_issuer_outside_is_trusted_by_its_keys() {
    let (azure, cluster) = (stand_in(), AzureStandIn::start().unwrap());
    let (issuer, subject, keys) = cluster.issuer();
    let token = cluster.federated_token("api://AzureADTokenExchange").unwrap();
    let store = || {
        let credentials = federated(&azure, Given(Ok(token.clone())));
        open(Settings { credentials, ..settings(&azure) })
    };
    check_failure(&read_one(&store(), "db").await, Class::Unauthenticated, "AADSTS700027");
    azure.trust_issuer(issuer, subject, &keys).unwrap();
    assert_eq!(text(&read_one(&store(), "db").await), "value");
}

#[tokio::test]
async fn a_login_that_fails_is_asked_once_for_many_keys() {
    let azure = stand_in();
    let board = Switchboard::with_tls(azure.host_port(), azure.authority()).unwrap();
    let store = open(Settings { cloud: cloud(board.address()), ..settings(&azure) });
    let echo = format!(r#"{{"error":"invalid_client","error_description":"no {}"}}"#, azure.client_secret());
    let busy = r#"{"error":"temporarily_unavailable","error_description":"later"}"#;
    let throttled = Class::Throttled { retry_after: Some(std::time::Duration::from_secs(4)) };
    let faults = [
        (Fault::answer(503, &[], "<html>canary-9d41</html>"), Class::Unavailable, "could not answer: HTTP 503"),
        (Fault::answer(400, &[], busy), Class::Unavailable, "temporarily_unavailable: later"),
        (Fault::answer(403, &[], ""), Class::Denied, "denies it: HTTP 403"),
        (Fault::answer(401, &[], &echo), Class::Unauthenticated, "invalid_client: no [redacted]"),
        (Fault::throttle(Some(4)), throttled, "asks for patience"),
        (Fault::cut_body(), Class::Unavailable, "before its answer was whole"),
        (Fault::answer(200, &[], r#"{"access_token":["canary-9d41"]}"#), Class::Invalid, "not the JSON"),
    ];
    for (fault, class, words) in faults {
        board.clear();
        board.reset_counts();
        board.add(fault);
        for answer in &read(&store, &["db"; 20]).await {
            check_failure(answer, class, words);
        }
        assert_eq!(board.counts().requests, 1, "{words}");
    }
    board.clear();
    assert_eq!(text(&read_one(&store, "db").await), "value");
}

#[tokio::test]
async fn a_machine_that_is_none_of_azures_hears_what_to_do() {
    let azure = stand_in();
    let nowhere = ManagedEndpoint::Machine("http://127.0.0.1:9".to_owned());
    let credentials = Credentials::Managed { id: None, endpoint: nowhere };
    let answer = read_one(&open(Settings { credentials, ..settings(&azure) }), "db").await;
    check_failure(&answer, Class::Unavailable, "no access token as the managed identity of this machine");
    assert!(failure(&answer).hint.as_ref().unwrap().contains("workload identity"));
    // The machine's service is there, but not ready.
    let board = Switchboard::to(azure.metadata_host()).unwrap();
    board.add(Fault::answer(410, &[], r#"{"error":"gone","error_description":"updating"}"#));
    let endpoint = ManagedEndpoint::Machine(board.address().to_owned());
    let credentials = Credentials::Managed { id: None, endpoint };
    let store = open(Settings { credentials, ..settings(&azure) });
    check_failure(&read_one(&store, "db").await, Class::Unavailable, "gone: updating");
    board.clear();
    assert_eq!(text(&read_one(&store, "db").await), "value");
}

#[test]
fn credentials_that_cannot_be_used_fail_before_anything_is_asked() {
    let azure = AzureStandIn::start().unwrap();
    let check = |settings: Settings, expected: &str| {
        let failure = KeyVault::open(settings, Arc::default()).err().unwrap();
        assert_eq!((failure.class, failure.to_string().as_str()), (Class::Invalid, expected));
        assert!(!format!("{failure:?}").contains(CANARY), "a secret is shown");
    };
    let with = |credentials| Settings { credentials, ..settings(&azure) };
    let pem = azure.client_certificate();
    let (only_certificate, only_key) = pem.split_at(pem.find("-----BEGIN PRIVATE").unwrap());
    let key_missing = "the client certificate holds no RSA key in PEM";
    check(with(certificate(&azure, only_certificate.to_owned())), key_missing);
    check(with(certificate(&azure, only_key.to_owned())), "the client certificate holds no certificate in PEM");
    check(with(certificate(&azure, CANARY.to_owned())), "the client certificate holds no certificate in PEM");
    let secret = |tenant: &str, client_id: &str| Credentials::Secret {
        tenant: tenant.to_owned(),
        client_id: client_id.to_owned(),
        secret: SecretBytes::from(CANARY.to_owned()),
    };
    check(with(secret("a/b", "c")), "tenantId: the tenant is neither an id nor a domain");
    check(with(secret("t", "")), "the client id is missing");
    let bad = Settings { cloud: cloud("http://login.example"), ..settings(&azure) };
    check(bad, "activeDirectoryEndpoint: the address of the login is not https://HOST");
    let bad = Settings { vault_url: "vault".to_owned(), ..settings(&azure) };
    check(bad, "vaultUrl: this is not the address of a vault, https://NAME.vault.azure.net");
}
