//! Secrets of one mount, with versions or without.

use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_http::StatusCode;

use crate::api::Api;
use crate::terminal::{Progress, harmless, note};

/// What one secret holds: its keys and their values.
pub(crate) type Data = Map<String, Value>;

/// A mount of a store.
pub(crate) struct Store<'a> {
    pub(crate) api: &'a Api,
    mount: String,
}

/// The newest of a secret.
pub(crate) enum Latest {
    /// There is none, and no version was ever written.
    Absent,
    /// This version was deleted or destroyed.
    Gone { version: u64 },
    /// This version holds these data. The version of a mount without versions is 0.
    There { version: u64, data: Data },
}

impl<'a> Store<'a> {
    pub(crate) fn new(api: &'a Api, mount: &str) -> Self {
        Self { api, mount: mount.trim_matches('/').to_owned() }
    }

    /// Where the mount is, without slashes around it.
    pub(crate) fn mount(&self) -> &str {
        &self.mount
    }

    /// The path below `/v1/` of what is done with a secret.
    pub(crate) fn at(&self, verb: &str, path: &str) -> String {
        format!("{}/{verb}/{}", self.mount, path.trim_start_matches('/'))
    }

    /// Whether its secrets have versions.
    ///
    /// # Errors
    /// Where there is no such mount, or nothing in it may be used, or it holds something else.
    pub(crate) fn has_versions(&self) -> Result<bool, Failure> {
        let known = self.api.data("GET", &format!("sys/internal/ui/mounts/{}", self.mount), None)?;
        match known["type"].as_str() {
            Some("kv" | "generic") => Ok(known["options"]["version"].as_str() == Some("2")),
            other => {
                let words = format!("holds no key-value secrets, but {}", other.unwrap_or("something else"));
                Err(Failure::new(Class::Invalid, words).in_field(format!("{}/", self.mount)))
            }
        }
    }

    /// Refuses a mount without versions, in which nothing protects what somebody else writes meanwhile.
    ///
    /// # Errors
    /// As [`Self::has_versions`], and for such a mount.
    pub(crate) fn needs_versions(&self) -> Result<(), Failure> {
        if self.has_versions()? {
            return Ok(());
        }
        let words = "keeps no versions, so that a change of somebody else could be written over unseen";
        Err(Failure::new(Class::Invalid, words)
            .in_field(format!("{}/", self.mount))
            .with_hint("write to a mount with versions: strongroom secrets enable kv --path PATH"))
    }

    /// `data` of an answer: the secret's own and what is known of its version.
    ///
    /// # Errors
    /// Where there is no such secret or version, or it may not be read.
    pub(crate) fn read(&self, path: &str, version: Option<u64>) -> Result<Value, Failure> {
        let query = version.map_or_else(String::new, |version| format!("?version={version}"));
        let answer = self.api.ask("GET", &self.at("data", path), &query, None).map_err(no_secret)?;
        Ok(answer.map(|mut answer| answer["data"].take()).unwrap_or_default())
    }

    /// What is known of a secret and its versions.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn metadata(&self, path: &str) -> Result<Value, Failure> {
        self.api.data("GET", &self.at("metadata", path), None).map_err(no_secret)
    }

    /// The newest of a secret with versions (`has_versions`) or without.
    ///
    /// # Errors
    /// Where it may not be read, or there is no such mount.
    pub(crate) fn latest(&self, path: &str, has_versions: bool) -> Result<Latest, Failure> {
        let place = if has_versions { self.at("data", path) } else { format!("{}/{path}", self.mount) };
        let mut answer = self.api.answer("GET", &place, "", None)?;
        if answer.status.is_success() {
            let mut data = answer.body.as_mut().map(|body| body["data"].take()).unwrap_or_default();
            let version = data["metadata"]["version"].as_u64().unwrap_or_default();
            let data = if has_versions { data["data"].take() } else { data };
            return match data {
                Value::Object(data) => Ok(Latest::There { version: if has_versions { version } else { 0 }, data }),
                _ => Err(Failure::new(Class::Invalid, "the secret is no object of keys and values").in_field(place)),
            };
        }
        let version = answer.body.as_ref().and_then(|body| body["data"]["metadata"]["version"].as_u64());
        match (answer.status, version) {
            (StatusCode::NOT_FOUND, Some(version)) => Ok(Latest::Gone { version }),
            (StatusCode::NOT_FOUND, None) if answer.errors().next().is_none() => Ok(Latest::Absent),
            _ => Err(self.api.refused(&place, &answer)),
        }
    }

    /// Writes a version, over this one alone where one is given; tells which version it became.
    ///
    /// # Errors
    /// Where somebody else has written meanwhile, or it may not be written.
    pub(crate) fn write(&self, path: &str, data: &Data, cas: Option<u64>) -> Result<u64, Failure> {
        self.change("POST", path, data, cas)
    }

    /// Changes keys of the newest version; those that are null go.
    ///
    /// # Errors
    /// As [`Self::write`], and where there is no such secret.
    pub(crate) fn patch(&self, path: &str, data: &Data, cas: Option<u64>) -> Result<u64, Failure> {
        let patched = self.change("PATCH", path, data, cas);
        patched.map_err(|failure| match failure.class {
            Class::NotFound => {
                no_secret(failure).with_hint("there is nothing to change: strongroom kv put writes anew")
            }
            _ => failure,
        })
    }

    fn change(&self, method: &str, path: &str, data: &Data, cas: Option<u64>) -> Result<u64, Failure> {
        let options = cas.map_or_else(|| json!({}), |cas| json!({"cas": cas}));
        let body = json!({"data": data, "options": options});
        let answer = self.api.data(method, &self.at("data", path), Some(&body))?;
        Ok(answer["version"].as_u64().unwrap_or_default())
    }

    /// Names in a folder, those of folders with a slash; none where there is no such folder.
    ///
    /// # Errors
    /// Where they may not be listed, or there is no such mount.
    pub(crate) fn names(&self, folder: &str, has_versions: bool) -> Result<Vec<String>, Failure> {
        let folder = folder.trim_matches('/');
        let below =
            if has_versions { format!("{}/metadata/{folder}", self.mount) } else { format!("{}/{folder}", self.mount) };
        // With a slash: a policy speaks of what is in a folder so.
        let place = format!("{}/", below.trim_end_matches('/'));
        let answer = self.api.answer("LIST", &place, "", None)?;
        match answer.status {
            StatusCode::NOT_FOUND if answer.errors().next().is_none() => Ok(Vec::new()),
            status if status.is_success() => {
                let keys = answer.body.as_ref().and_then(|body| body["data"]["keys"].as_array());
                Ok(keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => Err(self.api.refused(&place, &answer)),
        }
    }

    /// The paths of all secrets at `prefix` and below it, in order. A prefix that ends in a slash is a folder alone, and
    /// none at all the whole mount.
    ///
    /// # Errors
    /// As [`Self::names`].
    pub(crate) fn paths(&self, prefix: &str, has_versions: bool) -> Result<Vec<String>, Failure> {
        let mut progress = Progress::new("listing: folder", None);
        let folder = prefix.trim_matches('/');
        let is_folder = folder.is_empty() || prefix.ends_with('/');
        let mut found: Vec<String> = if is_folder { Vec::new() } else { vec![folder.to_owned()] };
        let mut open = vec![if folder.is_empty() { String::new() } else { format!("{folder}/") }];
        while let Some(folder) = open.pop() {
            let names = match self.names(&folder, has_versions) {
                // Who may read a secret need not be allowed to list what is below it.
                Err(failure) if failure.class == Class::Denied && !is_folder => {
                    note(&format!("{} may not be listed: what is below it is left out", harmless(&folder)));
                    Vec::new()
                }
                names => names?,
            };
            for name in names {
                let path = format!("{folder}{name}");
                if name.ends_with('/') { open.push(path) } else { found.push(path) }
            }
            progress.step();
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Says of what is not there that it is a secret.
fn no_secret(failure: Failure) -> Failure {
    match failure.words.as_str() {
        "there is nothing at this path" => Failure { words: "there is no such secret".to_owned(), ..failure },
        _ => failure,
    }
}

/// The path of a secret as stores take it.
///
/// # Errors
/// For what no secret can be called.
pub(crate) fn checked(path: &str) -> Result<String, Failure> {
    let path = path.trim_start_matches('/');
    let is_wrong = |segment: &str| matches!(segment, "" | "." | "..") || segment.contains(char::is_control);
    if path.split('/').any(is_wrong) {
        let words = "is no path of a secret: it has an empty segment, a dot segment or a control character";
        return Err(Failure::new(Class::Invalid, words).in_field(format!("{path:?}")));
    }
    Ok(path.to_owned())
}
