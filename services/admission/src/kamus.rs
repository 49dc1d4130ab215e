//! `/kamus-secrets`: who may name a service account in a KamusSecret (S2). Whoever may create tokens of an account reads
//! what is encrypted for it anyhow; for anybody else the operator would be a way to that. Who may gets a mark on the
//! object, without which the operator reads nothing.

use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use strongroom_api::kamus::KamusSecret;
use strongroom_failure::Failure;
use strongroom_inject::Operation;
use strongroom_kamus_secret::{MARK_ANNOTATION, mark};
use strongroom_kamus_services::{KeyOptions, KeySource};
use strongroom_kube::{Action, Connection, may};
use tokio::task::JoinSet;

use crate::review::{Request, Verdict};

/// Judges KamusSecrets.
pub(crate) struct Kamus {
    client: Client,
    /// Nothing where nobody said which keys there are.
    keys: Option<KeySource>,
}

impl Kamus {
    /// # Errors
    /// Where it is said wrongly which keys there are.
    pub(crate) fn new(
        options: &KeyOptions,
        connection: &Connection,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let client = connection.client();
        let keys = match options.is_given() {
            true => Some(KeySource::new(options, (client.clone(), connection.namespace()), lookup)?),
            false => None,
        };
        Ok(Self { client, keys })
    }

    /// Follows the keys.
    pub(crate) fn follow(&self, tasks: &mut JoinSet<()>) {
        if let Some(keys) = &self.keys {
            tasks.spawn(keys.following().run());
        }
    }

    /// Marks the object, or refuses it.
    pub(crate) async fn review(&self, request: &Request) -> Verdict {
        if request.operation == "DELETE" || !request.sub_resource.is_empty() {
            return Verdict::unchanged();
        }
        let Some(keys) = &self.keys else {
            return Verdict::refused(
                "KamusSecrets are not judged here: start admission with --keys-secret, as the operator",
            );
        };
        let Some(object) = read(&request.object, &request.namespace) else {
            return Verdict::refused("the object is not what its kind says");
        };
        if object.metadata.name.as_deref().is_none_or(str::is_empty) {
            return Verdict::refused(
                "metadata.name: a KamusSecret needs a name of its own, for its mark is for that name",
            );
        }
        let before = read(&request.old_object, &request.namespace);
        self.judge(request, keys, &object, before).await.unwrap_or_else(|failure| failed(&failure))
    }

    async fn judge(
        &self,
        request: &Request,
        keys: &KeySource,
        object: &KamusSecret,
        before: Option<KamusSecret>,
    ) -> Result<Verdict, Failure> {
        let key = keys.mark_key().await?;
        let new_mark = mark(object, &key);
        let same = before.filter(|before| mark(before, &key) == new_mark);
        let account = object.service_account.as_deref().unwrap_or_default();
        // Without an account the operator reads nothing.
        if account.is_empty() {
            return Ok(Verdict::unchanged());
        }
        let was_allowed = match &same {
            Some(before) => keys.is_marked(before).await?,
            None => false,
        };
        if !was_allowed && !self.may_name(request, account).await? {
            // Finalizers and labels must be able to change on what nobody vouched for.
            return Ok(if same.is_some() { Verdict::unchanged() } else { forbidden(request, account) });
        }
        // Whoever encrypted it anew may have marked it by a key that is newer than what we know of.
        let patch = if keys.is_marked(object).await? { Vec::new() } else { patch(&request.object, &new_mark) };
        Ok(Verdict::Allowed { patch, warnings: Vec::new() })
    }

    async fn may_name(&self, request: &Request, account: &str) -> Result<bool, Failure> {
        let action = Action {
            verb: "create",
            group: "",
            resource: "serviceaccounts",
            subresource: "token",
            namespace: &request.namespace,
            name: account,
        };
        may(&self.client, &request.user_info, &action).await
    }
}

fn read(object: &Value, namespace: &str) -> Option<KamusSecret> {
    let mut object = KamusSecret::deserialize(object).ok()?;
    object.metadata.namespace = Some(namespace.to_owned());
    Some(object)
}

/// What sets the mark, where it is not there.
fn patch(object: &Value, mark: &str) -> Vec<Operation> {
    let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let (path, value) = match annotations {
        Some(Value::Object(annotations)) => {
            if annotations.get(MARK_ANNOTATION).and_then(Value::as_str) == Some(mark) {
                return Vec::new();
            }
            (format!("/metadata/annotations/{}", MARK_ANNOTATION.replace('/', "~1")), json!(mark))
        }
        _ => ("/metadata/annotations".to_owned(), json!({MARK_ANNOTATION: mark})),
    };
    vec![Operation::Add { path, value }]
}

fn forbidden(request: &Request, account: &str) -> Verdict {
    let user = &request.user_info.username;
    let message = format!(
        "serviceAccount: {user} may not create tokens of the service account {}/{account}, and so make no KamusSecret that \
         is read as it; a Role with the verb create on serviceaccounts/token and resourceNames [{account}] allows it",
        request.namespace
    );
    Verdict::Denied { code: 403, message }
}

/// What may be tried again.
fn failed(failure: &Failure) -> Verdict {
    Verdict::Denied { code: 500, message: format!("it cannot be told who may name a service account: {failure}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_is_written() {
        let check = |metadata: Value, expected: Value| {
            let patch = serde_json::to_value(patch(&json!({"metadata": metadata}), "v1.x")).unwrap();
            assert_eq!(patch, expected, "{metadata}");
        };
        check(
            json!({}),
            json!([{"op": "add", "path": "/metadata/annotations", "value": {"strongroom.dev/kamus-verified": "v1.x"}}]),
        );
        let added =
            json!([{"op": "add", "path": "/metadata/annotations/strongroom.dev~1kamus-verified", "value": "v1.x"}]);
        check(json!({"annotations": {"a": "b"}}), added.clone());
        check(json!({"annotations": {"strongroom.dev/kamus-verified": "forged"}}), added);
        check(json!({"annotations": {"strongroom.dev/kamus-verified": "v1.x"}}), json!([]));
    }
}
