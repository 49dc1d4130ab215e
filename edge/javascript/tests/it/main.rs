//! Runs templates in the real child: `javascript-probe` is a program that is nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod hostile;
mod rendering;
mod sandbox;

use std::collections::BTreeMap;

use strongroom_javascript::{Engine, Fault, Limits};
use strongroom_secret::SecretBytes;

fn engine(limits: Limits) -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_javascript-probe").into(), Vec::new(), limits)
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretBytes> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretBytes::from((*value).to_owned()))).collect()
}

/// What `templates` come to; texts instead of secrets, which are made up here.
async fn render(engine: &Engine, data: &[(&str, &str)], templates: &[&str]) -> Vec<Result<String, Fault>> {
    let data: Vec<_> = data.iter().map(|(name, value)| (*name, SecretBytes::from((*value).to_owned()))).collect();
    let data: Vec<_> = data.iter().map(|(name, value)| (*name, value)).collect();
    let answers = engine.render_in_order(&data, templates).await.unwrap();
    answers.into_iter().map(|answer| answer.map(|text| text.expose_text().unwrap().to_owned())).collect()
}
