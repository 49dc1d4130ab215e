//! Hostile paths and documents: each ends soon, with an error that names the limit, on a small stack.

use std::time::{Duration, Instant};

use strongroom_secret::SecretBytes;
use strongroom_select::{
    DOCUMENT_LIMIT, GjsonVersion, Language, PATH_LIMIT, QUERY_LIMIT, SelectFailure, select, select_gjson,
};

/// Selects on a thread with half the stack that worker threads have, so that a test build's larger frames fit too.
fn on_a_small_stack(
    select: impl FnOnce() -> Result<Option<SecretBytes>, SelectFailure> + Send + 'static,
) -> Option<SelectFailure> {
    let started = Instant::now();
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(select).unwrap();
    let failure = thread.join().unwrap().err();
    // Far above what it takes, even unoptimised on a busy machine; an exponential search would never end.
    assert!(started.elapsed() < Duration::from_secs(120));
    failure
}

fn gjson(document: String, path: String) -> Option<SelectFailure> {
    on_a_small_stack(move || select_gjson(GjsonVersion::V1_18, &SecretBytes::from(document), &path))
}

fn query(language: Language, document: &str, path: String) -> Option<SelectFailure> {
    let document = SecretBytes::from(document.to_owned());
    on_a_small_stack(move || select(language, &document, &path))
}

#[test]
fn sizes_are_checked_first() {
    let document = SecretBytes::new(vec![b' '; DOCUMENT_LIMIT + 1]);
    for language in [Language::Gjson, Language::Jsonpath, Language::Jmespath] {
        let failure = select(language, &document, "a").unwrap_err();
        assert_eq!(failure, SelectFailure::DocumentTooLarge { bytes: DOCUMENT_LIMIT + 1 });
    }
    let path = |limit: usize| "a".repeat(limit + 1);
    let too_long = |limit: usize| Some(SelectFailure::PathTooLong { bytes: limit + 1, limit });
    assert_eq!(gjson("{}".into(), path(PATH_LIMIT)), too_long(PATH_LIMIT));
    assert_eq!(query(Language::Jsonpath, "{}", path(QUERY_LIMIT)), too_long(QUERY_LIMIT));
    assert_eq!(query(Language::Jmespath, "{}", path(QUERY_LIMIT)), too_long(QUERY_LIMIT));
}

#[test]
fn depth_is_bounded() {
    let nested = |open: &str, count: usize| open.repeat(count);
    let check =
        |document: String, path: &str, expected| assert_eq!(gjson(document, path.to_owned()), expected, "{path:.40}");
    let deep = Some(SelectFailure::TooDeep);
    check(nested("{\"a\":", 2000), &vec!["a"; 2000].join("."), deep.clone());
    check(nested("[", 2000), &vec!["0"; 2000].join("."), deep.clone());
    check("{\"a\":1}".into(), &vec!["@this"; 600].join("|"), deep.clone());
    check("[[1]]".into(), &"#(".repeat(2000), None);
    check("[[[[1]]]]".into(), &format!("{}{}", "#(".repeat(1300), ")".repeat(1300)), None);
    check(nested("[", 3000) + &nested("]", 3000), &format!("{}{}", "#(".repeat(1300), ")".repeat(1300)), deep.clone());
    check("[1]".into(), &"[".repeat(4000), None);
    check("[1]".into(), &format!("{}0{}", "[".repeat(2000), "]".repeat(2000)), deep.clone());
    for modifier in ["@pretty", "@valid", "@flatten:{\"deep\":true}", "@dig:a"] {
        check(nested("[", 100_000) + &nested("]", 100_000), modifier, deep.clone());
    }
    check(nested("{\"a\":", 100_000), "@pretty", deep);
    // Neither a deep document nor a long path is deep by itself.
    check(nested("[", 1_000_000) + &nested("]", 1_000_000), "0.0.0|#", None);
    check(nested("{\"a\":", 100) + "1" + &nested("}", 100), &vec!["a"; 100].join("."), None);
}

#[test]
fn work_is_bounded() {
    let check = |document: String, path: &str| {
        assert_eq!(gjson(document, path.to_owned()), Some(SelectFailure::TooMuchWork), "{path:.40}")
    };
    let letters = "a".repeat(100_000);
    check(format!("{{\"{letters}\":1}}"), &("*a".repeat(20) + "*b*"));
    check(format!("[\"{letters}\"]"), &format!("#(%\"{}*b*\")", "*a".repeat(20)));
    let elements = vec!["[1]"; 100_000].join(",");
    check(format!("[{elements}]"), &format!("[{}]", vec!["#.#(=2)"; 400].join(",")));
    check(format!("[{}]", vec!["1"; 1_000_000].join(",")), "@reverse");
}

#[test]
fn results_are_bounded() {
    let check = |document: String, path: &str| {
        assert_eq!(gjson(document, path.to_owned()), Some(SelectFailure::ResultTooLarge), "{path:.40}")
    };
    check("[1,2,3]".into(), &vec!["[@this,@this]"; 30].join("|"));
    check("[\"\\\"\"]".into(), &vec!["@tostr"; 60].join("|"));
    let lines = vec!["[[{}]]"; 2000].join(",");
    check(format!("[{lines}]"), &format!("@pretty:{{\"indent\":\"{}\"}}", "\t".repeat(4000)));
}

#[test]
fn the_other_languages_are_bounded_too() {
    let bracketed =
        |open: &str, middle: &str, close: &str, count: usize| open.repeat(count) + middle + &close.repeat(count);
    let jmespath = |path: String| query(Language::Jmespath, "[[\"a\"],[\"b\"]]", path);
    assert_eq!(jmespath(bracketed("(", "a", ")", 500)), Some(SelectFailure::TooDeep));
    assert_eq!(jmespath("!".repeat(1000) + "a"), Some(SelectFailure::TooDeep));
    assert_eq!(jmespath("[*]".repeat(300)), Some(SelectFailure::TooDeep));
    assert_eq!(jmespath(vec!["a"; 500].join(".")), Some(SelectFailure::TooDeep));
    assert_eq!(jmespath(vec!["a"; 500].join("|")), Some(SelectFailure::TooDeep));
    assert_eq!(jmespath(vec!["a"; 60].join(".")), None);
    assert_eq!(jmespath(bracketed("(", "a", ")", 24)), None);
    assert_eq!(jmespath(bracketed("[", "@", "]", 24)), None);
    assert_eq!(jmespath("!".repeat(60) + "a"), None);
    assert_eq!(jmespath("[*]".repeat(30)), None);
    assert_eq!(jmespath("a".to_owned() + &"[?a]".repeat(30)), None);
    assert_eq!(jmespath("a".to_owned() + &"[0]".repeat(60)), None);
    assert_eq!(jmespath(vec!["[@,@][]"; 28].join("|")), Some(SelectFailure::ResultTooLarge));
    let jsonpath = |path: String| query(Language::Jsonpath, "[[\"a\"],[\"b\"]]", path);
    assert_eq!(jsonpath(format!("$[?{}]", bracketed("(", "@.a", ")", 400))), Some(SelectFailure::TooDeep));
    assert_eq!(jsonpath(format!("$[?{}]", bracketed("!(", "@.a", ")", 300))), Some(SelectFailure::TooDeep));
    assert_eq!(jsonpath(format!("$[?{}]", bracketed("count(", "@.a", ")", 120))), Some(SelectFailure::TooDeep));
    assert_eq!(jsonpath(format!("$[?{}]", bracketed("@[?", "@.a", "]", 200))), Some(SelectFailure::TooDeep));
    assert_eq!(jsonpath(format!("$[?{}]", bracketed("(", "@.a", ")", 7))), None);
    assert_eq!(jsonpath(format!("$[?{}]", bracketed("!(", "@.a", ")", 3))), None);
    assert_eq!(jsonpath("$".to_owned() + &".a".repeat(500)), None);
    assert!(jsonpath("$".to_owned() + &"..*".repeat(300)).is_some());
}

#[test]
fn regular_expressions_are_bounded() {
    // Every state of the expression is alive for every character of the largest text that expressions are tried on.
    let document = format!("[\"{}\"]", "a".repeat(260_000));
    for expression in ["(a?){150}b", "(a|aa)+b", "(((a?){40}){40}){40}b", ".*.*.*.*b"] {
        assert_eq!(
            query(Language::Jsonpath, &document, format!("$[?search(@, '{expression}')]")),
            None,
            "{expression}"
        );
    }
    let document = format!("[\"{}\"]", "a".repeat(270_000));
    let path = "$[?search(@, 'b')]".to_owned();
    assert_eq!(query(Language::Jsonpath, &document, path), Some(SelectFailure::TooMuchWork));
}
