//! `strongroom operator` with Secrets that have annotations of cmattoon/aws-ssm.

mod secrets;
mod support;
