//! The agent against a scripted store on a paused clock, with real files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bench;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use strongroom_agent::{Agent, Hook, Process, Ready};
use strongroom_failure::Class;
use strongroom_process::Signal;
use tokio::time::{Instant, sleep};

use crate::bench::Bench;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const ONE: &str = "[{path: a, from: 'sr://fake/a'}]";

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_takes_nothing_away_and_is_told_when_it_begins_and_when_it_is_over() {
    let bench = Bench::new(ONE);
    bench
        .run(async {
            sleep(MINUTE).await;
            assert_eq!((bench.file("a"), bench.ready()), (Some("a-1".to_owned()), Ready::Yes));
            bench.store.set(|state| state.down = Some(Class::Unavailable));
            for _ in 0..60 {
                sleep(MINUTE).await;
                assert_eq!((bench.file("a"), bench.ready()), (Some("a-1".to_owned()), Ready::Yes));
            }
            bench.store.set(|state| {
                state.down = None;
                state.version = 2;
            });
            sleep(MINUTE + Duration::from_secs(2)).await;
            assert_eq!(bench.file("a").as_deref(), Some("a-2"));
        })
        .await;
    assert_eq!(bench.told("what was delivered stays"), 1, "{}", bench.log());
    assert_eq!(bench.told("up to date again\" since="), 1, "{}", bench.log());
}

#[tokio::test(start_paused = true)]
async fn before_the_first_delivery_the_reason_is_in_the_status_and_in_the_log_once_a_minute() {
    let bench = Bench::new("[{path: a, from: 'sr://fake/a'}, {path: b, from: 'sr://fake/b'}]");
    bench.store.set(|state| state.down = Some(Class::Unavailable));
    bench
        .run(async {
            sleep(MINUTE * 10).await;
            let Ready::No(reason) = bench.ready() else { panic!("nothing was delivered") };
            assert!(reason.contains("scripted") && reason.contains("1 more like it"), "{reason}");
            assert_eq!(bench.file("a"), None);
            bench.store.set(|state| state.down = Some(Class::Denied));
            sleep(MINUTE).await;
            bench.store.set(|state| state.down = None);
            sleep(MINUTE).await;
            assert_eq!((bench.file("b").as_deref(), bench.ready()), (Some("b-1"), Ready::Yes));
        })
        .await;
    let told = bench.told("failed to deliver secrets");
    assert!((6..=13).contains(&told), "{told}: {}", bench.log());
    assert!(bench.told("class=AccessDenied") >= 1, "{}", bench.log());
}

#[tokio::test(start_paused = true)]
async fn one_file_that_cannot_be_read_keeps_all_as_they_are() {
    let bench = Bench::new("[{path: a, from: 'sr://fake/a'}, {path: b, from: 'sr://fake/b'}]");
    bench
        .run(async {
            sleep(MINUTE).await;
            bench.store.set(|state| {
                state.version = 2;
                state.fails.insert("b".to_owned(), Class::NotFound);
            });
            sleep(MINUTE * 10).await;
            assert_eq!((bench.file("a").as_deref(), bench.file("b").as_deref()), (Some("a-1"), Some("b-1")));
            bench.store.set(|state| state.fails.clear());
            sleep(MINUTE * 2).await;
            assert_eq!((bench.file("a").as_deref(), bench.file("b").as_deref()), (Some("a-2"), Some("b-2")));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_optional_file_comes_and_goes_with_its_secret() {
    let bench = Bench::new("[{path: a, from: 'sr://fake/a'}, {path: b, from: 'sr://fake/b?optional'}]");
    bench.store.fail("b", Class::NotFound);
    bench
        .run(async {
            sleep(MINUTE).await;
            assert_eq!((bench.file("b"), bench.ready()), (None, Ready::Yes));
            bench.store.set(|state| state.fails.clear());
            sleep(MINUTE * 6).await;
            assert_eq!(bench.file("b").as_deref(), Some("b-1"));
            bench.store.fail("b", Class::Denied);
            sleep(MINUTE * 6).await;
            assert_eq!(bench.file("b").as_deref(), Some("b-1"), "a failure is no absence");
            bench.store.fail("b", Class::NotFound);
            sleep(MINUTE * 6).await;
            assert_eq!((bench.file("b"), bench.file("a").as_deref()), (None, Some("a-1")));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_lent_is_replaced_before_it_ends() {
    let bench = Bench::new("[{path: a, from: 'sr://fake/lent'}]");
    bench
        .run(async {
            sleep(Duration::from_secs(1)).await;
            let begin = Instant::now();
            while begin.elapsed() < HOUR {
                let shown = bench.file("a").unwrap();
                assert!(bench.store.lends(&shown), "{shown} after {:?}", begin.elapsed());
                sleep(Duration::from_secs(1)).await;
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rendered_or_written_is_tried_again_soon_and_keeps_what_was_delivered() {
    let template = r#"{{ if eq .value "a-2" }}{{ fail "wrong" }}{{ end }}{{ .value }}"#;
    let bench = Bench::new(&format!("[{{path: a, from: 'sr://fake/a', template: '{template}'}}]"));
    bench
        .run(async {
            sleep(MINUTE).await;
            bench.store.set(|state| state.version = 2);
            sleep(MINUTE * 10).await;
            assert_eq!(bench.file("a").as_deref(), Some("a-1"));
            bench.store.set(|state| state.version = 3);
            sleep(MINUTE * 2).await;
            assert_eq!(bench.file("a").as_deref(), Some("a-3"));
            // Somebody puts something in the place of its link.
            std::fs::remove_file(bench.path("a")).unwrap();
            std::fs::create_dir(bench.path("a")).unwrap();
            bench.store.set(|state| state.version = 4);
            sleep(MINUTE * 10).await;
            assert_eq!(bench.ready(), Ready::Yes);
            std::fs::remove_dir(bench.path("a")).unwrap();
            sleep(MINUTE * 2).await;
            assert_eq!(bench.file("a").as_deref(), Some("a-4"));
        })
        .await;
    assert_eq!(bench.told("what was delivered stays"), 2, "{}", bench.log());
    assert_eq!(bench.told("up to date again"), 2, "{}", bench.log());
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_close_are_told_once_and_a_hook_that_fails_is_tried_until_it_succeeds() {
    let pid_file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    let hook = Hook::Signal { signal: Signal::SIGTERM, process: Process::PidFile(pid_file.path().to_owned()) };
    let bench = Bench::new(ONE).telling(hook);
    let mut child = Command::new("sleep").arg("100").stdin(Stdio::null()).spawn().unwrap();
    bench
        .run(async {
            sleep(MINUTE).await;
            assert_eq!(bench.told("could not tell") + bench.told("told of changed files"), 0, "of the first delivery");
            for version in 2..=5 {
                bench.store.set(|state| state.version = version);
                bench.orders.read_now();
                sleep(Duration::from_millis(200)).await;
                assert_eq!(bench.file("a"), Some(format!("a-{version}")));
            }
            sleep(Duration::from_secs(1)).await;
            assert_eq!(bench.told("could not tell"), 1, "{}", bench.log());
            sleep(MINUTE * 10).await;
            let told = bench.told("could not tell");
            assert!((10..=18).contains(&told), "{told}: {}", bench.log());
            bench.store.set(|state| state.version = 6);
            sleep(MINUTE * 6).await;
            assert_eq!(bench.file("a").as_deref(), Some("a-6"), "a hook stops no renewal");
            std::io::Write::write_all(&mut pid_file.as_file(), format!("{}\n", child.id()).as_bytes()).unwrap();
            sleep(MINUTE + Duration::from_secs(2)).await;
            assert_eq!(bench.told("told of changed files"), 1, "{}", bench.log());
        })
        .await;
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_tells_of_what_has_changed_since_the_one_before_and_of_nothing_else() {
    let pid_file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    let hook = Hook::Signal { signal: Signal::SIGTERM, process: Process::PidFile(pid_file.path().to_owned()) };
    let bench = Bench::new(ONE).telling(hook);
    for (version, told) in [(1, 0), (1, 0), (2, 1)] {
        bench.store.set(|state| state.version = version);
        bench.run(sleep(Duration::from_millis(1500))).await;
        assert_eq!(bench.told("could not tell"), told, "{}", bench.log());
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_in_the_middle_of_a_read() {
    let bench = Bench::new(ONE);
    bench.store.set(|state| state.hangs = true);
    let begin = Instant::now();
    let orders = bench.orders.clone();
    let ends = async {
        sleep(Duration::from_millis(10)).await;
        orders.end();
    };
    tokio::join!(bench.agent().unwrap().run(bench.orders.clone()), ends);
    assert!(begin.elapsed() < Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn once_delivers_or_says_why_not() {
    let bench = Bench::new(ONE);
    bench.store.set(|state| state.down = Some(Class::Denied));
    let failures = bench.agent().unwrap().once().await.unwrap_err();
    assert_eq!((failures.len(), failures[0].class), (1, Class::Denied));
    assert_eq!(failures[0].subject.field.as_deref(), Some("a"));
    assert!(matches!(bench.ready(), Ready::No(_)));
    bench.store.set(|state| state.down = None);
    bench.agent().unwrap().once().await.unwrap();
    assert_eq!((bench.file("a").as_deref(), bench.ready()), (Some("a-1"), Ready::Yes));
}

#[tokio::test(start_paused = true)]
async fn what_no_retry_can_mend_is_said_before_anything_is_read() {
    let refused = |bench: &Bench| match Agent::open(bench.settings(), bench.resolver()) {
        Err(failure) => failure.to_string(),
        Ok(_) => panic!("it was opened"),
    };
    let bench = Bench::new("[{path: a, from: 'sr://vault/a'}]");
    assert!(refused(&bench).starts_with("a: ") && refused(&bench).contains("only fake is"), "{}", refused(&bench));
    let bench = Bench::new(ONE).telling(Hook::Url("ftp://localhost/".parse().unwrap()));
    assert!(refused(&bench).contains("http"), "{}", refused(&bench));
    let bench = Bench::new(ONE);
    let _first = bench.agent().unwrap();
    assert!(refused(&bench).contains("another process"), "{}", refused(&bench));
}
