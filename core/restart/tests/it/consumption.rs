use serde_json::{Value, json};
use strongroom_restart::{Consumption, Form};

/// Each Secret as `name: key`, a `?` behind what is optional, and its forms.
fn shown(consumption: &Consumption) -> Vec<String> {
    let of_secret = |(name, slots): (&str, &strongroom_restart::consumption::Slots)| {
        let slots = slots.iter().map(|(slot, used)| {
            let forms: Vec<&str> = used.forms().map(letter).collect();
            format!("{name}: {slot}{} {}", if used.is_optional { "?" } else { "" }, forms.join(""))
        });
        slots.collect::<Vec<_>>()
    };
    consumption.secrets().flat_map(of_secret).collect()
}

fn letter(form: Form) -> &'static str {
    match form {
        Form::Variable => "v",
        Form::Environment => "e",
        Form::Volume => "f",
        Form::Projected => "p",
    }
}

fn check(pod: &Value, expected: &[&str]) {
    assert_eq!(shown(&Consumption::of(pod)), expected, "{pod}");
}

#[test]
fn each_form_names_its_secret_and_keys() {
    let variable = |reference: Value| json!({"env": [{"name": "V", "valueFrom": {"secretKeyRef": reference}}]});
    let every = |reference: Value| json!({"envFrom": [{"prefix": "P_", "secretRef": reference}]});
    let volume = |source: Value| json!({"volumes": [{"name": "v", "secret": source}]});
    let projected = |sources: Value| json!({"volumes": [{"name": "v", "projected": {"sources": sources}}]});
    check(&json!({"containers": [variable(json!({"name": "db", "key": "password"}))]}), &["db: password v"]);
    check(&json!({"containers": [every(json!({"name": "db"}))]}), &["db: * e"]);
    check(&volume(json!({"secretName": "tls"})), &["tls: * f"]);
    check(&volume(json!({"secretName": "tls", "items": []})), &["tls: * f"]);
    let items = json!([{"key": "tls.crt", "path": "a"}, {"key": "tls.key", "path": "b"}]);
    check(&volume(json!({"secretName": "tls", "items": items})), &["tls: tls.crt f", "tls: tls.key f"]);
    check(
        &projected(json!([{"secret": {"name": "a"}}, {"configMap": {"name": "c"}},
            {"secret": {"name": "b", "items": [{"key": "k", "path": "p"}]}}])),
        &["a: * p", "b: k p"],
    );
}

#[test]
fn init_and_ephemeral_containers_consume_as_well() {
    let container = |secret: &str| json!([{"envFrom": [{"secretRef": {"name": secret}}]}]);
    let pod =
        json!({"initContainers": container("i"), "containers": container("c"), "ephemeralContainers": container("e")});
    check(&pod, &["c: * e", "e: * e", "i: * e"]);
}

#[test]
fn what_is_needed_in_one_place_is_not_optional() {
    let reference = |optional: bool| {
        let reference = json!({"name": "db", "key": "k", "optional": optional});
        json!({"env": [{"valueFrom": {"secretKeyRef": reference}}]})
    };
    check(&json!({"containers": [reference(true)]}), &["db: k? v"]);
    check(&json!({"containers": [reference(true), reference(false), reference(true)]}), &["db: k v"]);
    check(&json!({"volumes": [{"secret": {"secretName": "db", "optional": true}}]}), &["db: *? f"]);
    let both = json!({"containers": [reference(true)],
        "volumes": [{"secret": {"secretName": "db", "items": [{"key": "k"}], "optional": true}}]});
    check(&both, &["db: k? vf"]);
}

#[test]
fn what_no_container_reads_is_not_consumed() {
    check(&json!({"imagePullSecrets": [{"name": "pull"}], "containers": [{"image": "x"}]}), &[]);
    let csi = json!({"volumes": [{"csi": {"driver": "d", "nodePublishSecretRef": {"name": "n"}}}]});
    check(&csi, &[]);
}

#[test]
fn a_hostile_spec_is_read_as_far_as_it_makes_sense() {
    for pod in [
        json!(null),
        json!([]),
        json!({"containers": "x", "volumes": 7}),
        json!({"containers": [7, null, {"env": {"a": "b"}, "envFrom": [[], {"secretRef": "x"}]}]}),
        json!({"containers": [{"envFrom": [{"secretRef": {"name": ""}}], "env": [{"valueFrom": {"secretKeyRef": {"name": "a"}}}]}]}),
        json!({"volumes": [{"secret": {"secretName": {"x": 1}}}, {"projected": {"sources": {"secret": 1}}}]}),
    ] {
        check(&pod, &[]);
    }
}
