use std::time::{Duration, Instant};

use strongroom_failure::{Class, Failure};
use strongroom_http::{
    AddressPolicy, Cause, Client, Error, HeaderValue, Redirects, Request, Response, Roots, Settings, Timeouts,
    TlsSettings, header, secret_header,
};
use strongroom_secret::SecretBytes;
use world::certificates::Authority;
use world::switchboard::{Fault, Line, Switchboard};

const CANARY: &str = "canary-90e4";

/// A server that gives the answers it is told to; nothing stands behind it.
fn server() -> Switchboard {
    Switchboard::to("127.0.0.1:1").unwrap()
}

fn client(settings: Settings) -> Client {
    Client::new(settings).unwrap()
}

/// Sends a POST that carries a credential and a secret body.
async fn post(client: &Client, address: &str) -> Result<Response, Error> {
    let mut request = Request::post(address).body(SecretBytes::from(CANARY.to_owned())).unwrap();
    let credential = secret_header("Bearer ", &SecretBytes::from(CANARY.to_owned())).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, credential);
    let result = client.send(request).await;
    assert!(!format!("{result:?}").contains(CANARY));
    result
}

async fn get(client: &Client, address: &str) -> Result<Response, Error> {
    client.send(Request::get(address).body(SecretBytes::default()).unwrap()).await
}

#[tokio::test]
async fn any_status_is_an_answer_and_shows_no_secret() {
    let server = server();
    server.add(Fault::answer(403, &[("X-Secret", CANARY), ("Content-Type", "application/json")], CANARY));
    let response = post(&client(Settings::default()), &format!("{}/a", server.address())).await.unwrap();
    assert_eq!(response.status, 403);
    assert_eq!(response.body.expose(), CANARY.as_bytes());
    assert_eq!(server.counts().of("POST /a"), 1);
}

#[tokio::test]
async fn answers_are_bounded() {
    let server = server();
    server.add(Fault::answer(200, &[], &"x".repeat(1001)));
    let limited = |body_limit| client(Settings { body_limit, ..Settings::default() });
    let error = get(&limited(1000), server.address()).await.unwrap_err();
    assert_eq!(error.cause(), Cause::TooLarge);
    assert_eq!(Failure::from(error).class, Class::Invalid);
    assert_eq!(get(&limited(1001), server.address()).await.unwrap().body.len(), 1001);
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only_when_asked() {
    let (server, elsewhere) = (server(), server());
    let moved = |place: &str| Fault::answer(307, &[("Location", place)], "");
    server.add(Fault::answer(200, &[], "here"));
    server.add(moved("/to").on_path("/from"));
    server.add(moved(&format!("{}/absolute", server.address())).on_path("/to"));
    server.add(moved(&format!("{}/stolen", elsewhere.address())).on_path("/away"));
    server.add(moved("/round").on_path("/round"));
    server.add(Fault::answer(302, &[("Location", "/to")], "").on_path("/found"));
    let address = |path: &str| format!("{}{path}", server.address());
    let refusing = client(Settings::default());
    assert_eq!(post(&refusing, &address("/from")).await.unwrap().status, 307);
    let following = client(Settings { redirects: Redirects::SameHost(5), ..Settings::default() });
    assert_eq!(post(&following, &address("/from")).await.unwrap().body.expose(), b"here");
    assert_eq!(post(&following, &address("/away")).await.unwrap().status, 307);
    assert_eq!(post(&following, &address("/found")).await.unwrap().status, 302, "a write is not made a read");
    assert_eq!(get(&following, &address("/found")).await.unwrap().status, 200);
    server.reset_counts();
    assert_eq!(post(&following, &address("/round")).await.unwrap().status, 307);
    assert_eq!(server.counts().requests, 6);
    assert_eq!(elsewhere.counts().connections, 0, "credentials went to another host");
}

#[tokio::test]
async fn nothing_waits_longer_than_its_limit() {
    let server = server();
    let timeouts = |wait, total| Timeouts { connect: Duration::from_secs(5), wait, total };
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(30));
    let check = async |timeouts: Timeouts, words: &str| {
        let start = Instant::now();
        let error = get(&client(Settings { timeouts, ..Settings::default() }), server.address()).await.unwrap_err();
        assert_eq!(error.cause(), Cause::Timeout);
        assert!(error.to_string().contains(words), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(Failure::from(error).class, Class::Unavailable);
    };
    server.add(Fault::silence());
    check(timeouts(short, long), "did not answer within 200ms").await;
    check(timeouts(long, short), "the exchange took longer than 200ms").await;
    server.set_line(Line::HalfOpen).unwrap();
    check(timeouts(short, long), "did not answer within 200ms").await;
    let connecting = Timeouts { connect: short, ..timeouts(long, long) };
    let secure = client(Settings { timeouts: connecting, ..Settings::default() });
    let error = get(&secure, &server.address().replace("http://", "https://")).await.unwrap_err();
    assert_eq!(error.cause(), Cause::Timeout);
    assert!(error.to_string().contains("connecting to 127.0.0.1 took longer"), "{error}");
}

#[tokio::test]
async fn connections_are_kept_and_used_in_parallel() {
    let server = server();
    server.add(Fault::answer(200, &[], "x"));
    server.add(Fault::delay(Duration::from_millis(500)));
    let client = client(Settings::default());
    for _ in 0..2 {
        let requests: Vec<_> = (0..32)
            .map(|_| {
                let (client, address) = (client.clone(), server.address().to_owned());
                tokio::spawn(async move { get(&client, &address).await.unwrap().status })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), 200);
        }
    }
    let counts = server.counts();
    assert_eq!((counts.requests, counts.in_flight_peak), (64, 32));
    assert!(counts.connections <= 40, "connections are kept: {}", counts.connections);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = server();
    server.add(Fault::answer(200, &[], "x"));
    let client = client(Settings::default());
    assert_eq!(get(&client, server.address()).await.unwrap().status, 200);
    server.set_line(Line::Refused).unwrap();
    // The program must have had a turn to see that the connection is closed; a request that crosses the closing fails.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = get(&client, server.address()).await.unwrap_err();
    assert_eq!(error.cause(), Cause::Connect, "{error}");
    server.set_line(Line::Open).unwrap();
    assert_eq!(get(&client, server.address()).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_words() {
    let server = server();
    server.add(Fault::answer(200, &[], "x"));
    let client = client(Settings::default());
    let check = async |address: &str, cause: Cause, words: &str| {
        let error = get(&client, address).await.unwrap_err();
        assert_eq!(error.cause(), cause, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check("http://no-such-host.invalid/", Cause::Name, "the host name no-such-host.invalid does not resolve").await;
    check("http://127.0.0.1:1/", Cause::Connect, "cannot connect to 127.0.0.1:1: nobody listens there").await;
    check("ftp://127.0.0.1/", Cause::Invalid, "http:// or https://").await;
    check("/path", Cause::Invalid, "no host").await;
    let plain = server.address().replace("http://", "https://");
    check(&plain, Cause::Tls, "does not speak TLS").await;
    server.add(Fault::hangup());
    check(server.address(), Cause::Cut, "closed the connection before its answer was whole").await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_first_https_request() {
    let authority = Authority::new().unwrap();
    let server = Switchboard::with_tls("127.0.0.1:1", &authority).unwrap();
    server.add(Fault::answer(200, &[], "x"));
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::File::create(&empty).unwrap();
    let missing = folder.path().join("missing.pem");
    let only = |path: &std::path::Path| TlsSettings {
        roots: Roots::Only(vec![strongroom_http::Pem::File(path.to_owned())]),
        ..TlsSettings::default()
    };
    for (tls, words) in [
        (only(&empty), "empty.pem holds no certificate"),
        (only(&missing), "missing.pem: No such file"),
        (
            TlsSettings { system_file: Some(empty.clone()), ..TlsSettings::default() },
            "no trusted certificates were found",
        ),
    ] {
        let client = client(Settings { tls, ..Settings::default() });
        let error = get(&client, server.address()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    // A file may appear later.
    let client = client(Settings { tls: only(&missing), ..Settings::default() });
    assert!(get(&client, server.address()).await.is_err());
    std::fs::copy(authority.certificate_file(), &missing).unwrap();
    assert_eq!(get(&client, server.address()).await.unwrap().status, 200);
    let system = TlsSettings::from_environment(&|name| {
        (name == "SSL_CERT_FILE").then(|| authority.certificate_file().display().to_string())
    });
    let client = Client::new(Settings { tls: system, ..Settings::default() }).unwrap();
    assert_eq!(get(&client, server.address()).await.unwrap().status, 200);
}

#[tokio::test]
async fn tenants_addresses_are_checked_after_resolution() {
    let server = server();
    server.add(Fault::answer(200, &[], "x"));
    let (_, port) = server.host_port().split_once(':').unwrap();
    let client = client(Settings { addresses: AddressPolicy::NoLocal, ..Settings::default() });
    for host in
        ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
    {
        let error = get(&client, &format!("http://{host}:{port}/")).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Forbidden | Cause::Name), "{host}: {error}");
    }
    let error = get(&client, "http://169.254.169.254/latest/meta-data").await.unwrap_err();
    assert_eq!(error.cause(), Cause::Forbidden);
    assert_eq!(server.counts().connections, 0);
}

#[tokio::test]
async fn the_user_agent_is_ours_unless_the_request_has_one() {
    let bad = Settings { user_agent: "a\nb".to_owned(), ..Settings::default() };
    assert_eq!(Client::new(bad).unwrap_err().cause(), Cause::Invalid);
    assert!(HeaderValue::from_str(&Settings::default().user_agent).is_ok());
}
