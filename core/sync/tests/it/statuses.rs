//! What is told, and when telling is a write.

use std::time::Duration;

use jiff::Timestamp;
use strongroom_api::external_secrets::ExternalSecretStatus;
use strongroom_failure::{Class, Failure};
use strongroom_sync::status::{Ending, PARTIAL, PartialIn, RefreshTime, TargetKind, next};
use strongroom_sync::target::Outcome;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn success(outcome: Outcome, began: &str) -> Ending<'static> {
    let (began, binding) = (at(began), Some("target"));
    Ending::Success {
        outcome,
        began,
        version: "1-a",
        wrote: false,
        binding,
        failed: &[],
        partial_in: PartialIn::Condition,
    }
}

/// The status after `ending`, which ended in the second after it began.
fn after(status: &ExternalSecretStatus, ending: &Ending<'_>, policy: RefreshTime) -> Option<ExternalSecretStatus> {
    let now = match ending {
        Ending::Success { began, .. } => *began,
        Ending::Failure { .. } => at("2026-06-01T12:00:00.9Z"),
    };
    next(status, ending, TargetKind::Secret, policy, now)
}

fn synced() -> ExternalSecretStatus {
    let first = success(Outcome::Synced, "2026-06-01T10:00:00.5Z");
    after(&ExternalSecretStatus::default(), &first, RefreshTime::OnChange).unwrap()
}

fn ready(status: &ExternalSecretStatus) -> (&str, &str, &str, String) {
    let ready = status.conditions.iter().find(|condition| condition.kind == "Ready").unwrap();
    let time = ready.last_transition_time.as_ref().unwrap().0.to_string();
    (&ready.status, ready.reason.as_deref().unwrap(), ready.message.as_deref().unwrap(), time)
}

#[test]
fn the_first_success_is_told() {
    let status = synced();
    assert_eq!(ready(&status), ("True", "SecretSynced", "secret synced", "2026-06-01T10:00:00Z".to_owned()));
    assert_eq!(status.refresh_time.unwrap().0, at("2026-06-01T10:00:00Z"));
    assert_eq!(status.synced_resource_version.as_deref(), Some("1-a"));
    assert_eq!(status.binding.unwrap().name, "target");
}

#[test]
fn outcomes_have_the_words_of_external_secrets() {
    let check = |outcome, target, reason: &str, message: &str| {
        let ending = success(outcome, "2026-06-01T10:00:00Z");
        let status =
            next(&ExternalSecretStatus::default(), &ending, target, RefreshTime::OnChange, at("2026-06-01T10:00:00Z"));
        let status = status.unwrap();
        let (truth, told_reason, told, _) = ready(&status);
        assert_eq!((truth, told_reason, told), ("True", reason, message));
    };
    let (secret, resource) = (TargetKind::Secret, TargetKind::Resource);
    check(Outcome::Retained, secret, "SecretSynced", "secret retained due to DeletionPolicy=Retain");
    check(Outcome::Deleted, secret, "SecretDeleted", "secret deleted due to DeletionPolicy=Delete");
    check(Outcome::Missing, secret, "SecretMissing", "secret will not be created due to CreationPolicy=Merge");
    check(Outcome::Synced, resource, "ResourceSynced", "secret synced");
    check(Outcome::Deleted, resource, "ResourceDeleted", "secret deleted due to DeletionPolicy=Delete");
    check(Outcome::Missing, resource, "ResourceMissing", "secret will not be created due to CreationPolicy=Merge");
}

#[test]
fn in_steady_state_nothing_is_told_unless_that_is_asked_for() {
    let check = |policy, began: &str, expected: Option<&str>| {
        let next = after(&synced(), &success(Outcome::Synced, began), policy);
        let time = next.map(|status| status.refresh_time.unwrap().0.to_string());
        assert_eq!(time.as_deref(), expected, "{policy:?}");
    };
    check(RefreshTime::OnChange, "2026-06-01T11:00:00Z", None);
    check(RefreshTime::Always, "2026-06-01T11:00:00Z", Some("2026-06-01T11:00:00Z"));
    let daily = RefreshTime::Heartbeat(Duration::from_secs(86400));
    check(daily, "2026-06-01T11:00:00Z", None);
    check(daily, "2026-06-02T10:00:00Z", Some("2026-06-02T10:00:00Z"));
    // A time that is yet to come would make every process refresh at once.
    check(RefreshTime::OnChange, "2026-06-01T09:00:00Z", Some("2026-06-01T09:00:00Z"));
}

#[test]
fn a_write_or_a_new_version_moves_the_time() {
    let began = at("2026-06-01T11:00:00Z");
    let (outcome, binding) = (Outcome::Synced, Some("target"));
    for (version, wrote) in [("1-a", true), ("2-a", false)] {
        let ending =
            Ending::Success { outcome, began, version, wrote, binding, failed: &[], partial_in: PartialIn::Condition };
        let status = after(&synced(), &ending, RefreshTime::OnChange).unwrap();
        assert_eq!(status.refresh_time.as_ref().unwrap().0, began);
        assert_eq!(status.synced_resource_version.as_deref(), Some(version));
        assert_eq!(ready(&status).3, "2026-06-01T10:00:00Z", "the condition did not change");
    }
}

#[test]
fn a_failure_tells_the_cause_and_keeps_the_last_success() {
    let denied =
        Failure::new(Class::Denied, "access denied").on_key("prod/db").from_store("AWS").in_field("spec.data[1]");
    let causes = [denied.with_hint("allow it in the role's policy")];
    let ending = Ending::Failure { message: "could not get secret data from provider", causes: &causes };
    let failed = after(&synced(), &ending, RefreshTime::OnChange).unwrap();
    let message = "could not get secret data from provider: spec.data[1]: cannot read \"prod/db\" from AWS: access denied \
                   [AccessDenied] (allow it in the role's policy)";
    assert_eq!(ready(&failed), ("False", "SecretSyncedError", message, "2026-06-01T12:00:00Z".to_owned()));
    assert_eq!(failed.refresh_time, synced().refresh_time);
    assert_eq!(failed.synced_resource_version, synced().synced_resource_version);
    assert_eq!(after(&failed, &ending, RefreshTime::Always), None, "the same failure is told once");
    let other = [Failure::new(Class::Unavailable, "no answer")];
    let ending = Ending::Failure { message: "could not get secret data from provider", causes: &other };
    let failed = after(&failed, &ending, RefreshTime::OnChange).unwrap();
    assert_eq!(ready(&failed).3, "2026-06-01T12:00:00Z", "another reason is no transition");
    let success = success(Outcome::Synced, "2026-06-01T13:00:00Z");
    let synced = after(&failed, &success, RefreshTime::OnChange).unwrap();
    assert_eq!(ready(&synced).3, "2026-06-01T13:00:00Z");
}

#[test]
fn many_failures_are_counted() {
    let causes: Vec<_> =
        (0..7).map(|index| Failure::new(Class::NotFound, "gone").in_field(format!("f{index}"))).collect();
    let ending = Ending::Failure { message: "could not get secret data from provider", causes: &causes };
    let failed = after(&synced(), &ending, RefreshTime::OnChange).unwrap();
    let message = ready(&failed).2.to_owned();
    assert!(message.contains("f4: gone [NotFound]; and 2 more") && !message.contains("f5"), "{message}");
}

#[test]
fn a_part_is_told_in_a_condition_of_its_own_that_goes_when_all_is_there() {
    let failed = [Failure::new(Class::NotFound, "no such secret").on_key("prod/db").in_field("spec.data[1]")];
    let (began, binding) = (at("2026-06-01T11:00:00Z"), Some("target"));
    let ending = |partial_in| Ending::Success {
        outcome: Outcome::Synced,
        began,
        version: "1-a",
        wrote: false,
        binding,
        failed: &failed,
        partial_in,
    };
    let status = after(&synced(), &ending(PartialIn::Condition), RefreshTime::OnChange).unwrap();
    assert_eq!(ready(&status).2, "secret synced, in part: see the condition Partial");
    let partial = status.conditions.iter().find(|condition| condition.kind == PARTIAL).unwrap();
    assert_eq!(partial.message.as_deref(), Some("spec.data[1]: key \"prod/db\": no such secret [NotFound]"));
    let whole = after(&status, &success(Outcome::Synced, "2026-06-01T12:00:00Z"), RefreshTime::OnChange).unwrap();
    assert!(whole.conditions.iter().all(|condition| condition.kind != PARTIAL));
    assert_eq!(ready(&whole).2, "secret synced");

    let status = after(&synced(), &ending(PartialIn::Message), RefreshTime::OnChange).unwrap();
    assert_eq!(ready(&status).2, "secret synced, in part: spec.data[1]: key \"prod/db\": no such secret [NotFound]");
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(after(&status, &ending(PartialIn::Message), RefreshTime::OnChange), None);
}
