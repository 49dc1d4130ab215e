//! Templates over the identity of a login.

use std::collections::BTreeMap;

use strongroom_policy::acl::{Alias, Entity, Group, Identity, Operation, Policy};

use super::{acl_of, is_allowed, parsed};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn app(team: &str) -> Identity {
    let alias = Alias {
        accessor: "auth_kubernetes_1".to_owned(),
        id: "alias-id".to_owned(),
        name: "uid".to_owned(),
        metadata: map(&[("service_account_namespace", "shop"), ("with.dot", "dotted")]),
        custom_metadata: map(&[("tier", "gold")]),
    };
    let entity = Entity {
        id: "entity-id".to_owned(),
        name: "app".to_owned(),
        metadata: map(&[("team", team)]),
        aliases: vec![alias],
    };
    let group = Group { id: "g1".to_owned(), name: "ops".to_owned(), metadata: map(&[("floor", "3")]) };
    Identity { entity: Some(entity), groups: vec![group] }
}

fn reads(path: &str, identity: &Identity, asked: &str) -> bool {
    let acl = acl_of(&[&format!("path \"{path}\" {{ capabilities = [\"read\"] }}")], identity);
    is_allowed(&acl, Operation::Read, asked)
}

#[test]
fn each_fact_of_an_identity_stands_in_its_place() {
    let check = |template: &str, value: &str| {
        let path = format!("s/{{{{{template}}}}}/x");
        assert!(reads(&path, &app("a"), &format!("s/{value}/x")), "{template}");
        assert!(!reads(&path, &app("a"), &format!("s/{{{{{template}}}}}/x")), "{template}");
        assert!(!reads(&path, &Identity::default(), &format!("s/{value}/x")), "{template}");
    };
    check("identity.entity.id", "entity-id");
    check(" identity.entity.name ", "app");
    check("identity.entity.metadata.team", "a");
    check("identity.entity.aliases.auth_kubernetes_1.id", "alias-id");
    check("identity.entity.aliases.auth_kubernetes_1.name", "uid");
    check("identity.entity.aliases.auth_kubernetes_1.metadata.service_account_namespace", "shop");
    check("identity.entity.aliases.auth_kubernetes_1.metadata.with.dot", "dotted");
    check("identity.entity.aliases.auth_kubernetes_1.custom_metadata.tier", "gold");
    check("identity.groups.ids.g1.name", "ops");
    check("identity.groups.names.ops.id", "g1");
    check("identity.groups.names.ops.metadata.floor", "3");
    assert!(reads("{{identity.entity.name}}/{{identity.entity.metadata.team}}*", &app("a"), "app/a/b"));
    assert!(reads("s/{{identity.entity.metadata.team}}/*", &app("a/b"), "s/a/b/c"));
    assert!(reads("{{identity.entity.metadata.team}}/x", &app("/a"), "a/x"));
}

#[test]
fn a_value_is_never_a_wildcard() {
    let path = "s/{{identity.entity.metadata.team}}";
    for team in ["*", "+", "a*", "+/x", "x/+"] {
        for asked in ["s/", "s/a", "s/ab", "s/b/x", "s/x/b"] {
            assert!(!reads(path, &app(team), asked), "{team} {asked}");
        }
        assert!(reads(path, &app(team), &format!("s/{team}")), "{team}");
        assert!(reads(&format!("{path}/*"), &app(team), &format!("s/{team}/x")), "{team}");
        assert!(!reads(&format!("{path}/*"), &app(team), "s/other/x"), "{team}");
    }
    // Nor another template.
    assert!(!reads(path, &app("{{identity.entity.name}}"), "s/app"));
}

#[test]
fn a_path_is_the_same_however_it_came_about() {
    for team in ["a", "+b", "b+", "a/b", "x*y"] {
        for (granted, denied) in
            [("s/{{identity.entity.metadata.team}}", team), (team, "s/{{identity.entity.metadata.team}}")]
        {
            for rest in ["", "/x", "/*", "/+", "/+/x*"] {
                let path = |text: &str| {
                    let text = if text == team { format!("s/{team}") } else { text.to_owned() };
                    format!("{text}{rest}")
                };
                let text = format!(
                    "path \"{}\" {{ capabilities = [\"read\"] }}\npath \"{}\" {{ capabilities = [\"deny\"] }}",
                    path(granted),
                    path(denied)
                );
                let acl = acl_of(&[&text], &app(team));
                let asked = format!("s/{team}{}", rest.replace('+', "y").replace('*', "z"));
                assert_eq!(acl.rules().len(), 1, "{text} {team}");
                assert!(acl.matching(&asked, Operation::Read).len() == 1, "{asked} {text}");
                assert!(!is_allowed(&acl, Operation::Read, &asked), "{asked} {text}");
            }
        }
    }
}

#[test]
fn a_value_that_is_missing_or_empty_grants_nothing() {
    let nobody = Identity::default();
    let check = |identity: &Identity| {
        let text = "path \"s/{{identity.entity.metadata.team}}*\" { capabilities = [\"read\"] }\n\
                    path \"t\" { capabilities = [\"read\"] }";
        let acl = acl_of(&[text], identity);
        for asked in ["s/", "s/a", "s/{{identity.entity.metadata.team}}"] {
            assert!(!is_allowed(&acl, Operation::Read, asked), "{asked}");
        }
        // The rest of the policy holds.
        assert!(is_allowed(&acl, Operation::Read, "t"));
        let skipped: Vec<_> = acl.skipped().iter().map(|one| (&*one.policy, one.line, one.is_expired)).collect();
        assert_eq!(skipped, [("p0", 1, false)]);
    };
    check(&nobody);
    check(&app(""));
    assert!(!reads("s/{{identity.entity.aliases.auth_other.name}}", &app("a"), "s/uid"));
    assert!(!reads("s/{{identity.groups.names.admins.id}}", &app("a"), "s/g1"));
}

#[test]
fn a_template_that_names_nothing_is_a_mistake() {
    let check = |path: &str, expected: &str| {
        let problems = Policy::parse("p", &format!("path \"{path}\" {{}}")).unwrap_err();
        assert!(problems.len() == 1 && problems[0].words.contains(expected), "{path}: {problems:?}");
    };
    for path in ["{{x", "x}}", "{{a}}}}", "a}}{{b}}"] {
        check(path, "do not match");
    }
    for path in [
        "{{}}",
        "{{foo}}",
        "{{identity}}",
        "{{identity.entity}}",
        "{{identity.entity.metadata}}",
        "{{identity.entity.metadata.}}",
        "{{identity.entity.custom_metadata.x}}",
        "{{identity.entity.aliases.x}}",
        "{{identity.groups.ids.x}}",
        "{{identity.entity.groups.names}}",
        "{{time.now}}",
    ] {
        check(path, "names nothing");
    }
    check("s/+{{identity.entity.name}}", "beside a template");
    check("s/{{identity.entity.name}}+", "beside a template");
}

#[test]
fn a_policy_says_whether_it_depends_on_the_identity() {
    assert!(parsed(0, "path \"s/{{identity.entity.name}}\" {}").is_templated());
    assert!(!parsed(0, "path \"s/x\" {}").is_templated());
}
