//! What cmattoon/aws-ssm's annotations come to, as tables named after the behaviours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod annotations;
mod permissions;
mod secrets;
mod values;

use strongroom_aws_ssm::Values;
use strongroom_secret::SecretBytes;

/// `a=1 b=2`, of values that are none.
fn line(values: &Values) -> String {
    let shown = values.iter().map(|(key, value)| format!("{key}={}", value.expose_text().unwrap()));
    shown.collect::<Vec<_>>().join(" ")
}

fn value(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}
