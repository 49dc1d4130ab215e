//! Policies and requests by chance, with what OpenBao 2.7.2 answered: `sys/capabilities` for paths, and the status of
//! writes into a KV v1 mount for parameters (403 or not).

use std::time::Duration;

use serde_json::Value;
use strongroom_policy::acl::{Argument, Operation, Request};

use super::acl;

const CAPABILITIES: &str = include_str!("../fixtures/openbao_capabilities.jsonl");
const PARAMETERS: &str = include_str!("../fixtures/openbao_parameters.jsonl");

fn lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn policies(case: &Value) -> Vec<&str> {
    case["policies"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn paths_have_the_capabilities_that_openbao_gives_them() {
    let mut compared = 0;
    for case in lines(CAPABILITIES) {
        let policies = policies(&case);
        let acl = acl(&policies);
        for (path, expected) in case["answers"].as_object().unwrap() {
            let expected: Vec<&str> = expected.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            assert_eq!(acl.capability_names(path), expected, "{path} of {policies:#?}");
            compared += 1;
        }
    }
    assert!(compared > 3000, "{compared}");
}

#[test]
fn parameters_are_allowed_and_denied_as_in_openbao() {
    let (mut compared, mut stricter) = (0, 0);
    for case in lines(PARAMETERS) {
        let policies = policies(&case);
        let acl = acl(&policies);
        for row in case["requests"].as_array().unwrap() {
            let body = row[0].as_object().unwrap();
            let texts: Vec<(&str, String)> =
                body.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
            let parameters: Vec<_> = texts.iter().map(|(name, text)| (*name, Argument::Json(text))).collect();
            let wrapping = Some(Duration::from_secs(row[1].as_u64().unwrap())).filter(|time| !time.is_zero());
            let request = Request { path: "k1/x", operation: Operation::Update, parameters: &parameters, wrapping };
            let (ours, theirs) = (acl.check(&request), row[2].as_bool().unwrap());
            compared += 1;
            // Ours looks into lists, and at the text of numbers and truths, for what is denied.
            let is_composed = body.values().any(|value| value.is_array() || value.is_boolean() || value.is_number());
            if theirs && !ours.is_allowed() && is_composed && ours.to_string().contains("denies the parameter") {
                stricter += 1;
                continue;
            }
            assert_eq!(ours.is_allowed(), theirs, "{row} of {policies:#?}: {ours}");
        }
    }
    assert!(compared > 1500 && stricter < 60, "{compared} {stricter}");
}
