//! What is wrong with objects, in the words that people read.

use strongroom_api::external_secrets::{
    ClusterExternalSecret, ClusterPushSecret, ClusterSecretStore, ExternalSecret, PushSecret, SecretStore,
};
use strongroom_failure::Failure;

fn told(problems: &[Failure]) -> Vec<String> {
    assert!(problems.iter().all(|problem| problem.subject.field.is_some()), "{problems:?}");
    problems.iter().map(ToString::to_string).collect()
}

/// The problems of an ExternalSecret with this spec in YAML's flow style.
fn of_spec(spec: &str) -> Vec<String> {
    let object =
        format!("{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: a}}, spec: {spec}}}");
    let read: ExternalSecret = serde_saphyr::from_str(&object).unwrap();
    told(&read.problems())
}

#[test]
fn what_is_right_has_no_problems() {
    let check = |spec: &str| assert_eq!(of_spec(spec), Vec::<String>::new(), "{spec}");
    check("{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}]}");
    check("{data: [{secretKey: k, remoteRef: {key: x}, sourceRef: {storeRef: {name: s}}}]}");
    check("{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}}, {find: {name: {regexp: .*}}}]}");
    check("{dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: p}}}]}");
    check("{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}, sourceRef: {storeRef: {name: t}}}]}");
    check("{secretStoreRef: {name: s}, refreshInterval: 0s, dataFrom: [{find: {path: p}}]}");
    check(
        "{secretStoreRef: {name: s}, target: {deletionPolicy: Merge}, \
         data: [{secretKey: k, remoteRef: {key: x}}, {secretKey: k, remoteRef: {key: y}}]}",
    );
    check(
        "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}], target: {creationPolicy: Orphan, \
         deletionPolicy: Delete, template: {type: kubernetes.io/tls, templateFrom: [{target: labels, literal: a}]}}}",
    );
    check(
        "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}], target: {manifest: {apiVersion: \
         example.com/v1, kind: Config}, template: {templateFrom: [{target: 'spec.rules[0].from', literal: a}]}}}",
    );
}

#[test]
fn each_problem_of_a_spec_names_its_field() {
    let check = |spec: &str, expected: &[&str]| assert_eq!(of_spec(spec), expected, "{spec}");
    let data = "secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}]";
    check("{}", &["spec: neither data nor dataFrom names anything to read"]);
    check(&format!("{{{data}, refreshInterval: soon}}"), &["spec.refreshInterval: this is not a duration"]);
    check(
        &format!("{{{data}, syncWindows: {{kind: allow, windows: [{{schedule: '@daily', duration: x}}]}}}}"),
        &["spec.syncWindows.windows[0].duration: this is not a duration"],
    );
    check("{data: [{secretKey: k, remoteRef: {key: x}}]}", &["spec.data[0]: no store is named"]);
    check(
        "{secretStoreRef: {kind: SecretStore}, dataFrom: [{extract: {key: x}}]}",
        &["spec.dataFrom[0]: no store is named"],
    );
    check(
        "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}, sourceRef: {storeRef: {}}}]}",
        &["spec.data[0].sourceRef.storeRef: names no store"],
    );
    check(
        "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}, sourceRef: {generatorRef: {kind: \
         Password, name: p}}}]}",
        &["spec.data[0].sourceRef.generatorRef: a single value cannot come from a generator"],
    );
    check(
        "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}, {secretKey: l, remoteRef: {key: x}}, \
         {secretKey: k, remoteRef: {key: y}}]}",
        &["spec.data[2].secretKey: another entry writes the key \"k\" too"],
    );
    check("{secretStoreRef: {name: s}, dataFrom: [{}]}", &["spec.dataFrom[0]: names nothing to read"]);
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{sourceRef: {storeRef: {name: t}}}]}",
        &["spec.dataFrom[0]: names nothing to read"],
    );
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}, find: {path: p}}]}",
        &["spec.dataFrom[0]: names more than one thing to read"],
    );
    check(
        "{dataFrom: [{find: {path: p}, sourceRef: {generatorRef: {kind: Password, name: p}}}]}",
        &["spec.dataFrom[0]: names more than one thing to read"],
    );
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}, sourceRef: {}}]}",
        &["spec.dataFrom[0].sourceRef: names neither a store nor a generator"],
    );
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{find: {name: {regexp: '('}}, rewrite: [{regexp: {source: '[', target: \
         a}}, {}, {regexp: {source: a, target: b}, transform: {template: a}}, {merge: {strategy: JSON}}]}]}",
        &[
            "spec.dataFrom[0].find.name.regexp: this is not a regular expression: unclosed group",
            "spec.dataFrom[0].rewrite[0].regexp.source: this is not a regular expression: unclosed character class",
            "spec.dataFrom[0].rewrite[1]: does not say exactly one thing to do",
            "spec.dataFrom[0].rewrite[2]: does not say exactly one thing to do",
            "spec.dataFrom[0].rewrite[3].merge.into: the strategy JSON needs the key of its result",
        ],
    );
}

#[test]
fn each_problem_of_a_target_names_its_field() {
    let check = |target: &str, expected: &[&str]| {
        let spec = format!(
            "{{secretStoreRef: {{name: s}}, data: [{{secretKey: k, remoteRef: {{key: x}}}}], target: {target}}}"
        );
        assert_eq!(of_spec(&spec), expected, "{target}");
    };
    for policy in ["Merge", "None", "CreateOrMerge"] {
        let words = format!(
            "spec.target.deletionPolicy: Delete would delete a Secret that creationPolicy {policy} does not own"
        );
        check(&format!("{{creationPolicy: {policy}, deletionPolicy: Delete}}"), &[&words]);
    }
    check(
        "{creationPolicy: None, deletionPolicy: Merge}",
        &["spec.target.deletionPolicy: Merge needs a Secret, and creationPolicy None writes none"],
    );
    check(
        "{template: {type: bootstrap.kubernetes.io/token}}",
        &["spec.target.template.type: the type bootstrap.kubernetes.io/token is not allowed: it would let nodes join \
           the cluster"],
    );
    let token = "spec.target.template.type: the type kubernetes.io/service-account-token with annotations that can \
                 name a service account is not allowed: the cluster would make a token that never ends";
    check(
        "{template: {type: kubernetes.io/service-account-token, metadata: {annotations: \
         {kubernetes.io/service-account.name: admin}}}}",
        &[token],
    );
    check(
        "{template: {type: kubernetes.io/service-account-token, templateFrom: [{target: aNNotations, literal: a}]}}",
        &[token],
    );
    check("{template: {type: kubernetes.io/service-account-token}}", &[]);
    let path = "spec.target.template.templateFrom[1].target: a Secret has no such target for templates";
    check("{template: {templateFrom: [{literal: a}, {target: metadata.ownerReferences, literal: a}]}}", &[path]);
    check(
        "{manifest: {apiVersion: v1, kind: Secret}, template: {templateFrom: [{literal: a}, {target: type, literal: a}]}}",
        &[path],
    );
}

#[test]
fn each_problem_of_a_store_names_its_field() {
    let check = |spec: &str, expected: &[&str]| {
        let object = |kind: &str| {
            format!("{{apiVersion: external-secrets.io/v1, kind: {kind}, metadata: {{name: a}}, spec: {spec}}}")
        };
        let one: SecretStore = serde_saphyr::from_str(&object("SecretStore")).unwrap();
        let other: ClusterSecretStore = serde_saphyr::from_str(&object("ClusterSecretStore")).unwrap();
        assert_eq!(told(&one.problems()), expected, "{spec}");
        assert_eq!(told(&other.problems()), expected, "{spec}");
    };
    check("{provider: {fake: {data: []}}}", &[]);
    check("{provider: {}}", &["spec.provider: 0 providers are set"]);
    check(
        "{provider: {fake: {data: []}, doppler: {auth: {}}}}",
        &["spec.provider: 2 providers are set", "spec.provider.doppler: this provider is not served"],
    );
    check("{provider: {akeyless: {}}}", &["spec.provider.akeyless: this provider is not served"]);
    check(
        "{provider: {fake: {data: []}}, refreshInterval: soon, retrySettings: {retryInterval: 5, maxRetries: -1}}"
            .replace("retryInterval: 5", "retryInterval: '5'")
            .as_str(),
        &[
            "spec.refreshInterval: this is not a duration",
            "spec.retrySettings.retryInterval: this is not a duration",
            "spec.retrySettings.maxRetries: is less than nothing",
        ],
    );
    check(
        "{provider: {fake: {data: []}}, conditions: [{namespaceRegexes: ['(']}, {namespaceSelector: {matchExpressions: \
         [{key: a, operator: Like}]}}]}",
        &[
            "spec.conditions[0].namespaceRegexes[0]: this is not a regular expression: unclosed group",
            "spec.conditions[1].namespaceSelector.matchExpressions[0]: the operator is none of In, NotIn, Exists and \
             DoesNotExist",
        ],
    );
}

#[test]
fn problems_of_what_is_made_in_many_namespaces_name_their_fields_too() {
    let object = "{apiVersion: external-secrets.io/v1, kind: ClusterExternalSecret, metadata: {name: a}, spec: {\
                  refreshTime: soon, externalSecretSpec: {}, namespaceSelector: {matchExpressions: [{key: a, operator: \
                  In}]}, namespaceSelectors: [{}, {matchExpressions: [{key: a, operator: Exists, values: [x]}]}]}}";
    let read: ClusterExternalSecret = serde_saphyr::from_str(object).unwrap();
    assert_eq!(
        told(&read.problems()),
        [
            "spec.externalSecretSpec: neither data nor dataFrom names anything to read",
            "spec.refreshTime: this is not a duration",
            "spec.namespaceSelector.matchExpressions[0]: the operator In needs values",
            "spec.namespaceSelectors[1].matchExpressions[0]: the operator Exists takes no values",
        ]
    );
}

/// The problems of a PushSecret with this spec in YAML's flow style.
fn of_push(spec: &str) -> Vec<String> {
    let object =
        format!("{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: a}}, spec: {spec}}}");
    let read: PushSecret = serde_saphyr::from_str(&object).unwrap();
    told(&read.problems())
}

#[test]
fn a_push_that_is_right_has_no_problems() {
    let check = |spec: &str| assert_eq!(of_push(spec), Vec::<String>::new(), "{spec}");
    let from = "secretStoreRefs: [{name: s}], selector: {secret: {name: a}}";
    check(&format!("{{{from}, data: [{{match: {{secretKey: k, remoteRef: {{remoteKey: x}}}}}}]}}"));
    check(&format!("{{{from}, data: [{{match: {{remoteRef: {{remoteKey: x}}}}, metadata: {{a: [1]}}}}]}}"));
    check(&format!("{{{from}, dataTo: [{{storeRef: {{name: s}}, match: {{regexp: ^db}}, remoteKey: x}}]}}"));
    check(&format!(
        "{{{from}, dataTo: [{{storeRef: {{name: s}}, rewrite: [{{regexp: {{source: ^, target: app-}}}}]}}]}}"
    ));
    check("{secretStoreRefs: [{labelSelector: {matchLabels: {a: b}}}], selector: {secret: {selector: {}}}}");
    check("{secretStoreRefs: [{name: s}], selector: {generatorRef: {kind: Password, name: p}}}");
}

#[test]
fn what_is_wrong_with_a_push_is_named_by_its_field() {
    let check = |spec: &str, expected: &[&str]| assert_eq!(of_push(spec), expected, "{spec}");
    let from = "secretStoreRefs: [{name: s}], selector: {secret: {name: a}}";
    check("{secretStoreRefs: [], selector: {secret: {name: a}}}", &["spec.secretStoreRefs: no store is named"]);
    check("{secretStoreRefs: [{}], selector: {secret: {name: a}}}", &["spec.secretStoreRefs[0]: names no store"]);
    check("{secretStoreRefs: [{name: s}], selector: {}}", &["spec.selector: names nothing to push"]);
    check("{secretStoreRefs: [{name: s}], selector: {secret: {}}}", &["spec.selector.secret: names no Secret"]);
    check(&format!("{{{from}, refreshInterval: soon}}"), &["spec.refreshInterval: this is not a duration"]);
    let twice = "{match: {secretKey: k, remoteRef: {remoteKey: x, property: p}}}";
    check(
        &format!("{{{from}, data: [{twice}, {twice}]}}"),
        &["spec.data[1].match.remoteRef: data[0] goes to the same place"],
    );
    check(&format!("{{{from}, dataTo: [{{}}]}}"), &["spec.dataTo[0].storeRef: names no store"]);
    check(
        &format!("{{{from}, dataTo: [{{storeRef: {{name: t}}}}]}}"),
        &["spec.dataTo[0].storeRef: is none of the stores in secretStoreRefs"],
    );
    check(
        &format!(
            "{{{from}, dataTo: [{{storeRef: {{name: s}}, remoteKey: x, rewrite: [{{transform: {{template: a}}}}]}}]}}"
        ),
        &["spec.dataTo[0].rewrite: has nothing to name: remoteKey keeps all keys in one secret"],
    );
    let fan_out = format!(
        "{{apiVersion: external-secrets.io/v1alpha1, kind: ClusterPushSecret, metadata: {{name: a}}, \
         spec: {{pushSecretSpec: {{{from}, refreshInterval: soon}}, refreshTime: later}}}}"
    );
    let read: ClusterPushSecret = serde_saphyr::from_str(&fan_out).unwrap();
    let expected =
        ["spec.pushSecretSpec.refreshInterval: this is not a duration", "spec.refreshTime: this is not a duration"];
    assert_eq!(told(&read.problems()), expected);
}
