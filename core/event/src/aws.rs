//! What EventBridge sends: calls of Secrets Manager that CloudTrail saw, its own events, and Parameter Store's.

use serde::Deserialize;
use strongroom_failure::Failure;
use strongroom_reference::ProviderKind;

use crate::key::Author;
use crate::{Change, Happening, SIZE_LIMIT, checked_key, unreadable};

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default, rename = "detail-type")]
    detail_type: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    detail: Option<Detail>,
}

/// CloudTrail's record, or Parameter Store's event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    event_name: Option<String>,
    /// Of a call that was refused.
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    request_parameters: Option<Parameters>,
    #[serde(default)]
    response_elements: Option<Elements>,
    #[serde(default)]
    additional_event_data: Option<Additional>,
    /// Parameter Store: the parameter.
    #[serde(default)]
    name: Option<String>,
    /// Parameter Store: `Create`, `Update`, `Delete`, `LabelParameterVersion`.
    #[serde(default)]
    operation: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    /// A name or an ARN, as the caller wrote it.
    #[serde(default)]
    secret_id: Option<String>,
    /// Of a secret that is made.
    #[serde(default)]
    name: Option<String>,
}

/// The letters of `arn` differ from event to event.
#[derive(Deserialize)]
struct Elements {
    #[serde(default, alias = "aRN", alias = "ARN")]
    arn: Option<String>,
}

#[derive(Deserialize)]
struct Additional {
    #[serde(default, rename = "SecretId", alias = "secretId")]
    secret_id: Option<String>,
}

/// Reads a message of EventBridge; `None` where it tells of nothing that could change a value.
///
/// # Errors
/// `Invalid` where it is no such message, or names no secret.
pub fn parse(body: &[u8]) -> Result<Option<Change>, Failure> {
    if body.len() > SIZE_LIMIT {
        return Err(unreadable("the message is larger than SQS has them"));
    }
    let message: Message =
        serde_json::from_slice(body).map_err(|_| unreadable("the message is no event of EventBridge"))?;
    let Some(detail) = &message.detail else { return Err(unreadable("the message is no event of EventBridge")) };
    let found = match message.source.as_deref() {
        Some("aws.ssm") => parameter(detail, message.detail_type.as_deref())?,
        // Whoever forwards events may leave the source away.
        Some("aws.secretsmanager") | None => secret(detail)?,
        Some(_) => None,
    };
    Ok(found.map(|change| Change { id: message.id, region: message.region, account: message.account, ..change }))
}

/// What an event of Secrets Manager means. `RotateSecret` only asks for a rotation, which `RotationSucceeded` ends.
fn happening(event: &str) -> Option<Happening> {
    match event {
        "PutSecretValue" | "UpdateSecretVersionStage" | "RotationSucceeded" => Some(Happening::Written),
        "UpdateSecret" | "CreateSecret" => Some(Happening::Updated),
        "DeleteSecret" => Some(Happening::Removed),
        "RestoreSecret" => Some(Happening::Restored),
        _ => None,
    }
}

fn secret(detail: &Detail) -> Result<Option<Change>, Failure> {
    let event = detail.event_name.as_deref().ok_or_else(|| unreadable("the event has no eventName"))?;
    let Some(happening) = happening(event).filter(|_| detail.error_code.is_none()) else { return Ok(None) };
    let mut change = Change::new(ProviderKind::AwsSecretsManager, happening);
    let asked = detail.request_parameters.as_ref().and_then(|asked| match event {
        "CreateSecret" => asked.name.as_deref(),
        _ => asked.secret_id.as_deref(),
    });
    let answered = detail.response_elements.as_ref().and_then(|answer| answer.arn.as_deref());
    let told = detail.additional_event_data.as_ref().and_then(|told| told.secret_id.as_deref());
    // The service's own ARNs are whole; a caller may have left the suffix away, and then only the name is sure.
    let whole = answered.or(told);
    let names = whole.map(|arn| (arn, Author::Store)).into_iter().chain(
        asked.filter(|asked| whole.is_none() || !asked.starts_with("arn:")).map(|asked| (asked, Author::Person)),
    );
    for (key, author) in names {
        change.called(checked_key(key)?, author);
    }
    if change.keys.is_empty() {
        return Err(unreadable("the event names no secret"));
    }
    Ok(Some(change))
}

fn parameter(detail: &Detail, kind: Option<&str>) -> Result<Option<Change>, Failure> {
    if kind != Some("Parameter Store Change") {
        return Ok(None);
    }
    let happening = match detail.operation.as_deref() {
        Some("Delete") => Happening::Removed,
        Some("Create" | "Update" | "LabelParameterVersion") => Happening::Written,
        _ => Happening::Updated,
    };
    let name = detail.name.as_deref().ok_or_else(|| unreadable("the event names no parameter"))?;
    let mut change = Change::new(ProviderKind::AwsParameterStore, happening);
    change.called(checked_key(name)?, Author::Person);
    Ok(Some(change))
}
