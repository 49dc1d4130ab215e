//! What becomes of a KamusSecret, as tables; what a mark holds, as a property.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod deciding;
mod marks;

use serde_json::{Value, json};
use strongroom_api::kamus::KamusSecret;

/// An object `app` of `team-a` with these fields.
fn object(rest: Value) -> KamusSecret {
    let mut object = json!({"metadata": {"name": "app", "namespace": "team-a", "uid": "u-1", "generation": 2}});
    for (name, value) in rest.as_object().unwrap() {
        match name.as_str() {
            "labels" | "annotations" | "managedFields" => object["metadata"][name] = value.clone(),
            _ => object[name] = value.clone(),
        }
    }
    serde_json::from_value(object).unwrap()
}
