//! A role of AWS that whatever reads AWS in a pod takes with a token of its own, where no webhook of a cloud gives one.

use serde_json::{Value, json};

use crate::annotations::AWS_ROLE;
use crate::draft::Draft;
use crate::found::{Found, sets};
use crate::pod::Container;
use crate::refusal::{Reason, Refusal};
use crate::settings::Settings;
use crate::survey::Survey;
use crate::tokens;

/// Whom AWS takes a token from.
const AUDIENCE: &str = "sts.amazonaws.com";

const ROLE: &str = "AWS_ROLE_ARN";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// Drafts the role of the wrapped containers that read AWS.
pub(crate) fn draft(survey: &Survey<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let candidates = &survey.candidates;
    let Some(role) = candidates.wishes.aws_role else { return Ok(()) };
    for (place, container, _) in survey.wrapped().filter(|(_, _, verdict)| verdict.needs.aws) {
        if has_its_own(container, survey.found) {
            continue;
        }
        let volume = volume(candidates.settings, draft);
        draft.mount(place, container, &volume, tokens::AWS.mount, json!({"readOnly": true}))?;
        draft.edits[place].env.extend(variables(role));
    }
    Ok(())
}

/// Whether the container says itself which role it takes, or with which token.
pub(crate) fn has_its_own(container: &Container<'_>, found: &Found) -> bool {
    [ROLE, TOKEN_FILE].iter().any(|name| sets(container, found, name))
}

/// The volume with the token.
pub(crate) fn volume(settings: &Settings, draft: &mut Draft<'_>) -> String {
    tokens::AWS.volume(AUDIENCE, settings, draft)
}

/// The variables by which clients of AWS take the role.
pub(crate) fn variables(role: &str) -> [Value; 2] {
    [json!({"name": ROLE, "value": role}), json!({"name": TOKEN_FILE, "value": tokens::AWS.file()})]
}

/// # Errors
/// Something else than the ARN of a role.
pub(crate) fn check(text: &str) -> Result<(), Refusal> {
    let is_name = |name: &str| {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&letter);
        !name.is_empty() && name.len() <= 576 && name.bytes().all(is_letter)
    };
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let is_role = matches!(parts[..], ["arn", partition, "iam", "", account, role]
        if partition.starts_with("aws") && account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit())
            && role.strip_prefix("role/").is_some_and(is_name));
    if is_role {
        return Ok(());
    }
    let known = "arn:aws:iam::ACCOUNT:role/NAME".to_owned();
    Err(Refusal::of_annotation(AWS_ROLE, Reason::UnknownValue { known }))
}
