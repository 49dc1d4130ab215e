//! Against the distribution project's registry.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Pem, Roots, TlsSettings};
use strongroom_registry::{Asked, Credential, Lookups, NodeCredentials, Platform, Registry, Settings};
use strongroom_secret::SecretBytes;
use world::certificates::Authority;
use world::registry::{Access, Registry as Part};
use world::switchboard::{Fault, Switchboard};

use crate::common::{
    CANARY, DEADLINE, INDEX, MANIFEST, config_bytes, descriptor, login, look, look_afresh, manifest_bytes, push,
    refused, registry, registry_remembering, settings,
};

fn open() -> Part {
    Part::start(Access::Open).unwrap()
}

fn asking_for_tokens() -> Part {
    Part::start(Access::Tokens("ann", CANARY)).unwrap()
}

#[tokio::test]
async fn ki_02_entrypoint_and_cmd_come_from_the_registry() {
    let part = open();
    let digest = push(&part, "team/app", "1", "/app");
    let by_tag = format!("{}/team/app:1", part.host_port());
    let by_digest = format!("{}/team/app:other@{digest}", part.host_port());
    for image in [by_tag, by_digest] {
        let found = look(&registry(), &image, &[]).await.unwrap();
        assert_eq!(
            (found.entrypoint.as_slice(), found.command.as_slice()),
            (&["/app".to_owned()][..], &["serve".to_owned()][..])
        );
        assert_eq!((&*found.user, &*found.working_directory, &found.digest), ("1000", "/srv", &digest));
    }
    let words = refused(look(&registry(), &format!("{}/team/app:2", part.host_port()), &[]).await, Class::NotFound);
    assert!(
        words.starts_with(&format!("cannot read \"{0}/team/app:2\" from the registry {0}: ", part.host_port())),
        "{words}"
    );
    assert!(words.contains("manifest unknown") && words.contains("imagePullSecret"), "{words}");
}

#[tokio::test]
async fn the_image_of_the_platform_is_read_and_never_a_statement_about_one() {
    let part = open();
    let mut entries = Vec::new();
    let mut statement = json!({"schemaVersion": 2});
    for (program, architecture) in [("/arm", "arm64"), ("/intel", "amd64")] {
        let config = config_bytes(program);
        part.push_blob("a/b", &config).unwrap();
        let manifest = manifest_bytes(&config);
        let digest = part.push_manifest("a/b", &world::registry::digest_of(&manifest), MANIFEST, &manifest).unwrap();
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        statement = descriptor(MANIFEST, &manifest);
        statement["annotations"] =
            json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest});
        statement["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        entries.push(entry);
    }
    entries.insert(0, statement);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string();
    let digest = part.push_manifest("a/b", "1", INDEX, index.as_bytes()).unwrap();
    let (registry, image) = (registry(), format!("{}/a/b:1", part.host_port()));
    for (platform, program) in [("linux/amd64", "/intel"), ("linux/arm64/v8", "/arm")] {
        let found = registry.config(&image, &platform.parse().unwrap(), &[], false, DEADLINE).await.unwrap();
        assert_eq!((&*found.entrypoint[0], &found.digest), (program, &digest));
    }
    let none = registry.config(&image, &Platform::new("linux", "s390x", ""), &[], false, DEADLINE).await;
    assert!(refused(none, Class::Invalid).contains("(it has: linux/arm64, linux/amd64)"));
}

#[tokio::test]
async fn a_registry_that_wants_a_password_gets_the_one_that_is_for_it() {
    let part = Part::start(Access::Basic("ann", CANARY)).unwrap();
    push(&part, "team/app", "1", "/app");
    let (host, image) = (part.host_port(), format!("{}/team/app:1", part.host_port()));
    let wrong = || Credential::with_password(&format!("{host}/team/app"), "ann".to_owned(), format!("{CANARY}-old"));
    let elsewhere = login("elsewhere.example");
    assert_eq!(look(&registry(), &image, &[login(host)]).await.unwrap().entrypoint, ["/app"]);
    assert!(look(&registry(), &image, &[elsewhere.clone(), wrong(), login(host)]).await.is_ok());
    let words = refused(look(&registry(), &image, &[wrong()]).await, Class::Unauthenticated);
    assert!(words.contains("it refuses the credential") && words.contains("imagePullSecret"), "{words}");
    let words = refused(look(&registry(), &image, &[elsewhere]).await, Class::Unauthenticated);
    assert!(words.contains("wants a credential"), "{words}");
}

#[tokio::test]
async fn tokens_are_had_by_password_by_identity_token_and_by_nobody_for_what_is_public() {
    let part = asking_for_tokens();
    push(&part, "team/app", "1", "/app");
    push(&part, "public/app", "1", "/public");
    let (host, image) = (part.host_port(), format!("{}/team/app:1", part.host_port()));
    let public = format!("{host}/public/app:1");
    let by_token = |token: &str| Credential::with_identity_token(host, token.to_owned());
    for credential in [login(host), by_token(CANARY)] {
        assert_eq!(look(&registry(), &image, &[credential]).await.unwrap().entrypoint, ["/app"]);
    }
    assert_eq!(look(&registry(), &public, &[]).await.unwrap().entrypoint, ["/public"]);
    let words = refused(look(&registry(), &image, &[]).await, Class::Unauthenticated);
    assert!(words.contains("wants a credential"), "{words}");
    let stale = Credential::with_password(host, "ann".to_owned(), format!("{CANARY}-old"));
    for credential in [stale, by_token(&format!("{CANARY}-old"))] {
        let words = refused(look(&registry(), &image, std::slice::from_ref(&credential)).await, Class::Unauthenticated);
        assert!(words.contains("its token service 127.0.0.1: it refuses the credential"), "{words}");
        // What everyone may read is read even so.
        assert!(look(&registry(), &public, &[credential]).await.is_ok());
    }
}

#[tokio::test]
async fn nobody_gets_what_anothers_credentials_opened() {
    let part = asking_for_tokens();
    let digest = push(&part, "team/app", "1", "/app");
    let (host, registry) = (part.host_port(), registry());
    let stale = Credential::with_password(host, "ann".to_owned(), format!("{CANARY}-old"));
    for image in [format!("{host}/team/app:1"), format!("{host}/team/app@{digest}")] {
        assert!(look(&registry, &image, &[login(host)]).await.is_ok());
        for fresh in [false, true] {
            for credentials in [&[][..], std::slice::from_ref(&stale), &[login("elsewhere.example")]] {
                let result = registry.config(&image, &Platform::default(), credentials, fresh, DEADLINE).await;
                refused(result, Class::Unauthenticated);
            }
        }
        assert!(look(&registry, &image, &[stale.clone(), login(host)]).await.is_ok());
    }
}

#[tokio::test]
async fn what_is_known_costs_no_request_and_a_fresh_look_costs_one() {
    let part = asking_for_tokens();
    push(&part, "team/app", "1", "/old");
    let front = Switchboard::to(part.host_port()).unwrap();
    let (image, registry) = (format!("{}/team/app:1", front.host_port()), registry());
    let credentials = [login(front.host_port())];
    let program = async |is_fresh: bool| {
        let found = registry.config(&image, &Platform::default(), &credentials, is_fresh, DEADLINE).await.unwrap();
        let requests = front.counts().requests;
        front.reset_counts();
        (found.entrypoint[0].clone(), requests)
    };
    // Refused, manifest, config.
    assert_eq!(program(false).await, ("/old".to_owned(), 3));
    assert_eq!(program(false).await, ("/old".to_owned(), 0));
    assert_eq!(program(true).await, ("/old".to_owned(), 1));
    push(&part, "team/app", "1", "/new");
    assert_eq!(program(false).await, ("/old".to_owned(), 0));
    assert_eq!(program(true).await, ("/new".to_owned(), 3));
    assert_eq!(program(false).await, ("/new".to_owned(), 0));
}

#[tokio::test]
async fn a_tags_meaning_is_looked_up_again_after_its_life() {
    let part = open();
    push(&part, "a/b", "1", "/old");
    let (image, registry) = (format!("{}/a/b:1", part.host_port()), registry_remembering(Duration::from_millis(50)));
    assert_eq!(look(&registry, &image, &[]).await.unwrap().entrypoint, ["/old"]);
    push(&part, "a/b", "1", "/new");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(look(&registry, &image, &[]).await.unwrap().entrypoint, ["/new"]);
}

#[tokio::test]
async fn equal_look_ups_at_once_are_one() {
    let part = open();
    push(&part, "a/b", "1", "/app");
    let front = Switchboard::to(part.host_port()).unwrap();
    front.add(Fault::delay(Duration::from_millis(100)));
    let (image, registry) = (format!("{}/a/b:1", front.host_port()), registry());
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let (image, registry) = (image.clone(), registry.clone());
            tokio::spawn(async move { look(&registry, &image, &[]).await })
        })
        .collect();
    for each in asked {
        assert_eq!(each.await.unwrap().unwrap().entrypoint, ["/app"]);
    }
    assert_eq!(front.counts().requests, 2);
}

#[tokio::test]
async fn a_slow_registry_ends_at_the_deadline_and_answers_the_next() {
    let part = open();
    push(&part, "a/b", "1", "/app");
    let front = Switchboard::to(part.host_port()).unwrap();
    front.add(Fault::delay(Duration::from_millis(400)));
    let (image, registry) = (format!("{}/a/b:1", front.host_port()), registry());
    let begin = std::time::Instant::now();
    let result = registry.config(&image, &Platform::default(), &[], false, Duration::from_millis(100)).await;
    assert!(refused(result, Class::Unavailable).contains("did not answer within 100ms"));
    assert!(begin.elapsed() < Duration::from_millis(700));
    assert!(look(&registry, &image, &[]).await.is_ok());
    assert_eq!(front.counts().requests, 2);
}

#[tokio::test]
async fn look_ups_are_counted_by_whether_the_registry_was_asked() {
    let part = open();
    push(&part, "team/app", "1", "/app");
    let (present, absent) = (format!("{}/team/app:1", part.host_port()), format!("{}/team/app:2", part.host_port()));
    let registry = registry();
    for _ in 0..3 {
        look(&registry, &present, &[]).await.unwrap();
    }
    refused(look(&registry, &absent, &[]).await, Class::NotFound);
    let ended = |asked, failure, count| Lookups { asked, failure, count };
    let expected = [ended(Asked::Yes, None, 1), ended(Asked::Yes, Some("NotFound"), 1), ended(Asked::No, None, 2)];
    assert_eq!(registry.lookups(), expected);
}

#[tokio::test]
async fn while_a_registry_is_away_what_it_said_to_the_same_credentials_holds() {
    let part = asking_for_tokens();
    push(&part, "team/app", "1", "/app");
    let front = Switchboard::to(part.host_port()).unwrap();
    let (image, registry) = (format!("{}/team/app:1", front.host_port()), registry_remembering(Duration::ZERO));
    let credentials = [login(front.host_port())];
    look(&registry, &image, &credentials).await.unwrap();
    let soon = Duration::from_millis(300);
    let unavailable = [Fault::answer(503, &[], ""), Fault::hangup(), Fault::throttle(None)];
    for fault in unavailable {
        front.clear();
        front.add(fault);
        let kept = registry.config(&image, &Platform::default(), &credentials, false, soon).await.unwrap();
        assert_eq!(kept.entrypoint, ["/app"]);
        assert!(registry.config(&image, &Platform::default(), &credentials, true, soon).await.is_err());
        assert!(registry.config(&image, &Platform::default(), &[], false, soon).await.is_err());
    }
    assert!(registry.lookups().contains(&Lookups { asked: Asked::InVain, failure: None, count: 3 }));
    // What was kept ends with a refusal.
    front.clear();
    front.add(Fault::answer(403, &[], ""));
    refused(look_afresh(&registry, &image, &credentials).await, Class::Denied);
    front.add(Fault::hangup());
    refused(look(&registry, &image, &credentials).await, Class::Unavailable);
    // The same at the deadline.
    front.clear();
    look(&registry, &image, &credentials).await.unwrap();
    front.add(Fault::silence());
    assert!(registry.config(&image, &Platform::default(), &credentials, false, soon).await.is_ok());
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_the_registry_when_it_has_not_the_image() {
    let (mirror, part) = (open(), Part::start(Access::Basic("ann", CANARY)).unwrap());
    push(&mirror, "a/both", "1", "/mirror");
    push(&part, "a/both", "1", "/own");
    push(&part, "a/own", "1", "/own");
    let front = Switchboard::to(mirror.host_port()).unwrap();
    let host = part.host_port();
    let with_mirrors = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        Registry::new(Settings { mirrors: [(host.to_owned(), addresses)].into(), ..settings() }).unwrap()
    };
    let registry = with_mirrors(&["http://127.0.0.1:1", front.address()]);
    for (image, program) in [("a/both:1", "/mirror"), ("a/own:1", "/own")] {
        assert_eq!(look(&registry, &format!("{host}/{image}"), &[login(host)]).await.unwrap().entrypoint, [program]);
    }
    let asked = front.requests();
    assert!(asked[0].path.ends_with(&format!("?ns={host}")), "{}", asked[0].path);
    assert!(
        asked.iter().all(|seen| seen.header("authorization").is_none()),
        "the registry's credential went to its mirror"
    );
    front.add(Fault::answer(503, &[], ""));
    let registry = with_mirrors(&[front.address()]);
    assert_eq!(look(&registry, &format!("{host}/a/both:1"), &[login(host)]).await.unwrap().entrypoint, ["/own"]);
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_given_and_none_is_needed_when_that_is_asked_for() {
    let part = open();
    push(&part, "a/b", "1", "/app");
    let authority = Authority::new().unwrap();
    let front = Switchboard::with_tls(part.host_port(), &authority).unwrap();
    let image = format!("{}/a/b:1", front.host_port());
    let trusting = |tls: TlsSettings| {
        Registry::new(Settings { tls, local_hosts: vec!["127.0.0.1".to_owned()], ..Settings::default() }).unwrap()
    };
    let pem = Pem::Text(SecretBytes::from(authority.certificate_pem()));
    let given = TlsSettings { roots: Roots::System(vec![pem]), ..TlsSettings::default() };
    assert!(look(&trusting(given), &image, &[]).await.is_ok());
    let blind = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
    assert!(look(&trusting(blind), &image, &[]).await.is_ok());
    let words = refused(look(&trusting(TlsSettings::default()), &image, &[]).await, Class::Unavailable);
    assert!(words.contains("not trusted"), "{words}");
}

struct Node(Result<&'static str, ()>);

#[async_trait::async_trait]
impl NodeCredentials for Node {
    async fn credential(&self, host: &str) -> Result<Option<Credential>, Failure> {
        let failed = |()| Failure::new(Class::Unavailable, "the metadata service is away");
        let password = self.0.map_err(failed)?;
        Ok(Some(Credential::with_password(host, "ann".to_owned(), password.to_owned())))
    }
}

#[tokio::test]
async fn a_node_logs_in_where_no_secret_does() {
    let part = Part::start(Access::Basic("ann", CANARY)).unwrap();
    push(&part, "a/b", "1", "/app");
    let image = format!("{}/a/b:1", part.host_port());
    let with_node = |node| Registry::new(Settings { node: Some(Arc::new(Node(node))), ..settings() }).unwrap();
    assert!(look(&with_node(Ok(CANARY)), &image, &[]).await.is_ok());
    let words = refused(look(&with_node(Err(())), &image, &[]).await, Class::Unauthenticated);
    assert!(words.contains("the node's own login could not be had: the metadata service is away"), "{words}");
    assert!(look_afresh(&with_node(Err(())), &image, &[login(part.host_port())]).await.is_ok());
}
