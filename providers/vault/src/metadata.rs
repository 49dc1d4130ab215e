//! What KV version 2 says about a secret: what people wrote beside it, and what the engine knows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use strongroom_failure::Failure;
use strongroom_http::{Response, json_body};
use strongroom_provider::RemoteValue;

#[derive(Deserialize)]
struct Envelope {
    data: Details,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    created_time: Value,
    #[serde(default)]
    current_version: Value,
    #[serde(default)]
    delete_version_after: Value,
    #[serde(default)]
    custom_metadata: Option<BTreeMap<String, Value>>,
}

/// The facts in an answer, by name, as External Secrets Operator gives them: `created_time`, `current_version` and
/// `delete_version_after`, and the custom metadata, which wins over them.
pub(crate) fn facts(response: &Response) -> Result<BTreeMap<String, String>, Failure> {
    let Envelope { data } = response.json()?;
    let own = [
        ("created_time", data.created_time),
        ("current_version", data.current_version),
        ("delete_version_after", data.delete_version_after),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let all = own.chain(data.custom_metadata.unwrap_or_default()).filter(|(_, value)| !value.is_null());
    Ok(all.map(|(name, value)| (name, shown(value))).collect())
}

/// The same as the value of a key: a JSON object of strings.
pub(crate) fn value(response: &Response) -> Result<RemoteValue, Failure> {
    let facts = facts(response)?;
    Ok(RemoteValue::new(json_body(&facts)?, facts.get("current_version").cloned()))
}

fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn custom_metadata_stands_beside_what_the_engine_knows() {
        let check = |data: &str, expected: &str, version: Option<&str>| {
            let body = format!(r#"{{"data":{data}}}"#).into();
            let read = value(&Response { status: StatusCode::OK, headers: HeaderMap::new(), body }).unwrap();
            assert_eq!((read.value.expose_text().unwrap(), read.version.as_deref()), (expected, version));
        };
        check(
            r#"{"created_time":"t","current_version":3,"delete_version_after":"0s","custom_metadata":{"owner":"a"},"versions":{}}"#,
            r#"{"created_time":"t","current_version":"3","delete_version_after":"0s","owner":"a"}"#,
            Some("3"),
        );
        check(
            r#"{"created_time":"t","current_version":1,"custom_metadata":{"created_time":"mine"}}"#,
            r#"{"created_time":"mine","current_version":"1"}"#,
            Some("1"),
        );
        check(r#"{"custom_metadata":null}"#, "{}", None);
    }
}
