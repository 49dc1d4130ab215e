#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "push")]
mod native;
#[cfg(feature = "push")]
mod policy;
#[cfg(feature = "push")]
mod push;
#[cfg(feature = "push")]
mod replicas;

use std::sync::OnceLock;

use async_trait::async_trait;
use aws_config::Region;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::batch_get_secret_value::BatchGetSecretValueOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::SecretValueEntry;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_provider::{
    Answer, Call, Facet, Limits, Outcome, Provider, RemoteKey, RemoteValue, SecretBytes, Validation, Version,
};
#[cfg(feature = "push")]
use strongroom_provider::{DeleteAnswer, Place, Push, PushAnswer};
#[cfg(feature = "catalog")]
use strongroom_provider::{Find, Found};

#[cfg(feature = "push")]
pub use self::push::Deletion;
use crate::failure::{Refusal, from_code};
use crate::prefix::Prefix;
use crate::session::Session;

const BATCH: &str = "secretsmanager:BatchGetSecretValue";
const SINGLE: &str = "secretsmanager:GetSecretValue";
const DESCRIBE: &str = "secretsmanager:DescribeSecret";

/// The most secrets that AWS takes in one batch.
const BATCH_LIMIT: usize = 20;

/// The most pages that one batch may be answered in: one for each key, and AWS answers with far fewer.
const MOST_PAGES: usize = BATCH_LIMIT;

/// Calls under way at once where a list of keys needs several; the caller's own limit comes on top.
const AT_ONCE: usize = 20;

/// What AWS calls the version that is read where nobody asks for another.
const CURRENT: &str = "AWSCURRENT";

/// AWS Secrets Manager in one region.
///
/// A [`Version::Stage`] is read as External Secrets Operator reads versions: `uuid/ID` is the version `ID`, and nothing
/// at all is the current one.
pub struct SecretsManager {
    session: Session,
    wanted_region: Option<Region>,
    client: OnceLock<(Client, Region)>,
    prefix: Prefix,
    #[cfg(feature = "push")]
    deletion: Deletion,
}

impl SecretsManager {
    pub(crate) fn new(session: Session, region: Option<&str>) -> Self {
        let wanted_region = region.map(|region| Region::new(region.to_owned())).or_else(|| session.known_region());
        Self {
            session,
            wanted_region,
            client: OnceLock::new(),
            prefix: Prefix::default(),
            #[cfg(feature = "push")]
            deletion: Deletion::Recoverable(None),
        }
    }

    /// The same with `prefix` before every key; a search finds only names that begin with it.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: Prefix::new(prefix), ..self }
    }

    async fn client(&self) -> Result<&Client, Failure> {
        if let Some((client, _)) = self.client.get() {
            return Ok(client);
        }
        let region = match &self.wanted_region {
            Some(region) => region.clone(),
            None => self.session.region().await?,
        };
        let config = self.session.config(region.clone()).await;
        let mut builder = aws_sdk_secretsmanager::config::Builder::from(&config);
        if let Some(endpoint) = &self.session.settings().endpoints.secrets_manager {
            builder = builder.endpoint_url(endpoint);
        }
        Ok(&self.client.get_or_init(|| (Client::from_conf(builder.build()), region)).0)
    }

    /// Asks for the keys of one call.
    async fn ask(&self, keys: &[&RemoteKey]) -> Vec<Answer> {
        match keys {
            [key] => vec![self.ask_one(key).await],
            _ => self.ask_batch(keys).await,
        }
    }

    async fn ask_one(&self, key: &RemoteKey) -> Answer {
        let answer = match (key.facet, &key.request) {
            (_, Some(_)) => Err(Failure::new(Class::Invalid, "AWS Secrets Manager takes no request body").into()),
            (Facet::Value, None) => self.get_one(key).await.and_then(|output| one_value(output).map_err(Refusal::from)),
            (Facet::Metadata, None) => self.metadata(key).await,
        };
        answer.map_err(|refusal| self.about(key, refusal.failure))
    }

    async fn get_one(&self, key: &RemoteKey) -> Result<GetSecretValueOutput, Refusal> {
        let client = self.client().await?;
        let request = client.get_secret_value().secret_id(&key.name);
        let request = match &key.version {
            None => request,
            Some(Version::Id(id)) => request.version_id(id),
            Some(Version::Stage(stage)) => request.version_stage(stage),
        };
        self.session.call(SINGLE, || request.clone().send()).await
    }

    async fn ask_batch(&self, keys: &[&RemoteKey]) -> Vec<Answer> {
        let found = match self.get_batch(keys).await {
            Ok(found) => found,
            Err(refusal) => return self.without_batch(keys, &refusal).await,
        };
        let answers = keys.iter().map(|key| found.answer_of(&key.name)).collect::<Vec<_>>();
        let missing = keys.iter().zip(&answers).filter(|(_, answer)| answer.is_none()).map(|(key, _)| *key);
        // Neither a value nor an error: what AWS says about the key alone is what counts.
        let mut asked_again = join_all(missing.map(|key| self.ask_one(key))).await.into_iter();
        let known = |(key, answer): (&&RemoteKey, Option<Answer>)| match answer {
            Some(answer) => Some(answer.map_err(|failure| self.about(key, failure))),
            None => asked_again.next(),
        };
        keys.iter().zip(answers).filter_map(known).collect()
    }

    async fn get_batch(&self, keys: &[&RemoteKey]) -> Result<Answered, Refusal> {
        let client = self.client().await?;
        let mut names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let request = client.batch_get_secret_value().set_secret_id_list(Some(names));
        let mut found = Answered::default();
        let mut token = found.add(self.session.call(BATCH, || request.clone().send()).await?);
        let is_missing = |found: &Answered| keys.iter().any(|key| found.answer_of(&key.name).is_none());
        for _ in 1..MOST_PAGES {
            if token.is_none() || !is_missing(&found) {
                break;
            }
            let request = request.clone().set_next_token(token.take());
            // What a refused page would have held is asked singly, as everything that is missing.
            let Ok(page) = self.session.call(BATCH, || request.clone().send()).await else { break };
            token = found.add(page);
        }
        Ok(found)
    }

    /// The answers where AWS refused a whole batch with `refusal`.
    async fn without_batch(&self, keys: &[&RemoteKey], refusal: &Refusal) -> Vec<Answer> {
        let is_denied = refusal.is_denied() || refusal.is_unknown_operation();
        if !is_denied && !refusal.may_be_one_keys() {
            return keys.iter().map(|key| Err(self.about(key, refusal.failure.clone()))).collect();
        }
        if is_denied {
            self.session.meter().record(BATCH, Outcome::BatchDenied);
            if self.session.secrets_manager_memory().batch_is_denied() {
                tracing::warn!(
                    store = self.describe(),
                    identity = self.session.identity(),
                    "batch reads are denied; reading one by one for 10 minutes. hint: allow {BATCH} (resource *)"
                );
            }
        }
        let answers = join_all(keys.iter().map(|key| self.ask_one(key))).await;
        if !is_denied {
            self.remember_spoilers(keys, &answers);
        }
        answers
    }

    /// Keys that are invalid by themselves are not put into batches again for a while.
    fn remember_spoilers(&self, keys: &[&RemoteKey], answers: &[Answer]) {
        for (key, answer) in keys.iter().zip(answers) {
            if answer.as_ref().is_err_and(|failure| failure.class == Class::Invalid) {
                self.session.secrets_manager_memory().spoils_batches(&key.name);
            }
        }
    }

    fn about(&self, key: &RemoteKey, failure: Failure) -> Failure {
        failure.on_key(&key.name).from_store(self.describe())
    }

    fn can_batch(&self, key: &RemoteKey) -> bool {
        key.facet == Facet::Value
            && version(key.version.as_ref()).is_none()
            && key.request.is_none()
            && !self.session.secrets_manager_memory().is_alone(&self.prefix.before(&key.name))
    }

    /// `key` as AWS takes it.
    fn whole(&self, key: &RemoteKey) -> RemoteKey {
        let name = self.prefix.before(&key.name).into_owned();
        RemoteKey { name, version: version(key.version.as_ref()), ..key.clone() }
    }
}

#[cfg(not(feature = "catalog"))]
impl SecretsManager {
    #[expect(clippy::unused_async, reason = "the other one asks AWS")]
    async fn metadata(&self, _: &RemoteKey) -> Result<RemoteValue, Refusal> {
        Err(Failure::new(Class::Invalid, "this program is built without reading tags").into())
    }
}

#[async_trait]
impl Provider for SecretsManager {
    fn describe(&self) -> String {
        let found = self.client.get().map(|(_, region)| region);
        match self.wanted_region.as_ref().or(found) {
            Some(region) => format!("AWS Secrets Manager ({region})"),
            None => "AWS Secrets Manager".to_owned(),
        }
    }

    fn identity(&self) -> String {
        self.session.identity()
    }

    fn limits(&self) -> Limits {
        // AWS's quotas a second, for an account and region: 100 batches, or 10,000 single reads. Of the latter we take
        // a tenth, for there are others.
        let rate = if self.session.secrets_manager_memory().singly() { 1_000.0 } else { 100.0 };
        Limits { concurrency: 32, rate, burst: 100 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let singly = self.session.secrets_manager_memory().singly();
        let (batched, single): (Vec<usize>, Vec<usize>) =
            (0..keys.len()).partition(|place| !singly && self.can_batch(&keys[*place]));
        let batches = batched.chunks(BATCH_LIMIT).map(<[usize]>::to_vec);
        let calls = batches.chain(single.into_iter().map(|place| vec![place]));
        calls.map(|places| Call { operation: operation(&places, keys).to_owned(), keys: places }).collect()
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let whole: Vec<RemoteKey> = keys.iter().map(|key| self.whole(key)).collect();
        let whole = whole.as_slice();
        let calls = stream::iter(self.plan(keys)).map(|call| async move {
            let asked: Vec<&RemoteKey> = call.keys.iter().map(|place| &whole[*place]).collect();
            let answers = Box::pin(self.ask(&asked)).await;
            call.keys.into_iter().zip(answers).collect::<Vec<_>>()
        });
        let mut answers: Vec<(usize, Answer)> = calls.buffer_unordered(AT_ONCE).flat_map(stream::iter).collect().await;
        answers.sort_unstable_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    #[cfg(feature = "catalog")]
    async fn find(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        self.search(query).await
    }

    #[cfg(feature = "push")]
    async fn push(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        self.push_all(pushes).await
    }

    #[cfg(feature = "push")]
    async fn delete(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        self.delete_all(places).await
    }

    async fn validate(&self) -> Result<Validation, Failure> {
        self.session.validate().await.map_err(|failure| failure.from_store(self.describe()))
    }
}

impl std::fmt::Debug for SecretsManager {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("SecretsManager").field(&self.describe()).finish()
    }
}

/// What the call for the keys at `places` is. One key alone needs only the permission that everybody has.
fn operation(places: &[usize], keys: &[RemoteKey]) -> &'static str {
    match places {
        [place] if keys[*place].facet == Facet::Metadata => DESCRIBE,
        [_] => SINGLE,
        _ => BATCH,
    }
}

/// The version that `written` means; `None` for the current one, which is what batches read.
fn version(written: Option<&Version>) -> Option<Version> {
    match written {
        Some(Version::Stage(stage)) if stage.is_empty() || stage == CURRENT => None,
        Some(Version::Stage(stage)) => Some(match stage.strip_prefix("uuid/") {
            Some(id) => Version::Id(id.to_owned()),
            None => Version::Stage(stage.clone()),
        }),
        other => other.cloned(),
    }
}

/// What a batch answered so far. AWS keeps no order, and answers a secret that was asked by name and by ARN once.
#[derive(Default)]
struct Answered {
    values: Vec<(Names, Answer)>,
    errors: Vec<(String, Failure)>,
}

/// How a secret may have been asked for.
struct Names {
    name: String,
    arn: String,
}

impl Answered {
    /// Takes one page; what is left is behind the token.
    fn add(&mut self, page: BatchGetSecretValueOutput) -> Option<String> {
        for entry in page.secret_values.unwrap_or_default() {
            let SecretValueEntry { arn, name, version_id, secret_binary, secret_string, .. } = entry;
            let names = Names { name: name.unwrap_or_default(), arn: arn.unwrap_or_default() };
            self.values.push((names, value(secret_string, secret_binary, version_id)));
        }
        for error in page.errors.unwrap_or_default() {
            let message = outside_words(error.message.as_deref().unwrap_or_default(), &[]);
            let failure = from_code(error.error_code.as_deref().unwrap_or_default(), &message, 400);
            self.errors.push((error.secret_id.unwrap_or_default(), failure));
        }
        page.next_token.filter(|token| !token.is_empty())
    }

    fn answer_of(&self, key: &str) -> Option<Answer> {
        let value = self.values.iter().find(|(names, _)| names.answer(key)).map(|(_, value)| value.clone());
        value.or_else(|| self.errors.iter().find(|(id, _)| id == key).map(|(_, failure)| Err(failure.clone())))
    }
}

impl Names {
    /// Whether `key` asks for this secret: by name, by ARN, or by ARN without the random ending that AWS adds.
    fn answer(&self, key: &str) -> bool {
        let has_ending = |rest: &str| rest.len() == 7 && rest.starts_with('-');
        key == self.name || key == self.arn || self.arn.strip_prefix(key).is_some_and(has_ending)
    }
}

fn one_value(output: GetSecretValueOutput) -> Answer {
    let GetSecretValueOutput { version_id, secret_binary, secret_string, .. } = output;
    value(secret_string, secret_binary, version_id)
}

fn value(text: Option<String>, binary: Option<Blob>, version: Option<String>) -> Answer {
    match (text, binary) {
        (Some(text), _) => Ok(RemoteValue::new(SecretBytes::from(text), version)),
        (None, Some(binary)) => {
            let value = SecretBytes::new(binary.into_inner());
            Ok(RemoteValue { is_binary: true, ..RemoteValue::new(value, version) })
        }
        (None, None) => Err(Failure::new(Class::NotFound, "it has no value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_external_secrets_operator_reads_them() {
        let check = |written: Option<Version>, expected: Option<Version>| {
            assert_eq!(version(written.as_ref()), expected);
        };
        let (id, stage) =
            (|text: &str| Some(Version::Id(text.to_owned())), |text: &str| Some(Version::Stage(text.to_owned())));
        check(None, None);
        check(stage(""), None);
        check(stage("AWSCURRENT"), None);
        check(stage("AWSPREVIOUS"), stage("AWSPREVIOUS"));
        check(stage("uuid/123"), id("123"));
        check(id("uuid/123"), id("uuid/123"));
    }

    #[test]
    fn a_secret_answers_to_its_name_and_arns() {
        let check = |key: &str, expected| {
            let names = Names {
                name: "prod/db".to_owned(),
                arn: "arn:aws:secretsmanager:eu-west-1:1:secret:prod/db-AbCdEf".to_owned(),
            };
            assert_eq!(names.answer(key), expected, "{key}");
        };
        check("prod/db", true);
        check("arn:aws:secretsmanager:eu-west-1:1:secret:prod/db-AbCdEf", true);
        check("arn:aws:secretsmanager:eu-west-1:1:secret:prod/db", true);
        check("arn:aws:secretsmanager:eu-west-1:1:secret:prod/d", false);
        check("arn:aws:secretsmanager:eu-west-1:1:secret:prod", false);
        check("arn:aws:secretsmanager:eu-west-2:1:secret:prod/db", false);
        check("prod", false);
        check("db", false);
    }
}
