//! Secrets, versions, aliases and their states: what Secret Manager v1 says about them, without any network.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer::Refusal;

/// The largest value that the real service takes.
const LARGEST_VALUE: usize = 64 << 10;

/// How many a page holds when the client does not say, and at most.
const PAGE: (usize, usize) = (100, 25_000);

/// Everything that is stored, by the secret's resource name with the project's number.
#[derive(Debug, Default)]
pub(super) struct Store {
    secrets: BTreeMap<String, Secret>,
    denied: BTreeSet<String>,
    corrupt: BTreeSet<String>,
}

#[derive(Debug)]
struct Secret {
    /// What the client said about it and can change: labels, annotations, replication ...
    settings: Map<String, Json>,
    created: String,
    versions: Vec<Version>,
    aliases: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Version {
    state: State,
    /// Gone once destroyed.
    value: Option<Vec<u8>>,
    created: String,
}

/// A version's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Enabled,
    Disabled,
    Destroyed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Destroyed => "DESTROYED",
        }
    }
}

/// A request: what is asked of which resource.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    /// The path behind `/v1/`.
    pub(super) path: &'a str,
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) body: &'a [u8],
}

/// A path's resource: the secret or the collection, and how deep the path goes.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Secrets(String),
    Secret(String),
    Versions(String),
    Version(String, String),
}

impl Store {
    /// Answers a request whose token was good.
    pub(super) fn answer(&mut self, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let (path, verb) = ask.path.split_once(':').unwrap_or((ask.path, ""));
        let unknown = || Refusal::not_found("Method not found.".to_owned());
        let resource = resource(path).ok_or_else(unknown)?;
        self.admit(&resource, ask.method, verb, path)?;
        match (resource, ask.method, verb) {
            (Resource::Version(secret, version), "GET", "access") => self.access(&secret, &version),
            (Resource::Version(secret, version), "GET", "") => self.describe_version(&secret, &version),
            (Resource::Version(secret, version), "POST", "enable") => self.set_state(&secret, &version, State::Enabled),
            (Resource::Version(secret, version), "POST", "disable") => {
                self.set_state(&secret, &version, State::Disabled)
            }
            (Resource::Version(secret, version), "POST", "destroy") => {
                self.set_state(&secret, &version, State::Destroyed)
            }
            (Resource::Versions(secret), "GET", "") => self.list_versions(&secret, ask.query),
            (Resource::Secret(secret), "POST", "addVersion") => self.add_version(&secret, ask.body),
            (Resource::Secret(secret), "GET", "") => Ok(self.secret(&secret)?.describe(&secret)),
            (Resource::Secret(secret), "PATCH", "") => self.update(&secret, ask),
            (Resource::Secret(secret), "DELETE", "") => self.delete(&secret),
            (Resource::Secrets(parent), "GET", "") => self.list_secrets(&parent, ask.query),
            (Resource::Secrets(parent), "POST", "") => self.create(&parent, ask),
            _ => Err(unknown()),
        }
    }

    /// Adds a version without a request, and the secret where it is missing; returns the version's number.
    pub(super) fn put(&mut self, secret: &str, value: &[u8]) -> u64 {
        self.secrets.entry(secret.to_owned()).or_insert_with(|| Secret::new(Map::new())).add(value)
    }

    /// Sets labels or annotations.
    pub(super) fn set(&mut self, secret: &str, field: &str, pairs: &[(&str, &str)]) -> Result<(), Refusal> {
        let pairs: BTreeMap<_, _> = pairs.iter().copied().collect();
        self.secret_mut(secret)?.settings.insert(field.to_owned(), json!(pairs));
        Ok(())
    }

    /// Points an alias at a version.
    pub(super) fn alias(&mut self, secret: &str, alias: &str, version: u64) -> Result<(), Refusal> {
        self.version(secret, &version.to_string())?;
        self.secret_mut(secret)?.aliases.insert(alias.to_owned(), version);
        Ok(())
    }

    /// Whether a secret may be used.
    pub(super) fn deny(&mut self, secret: &str, denied: bool) {
        match denied {
            true => self.denied.insert(secret.to_owned()),
            false => self.denied.remove(secret),
        };
    }

    /// From now on the checksum that is sent with the value is wrong.
    pub(super) fn corrupt(&mut self, secret: &str) {
        self.corrupt.insert(secret.to_owned());
    }

    /// Moves a version to another state; what is destroyed stays so.
    pub(super) fn set_state(&mut self, secret: &str, version: &str, state: State) -> Result<Json, Refusal> {
        let number = self.version(secret, version)?.0;
        let name = version_name(secret, number);
        let version = &mut self.secret_mut(secret)?.versions[place(number)];
        if version.state == State::Destroyed && state != State::Destroyed {
            return Err(in_state(&name, State::Destroyed));
        }
        version.state = state;
        if state == State::Destroyed {
            version.value = None;
        }
        Ok(version.describe(&name))
    }

    fn admit(&self, resource: &Resource, method: &str, verb: &str, path: &str) -> Result<(), Refusal> {
        let (secret, kind) = match resource {
            Resource::Secrets(_) => return Ok(()),
            Resource::Secret(secret) => (secret, "secrets"),
            Resource::Versions(secret) | Resource::Version(secret, _) => (secret, "versions"),
        };
        if !self.denied.contains(secret) {
            return Ok(());
        }
        let (kind, action) = match (method, verb) {
            (_, "addVersion") => ("versions", "add"),
            ("GET", "") => (kind, "get"),
            ("PATCH", "") => (kind, "update"),
            ("DELETE", "") => (kind, "delete"),
            (_, verb) => (kind, verb),
        };
        Err(Refusal::denied(&format!("secretmanager.{kind}.{action}"), path))
    }

    fn access(&self, secret: &str, version: &str) -> Result<Json, Refusal> {
        let (number, version) = self.version(secret, version)?;
        let name = version_name(secret, number);
        let value = match (version.state, &version.value) {
            (State::Enabled, Some(value)) => value,
            (state, _) => return Err(in_state(&name, state)),
        };
        let checksum = crc32c::crc32c(value) ^ u32::from(self.corrupt.contains(secret));
        Ok(json!({
            "name": name,
            "payload": {"data": STANDARD.encode(value), "dataCrc32c": checksum.to_string()},
        }))
    }

    fn describe_version(&self, secret: &str, version: &str) -> Result<Json, Refusal> {
        let (number, version) = self.version(secret, version)?;
        Ok(version.describe(&version_name(secret, number)))
    }

    fn list_versions(&self, secret: &str, query: &BTreeMap<String, String>) -> Result<Json, Refusal> {
        let versions = self.secret(secret)?.versions.iter().enumerate();
        let is_wanted = |version: &Version| match query.get("filter").and_then(|filter| filter.strip_prefix("state:")) {
            Some(state) => version.state.name() == state,
            None => true,
        };
        let versions = versions.filter(|(_, version)| is_wanted(version));
        let described = versions.map(|(place, version)| version.describe(&version_name(secret, place as u64 + 1)));
        // Newest first, as the real service lists them.
        let mut described: Vec<_> = described.collect();
        described.reverse();
        page("versions", described, query)
    }

    fn list_secrets(&self, parent: &str, query: &BTreeMap<String, String>) -> Result<Json, Refusal> {
        let inside = self.secrets.iter().filter(|(name, _)| {
            let place = name.strip_prefix(parent).and_then(|rest| rest.strip_prefix("/secrets/"));
            place.is_some()
        });
        let filter = query.get("filter").map(String::as_str).unwrap_or_default();
        let wanted = inside.filter(|(name, secret)| secret.fits(name, filter));
        page("secrets", wanted.map(|(name, secret)| secret.describe(name)).collect(), query)
    }

    fn create(&mut self, parent: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let id = ask.query.get("secretId").map(String::as_str).unwrap_or_default();
        if !is_secret_id(id) {
            return Err(Refusal::invalid("Secret ID must match [[a-zA-Z_0-9]+-]+ and be at most 255 characters."));
        }
        let name = format!("{parent}/secrets/{id}");
        if self.secrets.contains_key(&name) {
            return Err(Refusal::exists(format!("Secret [{name}] already exists.")));
        }
        let settings = document(ask.body)?;
        let is_regional = parent.contains("/locations/");
        if !is_regional && !settings.contains_key("replication") {
            return Err(Refusal::invalid("The replication policy is required."));
        }
        let secret = Secret::new(settings);
        let answer = secret.describe(&name);
        self.secrets.insert(name, secret);
        Ok(answer)
    }

    fn add_version(&mut self, secret: &str, body: &[u8]) -> Result<Json, Refusal> {
        let document = document(body)?;
        let payload = document.get("payload").cloned().unwrap_or_default();
        let data = payload["data"].as_str().unwrap_or_default();
        let value = STANDARD.decode(data).or_else(|_| URL_SAFE.decode(data));
        let value = value.map_err(|_| Refusal::invalid("Invalid value at 'payload.data': Base64 decoding failed."))?;
        if value.is_empty() || value.len() > LARGEST_VALUE {
            return Err(Refusal::invalid("The payload must have 1 to 65536 bytes."));
        }
        let checksum = match &payload["dataCrc32c"] {
            Json::String(checksum) => checksum.clone(),
            Json::Number(checksum) => checksum.to_string(),
            _ => crc32c::crc32c(&value).to_string(),
        };
        if checksum != crc32c::crc32c(&value).to_string() {
            return Err(Refusal::invalid("The checksum does not match the payload."));
        }
        let name = version_name(secret, self.secret_mut(secret)?.add(&value));
        let versions = &self.secret(secret)?.versions;
        Ok(versions[versions.len() - 1].describe(&name))
    }

    fn update(&mut self, secret: &str, ask: &Ask<'_>) -> Result<Json, Refusal> {
        let mut given = document(ask.body)?;
        let mask = ask.query.get("updateMask").cloned().unwrap_or_default();
        for field in mask.split(',').filter(|field| !field.is_empty()) {
            match field {
                "versionAliases" | "version_aliases" => {
                    let aliases = aliases(given.get("versionAliases"))?;
                    for version in aliases.values() {
                        self.version(secret, &version.to_string())?;
                    }
                    self.secret_mut(secret)?.aliases = aliases;
                }
                field => {
                    let value = given.remove(field).unwrap_or(Json::Null);
                    self.secret_mut(secret)?.settings.insert(field.to_owned(), value);
                }
            }
        }
        Ok(self.secret(secret)?.describe(secret))
    }

    fn delete(&mut self, secret: &str) -> Result<Json, Refusal> {
        self.secrets.remove(secret).map(|_| json!({})).ok_or_else(|| missing(secret))
    }

    fn secret(&self, name: &str) -> Result<&Secret, Refusal> {
        self.secrets.get(name).ok_or_else(|| missing(name))
    }

    fn secret_mut(&mut self, name: &str) -> Result<&mut Secret, Refusal> {
        self.secrets.get_mut(name).ok_or_else(|| missing(name))
    }

    /// A version by number, alias or `latest`, which is the newest in whatever state.
    fn version(&self, name: &str, version: &str) -> Result<(u64, &Version), Refusal> {
        let none = || Refusal::not_found(format!("Secret [{name}] not found or has no versions."));
        let secret = self.secrets.get(name).filter(|secret| !secret.versions.is_empty()).ok_or_else(none)?;
        let number = match version {
            "latest" => Some(secret.versions.len() as u64),
            version => version.parse().ok().or_else(|| secret.aliases.get(version).copied()),
        };
        let found = number.filter(|number| *number > 0).and_then(|number| secret.versions.get(place(number)));
        let unknown = || Refusal::not_found(format!("Secret Version [{name}/versions/{version}] not found."));
        Ok((number.unwrap_or_default(), found.ok_or_else(unknown)?))
    }
}

impl Secret {
    fn new(settings: Map<String, Json>) -> Self {
        Self { settings, created: now(), versions: Vec::new(), aliases: BTreeMap::new() }
    }

    /// The part of the filters' language that is words with nothing between them: `labels.NAME=VALUE` and `name:PART`.
    fn fits(&self, name: &str, filter: &str) -> bool {
        let id = name.rsplit('/').next().unwrap_or_default();
        filter.split_whitespace().all(|word| match (word.strip_prefix("labels."), word.strip_prefix("name:")) {
            (Some(label), _) => {
                let (label, value) = label.split_once('=').unwrap_or((label, ""));
                self.settings.get("labels").is_some_and(|labels| labels[label] == value)
            }
            (None, Some(part)) => id.contains(part),
            (None, None) => false,
        })
    }

    fn add(&mut self, value: &[u8]) -> u64 {
        self.versions.push(Version { state: State::Enabled, value: Some(value.to_vec()), created: now() });
        self.versions.len() as u64
    }

    fn describe(&self, name: &str) -> Json {
        let mut description = self.settings.clone();
        description.insert("name".to_owned(), json!(name));
        description.insert("createTime".to_owned(), json!(self.created));
        if !self.aliases.is_empty() {
            let aliases = self.aliases.iter().map(|(alias, version)| (alias.clone(), json!(version.to_string())));
            description.insert("versionAliases".to_owned(), Json::Object(aliases.collect()));
        }
        Json::Object(description)
    }
}

impl Version {
    fn describe(&self, name: &str) -> Json {
        json!({"name": name, "createTime": self.created, "state": self.state.name()})
    }
}

/// The resource name of a secret; `location` for a regional one.
pub(super) fn secret_name(project: &str, location: Option<&str>, secret: &str) -> String {
    let project = project_number(project);
    match location {
        None => format!("projects/{project}/secrets/{secret}"),
        Some(location) => format!("projects/{project}/locations/{location}/secrets/{secret}"),
    }
}

/// A project's number: every project has one beside its id, and the service answers with the number.
pub(super) fn project_number(project: &str) -> String {
    if project.bytes().all(|byte| byte.is_ascii_digit()) {
        return project.to_owned();
    }
    let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = project.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    (100_000_000_000 + hash % 900_000_000_000).to_string()
}

/// Reads a path; the project's id becomes its number.
fn resource(path: &str) -> Option<Resource> {
    let segments: Vec<_> = path.split('/').collect();
    let (parent, rest) = match segments.as_slice() {
        ["projects", project, "locations", location, "secrets", rest @ ..] => {
            (format!("projects/{}/locations/{location}", project_number(project)), rest)
        }
        ["projects", project, "secrets", rest @ ..] => (format!("projects/{}", project_number(project)), rest),
        _ => return None,
    };
    let secret = |id: &str| format!("{parent}/secrets/{id}");
    match rest {
        [] => Some(Resource::Secrets(parent)),
        [id] => Some(Resource::Secret(secret(id))),
        [id, "versions"] => Some(Resource::Versions(secret(id))),
        [id, "versions", version] => Some(Resource::Version(secret(id), (*version).to_owned())),
        _ => None,
    }
}

fn is_secret_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !id.is_empty() && id.len() <= 255 && id.bytes().all(fits)
}

fn aliases(given: Option<&Json>) -> Result<BTreeMap<String, u64>, Refusal> {
    let wrong = || Refusal::invalid("Invalid value at 'secret.version_aliases'.");
    let Some(given) = given else { return Ok(BTreeMap::new()) };
    let number = |version: &Json| version.as_u64().or_else(|| version.as_str()?.parse().ok());
    let pairs = given.as_object().ok_or_else(wrong)?.iter();
    pairs.map(|(alias, version)| Ok((alias.clone(), number(version).ok_or_else(wrong)?))).collect()
}

fn document(body: &[u8]) -> Result<Map<String, Json>, Refusal> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|_| Refusal::invalid("Invalid JSON payload received."))
}

/// One page of a list; a page token is the place where the next one starts.
fn page(name: &str, items: Vec<Json>, query: &BTreeMap<String, String>) -> Result<Json, Refusal> {
    let number = |field: &str| match query.get(field).map(|text| text.parse::<usize>()) {
        None => Ok(0),
        Some(number) => number.map_err(|_| Refusal::invalid(format!("Invalid value at '{field}'."))),
    };
    let total = items.len();
    let start = number("pageToken")?;
    let size = match number("pageSize")? {
        0 => PAGE.0,
        size => size.min(PAGE.1),
    };
    let end = total.min(start.saturating_add(size));
    let items: Vec<_> = items.into_iter().skip(start).take(size).collect();
    let mut answer = json!({name: items, "totalSize": total});
    if end < total {
        answer["nextPageToken"] = json!(end.to_string());
    }
    Ok(answer)
}

fn place(number: u64) -> usize {
    usize::try_from(number - 1).unwrap_or(usize::MAX)
}

fn version_name(secret: &str, number: u64) -> String {
    format!("{secret}/versions/{number}")
}

fn missing(secret: &str) -> Refusal {
    Refusal::not_found(format!("Secret [{secret}] not found."))
}

fn in_state(version: &str, state: State) -> Refusal {
    Refusal::precondition(format!("Secret Version [{version}] is in {} state.", state.name()))
}

/// The time as protocol buffers write it in JSON.
pub(super) fn now() -> String {
    rfc3339(OffsetDateTime::now_utc())
}

/// A time as protocol buffers write it in JSON.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    // Only a year beyond 9999 could not be written.
    time.format(&Rfc3339).unwrap_or_default()
}
