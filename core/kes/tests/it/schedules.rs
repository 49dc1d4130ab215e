use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_api::kes::ExternalSecretStatus;
use strongroom_kes::Settings;
use strongroom_kes::schedule::{Due, due, is_ours};

use super::object;

#[test]
fn ke_26_an_object_of_another_instance_is_left_alone() {
    let instance = |id: Option<&str>| Settings { instance: id.map(str::to_owned), ..Settings::default() };
    let spec = |id: &str| object(&format!("{{backendType: vault, data: [], {id}}}"));
    for (settings, id, expected) in [
        (None, "", true),
        (None, "controllerId: a", false),
        (Some("a"), "", false),
        (Some("a"), "controllerId: a", true),
        (Some("a"), "controllerId: b", false),
    ] {
        assert_eq!(is_ours(&spec(id), &instance(settings)), expected, "{settings:?} {id}");
    }
    let elsewhere = Settings { namespaces: vec!["other".to_owned()], ..Settings::default() };
    assert!(!is_ours(&spec(""), &elsewhere));
}

#[test]
fn ke_27_without_polling_only_a_change_is_a_reason() {
    let (polling, still) = (Settings::default(), Settings { is_polling: false, ..Settings::default() });
    // Four seconds into a beat of ten.
    let now = Timestamp::from_second(1_800_000_004).unwrap();
    let asked = |seconds: i64| Some(now - SignedDuration::from_secs(seconds));
    let check = |settings: &Settings, observed: Option<i64>, asked, expected| {
        let mut object = object("{backendType: vault, data: []}");
        object.status = Some(ExternalSecretStatus { observed_generation: observed, ..ExternalSecretStatus::default() });
        assert_eq!(due(&object, settings, asked, 0, now), expected, "{asked:?}");
    };
    check(&polling, None, None, Due::Now);
    check(&polling, Some(0), asked(1), Due::Now);
    check(&polling, Some(1), None, Due::Now);
    check(&polling, Some(1), asked(4), Due::After(Duration::from_secs(6)));
    check(&polling, Some(1), asked(5), Due::Now);
    check(&polling, Some(1), asked(-5), Due::Now);
    check(&still, Some(0), None, Due::Now);
    check(&still, Some(1), None, Due::OnChange);
    check(&still, Some(1), asked(100), Due::OnChange);
}

#[test]
fn a_failure_is_tried_again_without_polling_too() {
    let still = Settings { is_polling: false, ..Settings::default() };
    let mut object = object("{backendType: vault, data: []}");
    let status = |text: &str| ExternalSecretStatus {
        observed_generation: Some(1),
        status: Some(text.to_owned()),
        ..ExternalSecretStatus::default()
    };
    for (text, expected) in [("SUCCESS", Due::OnChange), ("ERROR, nobody answers", Due::Now)] {
        object.status = Some(status(text));
        assert_eq!(due(&object, &still, None, 0, Timestamp::UNIX_EPOCH), expected, "{text}");
    }
}

#[test]
fn objects_of_one_store_fall_due_together() {
    let now = Timestamp::from_second(1_800_000_004).unwrap();
    let rest = |asked: i64, beat| {
        let mut object = object("{backendType: vault, data: []}");
        object.status = Some(ExternalSecretStatus { observed_generation: Some(1), ..ExternalSecretStatus::default() });
        due(&object, &Settings::default(), Some(now - SignedDuration::from_millis(asked)), beat, now)
    };
    let after = |milliseconds| Due::After(Duration::from_millis(milliseconds));
    assert_eq!([0, 500, 3_999].map(|asked| rest(asked, 0)), [after(6_000); 3]);
    assert_eq!([0, 500, 900].map(|asked| rest(asked, 3_000)), [after(9_000); 3]);
    assert_eq!(rest(1_500, 3_000), Due::Now);
}

#[test]
fn settings_are_the_originals_variables() {
    let variable = |name: &str| {
        let value = match name {
            "INSTANCE_ID" => "blue",
            "POLLER_INTERVAL_MILLISECONDS" => "1500",
            "DISABLE_POLLING" => "",
            "WATCHED_NAMESPACES" => " a, ,b",
            "DEFAULT_VAULT_ROLE" => "reader",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let settings = Settings::from_environment(&variable).unwrap();
    let expected = Settings {
        instance: Some("blue".to_owned()),
        interval: Duration::from_millis(1500),
        is_polling: false,
        namespaces: vec!["a".to_owned(), "b".to_owned()],
        vault_role: Some("reader".to_owned()),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
    for text in ["0", "ten", "-1"] {
        let wrong = |name: &str| (name == "POLLER_INTERVAL_MILLISECONDS").then(|| text.to_owned());
        assert!(Settings::from_environment(&wrong).is_err(), "{text}");
    }
}
