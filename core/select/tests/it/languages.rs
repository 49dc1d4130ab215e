//! JSONPath, JMESPath and the lookup of properties.

use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_select::{Language, SelectFailure, select, select_first, select_property};

const DOCUMENT: &str = r#"{"users":[{"name":"ann","age":37,"keys":["k1","k2"]},{"name":"bob","age":2.50}],
    "big":12345678901234567890123,"exponent":1e3,"quote":"a\"b","null":null,"list":[1,2.50,-3],"a.b":"dotted","a":{"b":"nested"},
    "pw*":"star","pwd":"letters","@this":"named","é":"accent"}"#;

fn text(language: Language, path: &str) -> Result<Option<String>, SelectFailure> {
    let found = select(language, &SecretBytes::from(DOCUMENT.to_owned()), path)?;
    Ok(found.map(|value| value.expose_text().unwrap().to_owned()))
}

fn check(language: Language, path: &str, expected: Option<&str>) {
    assert_eq!(text(language, path).unwrap().as_deref(), expected, "{path}");
}

#[test]
fn jsonpath_selects_by_rfc_9535() {
    let check = |path, expected| check(Language::Jsonpath, path, expected);
    check("$.users[0].name", Some("ann"));
    check("$.users[*].name", Some(r#"["ann","bob"]"#));
    check("$.users[?@.age>2.4].name", Some(r#"["ann","bob"]"#));
    check("$.users[?@.age==2.5].name", Some("bob"));
    check("$.users[?@.name=='ann'].keys", Some(r#"["k1","k2"]"#));
    check("$['a.b']", Some("dotted"));
    check("$.users[1].age", Some("2.50"));
    check("$.big", Some("12345678901234567890123"));
    check("$.quote", Some("a\"b"));
    check("$.null", Some(""));
    check("$.nope", None);
    check("$.list[-1]", Some("-3"));
}

#[test]
fn jsonpath_has_the_functions_of_rfc_9535() {
    let check = |path, expected| check(Language::Jsonpath, path, expected);
    check("$.users[?length(@.keys)==2].name", Some("ann"));
    check("$.users[?count(@.*)==2].name", Some("bob"));
    check("$.users[?value(@.name)=='bob'].age", Some("2.50"));
    check("$.users[?match(@.name, 'a.n')].age", Some("37"));
    check("$.users[?match(@.name, 'a')].age", None);
    check("$.users[?match(@.name, 'x|bob')].age", Some("2.50"));
    check("$.users[?search(@.name, 'o')].age", Some("2.50"));
    check("$.users[?search(@.name, '^[a-c]{1}[^a-n]')].name", Some("bob"));
    // What is no text, or no regular expression, does not match.
    check("$.users[?match(@.age, '.*')]", None);
    check("$.users[?search(@.name, '(')]", None);
    check("$.users[?search(@.name, '((a{99}){99}){99}|.')]", None);
    check("$[?match(@, '\\u00e9|accent')]", Some("accent"));
}

#[test]
fn the_first_value_is_what_is_no_array() {
    let check = |path: &str, expected: Option<&str>| {
        let found = select_first(&SecretBytes::from(DOCUMENT.to_owned()), path).unwrap();
        assert_eq!(found.as_ref().map(|value| value.expose_text().unwrap()), expected, "{path}");
    };
    check("$.users[0].name", Some("ann"));
    check("$.users[*].name", Some("ann"));
    check("$.users[0].keys", Some("k1"));
    check("$.users[*].keys", Some("k1"));
    check("$.list", Some("1"));
    check("$.users[0]", Some(r#"{"name":"ann","age":37,"keys":["k1","k2"]}"#));
    check("$.null", Some(""));
    check("$.nope", None);
    check("$.list[5:]", None);
}

#[test]
fn a_dot_stands_for_no_line_end() {
    let found = |path: &str| {
        let document = SecretBytes::from(r#"["a\rb","a\nb","a\u2028b"]"#.to_owned());
        let found = select(Language::Jsonpath, &document, path).unwrap();
        found.map(|value| value.expose_text().unwrap().to_owned())
    };
    assert_eq!(found("$[?match(@, 'a.b')]").as_deref(), Some("a\u{2028}b"));
    assert_eq!(found("$[?search(@, 'a.b')]").as_deref(), Some("a\u{2028}b"));
}

#[test]
fn classes_of_unicode_are_refused() {
    for path in [r"$.users[?match(@.name, '\\p{Lu}.*')]", r"$.users[?search(@.name, '[\\P{L}]')]"] {
        let failure = text(Language::Jsonpath, path).unwrap_err();
        assert!(matches!(failure, SelectFailure::BadPath { .. }), "{failure}");
        assert!(failure.to_string().contains("classes of Unicode"), "{failure}");
    }
}

#[test]
fn jmespath_selects_with_numbers_as_numbers() {
    let check = |path, expected| check(Language::Jmespath, path, expected);
    check("users[0].name", Some("ann"));
    check("users[*].name", Some(r#"["ann","bob"]"#));
    check("users[?age>`2.4`].name", Some(r#"["ann","bob"]"#));
    check("users[?age==`2.5`].name | [0]", Some("bob"));
    check("users[1].age", Some("2.50"));
    check("big", Some("12345678901234567890123"));
    check("sum(list)", Some("0.5"));
    check("list[?@ < `1e0`]", Some("[-3]"));
    check("to_number('2.5') > `2.4`", Some("true"));
    check("to_number('x')", None);
    check("to_number('{}')", None);
    check("[`{\"n\": [1.5]}`, `-0.25`]", Some(r#"[{"n":[1.5]},-0.25]"#));
    check("join('-', users[0].keys)", Some("k1-k2"));
    check("max_by(users, &age).name", Some("ann"));
    check("type(exponent)", Some("number"));
    check("\"a.b\"", Some("dotted"));
    check("null", None);
    check("nope", None);
}

#[test]
fn a_property_is_a_key_first_and_a_path_second() {
    let document = SecretBytes::from(DOCUMENT.to_owned());
    let check = |property: &str, expected: Option<&str>| {
        let found = select_property(Language::Gjson, &document, property).unwrap();
        assert_eq!(found.as_ref().and_then(SecretBytes::expose_text), expected, "{property}");
    };
    check("a.b", Some("dotted"));
    check("a", Some(r#"{"b":"nested"}"#));
    check("users.0.name", Some("ann"));
    check("users.#(name==\"bob\").age", Some("2.5"));
    check("pw*", Some("star"));
    check("p*d", Some("letters"));
    check("@this", Some("named"));
    check("é", Some("accent"));
    check("nope", None);
    check("a.nope", None);
}

#[test]
fn what_is_wrong_is_said_and_the_document_is_not() {
    let check = |language, document: &str, path: &str, expected: &str| {
        let failure = select(language, &SecretBytes::from(document.to_owned()), path).unwrap_err();
        assert!(!failure.to_string().contains("canary"), "{failure}");
        assert!(failure.to_string().contains(expected), "{failure}");
        assert_eq!(Failure::from(failure).class, Class::Invalid);
    };
    check(Language::Jsonpath, "canary", "$.a", "the value is not JSON (line 1");
    check(Language::Jmespath, "{\"canary\": canary}", "a", "the value is not JSON (line 1");
    check(Language::Jsonpath, "{}", "users", "not a valid JSONPath");
    check(Language::Jmespath, "{}", "users[", "not a valid JMESPath");
    check(Language::Jmespath, "{}", "nope(@)", "not a valid JMESPath");
    check(Language::Jmespath, r#"{"canary":"canary"}"#, "abs(canary)", "not a valid JMESPath");
    check(Language::Jmespath, "{}", "&a", "no value");
}

#[test]
fn gjson_has_no_answer_where_the_document_is_not_json() {
    for document in ["", "plain text", "-----BEGIN PRIVATE KEY-----\nMIIE\n", "12345", "\u{0}\u{1}"] {
        let found = select(Language::Gjson, &SecretBytes::from(document.to_owned()), "password").unwrap();
        assert!(found.is_none(), "{document:?}");
    }
}
