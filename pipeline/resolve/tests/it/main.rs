//! The resolver against a scripted store, on a paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Lease, Limits, Provider, RemoteKey, RemoteValue, SecretBytes};
use strongroom_reference::ProviderKind;
use strongroom_resolve::{Ask, CacheSettings, Open, Place, Policy, Resolver};
use tokio::time::Instant;

/// A store whose answers are written down beforehand: what a real one will not give on demand.
struct Scripted {
    batch: usize,
    limits: Limits,
    delay: Duration,
    /// For a key, the classes that it fails with before it succeeds.
    failures: Mutex<HashMap<String, Vec<Class>>>,
    calls: Mutex<Vec<(Instant, Vec<String>)>>,
    flight: Mutex<(usize, usize)>,
}

impl Scripted {
    fn new(batch: usize) -> Self {
        Self {
            batch,
            limits: Limits { concurrency: 8, rate: 1000.0, burst: 1000 },
            delay: Duration::from_millis(20),
            failures: Mutex::default(),
            calls: Mutex::default(),
            flight: Mutex::default(),
        }
    }

    fn failing(self, key: &str, classes: &[Class]) -> Self {
        self.failures.lock().unwrap().insert(key.to_owned(), classes.to_vec());
        self
    }

    fn calls(&self) -> Vec<Vec<String>> {
        self.calls.lock().unwrap().iter().map(|(_, keys)| keys.clone()).collect()
    }

    fn most_in_flight(&self) -> usize {
        self.flight.lock().unwrap().1
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let mut failures = self.failures.lock().unwrap();
        match failures.get_mut(&key.name).filter(|classes| !classes.is_empty()) {
            Some(classes) => Err(Failure::new(classes.remove(0), "scripted").on_key(&key.name)),
            None => {
                let lease = key.name.starts_with("lent").then(|| lease(&key.name));
                Ok(RemoteValue { lease, ..RemoteValue::new(SecretBytes::from(key.name.to_uppercase()), None) })
            }
        }
    }
}

fn lease(id: &str) -> Lease {
    Lease { id: id.to_owned(), login: 1, duration: Duration::from_secs(60), is_renewable: true }
}

#[async_trait]
impl Provider for Scripted {
    fn describe(&self) -> String {
        "a scripted store".to_owned()
    }

    fn identity(&self) -> String {
        "nobody".to_owned()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let places: Vec<usize> = (0..keys.len()).collect();
        places.chunks(self.batch).map(|keys| Call { operation: "Read".to_owned(), keys: keys.to_vec() }).collect()
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        self.calls.lock().unwrap().push((Instant::now(), keys.iter().map(|key| key.name.clone()).collect()));
        {
            let mut flight = self.flight.lock().unwrap();
            flight.0 += 1;
            flight.1 = flight.1.max(flight.0);
        }
        tokio::time::sleep(self.delay).await;
        assert!(!keys.iter().any(|key| key.name == "panic"), "scripted");
        self.flight.lock().unwrap().0 -= 1;
        keys.iter().map(|key| self.answer(key)).collect()
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.calls.lock().unwrap().push((Instant::now(), vec![lease.id.clone()]));
        tokio::time::sleep(self.delay).await;
        self.answer(&RemoteKey::current(&lease.id)).map(|_| lease.clone())
    }
}

struct One(Arc<Scripted>);

impl Open for One {
    fn open(&self, place: &Place) -> Result<Arc<dyn Provider>, Failure> {
        match &place.store {
            Some(store) => Err(Failure::new(Class::Invalid, format!("no store named \"{store}\""))),
            None => Ok(Arc::clone(&self.0) as Arc<dyn Provider>),
        }
    }
}

fn resolver(store: Scripted, policy: Policy) -> (Arc<Resolver>, Arc<Scripted>) {
    let store = Arc::new(store);
    (Arc::new(Resolver::new(Arc::new(One(Arc::clone(&store))), policy)), store)
}

fn ask(name: &str) -> Ask {
    let place = Place { provider: ProviderKind::Fake, store: None, region: None };
    Ask { place, key: RemoteKey::current(name) }
}

fn asks(names: &[&str]) -> Vec<Ask> {
    names.iter().map(|name| ask(name)).collect()
}

fn shown(answers: &[Answer]) -> Vec<String> {
    let text = |value: &RemoteValue| value.value.expose_text().unwrap_or_default().to_owned();
    answers
        .iter()
        .map(|answer| answer.as_ref().map_or_else(|failure| failure.class.reason().to_owned(), text))
        .collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test(start_paused = true)]
async fn equal_asks_are_read_once_and_each_is_answered_in_its_place() {
    let (resolver, store) = resolver(Scripted::new(20), Policy::default());
    let answers = resolver.resolve(&asks(&["a", "b", "a", "c", "b"]), soon()).await;
    assert_eq!(shown(&answers), ["A", "B", "A", "C", "B"]);
    assert_eq!(store.calls(), [["a", "b", "c"]]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_as_large_as_the_store_allows_and_in_flight_together() {
    let (resolver, store) = resolver(Scripted::new(20), Policy::default());
    let names: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
    let start = Instant::now();
    let answers = resolver.resolve(&names.iter().map(|name| ask(name)).collect::<Vec<_>>(), soon()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(store.calls().iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 10]);
    assert_eq!(store.most_in_flight(), 3);
    assert_eq!(start.elapsed(), Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn one_bad_key_or_store_spoils_only_its_own_answer() {
    let (resolver, _) = resolver(Scripted::new(20).failing("bad", &[Class::NotFound]), Policy::default());
    let mut wanted = asks(&["a", "bad", "c"]);
    wanted.push(Ask { place: Place { store: Some("none".to_owned()), ..wanted[0].place.clone() }, ..ask("d") });
    assert_eq!(shown(&resolver.resolve(&wanted, soon()).await), ["A", "NotFound", "C", "Invalid"]);
}

#[tokio::test(start_paused = true)]
async fn askers_of_a_key_on_its_way_share_one_read() {
    let (resolver, store) = resolver(Scripted::new(20), Policy::default());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { resolver.resolve(&asks(&["a"]), soon()).await.remove(0).is_ok() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(store.calls(), [["a"]]);
}

#[tokio::test(start_paused = true)]
async fn who_reads_afresh_does_not_share_a_read_that_began_before() {
    let store = Arc::new(Scripted::new(20));
    let lane = strongroom_resolve::Lane::new(Arc::clone(&store) as Arc<dyn Provider>, Policy::default());
    let key = || vec![RemoteKey::current("a")];
    let early = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { lane.read(key(), soon()).await.remove(0).is_ok() }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(store.calls().len(), 1, "the first read is under way");
    assert!(lane.read_afresh(key(), soon()).await.remove(0).is_ok());
    assert!(early.await.unwrap());
    assert_eq!(store.calls().len(), 2);
    // What only waits in the queue is early enough.
    let both = tokio::join!(lane.read(key(), soon()), lane.read_afresh(key(), soon()));
    assert!(both.0[0].is_ok() && both.1[0].is_ok());
    assert_eq!(store.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_queues_while_the_slots_are_taken_becomes_one_batch() {
    let mut scripted = Scripted::new(20);
    scripted.limits.concurrency = 1;
    let (resolver, store) = resolver(scripted, Policy::default());
    let wanted = |name: &'static str| {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&asks(&[name]), soon()).await.remove(0).is_ok() })
    };
    let mut tasks = vec![wanted("a")];
    tokio::time::sleep(Duration::from_millis(1)).await;
    tasks.extend(["b", "c", "d"].into_iter().map(wanted));
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(store.calls(), [vec!["a"], vec!["b", "c", "d"]]);
}

#[tokio::test(start_paused = true)]
async fn what_many_ask_at_the_same_moment_is_one_batch() {
    let (resolver, store) = resolver(Scripted::new(20), Policy::default());
    let wanted = |name: &'static str| {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&asks(&[name]), soon()).await.remove(0).is_ok() })
    };
    let tasks: Vec<_> = ["a", "b", "c", "d"].into_iter().map(wanted).collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(store.calls(), [["a", "b", "c", "d"]]);
}

/// Asks for 20 keys at once, so that the store is known to take as many, then for one more each millisecond.
async fn trickled(delay: Duration) -> (Vec<usize>, Duration) {
    let (resolver, store) = resolver(Scripted { delay, ..Scripted::new(20) }, Policy::default());
    let names: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    let first = resolver.resolve(&names[..20].iter().map(|name| ask(name)).collect::<Vec<_>>(), soon()).await;
    assert!(first.iter().all(Result::is_ok));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for name in names.into_iter().skip(20) {
        let resolver = Arc::clone(&resolver);
        tasks.push(tokio::spawn(async move { resolver.resolve(&[ask(&name)], soon()).await.remove(0).is_ok() }));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for task in tasks {
        assert!(task.await.unwrap());
    }
    let calls = store.calls.lock().unwrap();
    (calls[1..].iter().map(|(_, keys)| keys.len()).collect(), calls[2].0 - start)
}

#[tokio::test(start_paused = true)]
async fn what_trickles_in_while_a_call_has_room_fills_the_next_one() {
    let (sizes, _) = trickled(Duration::from_millis(20)).await;
    assert_eq!(sizes, [1, 19]);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_room_that_hangs_holds_nobody_up_for_long() {
    let (sizes, second) = trickled(Duration::from_secs(5)).await;
    assert_eq!(sizes, [1, 19]);
    assert!(second <= Duration::from_millis(500), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_asked_again_is_and_only_that() {
    let store =
        Scripted::new(20).failing("flaky", &[Class::Unavailable, Class::Unavailable]).failing("bad", &[Class::Denied]);
    let (resolver, store) = resolver(store, Policy::default());
    let answers = resolver.resolve(&asks(&["a", "flaky", "bad"]), soon()).await;
    assert_eq!(shown(&answers), ["A", "FLAKY", "AccessDenied"]);
    assert_eq!(store.calls(), [vec!["a", "flaky", "bad"], vec!["flaky"], vec!["flaky"]]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_store_is_left_alone_for_as_long_as_it_asked() {
    let throttled = Class::Throttled { retry_after: Some(Duration::from_secs(3)) };
    let (resolver, store) = resolver(Scripted::new(1).failing("a", &[throttled]), Policy::default());
    let first = {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&asks(&["a"]), soon()).await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    assert_eq!(shown(&resolver.resolve(&asks(&["b"]), soon()).await), ["B"]);
    assert!(start.elapsed() >= Duration::from_millis(2500), "b was asked after {:?}", start.elapsed());
    assert_eq!(shown(&first.await.unwrap()), ["A"]);
    assert_eq!(store.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_outlasts_the_deadline_is_not_waited_for() {
    let throttled = Class::Throttled { retry_after: Some(Duration::from_secs(60)) };
    let (resolver, _) = resolver(Scripted::new(1).failing("a", &[throttled]), Policy::default());
    let start = Instant::now();
    assert_eq!(shown(&resolver.resolve(&asks(&["a"]), soon()).await), ["Throttled"]);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_outlasts_everybody_spares_the_store() {
    let throttled = Class::Throttled { retry_after: Some(Duration::from_secs(60)) };
    let mut scripted = Scripted::new(1).failing("a", &[throttled]);
    scripted.limits.concurrency = 1;
    let (resolver, store) = resolver(scripted, Policy::default());
    let start = Instant::now();
    let answers = resolver.resolve(&asks(&["a", "b", "c"]), soon()).await;
    assert_eq!(shown(&answers), ["Throttled", "Throttled", "Throttled"]);
    assert_eq!(answers[1].as_ref().unwrap_err().subject.key.as_deref(), Some("b"));
    assert_eq!(shown(&resolver.resolve(&asks(&["d"]), soon()).await), ["Throttled"]);
    assert_eq!((store.calls().len(), start.elapsed()), (1, Duration::from_millis(20)));
    assert_eq!(shown(&resolver.resolve(&asks(&["e"]), Instant::now() + Duration::from_secs(90)).await), ["E"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_loses_neither_its_slot_nor_those_who_wait() {
    let mut scripted = Scripted::new(1);
    scripted.limits.concurrency = 1;
    let (resolver, _) = resolver(scripted, Policy::default());
    assert_eq!(shown(&resolver.resolve(&asks(&["panic", "a"]), soon()).await), ["Invalid", "A"]);
    assert_eq!(shown(&resolver.resolve(&asks(&["panic"]), soon()).await), ["Invalid"]);
}

#[tokio::test(start_paused = true)]
async fn whose_time_runs_out_learns_why_the_last_try_failed() {
    let mut scripted = Scripted::new(1).failing("a", &[Class::Unavailable; 5]);
    // The second try is under way when the time is over.
    scripted.delay = Duration::from_millis(1500);
    let (resolver, _) = resolver(scripted, Policy::default());
    let failure = resolver.resolve(&asks(&["a"]), Instant::now() + Duration::from_secs(2)).await.remove(0).unwrap_err();
    assert_eq!((failure.class, failure.subject.store.as_deref()), (Class::Unavailable, Some("a scripted store")));
    assert!(failure.words.contains("deadline") && failure.words.contains("scripted"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_wait_for_a_store_that_never_answers() {
    let mut scripted = Scripted::new(1);
    scripted.delay = Duration::from_secs(3600);
    let (resolver, _) = resolver(scripted, Policy::default());
    let start = Instant::now();
    let answers = resolver.resolve(&asks(&["a"]), Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(shown(&answers), ["Unavailable"]);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_bucket_holds_calls_to_the_stores_rate() {
    let mut scripted = Scripted::new(1);
    scripted.limits = Limits { concurrency: 100, rate: 10.0, burst: 5 };
    let (resolver, store) = resolver(scripted, Policy::default());
    let names: Vec<String> = (0..25).map(|number| format!("k{number}")).collect();
    let start = Instant::now();
    let answers = resolver.resolve(&names.iter().map(|name| ask(name)).collect::<Vec<_>>(), soon()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(store.calls().len(), 25);
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1950) && took < Duration::from_millis(2300), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cached_value_is_served_fresh_and_stale_only_while_the_store_is_away() {
    let cache = CacheSettings { fresh: Duration::from_secs(10), stale: Duration::from_secs(100), capacity: 10 };
    let policy = Policy { attempts: 1, cache: Some(cache), ..Policy::default() };
    let (resolver, store) = resolver(Scripted::new(20), policy);
    let read = |expected: &'static str| {
        let resolver = Arc::clone(&resolver);
        async move { assert_eq!(shown(&resolver.resolve(&asks(&["a"]), soon()).await), [expected]) }
    };
    let script = |classes: &[Class]| store.failures.lock().unwrap().insert("a".to_owned(), classes.to_vec());
    read("A").await;
    read("A").await;
    assert_eq!(store.calls().len(), 1, "the second read was fresh");
    tokio::time::advance(Duration::from_secs(11)).await;
    script(&[Class::Unavailable]);
    read("A").await;
    assert_eq!(store.calls().len(), 2, "the stale value came after asking");
    script(&[Class::Denied, Class::Unavailable]);
    read("AccessDenied").await;
    read("Unavailable").await;
    read("A").await;
    tokio::time::advance(Duration::from_secs(101)).await;
    script(&[Class::Unavailable]);
    read("Unavailable").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_lent_to_one_is_kept_for_nobody_else() {
    let cache = CacheSettings { fresh: Duration::from_secs(10), stale: Duration::from_secs(100), capacity: 10 };
    let policy = Policy { attempts: 1, cache: Some(cache), ..Policy::default() };
    let (resolver, store) = resolver(Scripted::new(20), policy);
    for _ in 0..2 {
        assert_eq!(shown(&resolver.resolve(&asks(&["lent"]), soon()).await), ["LENT"]);
    }
    assert_eq!(store.calls().len(), 2);
    store.failures.lock().unwrap().insert("lent".to_owned(), vec![Class::Unavailable]);
    assert_eq!(shown(&resolver.resolve(&asks(&["lent"]), soon()).await), ["Unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_tried_by_the_same_policy_and_until_the_deadline() {
    let scripted = Scripted::new(20)
        .failing("passes", &[Class::Unavailable, Class::Throttled { retry_after: Some(Duration::from_secs(3)) }])
        .failing("over", &[Class::Invalid])
        .failing("away", &[Class::Unavailable; 9]);
    let (resolver, store) = resolver(scripted, Policy::default());
    let place = ask("any").place;
    let renew = async |id: &str| resolver.renew(&place, &lease(id), soon()).await.map_err(|failure| failure.class);
    let start = Instant::now();
    assert_eq!(renew("passes").await, Ok(lease("passes")));
    assert!(start.elapsed() >= Duration::from_secs(3), "the store asked for patience");
    assert_eq!(renew("over").await, Err(Class::Invalid));
    assert_eq!(renew("away").await, Err(Class::Unavailable));
    let calls = |id: &str| store.calls().iter().filter(|ids| ids[0] == id).count();
    assert_eq!((calls("passes"), calls("over"), calls("away")), (3, 1, 5));
    let soon = Instant::now() + Duration::from_millis(10);
    let late = resolver.renew(&place, &lease("late"), soon).await.unwrap_err();
    assert!(late.words.contains("the renewal was not over before the deadline"), "{late}");
    let unknown = Place { store: Some("none".to_owned()), ..place.clone() };
    assert_eq!(resolver.renew(&unknown, &lease("x"), soon).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test]
async fn a_plan_says_its_cost_without_reading() {
    let (resolver, store) = resolver(Scripted::new(2), Policy::default());
    let calls = resolver.cost(&asks(&["a", "b", "a", "c"])).unwrap();
    assert_eq!(calls.iter().map(|call| call.keys.clone()).collect::<Vec<_>>(), [vec!["a", "b"], vec!["c"]]);
    assert_eq!((calls[0].operation.as_str(), calls[0].identity.as_str()), ("Read", "nobody"));
    assert!(store.calls().is_empty());
}
