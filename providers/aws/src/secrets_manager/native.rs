//! Native secrets: the value of a Kubernetes Secret moves to a secret of its own here (NA-01).

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Provider as _, SecretBytes};

use super::SecretsManager;
use super::push::Present;

/// What NASE describes its secrets with. It is the mark by which they are known: another secret of the same name is not
/// overwritten.
const DESCRIPTION: &str = "A native secret managed by the NaSe Webhook";

impl SecretsManager {
    /// Keeps `value` as the secret `name`, made where there is none, and gives its ARN. Nothing is written where it holds
    /// the value already.
    ///
    /// # Errors
    /// `Denied` where a secret of that name was not made from a Kubernetes Secret; else what AWS says.
    pub async fn keep_native(&self, name: &str, value: &SecretBytes) -> Result<String, Failure> {
        let kept = match self.present(name).await? {
            None => self.create_native(name, value).await,
            Some(present) if present.description.as_deref() == Some(DESCRIPTION) => {
                self.change_native(name, value, present).await
            }
            Some(_) => Err(Failure::new(Class::Denied, "there is such a secret, and it was not made from a Secret")
                .with_hint("name the Secret differently, or delete the other")),
        };
        kept.map_err(|failure| failure.on_key(name).from_store(self.describe()))
    }

    async fn create_native(&self, name: &str, value: &SecretBytes) -> Result<String, Failure> {
        let request = self.client().await?.create_secret().name(name).description(DESCRIPTION);
        let (binary, text) = as_written(value);
        let request = request.set_secret_binary(binary).set_secret_string(text);
        let created = self.session.call("secretsmanager:CreateSecret", || request.clone().send()).await;
        named(created.map_err(|refusal| refusal.failure)?.arn)
    }

    async fn change_native(&self, name: &str, value: &SecretBytes, present: Present) -> Result<String, Failure> {
        if present.value.is_some_and(|there| there.value.expose() == value.expose()) {
            return named(present.arn);
        }
        let (binary, text) = as_written(value);
        let request = self.client().await?.put_secret_value().secret_id(name);
        let request = request.set_secret_binary(binary).set_secret_string(text);
        let put = self.session.call("secretsmanager:PutSecretValue", || request.clone().send()).await;
        named(put.map_err(|refusal| refusal.failure)?.arn)
    }
}

/// Text as text, so that other tools read it; anything else as bytes.
fn as_written(value: &SecretBytes) -> (Option<aws_sdk_secretsmanager::primitives::Blob>, Option<String>) {
    match value.expose_text() {
        Some(text) => (None, Some(text.to_owned())),
        None => (Some(aws_sdk_secretsmanager::primitives::Blob::new(value.expose())), None),
    }
}

fn named(arn: Option<String>) -> Result<String, Failure> {
    arn.ok_or_else(|| Failure::new(Class::Unavailable, "the answer has no ARN"))
}
