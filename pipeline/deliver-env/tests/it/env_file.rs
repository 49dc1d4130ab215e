use proptest::prelude::*;
use strongroom_deliver_env::parse_env_file;

fn check(text: &str, expected: &[&str]) {
    let entries = parse_env_file(text.as_bytes()).unwrap_or_else(|failure| panic!("{text:?}: {failure}"));
    let shown: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(entry.expose()).into_owned()).collect();
    assert_eq!(shown, expected, "{text:?}");
}

fn check_error(text: &str, words: &str) {
    let failure = parse_env_file(text.as_bytes()).expect_err(text);
    assert!(failure.to_string().contains(words), "{text:?}: {failure}");
    assert!(!failure.to_string().contains("canary"), "a failure never shows the line");
}

#[test]
fn lines_are_assignments_comments_or_blank() {
    check("", &[]);
    check("A=1\nB=2", &["A=1", "B=2"]);
    check("\u{feff}A=1\r\n\r\n  # note\nexport \t B = two words \n", &["A=1", "B=two words"]);
    check("A=\nB==x=", &["A=", "B==x="]);
    check("A=vault:secret/data/app#password\n", &["A=vault:secret/data/app#password"]);
}

#[test]
fn quotes_keep_blanks_and_lines() {
    check("A='$x \\n # y' # note\n", &["A=$x \\n # y"]);
    check("A=\"a\\tb\\\"\\\\\\$\"\n", &["A=a\tb\"\\$"]);
    check("A=\"one\ntwo\"\nB=3", &["A=one\ntwo", "B=3"]);
}

#[test]
fn a_wrong_line_is_named_by_its_number() {
    check_error("A=1\ncanary", "line 2: expected NAME=VALUE");
    check_error("A B=canary", "line 1: the name");
    check_error("=canary", "line 1: the name");
    check_error("A='canary", "never closed");
    check_error("A='canary'x", "follows the closing quote");
    check_error("A=\"\\canary\"", "an escape");
    check_error("A=canary\0", "NUL");
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in ".{0,200}") {
        let _ = parse_env_file(text.as_bytes());
    }

    #[test]
    fn what_is_quoted_comes_back(value in "[^'\\x00]{0,40}") {
        let entries = parse_env_file(format!("A='{value}'").as_bytes()).unwrap();
        // A line's own end is not part of a value: \r\n reads as \n.
        let expected = format!("A={value}").replace("\r\n", "\n");
        prop_assert_eq!(entries[0].expose(), expected.as_bytes());
    }
}
