//! Errors say where and what, and never a value.

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_template::{Settings, function_names};

use crate::{render, render_with, settings};

#[test]
fn errors_name_line_column_and_culprit() {
    let check = |template: &str, expected: &str| {
        let failure = render(template, json!({ "m": { "k": "v" } })).unwrap_err();
        assert_eq!(failure.to_string(), expected);
        let failure = Failure::from(failure);
        assert_eq!((failure.class, failure.words.as_str()), (Class::Invalid, expected));
    };
    check(
        "a\nb {{ .m.missing }}",
        "template: test:2:7: executing \"test\" at <.m.missing>: map has no entry for key \"missing\"",
    );
    check("{{ upper 1 }}", "template: test:1:9: executing \"test\" at <number>: expected string; found number");
    check(
        "{{ define \"x\" }}{{ .q }}{{ end }}\n{{ template \"x\" .m }}",
        "template: test:1:19: executing \"x\" at <.q>: map has no entry for key \"q\"",
    );
    check("{{ if }}{{ end }}", "template: test:1:6: missing value for if");
    check("{{ nope 1 }}", "template: test:1:3: function \"nope\" not defined");
    check(
        "é{{ fail \"no such user\" }}",
        "template: test:1:5: executing \"test\" at <fail>: error calling fail: no such user",
    );
}

#[test]
fn no_error_holds_a_value() {
    let canary = "canary-7f3a";
    let data = json!({ "v": canary, "n": 424242.0, "l": [canary], "m": { "k": canary } });
    let arguments =
        [".v", "\"canary-7f3a\"", ".l", ".m", "(list .v .v)", "(dict .v .v)", ".n", "(int .n)", "nil", "now"];
    let mut failures = 0;
    let names = function_names();
    for name in names.iter().filter(|name| !name.starts_with("gen")) {
        for count in 0..5 {
            for (first, other) in arguments
                .iter()
                .enumerate()
                .flat_map(|(index, first)| [(first, arguments[(index + 1) % 10]), (first, first)])
            {
                let rest = vec![other; count].join(" ");
                for template in
                    [format!("{{{{ {name} {first} {rest} }}}}"), format!("{{{{ {rest} | {name} {first} }}}}")]
                {
                    if let Err(failure) = render(&template, data.clone()) {
                        failures += 1;
                        let shown = format!("{failure} {failure:?}");
                        let is_literal_fail = *name == "fail" && template.contains('"') && !shown.contains("computed");
                        assert!(
                            is_literal_fail || !shown.contains("canary") && !shown.contains("424242"),
                            "{template}: {shown}"
                        );
                    }
                }
            }
        }
    }
    assert!(failures > 5000, "{failures}");
    let parsed = [
        "{{ \"canary-7f3a }}",
        "{{ \"canary-7f3a\\q\" }}",
        "{{ if \"canary-7f3a\".x }}",
        "{{ 'canary-7f3a' }}",
        "{{ define 1 \"canary-7f3a\" }}",
    ];
    for template in parsed {
        let shown = render(template, data.clone()).unwrap_err().to_string();
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn delimiters_are_set_and_empty_ones_are_the_usual() {
    let data = json!({ "a": "x" });
    let with = |left: &str, right: &str| Settings {
        left_delimiter: left.to_owned(),
        right_delimiter: right.to_owned(),
        ..settings()
    };
    assert_eq!(render_with("[[ .a ]] {{ .a }}", data.clone(), &with("[[", "]]")).unwrap(), "x {{ .a }}");
    assert_eq!(render_with("a <%- .a -%> b", data.clone(), &with("<%", "%>")).unwrap(), "axb");
    assert_eq!(render_with("{{ .a }}", data, &with("", "")).unwrap(), "x");
}
