//! The references of doitintl/secrets-init: ARNs of AWS Secrets Manager and Parameter Store, `gcp:secretmanager:NAME`.
//!
//! Beyond the original: every partition, the region of the ARN, versions, the three fields that Amazon ECS appends to a
//! Secrets Manager ARN, regional secrets of Google, and our own `[?query][#property]` behind each form.

use strongroom_failure::Failure;
use strongroom_secret::Version;

use crate::escape::{gjson_member, invalid};
use crate::suffix::Parts;
use crate::{ProviderKind, Reference};

const GOOGLE: &str = "gcp:secretmanager:";

/// Whether `text` begins as one of this syntax's references.
///
/// Other ARNs are ordinary values, those of SSM documents too (SI-14).
pub(crate) fn claims(text: &str) -> bool {
    if text.starts_with(GOOGLE) {
        return true;
    }
    if !text.starts_with("arn:aws") {
        return false;
    }
    let form = Parts::of(text).form;
    let mut tokens = form.split(':').skip(1);
    let partition = tokens.next().unwrap_or_default();
    match (is_partition(partition), tokens.next()) {
        (true, Some("secretsmanager")) => true,
        (true, Some("ssm")) => {
            let resource = tokens.nth(2).unwrap_or_default();
            // A seventh token is a version or a label; with an eighth it is none of AWS's ARNs of a parameter.
            resource.starts_with("parameter/") && tokens.count() <= 1
        }
        _ => false,
    }
}

/// Reads what [`claims`] recognised.
pub(crate) fn parse(text: &str) -> Result<Reference, Failure> {
    let parts = Parts::of(text);
    if let Some(name) = parts.form.strip_prefix(GOOGLE) {
        return parts.complete(google(name)?);
    }
    let tokens: Vec<&str> = parts.form.split(':').collect();
    if tokens.get(2) == Some(&"ssm") {
        return parts.complete(parameter(&tokens)?);
    }
    parts.complete(secret(&tokens)?)
}

/// `aws` and what AWS derives from it: `aws-cn`, `aws-us-gov`, `aws-iso-b`, `aws-eusc`, and those to come.
fn is_partition(token: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    token == "aws" || token.strip_prefix("aws-").is_some_and(|rest| rest.split('-').all(is_part))
}

/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY:STAGE:VERSION]`; the last three as in task
/// definitions of ECS, each of which may be empty. The key is the ARN itself.
fn secret(tokens: &[&str]) -> Result<Reference, Failure> {
    let (arn, ecs) = match tokens {
        [_, _, _, region, account, "secret", name, ecs @ ..]
            if is_region(region) && is_account(account) && !name.is_empty() =>
        {
            (&tokens[..7], ecs)
        }
        _ => {
            return Err(invalid(
                "the ARN does not name a secret of Secrets Manager",
                "write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
            ));
        }
    };
    let mut reference = Reference::whole(ProviderKind::AwsSecretsManager, arn.join(":"));
    reference.region = Some(arn[3].to_owned());
    match ecs {
        [] => {}
        [_, stage, version] if !stage.is_empty() && !version.is_empty() => {
            return Err(invalid("the ARN names a stage and a version", "name one of them and leave the other empty"));
        }
        [json_key, stage, version] => {
            reference.property = filled(json_key).map(gjson_member);
            let stage = filled(stage).map(|stage| Version::Stage(stage.to_owned()));
            reference.key.version = stage.or_else(|| filled(version).map(|version| Version::Id(version.to_owned())));
        }
        _ => {
            return Err(invalid(
                "the ARN has too few or too many fields after the secret's name",
                "append all three, :JSON-KEY:STAGE:VERSION, of which any may be empty, or none",
            ));
        }
    }
    Ok(reference)
}

/// `arn:PARTITION:ssm:REGION:[ACCOUNT]:parameter/NAME[:VERSION-OR-LABEL]`.
///
/// The key is `/NAME`. AWS writes the ARNs of the parameters `/foo` and `foo` alike, so for a name of one part the
/// provider asks for `/foo` and then for `foo`.
fn parameter(tokens: &[&str]) -> Result<Reference, Failure> {
    let cure = "write arn:aws:ssm:REGION:ACCOUNT:parameter/NAME, or …/NAME:VERSION";
    let [_, _, _, region, account, resource, version @ ..] = tokens else {
        return Err(invalid("the ARN does not name a parameter", cure));
    };
    let name = resource.strip_prefix("parameter").unwrap_or_default();
    // AWS' own public parameters have no account.
    if !is_region(region) || !(account.is_empty() || is_account(account)) || name.trim_start_matches('/').is_empty() {
        return Err(invalid("the ARN does not name a parameter", cure));
    }
    let mut reference = Reference::whole(ProviderKind::AwsParameterStore, name);
    reference.region = Some((*region).to_owned());
    reference.key.version = match version {
        [] => None,
        [""] => return Err(invalid("the ARN ends in an empty version", "remove the last colon, or name a version")),
        [version, ..] => Some(numbered(version)),
    };
    Ok(reference)
}

/// `[projects/P/[locations/L/]secrets/]S[/versions/V]`. A short name stays short: the project is the store's own.
fn google(name: &str) -> Result<Reference, Failure> {
    let (secret, version) = match name.rsplit_once("/versions/") {
        Some((secret, version)) => (secret, Some(version)),
        None => (name, None),
    };
    let segments: Vec<&str> = secret.split('/').collect();
    let region = match segments[..] {
        [_] | ["projects", _, "secrets", _] => None,
        ["projects", _, "locations", region, "secrets", _] => Some(region.to_owned()),
        _ => return Err(malformed_google_name()),
    };
    if segments.contains(&"") || version.is_some_and(|version| version.is_empty() || version.contains('/')) {
        return Err(malformed_google_name());
    }
    let mut reference = Reference::whole(ProviderKind::GoogleSecretManager, secret);
    reference.region = region;
    reference.key.version = version.filter(|&version| version != "latest").map(numbered);
    Ok(reference)
}

fn malformed_google_name() -> Failure {
    invalid(
        "the text after gcp:secretmanager: does not name a secret",
        "write projects/P/secrets/S, projects/P/locations/L/secrets/S or S alone, each with /versions/V if wanted",
    )
}

/// A number is a version that never changes; a label or an alias moves.
fn numbered(version: &str) -> Version {
    if version.bytes().all(|byte| byte.is_ascii_digit()) {
        Version::Id(version.to_owned())
    } else {
        Version::Stage(version.to_owned())
    }
}

fn is_region(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_account(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit())
}

fn filled<'a>(token: &&'a str) -> Option<&'a str> {
    Some(*token).filter(|token| !token.is_empty())
}
