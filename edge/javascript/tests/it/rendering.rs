//! How renderings are asked for, bounded and started.

use std::time::{Duration, Instant};

use strongroom_failure::Class;
use strongroom_javascript::{Encoding, Engine, Kind, Limits};

use crate::{engine, render, values};

#[tokio::test]
async fn values_are_read_as_the_original_reads_them_or_as_utf_8() {
    let data = [("x", "pässwörd€")];
    let original = engine(Limits::default());
    assert_eq!(render(&original, &data, &["<%= data.x %>"]).await, [Ok("pC$sswC6rdb\u{2}\u{2c}".to_owned())]);
    let fixed = engine(Limits::default()).with_encoding(Encoding::Utf8);
    assert_eq!(render(&fixed, &data, &["<%= data.x %>"]).await, [Ok("pässwörd€".to_owned())]);
}

#[tokio::test]
async fn any_name_is_a_key_of_the_values() {
    let engine = engine(Limits::default());
    let data = [("__proto__", "p"), ("constructor", "c"), ("tls.crt", "t")];
    let templates = ["<%= Object.entries(data).join('|') %> <%= data.__proto__ %>"];
    let expected = "__proto__,p|constructor,c|tls.crt,t p";
    assert_eq!(render(&engine, &data, &templates).await, [Ok(expected.to_owned())]);
    let sorted = engine.render(&values(&[data[2], data[1], data[0]]), &templates).await.unwrap();
    assert_eq!(sorted[0].as_ref().unwrap().expose_text(), Some(expected));
}

#[tokio::test]
async fn values_keep_the_order_in_which_they_are_given() {
    let data = [("b", "1"), ("a", "2"), ("1", "3"), ("b", "4")];
    let answers = render(&engine(Limits::default()), &data, &["<%= Object.entries(data).join('|') %>"]).await;
    assert_eq!(answers, [Ok("1,3|b,4|a,2".to_owned())]);
}

#[tokio::test]
async fn what_should_be_json_and_is_none_is_a_fault_that_does_not_tell_it() {
    let engine = engine(Limits::default()).with_encoding(Encoding::Json);
    let template = "<%= data.x.y %> canarycanary";
    assert_eq!(render(&engine, &[("x", "{\"y\":[1]}")], &[template]).await, [Ok("1 canarycanary".to_owned())]);
    let fault = render(&engine, &[("x", "canarycanary")], &[template]).await.pop().unwrap().unwrap_err();
    assert_eq!(fault.kind, Kind::Runtime);
    assert!(!fault.to_string().contains("canary"), "a value is told");
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_a_child_is_started() {
    let limits = Limits { template: 10, templates: 3, data: 8, ..Limits::default() };
    let engine = engine(limits);
    let answers = render(&engine, &[], &["<%= 1 %>", "<%= 1000 %>", "<%= 2 %>"]).await;
    let kinds: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|fault| fault.kind)).collect();
    assert_eq!(kinds, [Ok("1".to_owned()), Err(Kind::TemplateTooLarge), Ok("2".to_owned())]);
    assert_eq!(engine.render(&values(&[]), &["a"; 4]).await.unwrap_err().class, Class::Invalid);
    assert_eq!(engine.render(&values(&[("name", "value")]), &["a"]).await.unwrap_err().class, Class::Invalid);
    let nowhere = Engine::new("/nowhere".into(), Vec::new(), limits);
    assert!(nowhere.render(&values(&[]), &[]).await.unwrap().is_empty());
    assert!(nowhere.render(&values(&[]), &["<%= 100000 %>"]).await.unwrap()[0].is_err());
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_failure_and_one_that_does_not_answer_a_fault() {
    let fault = |program: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(Into::into).collect();
        let limits = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
        Engine::new(program.into(), arguments, limits)
    };
    let failure = fault("/nowhere", &[]).render(&values(&[]), &["a"]).await.unwrap_err();
    assert_eq!(failure.class, Class::Unavailable);
    for (program, arguments, kind) in [
        ("/bin/true", &[][..], Kind::Killed),
        ("/bin/cat", &[], Kind::Killed),
        ("/bin/sh", &["-c", "kill -9 $$"], Kind::Killed),
        ("/bin/sleep", &["60"], Kind::Time),
    ] {
        let answers = fault(program, arguments).render(&values(&[]), &["a", "b"]).await.unwrap();
        let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|fault| fault.kind)).collect();
        assert_eq!(kinds, [Some(kind); 2], "{program}");
    }
}

#[tokio::test]
async fn no_more_children_run_at_once_than_there_are_places() {
    let slow = ["<% for (const end = Date.now() + 200; Date.now() < end;); %>"];
    let engine = engine(Limits::default()).with_slots(1);
    let start = Instant::now();
    let both = tokio::join!(render(&engine, &[], &slow), render(&engine, &[], &slow));
    assert!(both.0[0].is_ok() && both.1[0].is_ok());
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

/// Prints what one rendering costs; run with `--nocapture`.
#[tokio::test]
async fn a_rendering_takes_milliseconds() {
    let engine = engine(Limits::default());
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        assert!(render(&engine, &[("x", "v")], &["<%= data.x %>"]).await[0].is_ok());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    eprintln!("one rendering: median {:?}, slowest {:?}", times[25], times[49]);
    assert!(times[25] < Duration::from_millis(500), "{:?}", times[25]);
}
