use std::path::Path;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::Region;
use aws_sdk_sts::types::Tag;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Outcome, TokenSource};
use strongroom_secret::SecretBytes;

use crate::ambient::{content, variable};
use crate::failure::{Refusal, refusal};
use crate::session::Surroundings;
use crate::settings::{Role, WebIdentity, WebToken};

/// A session's name where nobody chose one: what people search for in CloudTrail.
const SESSION_NAME: &str = "strongroom";

/// The largest token file that is read; a Kubernetes token has about 1 KiB.
const LARGEST_TOKEN: u64 = 64 << 10;

/// Assumes `role` as the identity of `lower`.
pub(crate) async fn assume(around: &Surroundings, role: &Role, lower: &Credentials) -> Result<Credentials, Refusal> {
    let config = around.sts(&role.arn).await.credentials_provider(lower.clone()).build();
    let tags = role.session_tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let tags: Vec<Tag> = tags.collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;
    let request = Client::from_conf(config)
        .assume_role()
        .role_arn(&role.arn)
        .role_session_name(session_name(role.session_name.as_deref()))
        .set_external_id(role.external_id.clone())
        .set_duration_seconds(role.duration_seconds.and_then(|seconds| i32::try_from(seconds).ok()))
        .set_tags((!tags.is_empty()).then_some(tags))
        .set_transitive_tag_keys((!role.transitive_tag_keys.is_empty()).then(|| role.transitive_tag_keys.clone()));
    let answer = Box::pin(request.send()).await;
    record(around, "sts:AssumeRole", answer.is_ok());
    let answer = answer.map_err(|error| about_role(refusal(&error, &secrets_of(lower).each()), &role.arn))?;
    taken(answer.credentials, &role.arn)
}

/// Takes a role with the token of `identity`.
pub(crate) async fn take(around: &Surroundings, identity: &WebIdentity) -> Result<Credentials, Refusal> {
    let token = match &identity.token {
        WebToken::File(file) => read_token(file)?,
        WebToken::Source(source) => issued_token(source.as_ref()).await?,
    };
    let config = around.sts(&identity.role_arn).await.build();
    let request = Client::from_conf(config)
        .assume_role_with_web_identity()
        .role_arn(&identity.role_arn)
        .role_session_name(session_name(identity.session_name.as_deref()))
        .web_identity_token(token.expose_text().unwrap_or_default());
    let answer = Box::pin(request.send()).await;
    record(around, "sts:AssumeRoleWithWebIdentity", answer.is_ok());
    let answer = answer.map_err(|error| about_role(refusal(&error, &[&token]), &identity.role_arn))?;
    taken(answer.credentials, &identity.role_arn)
}

/// The region whose STS is asked: the session's own, else one of the partition that `role` belongs to.
pub(crate) fn region(own: Option<&Region>, role: &str) -> Region {
    own.cloned().unwrap_or_else(|| {
        Region::from_static(match role.split(':').nth(1) {
            Some("aws-cn") => "cn-north-1",
            Some("aws-us-gov") => "us-gov-west-1",
            Some("aws-iso") => "us-iso-east-1",
            Some("aws-iso-b") => "us-isob-east-1",
            Some("aws-iso-e") => "eu-isoe-west-1",
            Some("aws-iso-f") => "us-isof-south-1",
            Some("aws-eusc") => "eusc-de-east-1",
            _ => "us-east-1",
        })
    })
}

/// The parts of credentials that must not be shown.
pub(crate) struct Secrets(Vec<SecretBytes>);

impl Secrets {
    pub(crate) fn each(&self) -> Vec<&SecretBytes> {
        self.0.iter().collect()
    }
}

/// What an error of AWS could repeat of `credentials`: a refused signature shows the request's headers.
pub(crate) fn secrets_of(credentials: &Credentials) -> Secrets {
    let parts = [Some(credentials.secret_access_key()), credentials.session_token()];
    Secrets(parts.into_iter().flatten().map(|part| SecretBytes::from(part.to_owned())).collect())
}

pub(crate) fn session_name(chosen: Option<&str>) -> String {
    chosen.map(str::to_owned).or_else(|| variable("AWS_ROLE_SESSION_NAME")).unwrap_or_else(|| SESSION_NAME.to_owned())
}

fn read_token(path: &Path) -> Result<SecretBytes, Failure> {
    let file = path.display();
    let unauthenticated = |words: String| Failure::new(Class::Unauthenticated, words);
    let token = content(path, LARGEST_TOKEN).map_err(|error| {
        unauthenticated(format!("cannot read the web identity token in {file}: {error}"))
            .with_hint("mount the service account's token there, or name its file in webIdentity.tokenFile")
    })?;
    let token = SecretBytes::new(token);
    let trimmed = token.expose_text().map(str::trim).filter(|text| !text.is_empty());
    match trimmed {
        Some(text) => Ok(SecretBytes::from(text.to_owned())),
        None => Err(unauthenticated(format!("there is no web identity token in {file}"))),
    }
}

async fn issued_token(source: &dyn TokenSource) -> Result<SecretBytes, Failure> {
    source.token().await.map_err(|mut failure| {
        failure.words = format!("no token of {}: {}", source.describe(), failure.words);
        // A missing account is no missing secret: taken for one, it would empty what was delivered.
        if failure.class == Class::NotFound {
            failure.class = Class::Unauthenticated;
        }
        failure
    })
}

/// Says which role it was that could not be taken.
pub(crate) fn about_role(mut refusal: Refusal, role: &str) -> Refusal {
    refusal.failure.words = format!("cannot assume {role}: {}", refusal.failure.words);
    if refusal.failure.class == Class::Denied {
        refusal.failure.hint =
            Some("check the role's trust policy (who may assume it, external id, audience, tags)".to_owned());
    }
    refusal
}

fn taken(credentials: Option<aws_sdk_sts::types::Credentials>, role: &str) -> Result<Credentials, Refusal> {
    let Some(credentials) = credentials else {
        return Err(Failure::new(Class::Unavailable, format!("STS gave no credentials for {role}")).into());
    };
    let expires = SystemTime::try_from(credentials.expiration).ok();
    Ok(Credentials::new(
        credentials.access_key_id,
        credentials.secret_access_key,
        Some(credentials.session_token),
        expires,
        "sts",
    ))
}

fn invalid(words: String) -> Failure {
    Failure::new(Class::Invalid, words)
}

fn record(around: &Surroundings, operation: &'static str, is_answered: bool) {
    around.meter.record(operation, if is_answered { Outcome::Answered } else { Outcome::Failed });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_without_a_region_is_assumed_in_its_own_partition() {
        let check = |own: Option<&'static str>, role: &str, expected: &str| {
            assert_eq!(region(own.map(Region::from_static).as_ref(), role).as_ref(), expected);
        };
        check(Some("eu-west-1"), "arn:aws:iam::1:role/a", "eu-west-1");
        check(None, "arn:aws:iam::1:role/a", "us-east-1");
        check(None, "arn:aws-cn:iam::1:role/a", "cn-north-1");
        check(None, "arn:aws-us-gov:iam::1:role/a", "us-gov-west-1");
    }
}
