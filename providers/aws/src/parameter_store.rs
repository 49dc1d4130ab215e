#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "push")]
mod push;

use std::collections::HashSet;
use std::sync::OnceLock;

use async_trait::async_trait;
use aws_config::Region;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::Parameter;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    Answer, Call, Facet, Limits, Outcome, Provider, RemoteKey, RemoteValue, SecretBytes, Validation, Version,
};
#[cfg(feature = "push")]
use strongroom_provider::{DeleteAnswer, Place, Push, PushAnswer};
#[cfg(feature = "catalog")]
use strongroom_provider::{Find, Found};

use crate::failure::Refusal;
use crate::prefix::Prefix;
use crate::session::Session;

const BATCH: &str = "ssm:GetParameters";
const SINGLE: &str = "ssm:GetParameter";
const TAGS: &str = "ssm:ListTagsForResource";

/// The most parameters that AWS takes in one call.
const BATCH_LIMIT: usize = 10;

/// Calls under way at once where a list of keys needs several; the caller's own limit comes on top.
const AT_ONCE: usize = 20;

/// AWS Systems Manager Parameter Store in one region.
///
/// AWS answers a whole `GetParameters` with "denied" where one name is, and with "invalid" where one name is no name.
/// The keys of such a call are then asked one by one, together; who is to blame is asked alone for ten minutes. Where
/// all of them may be read singly, it is the operation that is denied, and everything is asked singly for as long.
pub struct ParameterStore {
    session: Session,
    wanted_region: Option<Region>,
    client: OnceLock<(Client, Region)>,
    prefix: Prefix,
}

impl ParameterStore {
    pub(crate) fn new(session: Session, region: Option<&str>) -> Self {
        let wanted_region = region.map(|region| Region::new(region.to_owned())).or_else(|| session.known_region());
        Self { session, wanted_region, client: OnceLock::new(), prefix: Prefix::default() }
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
        let mut builder = aws_sdk_ssm::config::Builder::from(&config);
        if let Some(endpoint) = &self.session.settings().endpoints.parameter_store {
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
            (_, Some(_)) => Err(Failure::new(Class::Invalid, "AWS Parameter Store takes no request body").into()),
            (Facet::Value, None) => self.get_one(&Name::of(key)).await,
            (Facet::Metadata, None) => self.metadata(&Name::of(key)).await,
        };
        answer.map_err(|refusal| self.about(key, refusal.failure))
    }

    /// Reads one parameter by whichever of the two operations is allowed.
    async fn get_one(&self, name: &Name) -> Result<RemoteValue, Refusal> {
        match self.get_parameter(name).await {
            Err(refusal) if refusal.failure.class == Class::NotFound => match name.without_slash() {
                Some(bare) => self.get_parameter(&bare).await,
                None => Err(refusal),
            },
            Err(refusal) if refusal.is_denied() => {
                let found = self.get_parameters(std::slice::from_ref(name)).await.ok();
                // The first refusal is the better one to show: it names the operation that a single read needs.
                found.ok_or(refusal)?.answer_of(name).map_err(Refusal::from)
            }
            outcome => outcome,
        }
    }

    async fn get_parameter(&self, name: &Name) -> Result<RemoteValue, Refusal> {
        let client = self.client().await?;
        let request = client.get_parameter().name(name.text()).with_decryption(true);
        let output = self.session.call(SINGLE, || request.clone().send()).await?;
        output.parameter.and_then(value).ok_or_else(|| not_found().into())
    }

    async fn ask_batch(&self, keys: &[&RemoteKey]) -> Vec<Answer> {
        let names: Vec<Name> = keys.iter().map(|key| Name::of(key)).collect();
        let answers = match self.get_parameters(&names).await {
            Ok(found) => names.iter().map(|name| found.answer_of(name)).collect(),
            Err(refusal) if refusal.may_be_one_keys() || refusal.is_unknown_operation() => {
                return self.without_batch(keys, &refusal).await;
            }
            Err(refusal) => vec![Err(refusal.failure); keys.len()],
        };
        keys.iter().zip(answers).map(|(key, answer)| answer.map_err(|failure| self.about(key, failure))).collect()
    }

    /// Reads `names` in one call, and those that may be meant without their slash in one more.
    async fn get_parameters(&self, names: &[Name]) -> Result<Answered, Refusal> {
        let mut found = self.get_batch(names).await?;
        let missing = names.iter().filter(|name| found.answer_of(name).is_err());
        let bare: Vec<Name> = missing.filter_map(Name::without_slash).collect();
        if !bare.is_empty() {
            // A refusal here tells about names that nobody wrote; that the written ones do not exist is the answer.
            if let Ok(more) = self.get_batch(&bare).await {
                found.0.extend(more.0);
            }
        }
        Ok(found)
    }

    async fn get_batch(&self, names: &[Name]) -> Result<Answered, Refusal> {
        let client = self.client().await?;
        let mut texts: Vec<String> = names.iter().map(Name::text).collect();
        texts.sort_unstable();
        texts.dedup();
        let request = client.get_parameters().set_names(Some(texts)).with_decryption(true);
        let output = self.session.call(BATCH, || request.clone().send()).await?;
        Ok(Answered(output.parameters.unwrap_or_default()))
    }

    /// The answers where AWS refused a whole call with `refusal`.
    async fn without_batch(&self, keys: &[&RemoteKey], refusal: &Refusal) -> Vec<Answer> {
        let answers = join_all(keys.iter().map(|key| self.ask_one(key))).await;
        let memory = self.session.parameter_store_memory();
        let is_spoiler = |answer: &Answer| {
            answer.as_ref().is_err_and(|failure| matches!(failure.class, Class::Denied | Class::Invalid))
        };
        for (key, _) in keys.iter().zip(&answers).filter(|(_, answer)| is_spoiler(answer)) {
            memory.spoils_batches(&Name::of(key).base);
        }
        let is_denied = refusal.is_denied() || refusal.is_unknown_operation();
        if is_denied && !answers.iter().any(is_spoiler) {
            self.session.meter().record(BATCH, Outcome::BatchDenied);
            if memory.batch_is_denied() {
                tracing::warn!(
                    store = self.describe(),
                    identity = self.session.identity(),
                    "batch reads are denied; reading one by one for 10 minutes. hint: allow {BATCH}"
                );
            }
        }
        answers
    }

    fn about(&self, key: &RemoteKey, failure: Failure) -> Failure {
        failure.on_key(&key.name).from_store(self.describe())
    }

    /// `key` as AWS takes it.
    fn whole(&self, key: &RemoteKey) -> RemoteKey {
        RemoteKey { name: self.prefix.before(&key.name).into_owned(), ..key.clone() }
    }
}

#[cfg(not(feature = "catalog"))]
impl ParameterStore {
    #[expect(clippy::unused_async, reason = "the other one asks AWS")]
    async fn metadata(&self, _: &Name) -> Result<RemoteValue, Refusal> {
        Err(Failure::new(Class::Invalid, "this program is built without reading tags").into())
    }
}

#[async_trait]
impl Provider for ParameterStore {
    fn describe(&self) -> String {
        let found = self.client.get().map(|(_, region)| region);
        match self.wanted_region.as_ref().or(found) {
            Some(region) => format!("AWS Parameter Store ({region})"),
            None => "AWS Parameter Store".to_owned(),
        }
    }

    fn identity(&self) -> String {
        self.session.identity()
    }

    fn limits(&self) -> Limits {
        // AWS's quota where nobody raised it: 40 reads a second, for an account and region.
        Limits { concurrency: 32, rate: 40.0, burst: 40 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let memory = self.session.parameter_store_memory();
        let singly = memory.singly();
        let mut batches: Vec<Batch> = Vec::new();
        let mut single = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            let name = Name::of(&self.whole(key));
            if singly || key.facet != Facet::Value || key.request.is_some() || memory.is_alone(&name.base) {
                single.push(vec![place]);
            } else {
                put(&mut batches, name.stem().to_owned(), place);
            }
        }
        let calls = batches.into_iter().map(|batch| batch.places).chain(single);
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

impl std::fmt::Debug for ParameterStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ParameterStore").field(&self.describe()).finish()
    }
}

/// What the call for the keys at `places` is.
fn operation(places: &[usize], keys: &[RemoteKey]) -> &'static str {
    match places {
        [place] if keys[*place].facet == Facet::Metadata => TAGS,
        [_] => SINGLE,
        _ => BATCH,
    }
}

/// A call that is being filled.
#[derive(Default)]
struct Batch {
    places: Vec<usize>,
    /// Answers carry a parameter's name without its selector, so that each parameter is asked once in a call.
    stems: HashSet<String>,
}

fn put(batches: &mut Vec<Batch>, stem: String, place: usize) {
    let has_room = |batch: &&mut Batch| batch.places.len() < BATCH_LIMIT && !batch.stems.contains(&stem);
    if !batches.iter_mut().any(|batch| has_room(&batch)) {
        batches.push(Batch::default());
    }
    if let Some(batch) = batches.iter_mut().find(has_room) {
        batch.places.push(place);
        batch.stems.insert(stem);
    }
}

/// A parameter's name or ARN, and which version or label of it.
struct Name {
    base: String,
    selector: Option<String>,
}

impl Name {
    fn of(key: &RemoteKey) -> Self {
        let selector = key.version.as_ref().map(|version| match version {
            Version::Id(text) | Version::Stage(text) => text.clone(),
        });
        let selector = selector.filter(|text| !text.is_empty());
        // Names hold no colon, so that what follows one in a written name selects; an ARN has five before the name.
        let name_from =
            if key.name.starts_with("arn:") { key.name.find(":parameter/").map_or(0, |at| at + 1) } else { 0 };
        match (selector, key.name[name_from..].find(':')) {
            (None, Some(at)) => {
                let (base, selector) = key.name.split_at(name_from + at);
                Self { base: base.to_owned(), selector: Some(selector[1..].to_owned()) }
            }
            (selector, _) => Self { base: key.name.clone(), selector },
        }
    }

    /// As AWS takes it: `name`, `name:version` or `name:label`.
    fn text(&self) -> String {
        match &self.selector {
            Some(selector) => format!("{}:{selector}", self.base),
            None => self.base.clone(),
        }
    }

    /// `foo` for `/foo`: the ARNs of both are the same, so that who writes an ARN cannot tell them apart.
    fn without_slash(&self) -> Option<Self> {
        let bare = self.stem();
        (bare.len() < self.base.len()).then(|| Self { base: bare.to_owned(), selector: self.selector.clone() })
    }

    /// What `foo` and `/foo` have in common; for all other names, the name.
    fn stem(&self) -> &str {
        let bare = self.base.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains('/'));
        bare.unwrap_or(&self.base)
    }

    fn is_of(&self, parameter: &Parameter) -> bool {
        [&parameter.name, &parameter.arn].into_iter().flatten().any(|name| *name == self.base)
    }
}

/// What was answered to names of which no two share a stem.
struct Answered(Vec<Parameter>);

impl Answered {
    fn answer_of(&self, name: &Name) -> Answer {
        let find = |name: &Name| self.0.iter().find(|parameter| name.is_of(parameter));
        let found = find(name).or_else(|| find(&name.without_slash()?));
        found.cloned().and_then(value).ok_or_else(not_found)
    }
}

fn value(parameter: Parameter) -> Option<RemoteValue> {
    let version = (parameter.version > 0).then(|| parameter.version.to_string());
    Some(RemoteValue::new(SecretBytes::from(parameter.value?), version))
}

fn not_found() -> Failure {
    Failure::new(Class::NotFound, "there is no such parameter, version or label")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let check = |name: &str, version: Option<Version>, base: &str, text: &str, bare: Option<&str>| {
            let name = Name::of(&RemoteKey { version, ..RemoteKey::current(name) });
            assert_eq!((name.base.as_str(), name.text().as_str()), (base, text));
            assert_eq!(name.without_slash().map(|name| name.text()).as_deref(), bare);
        };
        let arn = "arn:aws:ssm:eu-west-1:1:parameter/a/b";
        check("/a/b", None, "/a/b", "/a/b", None);
        check("/a", None, "/a", "/a", Some("a"));
        check("/a", Some(Version::Id("3".to_owned())), "/a", "/a:3", Some("a:3"));
        check("a", Some(Version::Stage("live".to_owned())), "a", "a:live", None);
        check("/a:live", None, "/a", "/a:live", Some("a:live"));
        check("/", None, "/", "/", None);
        check(arn, None, arn, arn, None);
        check(&format!("{arn}:3"), None, arn, &format!("{arn}:3"), None);
    }

    #[test]
    fn a_parameter_is_asked_once_in_a_call_with_or_without_its_slash() {
        let mut batches = Vec::new();
        for (place, name) in ["a", "/b", "a", "/a", "c"].into_iter().enumerate() {
            put(&mut batches, Name::of(&RemoteKey::current(name)).stem().to_owned(), place);
        }
        let places: Vec<_> = batches.into_iter().map(|batch| batch.places).collect();
        assert_eq!(places, [vec![0, 1, 4], vec![2], vec![3]]);
    }
}
