//! Against registries that lie, lead astray, or never end: a switchboard that answers by itself.

use std::time::{Duration, Instant};

use serde_json::json;
use strongroom_failure::Class;
use strongroom_http::Proxy;
use strongroom_registry::{Credential, Platform, Registry, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use world::proxy::ForwardProxy;
use world::registry::digest_of;
use world::switchboard::{Fault, Switchboard};

use crate::common::{
    CANARY, CONFIG, INDEX, MANIFEST, config_bytes, descriptor, login, look, look_afresh, manifest_bytes, refused,
    registry, settings,
};

fn server() -> Switchboard {
    Switchboard::to("127.0.0.1:1").unwrap()
}

fn image(server: &Switchboard) -> String {
    format!("{}/a/b:1", server.host_port())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn manifest(text: &str) -> Fault {
    Fault::answer(200, &[("Content-Type", MANIFEST)], text).on_path("/manifests/1")
}

fn blob(text: &str) -> Fault {
    Fault::answer(200, &[], text).on_path("/blobs/")
}

/// A server that has one good image.
fn good() -> Switchboard {
    let (server, config) = (server(), config_bytes("/app"));
    server.add(manifest(&text(manifest_bytes(&config))));
    server.add(blob(&text(config)));
    server
}

#[tokio::test]
async fn what_does_not_have_its_digest_or_size_is_refused() {
    let config = config_bytes("/app");
    let (manifest_text, config_text) = (text(manifest_bytes(&config)), text(config.clone()));
    let check = async |faults: Vec<Fault>, expected: &str| {
        let server = server();
        faults.into_iter().for_each(|fault| server.add(fault));
        let words = refused(look(&registry(), &image(&server), &[login(server.host_port())]).await, Class::Invalid);
        assert!(words.contains(expected), "{words}");
    };
    let other = config_text.replace("/app", "/bad");
    check(vec![manifest(&manifest_text), blob(&other)], "as the config sha256:").await;
    check(vec![manifest(&manifest_text), blob(&format!("{config_text} "))], "bytes instead of").await;
    check(vec![manifest(&manifest_text), blob("")], "has 0 bytes instead of").await;
    let named = digest_of(b"something else");
    let headers = [("Docker-Content-Digest", named.as_str())];
    let lying = Fault::answer(200, &headers, &manifest_text).on_path("/manifests/1");
    check(vec![lying, blob(&config_text)], "has another digest").await;
    let child = manifest_bytes(&config);
    let mut entry = descriptor(MANIFEST, &child);
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = |entry: &serde_json::Value| {
        manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string())
    };
    let child_path = |text: &str| Fault::answer(200, &[], text).on_path("/manifests/sha256:");
    let changed = manifest_text.replace("\"layers\":[]", "\"layers\":{}");
    check(vec![index(&entry), child_path(&changed), blob(&config_text)], "as the manifest sha256:").await;
    entry["digest"] = json!("md5:abc");
    check(vec![index(&entry)], "cannot be checked").await;
}

#[tokio::test]
async fn an_image_that_is_named_by_its_digest_is_that_one() {
    let server = good();
    let right = digest_of(&manifest_bytes(&config_bytes("/app")));
    let by_digest = |digest: &str| format!("{}/a/b@{digest}", server.host_port());
    server.add(Fault::answer(200, &[], &text(manifest_bytes(&config_bytes("/app")))).on_path("/manifests/sha256:"));
    assert!(look(&registry(), &by_digest(&right), &[]).await.is_ok());
    let words = refused(look(&registry(), &by_digest(&digest_of(b"x")), &[]).await, Class::Invalid);
    assert!(words.contains("has another digest"), "{words}");
}

#[tokio::test]
async fn what_is_too_large_too_deep_or_no_json_is_refused() {
    let check = async |text: &str, expected: &str| {
        let server = server();
        server.add(manifest(text));
        let words = refused(look(&registry(), &image(&server), &[]).await, Class::Invalid);
        assert!(words.contains(expected), "{words}");
    };
    check(&" ".repeat((4 << 20) + 1), "larger than the limit of 4194304 bytes").await;
    check(&format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), "nested too deeply").await;
    check("<html>", "not the JSON that was expected (line 1, column 1)").await;
    check("{}", "neither a manifest nor an index").await;
    let huge = json!({"mediaType": CONFIG, "digest": digest_of(b""), "size": 4_u64 << 30});
    check(&json!({"config": huge}).to_string(), "its config has 4294967296 bytes, more than the limit").await;
    let huge = json!({"mediaType": MANIFEST, "digest": digest_of(b""), "size": u64::MAX});
    check(&json!({"manifests": [huge]}).to_string(), "more than the limit").await;
}

#[tokio::test]
async fn indexes_that_lie_in_each_other_without_end_are_refused() {
    let server = server();
    let mut index = json!({"manifests": []}).to_string();
    for _ in 0..6 {
        let path = format!("/manifests/{}", digest_of(index.as_bytes()));
        server.add(Fault::answer(200, &[], &index).on_path(&path));
        index = json!({"manifests": [descriptor(INDEX, index.as_bytes())]}).to_string();
    }
    server.add(manifest(&index));
    let words = refused(look(&registry(), &image(&server), &[]).await, Class::Invalid);
    assert!(words.contains("indexes lie in each other"), "{words}");
    assert!(server.counts().requests <= 5, "{:?}", server.counts());
}

#[tokio::test]
async fn no_image_is_asked_for_on_this_machine_or_from_a_metadata_service() {
    let server = good();
    let (_, port) = server.host_port().split_once(':').unwrap();
    let careful = Registry::new(Settings { plain_hosts: settings().plain_hosts, ..Settings::default() }).unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
        let words = refused(look(&careful, &format!("{host}:{port}/a/b"), &[]).await, Class::Invalid);
        assert!(words.contains("not a permitted address") || words.contains("no registry's host"), "{words}");
    }
    let words = refused(look(&careful, "169.254.169.254/a/b", &[]).await, Class::Invalid);
    assert!(words.contains("metadata address") && words.contains("may be local"), "{words}");
    assert_eq!(server.counts().connections, 0);
}

#[tokio::test]
async fn redirects_are_held_to_the_same_rules() {
    let elsewhere = server();
    let hosts = |named: &str| vec![named.to_owned()];
    let check = async |location: &str, class: Class, expected: &str| {
        let server = good();
        server.add(Fault::answer(307, &[("Location", location)], "").on_path("/blobs/"));
        let (plain_hosts, local_hosts) = (hosts(server.host_port()), hosts(server.host_port()));
        let careful = Registry::new(Settings { plain_hosts, local_hosts, ..Settings::default() }).unwrap();
        let words = refused(look(&careful, &image(&server), &[login(server.host_port())]).await, class);
        assert!(words.contains(expected) && !words.contains("signed"), "{words}");
    };
    check("https://169.254.169.254/latest?signed", Class::Invalid, "metadata address").await;
    check("https://[fd00:ec2::254]/?signed", Class::Invalid, "metadata address").await;
    check("https://127.0.0.1:1/?signed", Class::Invalid, "loopback address").await;
    check(&format!("{}/?signed", elsewhere.address()), Class::Invalid, "by http without TLS").await;
    check("http://169.254.169.254/?signed", Class::Invalid, "by http without TLS").await;
    check("ftp://x.example/?signed", Class::Invalid, "something other than https").await;
    check("https://signed@x.example/", Class::Invalid, "holds a user").await;
    check(&format!("https://{}.example/", "signed.".repeat(50)), Class::Invalid, "no host's name").await;
    check("//x.example/signed", Class::Invalid, "cannot be read").await;
    check("signed", Class::Invalid, "cannot be read").await;
    check("/v2/a/b/blobs/round", Class::Invalid, "more than 5 redirects").await;
    assert_eq!(elsewhere.counts().connections, 0);
}

#[tokio::test]
async fn no_registry_leads_to_the_operators_local_ones() {
    // Behind a proxy a tenant's registry has a name that is not of this machine.
    let (operators, tenants, company) = (good(), good(), ForwardProxy::start().unwrap());
    company.route("tenant.example", tenants.socket());
    let proxy = Proxy::new(Some(company.url()), None, "").unwrap();
    let plain_hosts = vec!["tenant.example".to_owned(), "127.0.0.1".to_owned()];
    let registry = Registry::new(Settings { proxy, plain_hosts, ..settings() }).unwrap();
    look(&registry, &image(&operators), &[]).await.unwrap();
    look(&registry, "tenant.example/a/b:1", &[]).await.unwrap();
    let place = format!("{}/v2/a/c/blobs/x", operators.address());
    tenants.add(Fault::answer(307, &[("Location", &place)], ""));
    operators.reset_counts();
    let words = refused(look(&registry, "tenant.example/a/c:1", &[]).await, Class::Invalid);
    assert!(words.contains("loopback address"), "{words}");
    tenants.clear();
    let realm = format!("Bearer realm=\"{}/token\"", operators.address());
    tenants.add(Fault::answer(401, &[("WWW-Authenticate", &realm)], ""));
    let words = refused(look(&registry, "tenant.example/a/d:1", &[]).await, Class::Invalid);
    assert!(words.contains("loopback address"), "{words}");
    assert_eq!(operators.counts().connections, 0);
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_credential_along() {
    let (registry_server, storage) = (server(), server());
    let config = config_bytes("/app");
    storage.add(Fault::answer(200, &[], &text(config.clone())));
    registry_server.add(Fault::answer(200, &[], &text(manifest_bytes(&config))).on_path("/manifests/"));
    let place = format!("{}/blob?signature=x", storage.address());
    registry_server.add(Fault::answer(307, &[("Location", "/v2/there")], "").on_path("/blobs/"));
    registry_server.add(Fault::answer(307, &[("Location", &place)], "").on_path("/v2/there"));
    registry_server.add(Fault::answer(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], "").times(1));
    let found = look(&registry(), &image(&registry_server), &[login(registry_server.host_port())]).await.unwrap();
    assert_eq!(found.entrypoint, ["/app"]);
    let sent: Vec<_> = registry_server.requests().iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(sent, [false, true, true, true], "the registry itself is asked with the credential");
    assert!(storage.requests().iter().all(|seen| seen.header("authorization").is_none()));
    assert_eq!(storage.counts().requests, 1);
    storage.add(Fault::answer(403, &[], CANARY));
    let words = refused(
        look(&registry(), &image(&registry_server), &[login(registry_server.host_port())]).await,
        Class::Unavailable,
    );
    assert!(words.contains("to which it leads, answered HTTP 403"), "{words}");
}

/// A registry that wants a token of `realm`, and takes any.
fn wanting_token_of(realm: &str, more: &str) -> Switchboard {
    let server = good();
    let wants = format!("Bearer realm=\"{realm}\",service=\"s\"{more}");
    server.add(Fault::answer(401, &[("WWW-Authenticate", &wants)], "").times(1));
    server
}

#[tokio::test]
async fn a_token_service_on_another_host_is_asked_for_reading_alone() {
    let tokens = server();
    tokens.add(Fault::answer(200, &[], &format!(r#"{{"access_token":"{CANARY}-token","expires_in":300}}"#)));
    let realm = format!("{}/token?account=x", tokens.address());
    let check = async |more: &str, expected_scope: &str| {
        let server = wanting_token_of(&realm, more);
        tokens.reset_counts();
        let registry = registry();
        assert!(look(&registry, &image(&server), &[login(server.host_port())]).await.is_ok());
        let asked = tokens.requests().pop().unwrap();
        assert_eq!(asked.path, format!("/token?account=x&scope={expected_scope}&service=s"));
        assert!(asked.header("authorization").unwrap().starts_with("Basic "));
        let bearer = format!("Bearer {CANARY}-token");
        let sent = server.requests();
        assert!(sent[1..].iter().all(|seen| seen.header("authorization") == Some(&bearer)));
        // The token is kept for the next look.
        look_afresh(&registry, &image(&server), &[login(server.host_port())]).await.unwrap();
        assert_eq!(tokens.counts().requests, 1);
    };
    let own = "repository%3Aa%2Fb%3Apull";
    check("", own).await;
    check(",scope=\"repository:a/b:pull\"", own).await;
    check(",scope=\"repository:other/b:pull\"", "repository%3Aother%2Fb%3Apull").await;
    check(",scope=\"repository:a/b:pull,push\"", own).await;
    check(",scope=\"registry:catalog:* repository:a/b:pull\"", own).await;
}

#[tokio::test]
async fn a_token_service_is_held_to_the_rules_for_addresses() {
    let check = async |realm: &str, expected: &str| {
        let server = wanting_token_of(realm, "");
        let named = vec![server.host_port().to_owned()];
        let careful =
            Registry::new(Settings { plain_hosts: named.clone(), local_hosts: named, ..Settings::default() }).unwrap();
        for credential in [login(server.host_port()), Credential::with_identity_token("127.0.0.1:*", CANARY.to_owned())]
        {
            server.add(Fault::answer(401, &[("WWW-Authenticate", &format!("Bearer realm=\"{realm}\""))], ""));
            let words = refused(look(&careful, &image(&server), &[credential]).await, Class::Invalid);
            assert!(words.contains(expected) && words.contains("token service"), "{words}");
        }
    };
    check("https://169.254.169.254/token", "metadata address").await;
    check("http://169.254.169.254/token", "metadata address").await;
    check("http://127.0.0.1:1/token", "loopback address").await;
    check("file:///etc/passwd", "").await;
}

#[tokio::test]
async fn a_token_service_must_have_tls_where_the_registry_has() {
    let authority = world::certificates::Authority::new().unwrap();
    let server = Switchboard::with_tls("127.0.0.1:1", &authority).unwrap();
    let tokens = server_with_tokens();
    server.add(Fault::answer(401, &[("WWW-Authenticate", &format!("Bearer realm=\"{}\"", tokens.address()))], ""));
    let tls = strongroom_http::TlsSettings { insecure_skip_verify: true, ..strongroom_http::TlsSettings::default() };
    let careful = Registry::new(Settings { tls, plain_hosts: Vec::new(), ..settings() }).unwrap();
    let words = refused(look(&careful, &image(&server), &[login(server.host_port())]).await, Class::Invalid);
    assert!(words.contains("by http without TLS"), "{words}");
    assert_eq!(tokens.counts().connections, 0);
}

fn server_with_tokens() -> Switchboard {
    let tokens = server();
    tokens.add(Fault::answer(200, &[], r#"{"token":"x"}"#));
    tokens
}

#[tokio::test]
async fn a_token_service_that_gives_none_is_told() {
    let tokens = server();
    let realm = format!("{}/token", tokens.address());
    let check = async |fault: Fault, class: Class, expected: &str| {
        tokens.clear();
        tokens.add(fault);
        let server = wanting_token_of(&realm, "");
        server.add(Fault::answer(401, &[("WWW-Authenticate", &format!("Bearer realm=\"{realm}\""))], ""));
        let words = refused(look(&registry(), &image(&server), &[login(server.host_port())]).await, class);
        assert!(words.contains(&format!("its token service 127.0.0.1: {expected}")), "{words}");
    };
    check(Fault::answer(200, &[], "{}"), Class::Invalid, "it gave no token").await;
    check(Fault::answer(200, &[], r#"{"token":""}"#), Class::Invalid, "it gave no token").await;
    check(Fault::answer(200, &[], r#"{"token":"a\nb"}"#), Class::Invalid, "the credential has characters").await;
    check(Fault::answer(200, &[], CANARY), Class::Invalid, "the answer is not the JSON").await;
    check(Fault::answer(200, &[], &"[".repeat(1000)), Class::Invalid, "the JSON of its answer").await;
    check(Fault::answer(503, &[], CANARY), Class::Unavailable, "it could not answer (HTTP 503)").await;
    check(Fault::throttle(Some(3)), Class::Throttled { retry_after: Some(Duration::from_secs(3)) }, "too many").await;
    check(Fault::hangup(), Class::Unavailable, "127.0.0.1 closed the connection").await;
    let words = format!(r#"{{"errors":[{{"code":"DENIED","message":"no {CANARY}\nhere"}}]}}"#);
    check(Fault::answer(403, &[], &words), Class::Denied, "the credential may not pull it (no [redacted] here)").await;
}

#[tokio::test]
async fn refusals_have_a_class() {
    let server = server();
    let check = async |fault: Fault, class: Class, expected: &str| {
        server.clear();
        server.add(fault);
        let words = refused(look(&registry(), &image(&server), &[]).await, class);
        assert!(words.contains(expected), "{words}");
    };
    check(Fault::answer(401, &[("WWW-Authenticate", "Negotiate")], CANARY), Class::Unauthenticated, "wants a").await;
    check(Fault::answer(403, &[], CANARY), Class::Denied, "imagePullSecret").await;
    check(Fault::answer(404, &[], CANARY), Class::NotFound, "it is not there").await;
    check(Fault::answer(418, &[], CANARY), Class::Invalid, "HTTP 418").await;
    check(Fault::answer(302, &[], CANARY), Class::Invalid, "leads elsewhere").await;
    check(Fault::answer(502, &[], CANARY), Class::Unavailable, "HTTP 502").await;
    check(Fault::throttle(None), Class::Throttled { retry_after: None }, "mirror").await;
    check(Fault::hangup(), Class::Unavailable, "closed the connection").await;
}

#[tokio::test]
async fn a_body_that_never_ends_holds_nobody_beyond_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let drip = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let begin = Instant::now();
    let limit = Duration::from_millis(200);
    let result = registry().config(&format!("{host}/a/b"), &Platform::default(), &[], false, limit).await;
    assert!(refused(result, Class::Unavailable).contains("within 200ms"));
    assert!(begin.elapsed() < Duration::from_secs(5));
    drip.abort();
}

#[tokio::test]
async fn one_registry_cannot_pass_for_anothers_image() {
    let (private, evil) = (good(), server());
    let registry = registry();
    look(&registry, &image(&private), &[]).await.unwrap();
    let digest = digest_of(&manifest_bytes(&config_bytes("/app")));
    // It is asked for what a tag means, once an image of its own is known.
    let own = config_bytes("/evil");
    evil.add(manifest(&text(manifest_bytes(&own))));
    evil.add(blob(&text(own)));
    look(&registry, &image(&evil), &[]).await.unwrap();
    evil.clear();
    evil.add(Fault::answer(200, &[("Docker-Content-Digest", &digest)], ""));
    let words = refused(look_afresh(&registry, &image(&evil), &[]).await, Class::Invalid);
    assert!(words.contains("has another digest"), "{words}");
}
