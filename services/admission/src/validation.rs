//! `/validate`: what is wrong with the operator's objects, told when they are written.
//!
//! The rules are those by which the operator itself judges (`problems` of core/api), so that what is admitted is worked
//! on, and the definitions' own rules need not be said twice.

use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_api::external_secrets::{
    ClusterExternalSecret, ClusterPushSecret, ClusterSecretStore, ExternalSecret, PushSecret, SecretStore,
};
use strongroom_api::{StorePolicy, kamus, kes};
use strongroom_failure::Failure;

use crate::review::{Request, Verdict};

/// The most problems that are told at once.
const MOST: usize = 10;

/// Refuses an object that the operator would not work on. A deletion, and what only changes a status, is allowed; so is an
/// update of an object that was wrong before and is not made worse: its finalizers must be able to go.
pub(crate) fn review(request: &Request) -> Verdict {
    if request.operation == "DELETE" || !request.sub_resource.is_empty() {
        return Verdict::unchanged();
    }
    let problems = match problems(&request.kind.group, &request.kind.kind, &request.object) {
        None => {
            let words = format!("/validate knows no kind {}.{}", request.kind.kind, request.kind.group);
            return Verdict::refused(format!("{words}; send it reviews of the operator's kinds alone"));
        }
        Some(problems) => problems,
    };
    let before = self::problems(&request.kind.group, &request.kind.kind, &request.old_object).unwrap_or_default();
    let fresh: Vec<_> = problems.into_iter().filter(|problem| !before.contains(problem)).collect();
    if fresh.is_empty() {
        return Verdict::unchanged();
    }
    let more = fresh.len().saturating_sub(MOST);
    let mut words: Vec<_> = fresh.into_iter().take(MOST).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    Verdict::refused(words.join("; "))
}

/// What is wrong with an object, one text for each field; `None` for a kind that is not known here, and nothing for an
/// object that is not there.
fn problems(group: &str, kind: &str, object: &Value) -> Option<Vec<String>> {
    let told = match (group, kind) {
        ("external-secrets.io", "ExternalSecret") => of(object, ExternalSecret::problems),
        ("external-secrets.io", "ClusterExternalSecret") => of(object, ClusterExternalSecret::problems),
        ("external-secrets.io", "SecretStore") => of(object, SecretStore::problems),
        ("external-secrets.io", "ClusterSecretStore") => of(object, ClusterSecretStore::problems),
        ("external-secrets.io", "PushSecret") => of(object, PushSecret::problems),
        ("external-secrets.io", "ClusterPushSecret") => of(object, ClusterPushSecret::problems),
        ("kubernetes-client.io", "ExternalSecret") => of(object, kes::ExternalSecret::problems),
        ("soluto.com", "KamusSecret") => of(object, kamus::KamusSecret::problems),
        ("strongroom.dev", "StorePolicy") => of(object, |policy: &StorePolicy| policy.policy().problems().to_vec()),
        _ => return None,
    };
    Some(told)
}

fn of<K: DeserializeOwned>(object: &Value, problems: impl Fn(&K) -> Vec<Failure>) -> Vec<String> {
    if object.is_null() {
        return Vec::new();
    }
    match K::deserialize(object) {
        Ok(object) => problems(&object).iter().map(words).collect(),
        // The words may quote what a field holds, and templates hold what people write into them.
        Err(_) => vec!["the object is not what its kind says".to_owned()],
    }
}

fn words(failure: &Failure) -> String {
    match failure.hint.as_deref() {
        Some(hint) => format!("{failure} ({hint})"),
        None => failure.to_string(),
    }
}
