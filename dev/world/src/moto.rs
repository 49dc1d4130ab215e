//! moto, an emulator of AWS: Secrets Manager, Parameter Store, STS, KMS, SQS, Certificate Manager.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::cache::RunFolder;
use crate::part::{Part, free_port};
use crate::{plain_http, python};

/// How long the server may take: it needs two seconds on a quiet machine, most of it Python's imports.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// A running moto server. It checks no signature: any access key will do, and the region is the one that was signed.
/// Dropping it ends it.
#[derive(Debug)]
pub struct Moto {
    endpoint: String,
    // Ends before the directory with its log goes.
    part: Part,
    _directory: RunFolder,
}

/// A value for Secrets Manager.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `SecretString`.
    Text(&'a str),
    /// `SecretBinary`.
    Binary(&'a [u8]),
}

/// What Secrets Manager answered when a value was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The secret's full ARN, with the six random characters.
    pub arn: String,
    /// The version's id.
    pub version: String,
}

/// A kind of parameter.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Plain text.
    String,
    /// Encrypted with the account's key.
    SecureString,
    /// Comma-separated.
    StringList,
}

impl Moto {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When the Python environment cannot be prepared or the server does not get ready.
    pub fn start() -> Result<Self> {
        let environment = python::prepare()?;
        let directory = RunFolder::new()?;
        let port = free_port()?;
        let mut server = Command::new(environment.program("python"));
        let script = include_str!("../python/moto_in_turn.py");
        server.args(["-c", script, &port.to_string()]).env("MOTO_PORT", port.to_string());
        let mut part = Part::start("moto", &server, directory.path())?;
        let host_port = format!("127.0.0.1:{port}");
        part.wait_until(READY_LIMIT, || {
            plain_http::send(&host_port, "GET", "/moto-api/", &[], b"").is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { endpoint: format!("http://{host_port}"), part, _directory: directory })
    }

    /// `http://127.0.0.1:PORT`, as in `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// `127.0.0.1:PORT`, as the switchboard wants it.
    pub fn host_port(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// The process, for its id and its log.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Forgets everything that was stored, in every region.
    ///
    /// # Errors
    /// When moto does not answer.
    pub fn reset(&self) -> Result<()> {
        let answer = plain_http::send(self.host_port(), "POST", "/moto-api/reset", &[], b"")?;
        if answer.status != 200 {
            bail!("moto answered {} to a reset", answer.status);
        }
        Ok(())
    }

    /// One call of a JSON service: `call("eu-west-1", "secretsmanager.DeleteSecret", json!({"SecretId": "a"}))`. The
    /// target is the value of `X-Amz-Target`; an answer without a body is `null`.
    ///
    /// # Errors
    /// When moto does not answer, or answers with an error; the error shows its body.
    pub fn call(&self, region: &str, target: &str, body: &Json) -> Result<Json> {
        // moto takes service and region from the scope of the signature and leaves the signature itself unchecked.
        let service = match target.split_once('.') {
            Some(("AmazonSSM", _)) => "ssm",
            Some(("TrentService", _)) => "kms",
            Some(("AmazonSQS", _)) => "sqs",
            Some(("CertificateManager", _)) => "acm",
            Some(("ResourceGroupsTaggingAPI_20170126", _)) => "tagging",
            Some((service, _)) => service,
            None => bail!("{target} is no value of X-Amz-Target"),
        };
        let scope = format!("test/20260101/{region}/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={}", "0".repeat(64));
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target),
            ("X-Amz-Date", "20260101T000000Z"),
            ("Authorization", &authorization),
        ];
        let answer = plain_http::send(self.host_port(), "POST", "/", &headers, body.to_string().as_bytes())?;
        if answer.status != 200 {
            bail!("{target}: moto answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        if answer.body.is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{target}: moto did not answer with JSON"))
    }

    /// Creates a secret.
    ///
    /// # Errors
    /// As [`Moto::call`]; a name that exists is one.
    pub fn put_secret(&self, region: &str, name: &str, value: Value<'_>) -> Result<Stored> {
        let request = with_value(json!({"Name": name}), value);
        stored(&self.call(region, "secretsmanager.CreateSecret", &request)?)
    }

    /// Adds a version to a secret. With no `stages` it becomes `AWSCURRENT`, and the one before `AWSPREVIOUS`.
    ///
    /// # Errors
    /// As [`Moto::call`]; a name that does not exist is one.
    pub fn put_secret_version(&self, region: &str, name: &str, value: Value<'_>, stages: &[&str]) -> Result<Stored> {
        let mut request = with_value(json!({"SecretId": name}), value);
        if !stages.is_empty() {
            request["VersionStages"] = json!(stages);
        }
        stored(&self.call(region, "secretsmanager.PutSecretValue", &request)?)
    }

    /// Creates a parameter or gives it a new value; returns the version's number.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn put_parameter(&self, region: &str, name: &str, kind: Kind, value: &str) -> Result<u64> {
        let kind = match kind {
            Kind::String => "String",
            Kind::SecureString => "SecureString",
            Kind::StringList => "StringList",
        };
        let request = json!({"Name": name, "Type": kind, "Value": value, "Overwrite": true});
        let answer = self.call(region, "AmazonSSM.PutParameter", &request)?;
        answer["Version"].as_u64().context("moto names no version")
    }

    /// Makes a queue of SQS; what is received and not deleted is to be had again after `visibility`. Returns its URL.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn make_queue(&self, region: &str, name: &str, visibility: Duration) -> Result<String> {
        let attributes = json!({"VisibilityTimeout": visibility.as_secs().to_string()});
        let answer =
            self.call(region, "AmazonSQS.CreateQueue", &json!({"QueueName": name, "Attributes": attributes}))?;
        answer["QueueUrl"].as_str().map(str::to_owned).context("moto names no queue")
    }

    /// Puts a message into a queue, as EventBridge does.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn send_message(&self, region: &str, queue: &str, body: &str) -> Result<()> {
        self.call(region, "AmazonSQS.SendMessage", &json!({"QueueUrl": queue, "MessageBody": body})).map(drop)
    }

    /// How many messages a queue has, those under way included.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn messages_in(&self, region: &str, queue: &str) -> Result<u64> {
        const COUNTS: [&str; 2] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let request = json!({"QueueUrl": queue, "AttributeNames": COUNTS});
        let answer = self.call(region, "AmazonSQS.GetQueueAttributes", &request)?;
        let count = |name: &str| answer["Attributes"][name].as_str().and_then(|count| count.parse::<u64>().ok());
        COUNTS.into_iter().map(count).sum::<Option<u64>>().context("moto does not count")
    }

    /// Puts labels on one version of a parameter, taking them from the version that has them.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn label_parameter(&self, region: &str, name: &str, version: u64, labels: &[&str]) -> Result<()> {
        let request = json!({"Name": name, "ParameterVersion": version, "Labels": labels});
        let answer = self.call(region, "AmazonSSM.LabelParameterVersion", &request)?;
        match answer["InvalidLabels"].as_array() {
            Some(invalid) if !invalid.is_empty() => bail!("moto refuses the labels {invalid:?}"),
            _ => Ok(()),
        }
    }
}

fn with_value(mut request: Json, value: Value<'_>) -> Json {
    match value {
        Value::Text(text) => request["SecretString"] = json!(text),
        Value::Binary(bytes) => request["SecretBinary"] = json!(STANDARD.encode(bytes)),
    }
    request
}

fn stored(answer: &Json) -> Result<Stored> {
    let field = |name: &str| answer[name].as_str().map(str::to_owned).with_context(|| format!("moto names no {name}"));
    Ok(Stored { arn: field("ARN")?, version: field("VersionId")? })
}
