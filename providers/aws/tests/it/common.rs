use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use strongroom_aws::{AccessKey, Endpoints, ProxySettings, Session, Settings};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Meter, Outcome, Provider, RemoteKey, SecretBytes};
use world::moto::{Kind, Moto, Stored, Value};
use world::switchboard::Switchboard;

pub(crate) const REGION: &str = "eu-west-1";

/// Everything that must never be seen holds this word.
pub(crate) const CANARY: &str = "canary";

/// One emulator for all tests, which use names of their own.
pub(crate) fn moto() -> &'static Moto {
    static MOTO: OnceLock<Moto> = OnceLock::new();
    MOTO.get_or_init(|| Moto::start().expect("moto starts"))
}

/// A store, so that one table of tests serves both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    SecretsManager,
    ParameterStore,
}

impl Store {
    pub(crate) const BOTH: [Self; 2] = [Self::SecretsManager, Self::ParameterStore];

    pub(crate) fn open(self, session: &Session) -> Box<dyn Provider> {
        match self {
            Self::SecretsManager => Box::new(session.secrets_manager(None)),
            Self::ParameterStore => Box::new(session.parameter_store(None)),
        }
    }

    pub(crate) fn put(self, name: &str, value: &str) {
        match self {
            // Tests that run side by side store the same value under the same name; the second is told so.
            Self::SecretsManager => drop(moto().put_secret(REGION, name, Value::Text(value))),
            Self::ParameterStore => {
                put_parameter(name, value);
            }
        }
    }

    pub(crate) fn put_all(self, names: &[RemoteKey]) {
        names.iter().for_each(|key| self.put(&key.name, &value_of(&key.name)));
    }

    pub(crate) fn batch(self) -> &'static str {
        match self {
            Self::SecretsManager => "BatchGetSecretValue",
            Self::ParameterStore => "GetParameters",
        }
    }

    pub(crate) fn single(self) -> &'static str {
        match self {
            Self::SecretsManager => "GetSecretValue",
            Self::ParameterStore => "GetParameter",
        }
    }

    pub(crate) fn batch_limit(self) -> usize {
        match self {
            Self::SecretsManager => 20,
            Self::ParameterStore => 10,
        }
    }
}

pub(crate) fn put_secret(name: &str, value: Value<'_>) -> Stored {
    moto().put_secret(REGION, name, value).expect("the secret is stored")
}

pub(crate) fn put_parameter(name: &str, value: &str) -> u64 {
    // The advanced tier takes up to 8 KiB.
    let body = json!({"Name": name, "Value": value, "Type": "SecureString", "Tier": "Advanced", "Overwrite": true});
    if value.len() > 4096 {
        let answer = moto().call(REGION, "AmazonSSM.PutParameter", &body).expect("the parameter is stored");
        return answer["Version"].as_u64().expect("a version");
    }
    moto().put_parameter(REGION, name, Kind::SecureString, value).expect("the parameter is stored")
}

/// Settings of a user with a long-lived key, everything at `endpoint`.
pub(crate) fn settings(endpoint: &str) -> Settings {
    let endpoint = Some(endpoint.to_owned());
    Settings {
        region: Some(REGION.to_owned()),
        access_key: Some(access_key()),
        endpoints: Endpoints {
            kms: endpoint.clone(),
            secrets_manager: endpoint.clone(),
            parameter_store: endpoint.clone(),
            certificate_manager: endpoint.clone(),
            resource_tags: endpoint.clone(),
            sts: endpoint.clone(),
            ecr: endpoint.clone(),
            ecr_public: endpoint,
        },
        proxy: Some(ProxySettings::default()),
        ..Settings::default()
    }
}

pub(crate) fn access_key() -> AccessKey {
    AccessKey {
        id: "AKIATEST".to_owned(),
        secret: SecretBytes::from("canary-access-key".to_owned()),
        session_token: None,
    }
}

/// A session whose calls go through a switchboard, and what counts them.
pub(crate) struct Line {
    pub(crate) switchboard: Switchboard,
    pub(crate) session: Session,
    pub(crate) meter: Arc<Meter>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let switchboard = Switchboard::to(moto().host_port()).expect("a switchboard");
        let mut settings = settings(switchboard.address());
        change(&mut settings);
        let meter = Arc::new(Meter::default());
        let session = Session::new(settings, Arc::clone(&meter)).expect("a session");
        Self { switchboard, session, meter }
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.switchboard.counts().of(operation)
    }

    pub(crate) fn batch_denials(&self) -> u64 {
        let denials = self.meter.counts().into_iter().filter(|(_, outcome, _)| *outcome == Outcome::BatchDenied);
        denials.map(|(_, _, count)| count).sum()
    }
}

/// `count` keys whose names start with `prefix`.
pub(crate) fn keys(prefix: &str, count: usize) -> Vec<RemoteKey> {
    (0..count).map(|place| RemoteKey::current(format!("/{prefix}/{place}"))).collect()
}

/// The value that [`Store::put_all`] stores under `name`.
pub(crate) fn value_of(name: &str) -> String {
    format!("canary of {name}")
}

pub(crate) fn text(answer: &Answer) -> &str {
    let value = answer.as_ref().unwrap_or_else(|failure| panic!("{failure}"));
    value.value.expose_text().expect("text")
}

/// Fails unless every key of [`Store::put_all`] was answered with its value.
pub(crate) fn assert_all(keys: &[RemoteKey], answers: &[Answer]) {
    assert_eq!(keys.len(), answers.len());
    for (key, answer) in keys.iter().zip(answers) {
        // Compared without printing: a test's output is an output too.
        assert!(text(answer) == value_of(&key.name), "another value for {}", key.name);
    }
}

/// The failure of an answer that must be one, which shows no secret in any form.
pub(crate) fn failure(answer: &Answer) -> &Failure {
    let failure = answer.as_ref().expect_err("a failure");
    assert_clean(failure);
    assert_clean(&failure.to_string());
    failure
}

pub(crate) fn class(answer: &Answer) -> Class {
    failure(answer).class
}

pub(crate) fn assert_clean(shown: &impl Debug) {
    assert!(!format!("{shown:?}").contains(CANARY), "a secret is shown");
}
