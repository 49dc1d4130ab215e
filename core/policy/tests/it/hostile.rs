//! Tricks with paths: none may be read that a reader of the policy would think denied. A path is text here, so that
//! each of these is another path than the one that it resembles.

use strongroom_policy::acl::{Operation, Policy};

use super::{OPERATIONS, acl, is_allowed};

/// Team a may read its own, and nothing of team b nor the one secret that is denied.
const TEAM_A: &str = r#"
path "secret/data/team-a/*"        { capabilities = ["read", "list"] }
path "secret/data/team-a/root"     { capabilities = ["deny"] }
path "secret/data/team-a/vault/*"  { capabilities = ["deny"] }
path "secret/data/+/public"        { capabilities = ["read"] }
path "secret/metadata/team-a"      { capabilities = ["list"] }
"#;

/// Capabilities of a folder are those of its name without a slash; no operation is allowed by that.
const LISTED: &str = "secret/data/team-b/public/";

#[test]
fn the_policy_itself_works() {
    let acl = acl(&[TEAM_A]);
    for path in ["secret/data/team-a/x", "secret/data/team-a/x/y", "secret/data/team-b/public"] {
        assert!(is_allowed(&acl, Operation::Read, path), "{path}");
    }
    assert!(is_allowed(&acl, Operation::List, "secret/metadata/team-a/"));
}

#[test]
fn no_trick_reaches_what_is_denied() {
    let acl = acl(&[TEAM_A]);
    let tricks = [
        // Others' paths, near and far.
        "",
        "/",
        "*",
        "+",
        "secret",
        "secret/",
        "secret/data",
        "secret/data/",
        "secret/data/team-a",
        "secret/data/team-ab/x",
        "secret/data/team-b/x",
        "secret/data/+/x",
        "secret/data/*",
        LISTED,
        "secret/data/team-b/public/x",
        "secret/data/team-b/x/public",
        "secret/data//team-b/public",
        // Upwards, beside and around.
        "secret/data/team-b/../team-a/x",
        "secret/../secret/data/team-b/x",
        "./secret/data/team-a/x",
        "../secret/data/team-a/x",
        "secret/./data/team-a/x",
        "secret//data/team-a/x",
        "secret/data//team-a/x",
        "secret\\data\\team-a\\x",
        // What is denied, with and without decoration that a list would take off.
        "secret/data/team-a/root",
        "/secret/data/team-a/root",
        "//secret/data/team-a/root",
        "secret/data/team-a/vault/x",
        "secret/data/team-a/vault/",
        "secret/data/team-a/vault//x",
        "secret/data/team-a/vault/../vault/x",
        // Letters that look alike, in other cases and in other forms.
        "SECRET/data/team-a/x",
        "secret/data/Team-A/x",
        "secret/data/team\u{2010}a/x",
        "secret/data/te\u{430}m-a/x",
        "secret/data/team-a\u{200b}/x",
        "secret\u{2215}data\u{2215}team-a\u{2215}x",
        "\u{feff}secret/data/team-a/x",
        " secret/data/team-a/x",
        "secret/data/team-a\0/x",
        // Encoded once more than was decoded.
        "secret%2fdata%2fteam-a%2fx",
        "secret/data/team-a%2fx",
        "secret/data/team-a%252fx",
        "secret%2F..%2Fsecret/data/team-a/x",
        "secret/data/%74eam-a/x",
        // Without the API's own words.
        "v1/secret/data/team-a/x",
        "secret/team-a/x",
        "secret/metadata/team-a/x",
        "secret/metadata/team-b",
    ];
    for path in tricks {
        for operation in OPERATIONS {
            assert!(!is_allowed(&acl, operation, path), "{operation:?} {path:?}");
        }
        // What is asked about a folder is what a list of it would be told.
        assert_eq!(acl.capability_names(path), if path == LISTED { vec!["read"] } else { vec!["deny"] }, "{path:?}");
    }
}

#[test]
fn what_is_granted_below_a_folder_stays_text_below_it() {
    // A prefix takes whatever follows. A server that resolved `..` afterwards would act on another path than was
    // allowed; it must refuse such a path, or act on this text.
    let acl = acl(&[TEAM_A]);
    assert!(is_allowed(&acl, Operation::Read, "secret/data/team-a/../team-b/x"));
    assert!(is_allowed(&acl, Operation::Read, "secret/data/team-a/root/"));
    assert!(!is_allowed(&acl, Operation::Read, "secret/data/team-b/x"));
    assert!(!is_allowed(&acl, Operation::Read, "secret/data/team-a/root"));
}

#[test]
fn long_paths_and_many_branches_end_soon() {
    // Each level has both a literal and a plus: a walk that tried every way would take 2^40 steps.
    let mut text = String::new();
    for plus in 0..40 {
        let path: Vec<&str> = (0..40).map(|place| if place == plus { "+" } else { "a" }).collect();
        text.push_str(&format!("path \"{}\" {{ capabilities = [\"read\"] }}\n", path.join("/")));
        text.push_str(&format!("path \"{}a*\" {{ capabilities = [\"list\"] }}\n", "+/".repeat(plus)));
        text.push_str(&format!("path \"{}\" {{ capabilities = [\"read\"] }}\n", "a".repeat(plus + 1) + "*"));
    }
    let acl = acl(&[&text]);
    let path = vec!["a"; 40].join("/");
    assert!(is_allowed(&acl, Operation::Read, &path));
    assert!(!is_allowed(&acl, Operation::Read, &"b/".repeat(500_000)));
    assert!(is_allowed(&acl, Operation::Read, &"a".repeat(1_000_000)));
}

#[test]
fn the_size_of_a_policy_is_bounded() {
    let check = |text: String, expected: &str| {
        let problems = Policy::parse("p", &text).unwrap_err();
        assert!(problems.len() <= 20, "{}", problems.len());
        assert!(problems.iter().any(|problem| problem.to_string().contains(expected)), "{problems:?}");
    };
    check(" ".repeat(1024 * 1024 + 1), "the limit is 1048576");
    check("path \"a\" {}\n".repeat(10_001), "more than 10000 paths");
    check(format!("{{\"path\":{{{}\"b\":{{}}}}}}", "\"a\":{},".repeat(10_000)), "more than 10000 paths");
    check(format!("path \"{}\" {{}}", "a".repeat(4097)), "the path is 4097 bytes long; the limit is 4096");
    check("path \"a\" { frob = 1 }\n".repeat(9_000), "is not known");
    check(format!("path \"a\" {{ {} }}", "frob = 1 ".repeat(9_000)), "is not known");
}
