//! Any objects but Secrets.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    Answer, Call, Find, Found, Limits, Meter, Provider, RemoteKey, RemoteValue, SecretBytes, Validation,
};
use strongroom_select::Language;

use crate::answer::unexpected;
use crate::connection::{Connection, ConnectionSettings};
use crate::discovery::{Discovery, Kind, Resource};
use crate::list;
use crate::object::{Metadata, segment};
use crate::secrets::{PageMetadata, by_name, label_selector, may, name_fits};
use crate::whitelist::Whitelist;

const GET: &str = "kubernetes:GetObject";
const LIST: &str = "kubernetes:ListObjects";
const ACCESS: &str = "kubernetes:CreateSelfSubjectAccessReview";

/// Which objects are read, and how.
#[derive(Clone, Debug)]
pub struct CustomResourceSettings {
    /// Which API server, and who asks.
    pub connection: ConnectionSettings,
    /// Which kind of object.
    pub kind: Kind,
    /// Where the objects lie, which also decides what keys look like.
    pub namespaces: Namespaces,
    /// What may be read.
    pub whitelist: Whitelist,
}

/// Where objects of a kind that has namespaces lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// In this one; keys are names.
    One(String),
    /// In any; keys are `NAMESPACE/NAME`.
    Any {
        /// The one that is searched, where it is not all of them; what is found there is called by its name alone.
        searched: Option<String>,
    },
}

/// Objects of one kind. A key is an object's name, with its namespace before it where [`Namespaces`] says so; objects
/// of a kind without namespaces are always called by their name. The property is a GJSON path into the whole object.
pub struct CustomResources {
    connection: Connection,
    kind: Kind,
    namespaces: Namespaces,
    whitelist: Whitelist,
    discovery: Discovery,
}

/// An object's name and, where it has one, its namespace.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    name: &'a str,
    namespace: Option<&'a str>,
}

/// One object as the server wrote it.
struct Object {
    json: SecretBytes,
    version: Option<String>,
}

impl CustomResources {
    /// Opens the objects of one kind, without asking the server.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be used, `Denied` for the core Secrets.
    pub fn open(settings: CustomResourceSettings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let CustomResourceSettings { connection, kind, namespaces, whitelist } = settings;
        kind.check("")?;
        kind.root()?;
        if let Namespaces::One(namespace) | Namespaces::Any { searched: Some(namespace) } = &namespaces {
            segment(namespace).map_err(|failure| failure.in_field("remoteNamespace"))?;
        }
        let connection = Connection::open(connection, meter)?;
        Ok(Self { connection, kind, namespaces, whitelist, discovery: Discovery::default() })
    }

    async fn resource(&self) -> Result<Resource, Failure> {
        self.discovery.resource(&self.connection, &self.kind).await
    }

    fn path(&self, resource: &Resource, namespace: Option<&str>) -> Result<String, Failure> {
        let root = self.kind.root()?;
        match namespace {
            Some(namespace) => Ok(format!("{root}/namespaces/{}/{}", segment(namespace)?, resource.plural)),
            None => Ok(format!("{root}/{}", resource.plural)),
        }
    }

    /// Refuses what no rule allows, before anything is asked.
    fn check(&self, key: &RemoteKey, resource: &Resource) -> Result<(), Failure> {
        let place = place(&key.name, &self.namespaces, resource)?;
        let property = property(key);
        if self.whitelist.allows(place.name, place.namespace, property) {
            return Ok(());
        }
        let words = match property {
            Some(property) => format!("no whitelist rule of the store allows the property \"{property}\""),
            None => "no whitelist rule of the store allows the whole object".to_owned(),
        };
        Err(Failure::new(Class::Denied, words))
    }

    async fn get(&self, key: &str, resource: &Resource) -> Result<Arc<Object>, Failure> {
        let place = place(key, &self.namespaces, resource)?;
        let path = format!("{}/{}", self.path(resource, place.namespace)?, segment(place.name)?);
        let response = match self.connection.get(GET, &path).await.map_err(Failure::from) {
            Ok(response) => response,
            Err(failure) => {
                if failure.class == Class::Invalid {
                    // The kind may be gone, or have moved into namespaces.
                    self.discovery.forget().await;
                }
                return Err(self.explained(failure, "get"));
            }
        };
        let object: Head = serde_json::from_slice(response.body.expose()).map_err(|_| unexpected())?;
        // Encoders end objects with a line feed.
        let json = SecretBytes::new(response.body.expose().trim_ascii_end().to_vec());
        Ok(Arc::new(Object { json, version: object.metadata.resource_version }))
    }

    async fn answers(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let resource = match self.resource().await {
            Ok(resource) => resource,
            Err(failure) => return keys.iter().map(|_| Err(failure.clone())).collect(),
        };
        let checks: Vec<_> = keys.iter().map(|key| self.check(key, &resource)).collect();
        let mut groups = by_name(keys);
        groups.retain(|(_, places)| places.iter().any(|place| checks[*place].is_ok()));
        let gets = groups.iter().map(|(name, _)| -> BoxFuture<'_, _> { Box::pin(self.get(name, &resource)) });
        let gets = stream::iter(gets.collect::<Vec<_>>()).buffered(Connection::limits().concurrency);
        let objects: HashMap<&str, _> =
            groups.iter().map(|(name, _)| *name).zip(gets.collect::<Vec<_>>().await).collect();
        keys.iter()
            .zip(checks)
            .map(|(key, check)| {
                check?;
                objects[key.name.as_str()].clone().and_then(|object| selected(&object, key))
            })
            .collect()
    }

    async fn list(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        if query.path.is_some() {
            return Err(Failure::new(Class::Invalid, "objects have no path to search below").in_field("find.path"));
        }
        let selector = (!query.tags.is_empty()).then(|| label_selector(&query.tags)).transpose()?;
        let resource = self.resource().await?;
        let namespace = match &self.namespaces {
            _ if !resource.is_namespaced => None,
            Namespaces::One(namespace) => Some(namespace.as_str()),
            Namespaces::Any { searched } => searched.as_deref(),
        };
        let is_qualified = resource.is_namespaced && namespace.is_none();
        let path = self.path(&resource, namespace)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        list::pages(&self.connection, LIST, &path, selector.as_deref(), |body| {
            let page: Page<'_> = serde_json::from_slice(body.expose()).map_err(|_| unexpected())?;
            for item in page.items.unwrap_or_default() {
                let head: Head = serde_json::from_str(item.get()).map_err(|_| unexpected())?;
                let (name, namespace) = (head.metadata.name.as_str(), head.metadata.namespace.as_deref());
                if !name_fits(query, name) || !self.whitelist.allows(name, namespace, None) {
                    continue;
                }
                let key = match (&self.namespaces, namespace) {
                    (Namespaces::Any { .. }, Some(namespace)) => format!("{namespace}/{name}"),
                    _ => name.to_owned(),
                };
                let name = if is_qualified { key.clone() } else { name.to_owned() };
                let json = whole(item.get(), &head, &self.kind, &resource);
                list::count(&mut bytes, json.len())?;
                let value = RemoteValue::new(json, head.metadata.resource_version);
                found.push(Found { name, key: RemoteKey::current(key), value: Some(value) });
            }
            Ok(page.metadata.next)
        })
        .await
        .map_err(|failure| self.explained(failure, "list"))?;
        Ok(found)
    }

    fn explained(&self, failure: Failure, verb: &str) -> Failure {
        match failure.class {
            Class::Denied => {
                let identity = self.connection.identity();
                failure.with_hint(format!("give {identity} a Role that may {verb} objects of {}", self.kind.shown()))
            }
            Class::Unauthenticated => {
                failure.with_hint(format!("look at the credentials: {}", self.connection.identity()))
            }
            _ => failure,
        }
    }

    async fn access(&self) -> Result<Validation, Failure> {
        let resource = self.resource().await?;
        let namespace = match &self.namespaces {
            Namespaces::One(namespace) if resource.is_namespaced => namespace.as_str(),
            _ => "",
        };
        let attributes = json!({
            "group": self.kind.group,
            "version": self.kind.version,
            "resource": resource.plural,
            "namespace": namespace,
            "verb": "get",
        });
        match may(&self.connection, ACCESS, attributes).await? {
            true => Ok(Validation::Valid),
            // Roles may allow it namespace by namespace, and names may be allowed one by one.
            false if resource.is_namespaced && namespace.is_empty() => Ok(Validation::Unknown),
            false => {
                let words = format!("{} may not get objects of {}", self.connection.identity(), self.kind.shown());
                Err(self.explained(Failure::new(Class::Denied, words), "get"))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    kind: Option<String>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// The property that a key asks for; an empty one is none.
fn property(key: &RemoteKey) -> Option<&str> {
    key.property.as_deref().filter(|property| !property.is_empty())
}

/// Which object a key means.
fn place<'a>(key: &'a str, namespaces: &'a Namespaces, resource: &Resource) -> Result<Place<'a>, Failure> {
    let invalid = |words: &str| Err(Failure::new(Class::Invalid, words));
    match (namespaces, key.split_once('/')) {
        (_, None) if key.is_empty() => invalid("the key must name an object"),
        (Namespaces::One(_), Some(_)) => {
            invalid("a SecretStore reads its own namespace only: the key is the object's name, without a /")
        }
        (Namespaces::One(namespace), None) => {
            Ok(Place { name: key, namespace: resource.is_namespaced.then_some(namespace) })
        }
        (Namespaces::Any { .. }, None) if resource.is_namespaced => {
            invalid("objects of this kind lie in namespaces: the key is NAMESPACE/NAME")
        }
        (Namespaces::Any { .. }, None) => Ok(Place { name: key, namespace: None }),
        (Namespaces::Any { .. }, Some(_)) if !resource.is_namespaced => {
            invalid("objects of this kind lie in no namespace: the key is the object's name, without a /")
        }
        (Namespaces::Any { .. }, Some((namespace, name))) => {
            if namespace.is_empty() || name.is_empty() || name.contains('/') {
                return invalid("the key must be NAMESPACE/NAME");
            }
            Ok(Place { name, namespace: Some(namespace) })
        }
    }
}

/// What a key asks for of its object.
fn selected(object: &Object, key: &RemoteKey) -> Answer {
    let value = match property(key) {
        None => object.json.clone(),
        Some(property) => strongroom_select::select(Language::Gjson, &object.json, property)?
            .ok_or_else(|| Failure::new(Class::NotFound, format!("the object has no property \"{property}\"")))?,
    };
    Ok(RemoteValue::new(value, object.version.clone()))
}

/// An object of a list as it is alone: lists of built-in kinds leave kind and version out of their items.
fn whole(item: &str, head: &Head, kind: &Kind, resource: &Resource) -> SecretBytes {
    let rest = match item.strip_prefix('{') {
        Some(rest) if head.kind.is_none() => rest,
        _ => return SecretBytes::new(item.as_bytes().to_vec()),
    };
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let start = format!(r#"{{"kind":{},"apiVersion":{},"#, quoted(&resource.kind), quoted(&kind.api_version()));
    // At once and of the right size: a vector that grows leaves parts of a value behind.
    SecretBytes::new([start.as_bytes(), rest.as_bytes()].concat())
}

#[async_trait]
impl Provider for CustomResources {
    fn describe(&self) -> String {
        let (kind, host) = (self.kind.shown(), self.connection.host());
        match &self.namespaces {
            Namespaces::One(namespace) => format!("the {kind} objects of namespace {namespace} at {host}"),
            Namespaces::Any { .. } => format!("the {kind} objects at {host}"),
        }
    }

    fn identity(&self) -> String {
        self.connection.identity().to_owned()
    }

    fn limits(&self) -> Limits {
        Connection::limits()
    }

    /// One GET an object, however many of its properties are wanted.
    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let call = |(name, keys)| Call { operation: format!("get {} {name}", self.kind.shown()), keys };
        by_name(keys).into_iter().map(call).collect()
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let answers = self.answers(keys).await;
        let named = |(key, answer): (&RemoteKey, Answer)| {
            answer.map_err(|failure| failure.on_key(&key.name).from_store(self.describe()))
        };
        keys.iter().zip(answers).map(named).collect()
    }

    /// The whitelist must see which property is wanted.
    fn takes_properties(&self) -> bool {
        true
    }

    /// A namespace and a name have a slash between them.
    fn converts_names(&self) -> bool {
        true
    }

    async fn find(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        self.list(query).await.map_err(|failure| failure.from_store(self.describe()))
    }

    async fn validate(&self) -> Result<Validation, Failure> {
        self.access().await.map_err(|failure| failure.from_store(self.describe()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(is_namespaced: bool) -> Resource {
        Resource { plural: "widgets".to_owned(), is_namespaced, kind: "Widget".to_owned() }
    }

    #[test]
    fn the_kind_of_store_decides_what_keys_look_like() {
        let one = Namespaces::One("own".to_owned());
        let any = Namespaces::Any { searched: None };
        let check =
            |namespaces: &Namespaces, is_namespaced: bool, key: &str, expected: Option<(&str, Option<&str>)>| {
                let resource = resource(is_namespaced);
                let got = place(key, namespaces, &resource).ok();
                let expected = expected.map(|(name, namespace)| Place { name, namespace });
                assert_eq!(got, expected, "{namespaces:?} {is_namespaced} {key}");
            };
        check(&one, true, "app", Some(("app", Some("own"))));
        check(&one, false, "app", Some(("app", None)));
        check(&one, true, "own/app", None);
        check(&one, false, "own/app", None);
        check(&one, true, "", None);
        check(&any, true, "team/app", Some(("app", Some("team"))));
        check(&any, true, "app", None);
        check(&any, true, "/app", None);
        check(&any, true, "team/", None);
        check(&any, true, "team/app/x", None);
        check(&any, false, "app", Some(("app", None)));
        check(&any, false, "team/app", None);
        check(&any, false, "", None);
    }

    #[test]
    fn properties_are_paths_into_the_whole_object() {
        let json = r#"{"kind":"Widget","spec":{"user":"bob","ports":[1,2],"a.b":"dotted","none":null}}"#;
        let object = Object { json: SecretBytes::from(json.to_owned()), version: Some("3".to_owned()) };
        let check = |property: Option<&str>, expected: Result<&str, Class>| {
            let key = RemoteKey { property: property.map(str::to_owned), ..RemoteKey::current("app") };
            let got = selected(&object, &key).map_err(|failure| failure.class);
            let got = got.as_ref().map(|read| read.value.expose_text().unwrap()).map_err(|class| *class);
            assert_eq!(got, expected, "{property:?}");
        };
        check(None, Ok(json));
        check(Some(""), Ok(json));
        check(Some("spec.user"), Ok("bob"));
        check(Some("spec.ports"), Ok("[1,2]"));
        check(Some("spec.ports.1"), Ok("2"));
        check(Some(r"spec.a\.b"), Ok("dotted"));
        check(Some("spec.missing"), Err(Class::NotFound));
    }

    #[test]
    fn items_of_lists_are_whole_objects() {
        let kind = Kind { group: String::new(), version: "v1".to_owned(), kind: "configmap".to_owned() };
        let resource = Resource { kind: "ConfigMap".to_owned(), ..resource(true) };
        let check = |item: &str, expected: &str| {
            let head: Head = serde_json::from_str(item).unwrap();
            assert_eq!(whole(item, &head, &kind, &resource).expose_text(), Some(expected));
        };
        let bare = r#"{"metadata":{"name":"a"},"data":{}}"#;
        check(bare, r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{}}"#);
        check(r#"{"kind":"X","metadata":{"name":"a"}}"#, r#"{"kind":"X","metadata":{"name":"a"}}"#);
    }
}
