//! Secrets of one namespace.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_http::json_body;
use strongroom_provider::{
    Answer, Call, Facet, Find, Found, Limits, Meter, Provider, RemoteKey, RemoteValue, SecretBytes, Validation,
};
#[cfg(feature = "push")]
use strongroom_provider::{DeleteAnswer, Place, Push, PushAnswer};

use crate::answer::unexpected;
use crate::connection::{Connection, ConnectionSettings};
use crate::list;
use crate::object::{Secret, segment};

const GET: &str = "kubernetes:GetSecret";
const LIST: &str = "kubernetes:ListSecrets";
const RULES: &str = "kubernetes:CreateSelfSubjectRulesReview";
const ACCESS: &str = "kubernetes:CreateSelfSubjectAccessReview";

/// The Secrets of one namespace of one API server. A key is a Secret's name; its version is not looked at, because an
/// API server keeps only the current one.
pub struct Secrets {
    pub(crate) connection: Connection,
    pub(crate) namespace: String,
    /// Whether may be pushed to other namespaces as well.
    #[cfg(feature = "push")]
    pub(crate) has_other_namespaces: bool,
}

impl Secrets {
    /// Opens the Secrets of `namespace`, without asking the server.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be used.
    pub fn open(settings: ConnectionSettings, namespace: &str, meter: Arc<Meter>) -> Result<Self, Failure> {
        segment(namespace).map_err(|_| {
            Failure::new(Class::Invalid, "this is not a name that a namespace can have").in_field("remoteNamespace")
        })?;
        Ok(Self {
            connection: Connection::open(settings, meter)?,
            namespace: namespace.to_owned(),
            #[cfg(feature = "push")]
            has_other_namespaces: false,
        })
    }

    fn path(&self) -> String {
        path(&self.namespace)
    }

    async fn get(&self, name: &str) -> Result<Arc<Secret>, Failure> {
        let response = self.connection.get(GET, &format!("{}/{}", self.path(), segment(name)?)).await;
        let response = response.map_err(|trouble| self.explained(trouble.into()))?;
        serde_json::from_slice(response.body.expose()).map(Arc::new).map_err(|_| unexpected())
    }

    pub(crate) fn explained(&self, failure: Failure) -> Failure {
        match failure.class {
            Class::Denied => failure.with_hint(format!(
                "give {} a Role in namespace {} that may get Secrets (and list them, to search)",
                self.connection.identity(),
                self.namespace
            )),
            Class::Unauthenticated => {
                failure.with_hint(format!("look at the credentials: {}", self.connection.identity()))
            }
            _ => failure,
        }
    }

    async fn list(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        let selector = selector(query)?;
        let mut found = Vec::new();
        let mut bytes = 0;
        list::pages(&self.connection, LIST, &self.path(), selector.as_deref(), |body| {
            let page: Page = serde_json::from_slice(body.expose()).map_err(|_| unexpected())?;
            for secret in page.items.unwrap_or_default() {
                // Labels, where there are any, decide alone.
                let fits = |name| name_fits(query, name);
                if selector.is_none() && !fits(&secret.metadata.name) {
                    continue;
                }
                let (name, value) = (secret.metadata.name.clone(), value(&secret)?);
                list::count(&mut bytes, value.value.len())?;
                found.push(Found { key: RemoteKey::current(&name), name, value: Some(value) });
            }
            Ok(page.metadata.next)
        })
        .await
        .map_err(|failure| self.explained(failure))?;
        Ok(found)
    }

    /// Whether a review of all rules says that Secrets may be read. `false` may mean that the server cannot tell:
    /// authorizers outside of it do not list rules.
    async fn rules_allow(&self) -> Result<bool, Failure> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": self.namespace},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let review: RulesReview = self.connection.post(RULES, path, &review).await.map_err(Failure::from)?.json()?;
        Ok(review.status.resource_rules.iter().any(Rules::allow_reading_secrets))
    }

    async fn access_allows(&self) -> Result<bool, Failure> {
        let attributes = json!({"resource": "secrets", "namespace": self.namespace, "verb": "get"});
        may(&self.connection, ACCESS, attributes).await
    }
}

/// Of the Secrets of `namespace`.
pub(crate) fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// Asks the API server whether we may do what `attributes` say.
pub(crate) async fn may(
    connection: &Connection,
    operation: &'static str,
    attributes: serde_json::Value,
) -> Result<bool, Failure> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review: AccessReview = connection.post(operation, path, &review).await.map_err(Failure::from)?.json()?;
    Ok(review.status.allowed)
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    items: Option<Vec<Secret>>,
}

/// What we look at of a list's metadata.
#[derive(Default, Deserialize)]
pub(crate) struct PageMetadata {
    #[serde(default, rename = "continue")]
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct AccessReview {
    status: Access,
}

#[derive(Deserialize)]
struct Access {
    allowed: bool,
}

#[derive(Deserialize)]
struct RulesReview {
    status: RulesStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesStatus {
    #[serde(default)]
    resource_rules: Vec<Rules>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rules {
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
}

impl Rules {
    /// A rule for single names counts as well: which names are asked for is not known here.
    fn allow_reading_secrets(&self) -> bool {
        let names = |list: &[String], wanted: &str| list.iter().any(|entry| entry == "*" || entry == wanted);
        names(&self.resources, "secrets")
            && names(&self.verbs, "get")
            && (self.api_groups.is_empty() || names(&self.api_groups, ""))
    }
}

/// The label selector of a query; `None` where names decide.
fn selector(query: &Find) -> Result<Option<String>, Failure> {
    if query.path.is_some() {
        return Err(Failure::new(Class::Invalid, "Secrets have no path to search below").in_field("find.path"));
    }
    if query.tags.is_empty() && query.name.is_none() {
        return Err(Failure::new(Class::Invalid, "a search needs a name or tags").in_field("find"));
    }
    (!query.tags.is_empty()).then(|| label_selector(&query.tags)).transpose()
}

/// All of `labels` as a label selector.
pub(crate) fn label_selector(labels: &BTreeMap<String, String>) -> Result<String, Failure> {
    // Any other letter could end the term and begin one of its own.
    let is_plain = |text: &str, also: &str| {
        text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter) || also.contains(letter))
    };
    if labels.iter().any(|(name, value)| name.is_empty() || !is_plain(name, "/") || !is_plain(value, "")) {
        let words = "labels have letters, digits and -_. only (names also a /)";
        return Err(Failure::new(Class::Invalid, words).in_field("find.tags"));
    }
    Ok(labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
}

/// Whether a name fits a query; every name does where none is asked for.
pub(crate) fn name_fits(query: &Find, name: &str) -> bool {
    query.name.as_ref().is_none_or(|pattern| pattern.is_match(name))
}

/// The data of a Secret: its parts as they are, and as one JSON object in which bytes that are no text stand as U+FFFD.
fn value(secret: &Secret) -> Answer {
    let data = secret.data.iter().flatten();
    let parts: BTreeMap<String, SecretBytes> = data.map(|(name, decoded)| (name.clone(), decoded.0.clone())).collect();
    let text: BTreeMap<&str, Cow<'_, str>> =
        parts.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.expose()))).collect();
    let value = json_body(&text)?;
    drop(text);
    let version = secret.metadata.resource_version.clone();
    Ok(RemoteValue { parts: Some(Arc::new(parts)), ..RemoteValue::new(value, version) })
}

/// Labels and annotations of a Secret as one JSON object; `null` where it has none.
fn metadata(secret: &Secret) -> Answer {
    let metadata = &secret.metadata;
    let value = json_body(&json!({"annotations": metadata.annotations, "labels": metadata.labels}))?;
    Ok(RemoteValue::new(value, metadata.resource_version.clone()))
}

/// Places in `keys` by name, in the order of first ask.
pub(crate) fn by_name(keys: &[RemoteKey]) -> Vec<(&str, Vec<usize>)> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut seen = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        let group = *seen.entry(key.name.as_str()).or_insert_with(|| {
            groups.push((&key.name, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(place);
    }
    groups
}

#[async_trait]
impl Provider for Secrets {
    fn describe(&self) -> String {
        format!("the Secrets of namespace {} at {}", self.namespace, self.connection.host())
    }

    fn identity(&self) -> String {
        self.connection.identity().to_owned()
    }

    fn limits(&self) -> Limits {
        Connection::limits()
    }

    /// One GET a Secret, whatever is wanted of it.
    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let call = |(name, keys)| Call { operation: format!("get secrets {}/{name}", self.namespace), keys };
        by_name(keys).into_iter().map(call).collect()
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let groups = by_name(keys);
        let gets = groups.iter().map(|(name, _)| -> BoxFuture<'_, _> { Box::pin(self.get(name)) });
        let gets = stream::iter(gets.collect::<Vec<_>>()).buffered(Connection::limits().concurrency);
        let secrets: HashMap<&str, _> =
            groups.iter().map(|(name, _)| *name).zip(gets.collect::<Vec<_>>().await).collect();
        let answer = |key: &RemoteKey| match &secrets[key.name.as_str()] {
            Ok(secret) if key.facet == Facet::Metadata => metadata(secret),
            Ok(secret) => value(secret),
            Err(failure) => Err(failure.clone()),
        };
        let named =
            |key: &RemoteKey| answer(key).map_err(|failure| failure.on_key(&key.name).from_store(self.describe()));
        keys.iter().map(named).collect()
    }

    async fn find(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        self.list(query).await.map_err(|failure| failure.from_store(self.describe()))
    }

    #[cfg(feature = "push")]
    async fn push(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        self.push_all(pushes).await
    }

    #[cfg(feature = "push")]
    async fn delete(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        self.delete_all(places).await
    }

    #[cfg(feature = "push")]
    fn name_for_rules(&self, place: &Place) -> Result<String, Failure> {
        self.name_in_cluster(place).map_err(|failure| failure.from_store(self.describe()))
    }

    async fn validate(&self) -> Result<Validation, Failure> {
        let allowed = async { Ok(self.rules_allow().await? || self.access_allows().await?) }.await;
        let denied = || Failure::new(Class::Denied, format!("{} may not get Secrets", self.connection.identity()));
        match allowed {
            Ok(true) => Ok(Validation::Valid),
            Ok(false) => Err(self.explained(denied()).from_store(self.describe())),
            Err(failure) => Err(self.explained(failure).from_store(self.describe())),
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_provider::Pattern;

    use super::*;

    #[test]
    fn one_call_answers_all_that_is_wanted_of_a_secret() {
        let keys: Vec<_> = ["a", "b", "a", "c", "b"].map(RemoteKey::current).to_vec();
        assert_eq!(by_name(&keys), [("a", vec![0, 2]), ("b", vec![1, 4]), ("c", vec![3])]);
    }

    #[test]
    fn data_comes_as_parts_and_as_json() {
        let check = |object: &str, expected: &str, parts: &[(&str, &[u8])]| {
            let secret: Secret = serde_json::from_str(object).unwrap();
            let read = value(&secret).unwrap();
            assert_eq!(read.value.expose_text(), Some(expected));
            let got = read.parts.unwrap();
            let got: Vec<_> = got.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
            assert_eq!(got, parts);
            assert_eq!(read.version.as_deref(), Some("7"));
        };
        let metadata = r#""metadata":{"name":"a","resourceVersion":"7"}"#;
        check(&format!("{{{metadata}}}"), "{}", &[]);
        check(
            &format!(r#"{{{metadata},"data":{{"b":"PGE+","a":""}}}}"#),
            r#"{"a":"","b":"<a>"}"#,
            &[("a", b""), ("b", b"<a>")],
        );
        check(&format!(r#"{{{metadata},"data":{{"k":"Yf8="}}}}"#), "{\"k\":\"a\u{fffd}\"}", &[("k", &[b'a', 0xff])]);
    }

    #[test]
    fn metadata_comes_as_json() {
        let check = |object: &str, expected: &str| {
            let secret: Secret = serde_json::from_str(object).unwrap();
            assert_eq!(metadata(&secret).unwrap().value.expose_text(), Some(expected));
        };
        check(r#"{"metadata":{"name":"a"}}"#, r#"{"annotations":null,"labels":null}"#);
        let labelled = r#"{"metadata":{"labels":{"b":"2","a":"1"},"annotations":{"n":"<x>"}}}"#;
        check(labelled, r#"{"annotations":{"n":"<x>"},"labels":{"a":"1","b":"2"}}"#);
    }

    #[test]
    fn labels_win_over_names_and_cannot_say_more_than_equals() {
        let check =
            |tags: &[(&str, &str)], name: Option<&str>, path: Option<&str>, expected: Result<Option<&str>, &str>| {
                let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                let name = name.map(|name| Pattern::new(name).unwrap());
                let got = selector(&Find { path: path.map(str::to_owned), name, tags });
                let got = got.map_err(|failure| failure.subject.field.unwrap_or_default());
                assert_eq!(got.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
            };
        check(&[("team", "a"), ("app.io/x", "")], Some("x"), None, Ok(Some("app.io/x=,team=a")));
        check(&[], Some("x"), None, Ok(None));
        check(&[], None, None, Err("find"));
        check(&[], Some("x"), Some("/a"), Err("find.path"));
        for value in ["a,env!=prod", "a b", "a=b", "(a)", "!"] {
            check(&[("team", value)], None, None, Err("find.tags"));
            check(&[(value, "x")], None, None, Err("find.tags"));
        }
    }

    #[test]
    fn rules_that_allow_reading_are_recognised() {
        let check = |rule: serde_json::Value, expected: bool| {
            let rules: Rules = serde_json::from_value(rule.clone()).unwrap();
            assert_eq!(rules.allow_reading_secrets(), expected, "{rule}");
        };
        check(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}), true);
        check(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), true);
        check(json!({"verbs": ["get"], "resources": ["secrets"], "resourceNames": ["a"]}), true);
        check(json!({"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}), false);
        check(json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["secrets"]}), false);
        check(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}), false);
    }
}
