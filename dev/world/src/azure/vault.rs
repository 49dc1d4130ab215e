//! Secrets, keys and certificates with their versions and states: what Key Vault says about them, without any network.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use aws_lc_rs::rsa::PrivateDecryptingKey;
use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;

use super::answer::Refusal;
use super::imports;
use super::keys::{self, Use};

/// How many a page holds when the client does not say, and at most.
const PAGE: usize = 25;

/// The largest secret that the real service takes, in bytes.
const LARGEST_VALUE: usize = 25_600;

/// What a vault keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Text.
    Secret,
    /// The public part of a key, as a JSON Web Key.
    Key,
    /// A certificate's DER, in base64.
    Certificate,
}

impl Kind {
    fn of(collection: &str) -> Option<Self> {
        match collection {
            "secrets" => Some(Self::Secret),
            "keys" => Some(Self::Key),
            "certificates" => Some(Self::Certificate),
            _ => None,
        }
    }

    fn collection(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }

    /// The field of an answer that carries the content.
    fn field(self) -> &'static str {
        match self {
            Self::Secret => "value",
            Self::Key => "key",
            Self::Certificate => "cer",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }

    fn not_found(self, name: &str) -> Refusal {
        let code = match self {
            Self::Secret => "SecretNotFound",
            Self::Key => "KeyNotFound",
            Self::Certificate => "CertificateNotFound",
        };
        let word = self.word();
        let message = format!(
            "A {word} with (name/id) {name} was not found in this key vault. If you recently deleted this {word} you may \
             be able to recover it using the correct recovery command."
        );
        Refusal::new(404, code, message)
    }
}

/// One version of an object, as it is put in.
#[derive(Clone, Debug)]
pub struct Object {
    /// A secret's text, a key as a JSON Web Key, a certificate's DER in base64.
    pub content: Json,
    /// What the owner wrote beside it.
    pub tags: BTreeMap<String, String>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<i64>,
    /// When it begins, in seconds since 1970.
    pub not_before: Option<i64>,
}

impl Object {
    /// Without tags and dates.
    pub fn new(content: Json) -> Self {
        Self { content, tags: BTreeMap::new(), expires: None, not_before: None }
    }

    /// With a tag more.
    #[must_use]
    pub fn with_tag(mut self, name: &str, value: &str) -> Self {
        self.tags.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Why an identity may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No access policy of the vault allows it.
    Policy,
    /// No role assignment allows it.
    Role,
    /// The vault's firewall does not know the address.
    Firewall,
}

/// Everything that one vault keeps.
#[derive(Debug, Default)]
pub(super) struct Vault {
    objects: BTreeMap<(Kind, String), Vec<Version>>,
    /// Keys that were made here, by their versions' names.
    private: BTreeMap<String, PrivateDecryptingKey>,
    denied: BTreeMap<String, Denial>,
}

#[derive(Debug)]
struct Version {
    id: String,
    object: Object,
    content_type: Option<String>,
    is_enabled: bool,
    created: i64,
    updated: i64,
}

/// A request: what is asked of which path.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) body: &'a [u8],
    /// `https://HOST` as the client sees it, which stands in ids and links.
    pub(super) base: &'a str,
}

impl Vault {
    /// Answers a request whose token was good.
    pub(super) fn answer(&mut self, ask: &Ask<'_>) -> Result<Json, Refusal> {
        // 7.0 to 7.6, and dates since then.
        let is_known = |version: &String| version.starts_with("7.") || version.starts_with("20");
        if !ask.query.get("api-version").is_some_and(is_known) {
            return Err(Refusal::bad_parameter("Missing or unsupported api-version query parameter."));
        }
        let unknown = || Refusal::new(404, "NotFound", "no such path");
        let segments: Vec<_> = ask.path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (collection, rest) = segments.split_first().ok_or_else(unknown)?;
        let kind = Kind::of(collection).ok_or_else(unknown)?;
        let action = match (ask.method, rest) {
            ("GET", []) => "list",
            ("GET", _) => "get",
            ("DELETE", _) => "delete",
            ("POST", [_, .., verb]) if kind == Kind::Key => verb,
            _ => "set",
        };
        self.admit(kind, rest.first().copied().unwrap_or_default(), action)?;
        match (ask.method, rest) {
            ("GET", []) => self.list(kind, ask),
            ("GET", [name, "versions"]) => self.list_versions(kind, name, ask),
            ("GET", [name]) => self.get(kind, name, None, ask.base),
            ("GET", [name, version]) => self.get(kind, name, Some(version), ask.base),
            ("PUT", [name]) if kind == Kind::Secret => self.set(name, ask),
            ("PUT", [name]) if kind == Kind::Key => self.import(kind, name, ask),
            ("POST", [name, "import"]) if kind == Kind::Certificate => self.import(kind, name, ask),
            ("POST", [name, "create"]) if kind == Kind::Key => self.create(name, ask),
            // Where no version is named, nothing stands between two slashes.
            ("POST", [name, verb]) if kind == Kind::Key => self.apply(name, None, verb, ask),
            ("POST", [name, version, verb]) if kind == Kind::Key => self.apply(name, Some(version), verb, ask),
            ("PATCH", [name, version]) => self.update(kind, name, version, ask),
            ("DELETE", [name]) => self.delete(kind, name, ask.base),
            _ => Err(unknown()),
        }
    }

    /// Makes a key of 2048 bits; returns its version.
    pub(super) fn make_key(&mut self, name: &str) -> Result<String, Refusal> {
        let (private, public) = keys::create(&Map::from_iter([("kty".to_owned(), json!("RSA"))]))?;
        let version = self.put(Kind::Key, name, Object::new(public));
        self.private.insert(version.clone(), private);
        Ok(version)
    }

    pub(super) fn put(&mut self, kind: Kind, name: &str, object: Object) -> String {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut bytes = [0; 16];
        // Without random bytes all versions have one name, which tests of versions notice.
        let _ = rand::fill(&mut bytes);
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let version =
            Version { id: id.clone(), object, content_type: None, is_enabled: true, created: now, updated: now };
        self.objects.entry((kind, name.to_owned())).or_default().push(version);
        id
    }

    pub(super) fn disable(&mut self, kind: Kind, name: &str) {
        if let Some(version) = self.objects.get_mut(&(kind, name.to_owned())).and_then(|versions| versions.last_mut()) {
            version.is_enabled = false;
        }
    }

    pub(super) fn deny(&mut self, name: &str, denial: Option<Denial>) {
        match denial {
            Some(denial) => self.denied.insert(name.to_owned(), denial),
            None => self.denied.remove(name),
        };
    }

    fn admit(&self, kind: Kind, name: &str, action: &str) -> Result<(), Refusal> {
        let caller = "appid=11111111-2222-3333-4444-555555555555;oid=00000000-0000-0000-0000-000000000001";
        let collection = kind.collection();
        let (code, message) = match self.denied.get(name) {
            None => return Ok(()),
            Some(Denial::Policy) => (
                "AccessDenied",
                format!(
                    "The user, group or application '{caller}' does not have {collection} {action} permission on key \
                     vault 'world;location=westeurope'. For help resolving this issue, please see \
                     https://go.microsoft.com/fwlink/?linkid=2125287"
                ),
            ),
            Some(Denial::Role) => (
                "ForbiddenByRbac",
                format!(
                    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments \
                     or role definitions were changed recently, please observe propagation time.\r\nCaller: {caller}\r\n\
                     Action: 'Microsoft.KeyVault/vaults/{collection}/{action}/action'\r\nVault: world;location=westeurope"
                ),
            ),
            Some(Denial::Firewall) => (
                "ForbiddenByFirewall",
                format!(
                    "Client address is not authorized and caller is not a trusted service.\r\nClient address: \
                     192.0.2.7\r\nCaller: {caller}\r\nVault: world;location=westeurope"
                ),
            ),
        };
        Err(Refusal::forbidden(code, message))
    }

    fn version(&self, kind: Kind, name: &str, version: Option<&str>) -> Result<&Version, Refusal> {
        let versions = self.objects.get(&(kind, name.to_owned())).ok_or_else(|| kind.not_found(name))?;
        let found = match version {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        };
        found.ok_or_else(|| kind.not_found(&format!("{name}/{}", version.unwrap_or_default())))
    }

    fn get(&self, kind: Kind, name: &str, version: Option<&str>, base: &str) -> Result<Json, Refusal> {
        let found = self.version(kind, name, version)?;
        if !found.is_enabled {
            let (inner, word) = match kind {
                Kind::Secret => ("SecretDisabled", "secret"),
                Kind::Key => ("KeyDisabled", "key"),
                Kind::Certificate => ("CertificateDisabled", "certificate"),
            };
            return Err(Refusal::forbidden(inner, format!("Operation get is not allowed on a disabled {word}.")));
        }
        Ok(found.bundle(kind, name, base))
    }

    fn list(&self, kind: Kind, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let objects = self.objects.iter().filter(|((of, _), _)| *of == kind);
        let newest = objects.filter_map(|((_, name), versions)| Some((name, versions.last()?)));
        // Lists name the object, without a version.
        page(newest.map(|(name, version)| version.item(kind, name, None, ask.base)).collect(), ask)
    }

    fn list_versions(&self, kind: Kind, name: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let versions = self.objects.get(&(kind, name.to_owned())).ok_or_else(|| kind.not_found(name))?;
        page(versions.iter().map(|version| version.item(kind, name, Some(&version.id), ask.base)).collect(), ask)
    }

    fn set(&mut self, name: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let given = document(ask.body)?;
        let value = given.get("value").and_then(Json::as_str);
        let value = value.ok_or_else(|| Refusal::bad_parameter("The request body is missing the value."))?;
        if value.len() > LARGEST_VALUE {
            return Err(Refusal::bad_parameter("The value is larger than 25600 bytes."));
        }
        let object = Object::new(json!(value));
        self.put(Kind::Secret, name, object);
        self.change(Kind::Secret, name, None, &given)?;
        Ok(self.version(Kind::Secret, name, None)?.bundle(Kind::Secret, name, ask.base))
    }

    fn import(&mut self, kind: Kind, name: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let given = document(ask.body)?;
        let content = if kind == Kind::Key { imports::key(&given)? } else { imports::certificate(&given)? };
        self.put(kind, name, Object::new(content));
        self.change(kind, name, None, &given)?;
        Ok(self.version(kind, name, None)?.bundle(kind, name, ask.base))
    }

    fn create(&mut self, name: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let given = document(ask.body)?;
        let (private, public) = keys::create(&given)?;
        let version = self.put(Kind::Key, name, Object::new(public));
        self.private.insert(version, private);
        self.change(Kind::Key, name, None, &given)?;
        Ok(self.version(Kind::Key, name, None)?.bundle(Kind::Key, name, ask.base))
    }

    fn apply(&self, name: &str, version: Option<&str>, verb: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let what = Use::of(verb).ok_or_else(|| Refusal::new(404, "NotFound", "no such path"))?;
        let version = self.version(Kind::Key, name, version)?;
        if !version.is_enabled {
            let message = format!("Operation {verb} is not allowed on a disabled key.");
            return Err(Refusal::forbidden("KeyDisabled", message));
        }
        let private = self.private.get(&version.id);
        let private =
            private.ok_or_else(|| Refusal::bad_parameter("This key was imported without its private part."))?;
        let value = keys::apply(private, what, &document(ask.body)?)?;
        Ok(json!({"kid": version.address(Kind::Key, name, Some(&version.id), ask.base), "value": value}))
    }

    fn update(&mut self, kind: Kind, name: &str, version: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let given = document(ask.body)?;
        self.change(kind, name, Some(version), &given)?;
        Ok(self.version(kind, name, Some(version))?.bundle(kind, name, ask.base))
    }

    /// Takes over what a request says beside the content.
    fn change(
        &mut self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
        given: &Map<String, Json>,
    ) -> Result<(), Refusal> {
        let id = self.version(kind, name, version)?.id.clone();
        let versions = self.objects.get_mut(&(kind, name.to_owned())).ok_or_else(|| kind.not_found(name))?;
        for version in versions.iter_mut().filter(|version| version.id == id) {
            if let Some(tags) = given.get("tags").and_then(Json::as_object) {
                let pairs = tags.iter().filter_map(|(tag, value)| Some((tag.clone(), value.as_str()?.to_owned())));
                version.object.tags = pairs.collect();
            }
            if let Some(kind) = given.get("contentType").and_then(Json::as_str) {
                version.content_type = Some(kind.to_owned());
            }
            let attributes = given.get("attributes").cloned().unwrap_or_default();
            version.is_enabled = attributes["enabled"].as_bool().unwrap_or(version.is_enabled);
            version.object.expires = attributes["exp"].as_i64().or(version.object.expires);
            version.object.not_before = attributes["nbf"].as_i64().or(version.object.not_before);
            version.updated = OffsetDateTime::now_utc().unix_timestamp();
        }
        Ok(())
    }

    fn delete(&mut self, kind: Kind, name: &str, base: &str) -> Result<Json, Refusal> {
        let bundle = self.version(kind, name, None)?.item(kind, name, None, base);
        self.objects.remove(&(kind, name.to_owned()));
        Ok(bundle)
    }
}

impl Version {
    /// The object with its content.
    fn bundle(&self, kind: Kind, name: &str, base: &str) -> Json {
        let mut bundle = self.item(kind, name, Some(&self.id), base);
        let mut content = self.object.content.clone();
        if kind == Kind::Key {
            content["kid"] = json!(self.address(kind, name, Some(&self.id), base));
            bundle.as_object_mut().map(|fields| fields.remove("kid"));
        }
        bundle[kind.field()] = content;
        bundle
    }

    /// The object as lists show it.
    fn item(&self, kind: Kind, name: &str, version: Option<&str>, base: &str) -> Json {
        let id = if kind == Kind::Key { "kid" } else { "id" };
        let mut attributes = json!({"enabled": self.is_enabled, "created": self.created, "updated": self.updated});
        attributes["recoveryLevel"] = json!("Recoverable+Purgeable");
        if let Some(expires) = self.object.expires {
            attributes["exp"] = json!(expires);
        }
        if let Some(not_before) = self.object.not_before {
            attributes["nbf"] = json!(not_before);
        }
        let mut item = json!({id: self.address(kind, name, version, base), "attributes": attributes});
        if !self.object.tags.is_empty() {
            item["tags"] = json!(self.object.tags);
        }
        if let Some(kind) = &self.content_type {
            item["contentType"] = json!(kind);
        }
        item
    }

    fn address(&self, kind: Kind, name: &str, version: Option<&str>, base: &str) -> String {
        let collection = kind.collection();
        match version {
            Some(version) => format!("{base}/{collection}/{name}/{version}"),
            None => format!("{base}/{collection}/{name}"),
        }
    }
}

fn document(body: &[u8]) -> Result<Map<String, Json>, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::bad_parameter("The request body is not JSON."))
}

/// One page of a list; the link to the next one says where that starts.
fn page(items: Vec<Json>, ask: &Ask<'_>) -> Result<Json, Refusal> {
    let number = |field: &str| ask.query.get(field).map(|text| text.parse::<usize>()).transpose();
    let wrong = |_| Refusal::bad_parameter("The query has a number that is none.");
    let start = number("$skiptoken").map_err(wrong)?.unwrap_or_default();
    let size = number("maxresults").map_err(wrong)?.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return Err(Refusal::bad_parameter("maxresults must be between 1 and 25."));
    }
    let end = items.len().min(start.saturating_add(size));
    let next = (end < items.len()).then(|| {
        let (base, path, version) = (ask.base, ask.path, &ask.query["api-version"]);
        format!("{base}{path}?api-version={version}&$skiptoken={end}&maxresults={size}")
    });
    Ok(json!({"value": items.into_iter().skip(start).take(size).collect::<Vec<_>>(), "nextLink": next}))
}
