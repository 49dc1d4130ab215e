use std::sync::Arc;

use strongroom_api::external_secrets::provider::{FakeProvider, FakeProviderData};
use strongroom_failure::{Class, Failure};
use strongroom_fake::Fake;
use strongroom_provider::{Provider, Validation};
use strongroom_secret::SecretBytes;

use super::Scope;

/// Opens values written in the store itself as `spec` says.
pub(super) async fn open(spec: &FakeProvider, _scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    for (place, FakeProviderData { key, value, .. }) in spec.data.iter().enumerate() {
        let missing = |name: &str| invalid(&format!("data[{place}].{name}"), "it must not be empty");
        if key.is_empty() {
            return Err(missing("key"));
        }
        if value.is_empty() {
            return Err(missing("value"));
        }
    }
    let validation = match spec.validation_result.unwrap_or_default() {
        0 => Ok(Validation::Valid),
        1 => Ok(Validation::Unknown),
        _ => Err(invalid("validationResult", "the store says that it is not valid")),
    };
    let entries =
        spec.data.iter().cloned().map(|FakeProviderData { key, value, version }| {
            (key, version.unwrap_or_default(), SecretBytes::from(value))
        });
    Ok(Arc::new(Fake::with_newest(entries, validation)))
}

fn invalid(name: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("spec.provider.fake.{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_provider::{RemoteKey, Version};

    use super::super::kubernetes::tests::scope;
    use super::*;

    async fn opened(spec: Value) -> Result<Arc<dyn Provider>, Failure> {
        let spec: FakeProvider = serde_json::from_value(spec).unwrap();
        open(&spec, &scope(false)).await
    }

    #[tokio::test]
    async fn values_are_what_the_spec_says() {
        let data = json!([
            {"key": "a", "value": "old", "version": "v1"}, {"key": "a", "value": "new", "version": "v2"},
            {"key": "b", "value": "{\"x\":1}"},
        ]);
        let store = opened(json!({"data": data})).await.unwrap();
        let versioned = RemoteKey::at("a", Version::Stage("v1".to_owned()));
        let answers = store.read(&[RemoteKey::current("a"), versioned, RemoteKey::current("b")]).await;
        let texts: Vec<_> =
            answers.iter().map(|answer| answer.as_ref().unwrap().value.expose_text().unwrap()).collect();
        assert_eq!(texts, ["new", "old", r#"{"x":1}"#]);
        assert_eq!(store.validate().await.unwrap(), Validation::Valid);
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        let check = async |spec: Value, expected: &str| {
            let failure = opened(spec).await.map(drop).unwrap_err();
            assert_eq!(failure.to_string(), expected);
        };
        let row = |key: &str, value: &str| json!({"data": [{"key": key, "value": value}]});
        check(row("", "canary"), "spec.provider.fake.data[0].key: it must not be empty").await;
        check(row("a", ""), "spec.provider.fake.data[0].value: it must not be empty").await;
    }

    #[tokio::test]
    async fn validating_gives_what_is_asked_for() {
        let check = async |result: i32, expected: Result<Validation, Class>| {
            let store = opened(json!({"data": [], "validationResult": result})).await.unwrap();
            assert_eq!(store.validate().await.map_err(|failure| failure.class), expected);
        };
        check(0, Ok(Validation::Valid)).await;
        check(1, Ok(Validation::Unknown)).await;
        check(2, Err(Class::Invalid)).await;
    }
}
