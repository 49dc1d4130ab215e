//! What can be written, in either notation, and how mistakes are told.

use strongroom_policy::acl::Policy;

use super::acl;

fn problems(text: &str) -> Vec<String> {
    match Policy::parse("p", text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_openbao_takes_is_taken() {
    for text in [
        "",
        "  \n# nothing\n",
        "name = \"x\"\npath \"a\" {}",
        "path \"a\" { capabilities = [\"read\",] }",
        "path \"a\" { capabilities = [\"read\"], policy = \"write\" }",
        "path a { capabilities = [\"read\"] }",
        "\"path\" \"a\" { capabilities = [\"read\", \"read\"] }",
        "path \"a\" {} path \"b\" {}, path \"c\" {}",
        "path \"a\" { allowed_parameters { \"x\" = [] } }",
        "path \"a\" { allowed_parameters = { x = [1, true, \"x\", 1.5] \"y\" = [[\"p\"], {\"q\" = \"r\"}] } }",
        "path \"a\" { required_parameters = [1] }",
        "path \"a\" { min_wrapping_ttl = \"10\" max_wrapping_ttl = \"1h30m\" }",
        "path \"a\" { expiration = \"2030-01-01T00:00:00Z\" comment = \"x\" pagination_limit = \"5\" }",
        "path \"a\" { comment = <<EOF\nlong\nEOF\n}",
        "path \"a/*/b\" {} path \"/a\" {} path \"\" {}",
        "{}",
        "{\"path\": {\"a\": {\"capabilities\": [\"read\"], \"allowed_parameters\": {\"x\": []}}}}",
        "{\"path\": [{\"a\": {\"policy\": \"read\"}}, {\"b\": {\"policy\": \"read\"}}]}",
    ] {
        assert_eq!(problems(text), [""; 0], "{text}");
    }
}

#[test]
fn both_notations_say_the_same() {
    let hcl = acl(&["path \"a\" { capabilities = [\"read\"] }\npath \"a\" { capabilities = [\"list\"] }"]);
    let json = acl(&["{\"path\":{\"a\":{\"capabilities\":[\"read\"]},\"a\":{\"capabilities\":[\"list\"]}}}"]);
    assert_eq!(hcl.capability_names("a"), ["list", "read"]);
    assert_eq!(json.capability_names("a"), hcl.capability_names("a"));
    // Of paths that are there twice none is lost: the other one may be the one that denies.
    let json = acl(&["{\"path\":{\"a\":{\"capabilities\":[\"deny\"]},\"a\":{\"capabilities\":[\"list\"]}}}"]);
    assert_eq!(json.capability_names("a"), ["deny"]);
}

#[test]
fn a_mistake_is_told_with_its_line_path_and_argument() {
    let check = |text: &str, expected: &[&str]| assert_eq!(problems(text), expected, "{text}");
    check(
        "\npath \"a\" {\n  capabilities = [\"raed\"]\n}",
        &["line 3, path \"a\", capabilities: \"raed\" is no capability; there are create, delete, deny, list, patch, \
           read, scan, sudo, update"],
    );
    check(
        "path \"a\" { policy = \"frob\" }",
        &["line 1, path \"a\", policy: \"frob\" is no policy; there are deny, read, write and sudo"],
    );
    check(
        "path \"a\" { capabilities = \"read\" }",
        &["line 1, path \"a\", capabilities: must be a list of texts: [\"…\", \"…\"]"],
    );
    check(
        "path \"a\" { capabilities = [\"read\", [\"x\"]] }",
        &["line 1, path \"a\", capabilities: [1] must be a text"],
    );
    check(
        "path \"a\" { capabilities = [\"read\"]\n capabilities = [\"list\"] }",
        &["line 2, path \"a\", capabilities: is set twice in this block"],
    );
    check(
        "path \"a\" { allowed_parameters = { x = [], X = [] } }",
        &["line 1, path \"a\", allowed_parameters: \"X\" is there twice; names ignore case"],
    );
    check(
        "path \"a\" { denied_parameters = { x = \"hunter2\" } }",
        &["line 1, path \"a\", denied_parameters: \"x\" must be a list of values; an empty one stands for all"],
    );
    check(
        "path \"a\" {\n min_wrapping_ttl = \"10s\" max_wrapping_ttl = \"5s\" }",
        &["line 2, path \"a\", max_wrapping_ttl: is less than min_wrapping_ttl"],
    );
    check(
        "path \"a\" { min_wrapping_ttl = \"soon\" }",
        &["line 1, path \"a\", min_wrapping_ttl: must be a number of seconds, or a time such as \"90s\" or \"1h30m\""],
    );
    check(
        "path \"a\" { pagination_limit = -5 }",
        &["line 1, path \"a\", pagination_limit: must be a number of names, from 0"],
    );
    check(
        "path \"a\" { expiration = \"tomorrow\" }",
        &["line 1, path \"a\", expiration: must be a time such as \"2030-01-31T00:00:00Z\""],
    );
    check(
        "path \"a+*\" {}",
        &["line 1, path \"a+*\": \"+*\" is no pattern: \"+\" stands for a whole segment, \"*\" for any end"],
    );
    check("path \"a\" \"b\" {}", &["line 1: a path has one label, in double quotes"]);
    check("path = \"a\"", &["line 1: a path is written: path \"secret/data/app\" { … }"]);
    check("{\"path\": {\"a\": []}}", &["line 1: path \"a\" must be followed by a block: { … }"]);
    check("frob \"a\" {}", &["line 1: \"frob\" is not known here; a policy consists of path \"…\" { … }"]);
    // Each of several.
    let several = problems("path \"a\" { frob = 1 }\npath \"b\" { capabilities = [\"x\"] policy = true }");
    assert_eq!(several.len(), 3, "{several:?}");
}

#[test]
fn what_is_not_served_is_refused_where_ignoring_it_would_grant_more() {
    for argument in [
        "mfa_methods = [\"x\"]",
        "control_group = { ttl = \"1h\" }",
        "control_group { factor \"x\" { identity { group_names = [\"g\"] } } }",
        "list_scan_response_keys_filter_path = \"x\"",
    ] {
        let problems = problems(&format!("path \"a\" {{ {argument} }}"));
        assert!(problems.len() == 1 && problems[0].contains("is not served"), "{argument}: {problems:?}");
    }
}

#[test]
fn values_of_parameters_are_in_no_mistake() {
    for text in [
        "path \"a\" { allowed_parameters = { x = \"hunter2\" } }",
        "path \"a\" { allowed_parameters = { x = [\"hunter2\" \"b\"] } }",
        "path \"a\" { allowed_parameters = { x = [\"hunter2] } }",
        "path \"a\" { allowed_parameters = { x = [hunter2] } }",
        "path \"a\" { allowed_parameters = [\"hunter2\"] }",
    ] {
        let problems = problems(text);
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.contains("hunter2")), "{problems:?}");
    }
}
