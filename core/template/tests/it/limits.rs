//! Templates that mean harm end with an error, soon, and with the stack whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use strongroom_template::Settings;

use crate::{render, render_with, settings};

/// The template ends with an error that holds `words`, well before anybody loses patience.
fn check(template: &str, words: &str) {
    let begun = Instant::now();
    let failure = render(template, Json::Null).unwrap_err().to_string();
    let shown: String = template.chars().take(200).collect();
    assert!(failure.contains(words), "{shown}: {failure}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{shown}: {:?}", begun.elapsed());
}

#[test]
fn strings_are_bounded_before_they_are_made() {
    let long = "a string would be longer than";
    check(r#"{{ repeat 1000000000 "x" }}"#, long);
    check(r#"{{ repeat 9223372036854775807 "xy" }}"#, long);
    check(r#"{{ indent 1000000000 "x" }}"#, long);
    check(
        r#"{{ printf "%999999d%999999d%999999d%999999d%999999d%999999d%999999d%999999d%999999d" 1 2 3 4 5 6 7 8 9 }}"#,
        long,
    );
    check(r#"{{ randAlphaNum 1000000000 }}"#, long);
    check(r#"{{ randBytes 1000000000 }}"#, long);
    check(r#"{{ $x := repeat 100000 "a" }}{{ replace "a" $x $x }}"#, long);
    check(r#"{{ $x := repeat 100000 "a" }}{{ regexReplaceAll "a" $x $x }}"#, long);
    check(r#"{{ $x := repeat 30000 "a" }}{{ regexReplaceAll "a+" $x (repeat 1000 "${0}") }}"#, long);
    check(r#"{{ $x := repeat 4000000 "a" }}{{ $x }}{{ $x }}"#, "the output is longer than");
    check(r#"{{ $x := "a" }}{{ range until 100 }}{{ $x = repeat 8000000 "x" }}{{ end }}"#, "makes more than");
}

#[test]
fn loops_and_lists_are_bounded() {
    let steps = "more than 1000000 steps";
    check("{{ until 1000000000 }}", steps);
    check("{{ untilStep 0 9223372036854775807 1 }}", steps);
    check("{{ seq 1 1000000000 }}", steps);
    check("{{ range 1000000000000 }}{{ end }}", steps);
    check("{{ range until 2000 }}{{ range until 2000 }}{{ end }}{{ end }}", steps);
    check("{{ $l := list }}{{ range until 100000 }}{{ $l = append $l 1 }}{{ end }}", steps);
    // Doubling makes a value of 2^40 elements out of forty lists.
    check(r#"{{ $l := list "x" }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ $l }}"#, steps);
    check(
        r#"{{ $l := list "x" }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ deepEqual $l (deepCopy $l) }}"#,
        steps,
    );
    check(r#"{{ fromJson (printf "[%s0]" (repeat 2000000 "0,")) }}"#, steps);
    check("{{ fromYaml .x }}", "nil data");
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &('b'..='k')
            .map(|name| {
                let before = char::from(name as u8 - 1);
                format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(","))
            })
            .collect::<String>();
    let failure = render("{{ fromYaml .bomb }}", json!({ "bomb": bomb })).unwrap_err();
    assert!(failure.to_string().contains("steps"), "{failure}");
}

#[test]
fn nesting_is_bounded_and_never_takes_the_stack() {
    let deep = |open: &str, middle: &str, close: &str| open.repeat(30_000) + middle + &close.repeat(30_000);
    let nesting = "nesting is deeper than";
    check(&format!("{{{{ {} }}}}", deep("(", "1", ")")), nesting);
    check(&deep("{{ if true }}", "x", "{{ end }}"), nesting);
    check(
        &("{{ if true }}{{ else if true }}".to_owned() + &"{{ else if true }}".repeat(30_000) + "{{ end }}"),
        nesting,
    );
    check(&deep("{{ block \"x\" . }}", "x", "{{ end }}"), nesting);
    check(r#"{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}"#, nesting);
    check(
        r#"{{ define "a" }}{{ if true }}{{ template "b" . }}{{ end }}{{ end }}{{ define "b" }}{{ with 1 }}{{ template "a" (print (print (print .))) }}{{ end }}{{ end }}{{ template "a" . }}"#,
        nesting,
    );
    check("{{ $l := list }}{{ range until 10000 }}{{ $l = list $l }}{{ end }}{{ $l }}", "nested deeper");
    check("{{ $l := list }}{{ range until 10000 }}{{ $l = list $l }}{{ end }}{{ toJson $l }}", "nested deeper");
    check("{{ $l := list }}{{ range until 10000 }}{{ $l = list $l }}{{ end }}{{ deepCopy $l }}", "nested deeper");
    // What is nested too deep to be printed can still be dropped.
    let dropped = "{{ $l := list }}{{ range until 100000 }}{{ $l = list $l }}{{ end }}{{ $d := dict }}{{ range until 50000 }}{{ $d = dict \"a\" $d }}{{ end }}ok";
    assert_eq!(render(dropped, Json::Null).unwrap(), "ok");
    assert_eq!(render(&format!("{{{{ fromJson `{}` | toJson }}}}", "[".repeat(5000)), Json::Null).unwrap(), "null");
    let deep_yaml = format!("{{{{ fromYaml `a: {}` | toJson }}}}", "[".repeat(3000));
    assert!(render(&deep_yaml, Json::Null).unwrap().contains("could not parse it"));
}

#[test]
fn a_dict_that_holds_itself_is_no_trap() {
    check(r#"{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ $d }}"#, "nested deeper");
    check(r#"{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ toYaml $d }}"#, "nested deeper");
    check(r#"{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ deepEqual $d (dict "a" $d) }}"#, "nested deeper");
    check(
        r#"{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ mergeOverwrite (dict "a" (dict "a" 1)) $d | toJson }}"#,
        "nested deeper",
    );
    assert_eq!(render(r#"{{ $d := dict }}{{ $_ := set $d "a" $d }}ok"#, Json::Null).unwrap(), "ok");
}

#[test]
fn worker_threads_have_stack_enough_for_the_deepest_template() {
    let nested =
        "{{ if true }}".repeat(60) + "{{ template \"r\" (print (print (print (print .)))) }}" + &"{{ end }}".repeat(60);
    let template = format!("{{{{ define \"r\" }}}}{nested}{{{{ end }}}}{{{{ template \"r\" . }}}}");
    let worker = std::thread::Builder::new().stack_size(1 << 20);
    let done = worker.spawn(move || render(&template, Json::Null).unwrap_err().to_string()).unwrap().join().unwrap();
    assert!(done.contains("nesting is deeper than"), "{done}");
}

#[test]
fn patterns_keys_and_time_are_bounded() {
    check(r#"{{ regexMatch "(?:a{1000}){1000}" "x" }}{{ mustRegexMatch "(?:a{1000}){1000}" "x" }}"#, "needs more than");
    check(r#"{{ range until 10000 }}{{ $_ := regexMatch "a" "a" }}{{ end }}"#, "steps");
    check(r#"{{ range until 100 }}{{ $_ := genPrivateKey "ecdsa" }}{{ end }}"#, "asks for more than 16 keys");
    check(r#"{{ range until 100 }}{{ $_ := bcrypt "x" }}{{ end }}"#, "asks for more than 16 keys");
    check(r#"{{ genPrivateKey "dsa" }}"#, "DSA is no longer made");
    check(r#"{{ genCA "x" 100000000 }}"#, "106751 days");
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let expired = move || counter.fetch_add(1, Ordering::Relaxed) >= 3;
    let settings = Settings { is_expired: Some(Arc::new(expired)), ..settings() };
    let failure = render_with("{{ range 900000 }}{{ end }}", Json::Null, &settings).unwrap_err();
    assert!(failure.to_string().contains("takes longer than it may"), "{failure}");
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[test]
fn a_template_has_a_greatest_length() {
    let failure = render(&"x".repeat((1 << 20) + 1), Json::Null).unwrap_err().to_string();
    assert!(failure.contains("the template has 1048577 bytes, and 1048576 are allowed"), "{failure}");
}
