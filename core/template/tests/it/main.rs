//! Templates against what Go gave for them, and against templates that mean harm.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside of test functions unwrap as well")]

mod errors;
mod fixtures;
mod keys;
mod limits;
mod mutations;
mod values;

use strongroom_template::{Settings, Template, TemplateFailure, Value};

fn settings() -> Settings {
    Settings::at("2024-05-06T07:08:09Z".parse().unwrap())
}

fn render(text: &str, data: serde_json::Value) -> Result<String, TemplateFailure> {
    render_with(text, data, &settings())
}

fn render_with(text: &str, data: serde_json::Value, settings: &Settings) -> Result<String, TemplateFailure> {
    let output = Template::parse("test", text, settings)?.render(&Value::from(data))?;
    Ok(String::from_utf8_lossy(output.expose()).into_owned())
}
