//! Where objects of a kind are: asked of the API server once, and again when it no longer fits.

use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::object::segment;

const OPERATION: &str = "kubernetes:Discover";

/// A kind of object by its full name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The API group; empty for the core kinds.
    pub group: String,
    /// The version: `v1`.
    pub version: String,
    /// The kind: `ConfigMap`.
    pub kind: String,
}

/// What the server says of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Its name in paths: `configmaps`.
    pub(crate) plural: String,
    /// Whether its objects lie in namespaces.
    pub(crate) is_namespaced: bool,
    /// The kind as the server spells it.
    pub(crate) kind: String,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    namespaced: bool,
    kind: String,
}

impl Kind {
    /// `ConfigMap`, `Widget.example.io`: for messages.
    pub(crate) fn shown(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// `v1`, `example.io/v1`, as objects carry it.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Where the group and version begin.
    pub(crate) fn root(&self) -> Result<String, Failure> {
        let part = |text: &str, field: &str| {
            segment(text).map_err(|_| Failure::new(Class::Invalid, "this is no name of the API's").in_field(field))
        };
        let version = part(&self.version, "resource.version")?;
        if self.group.is_empty() {
            return Ok(format!("/api/{version}"));
        }
        Ok(format!("/apis/{}/{version}", part(&self.group, "resource.group")?))
    }

    /// Refuses the core Secrets, whatever they were called by.
    pub(crate) fn check(&self, plural: &str) -> Result<(), Failure> {
        let is_secret = self.kind.eq_ignore_ascii_case("secret") || plural == "secrets";
        if self.group.is_empty() && is_secret {
            let words = "Secrets are read by the kubernetes provider, never by this one";
            return Err(Failure::new(Class::Denied, words).in_field("resource.kind"));
        }
        Ok(())
    }
}

/// What was found out about one kind.
#[derive(Default)]
pub(crate) struct Discovery(Mutex<Option<Resource>>);

impl Discovery {
    /// What the server says of `kind`: one question for all who ask.
    pub(crate) async fn resource(&self, connection: &Connection, kind: &Kind) -> Result<Resource, Failure> {
        let mut known = self.0.lock().await;
        if let Some(resource) = &*known {
            return Ok(resource.clone());
        }
        let resource = discover(connection, kind).await?;
        *known = Some(resource.clone());
        Ok(resource)
    }

    /// Forgets it: the kind was removed or made anew.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

async fn discover(connection: &Connection, kind: &Kind) -> Result<Resource, Failure> {
    let response = connection.get(OPERATION, &kind.root()?).await.map_err(Failure::from);
    let response = response.map_err(|failure| match failure.class {
        // What is missing is the kind, not an object of it.
        Class::NotFound | Class::Invalid => {
            let words = format!("{} is not served: {}", kind.api_version(), failure.words);
            Failure { class: Class::Invalid, words, ..failure }
        }
        _ => failure,
    })?;
    let list: ResourceList = response.json()?;
    let resource = chosen(list.resources, &kind.kind);
    let resource = resource
        .ok_or_else(|| Failure::new(Class::Invalid, format!("{} has no kind {}", kind.api_version(), kind.kind)))?;
    kind.check(&resource.plural)?;
    Ok(resource)
}

/// The resource of a kind: of exactly this spelling where there is one, in any case otherwise. Parts of objects
/// (`widgets/status`) are none.
fn chosen(listed: Vec<Listed>, kind: &str) -> Option<Resource> {
    let mut whole: Vec<_> = listed.into_iter().filter(|listed| !listed.name.contains('/')).collect();
    let place = whole
        .iter()
        .position(|listed| listed.kind == kind)
        .or_else(|| whole.iter().position(|listed| listed.kind.eq_ignore_ascii_case(kind)))?;
    let Listed { name, namespaced, kind } = whole.swap_remove(place);
    Some(Resource { plural: name, is_namespaced: namespaced, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_in_any_case_and_never_as_a_part() {
        let check = |kind: &str, expected: Option<(&str, bool)>| {
            let list: ResourceList = serde_json::from_str(
                r#"{"resources":[{"name":"widgets/status","namespaced":true,"kind":"Widget"},
                {"name":"gadgets","namespaced":false,"kind":"WIDGET"},{"name":"widgets","namespaced":true,"kind":"Widget"}]}"#,
            )
            .unwrap();
            let got = chosen(list.resources, kind);
            let got = got.as_ref().map(|resource| (resource.plural.as_str(), resource.is_namespaced));
            assert_eq!(got, expected, "{kind}");
        };
        check("Widget", Some(("widgets", true)));
        check("WIDGET", Some(("gadgets", false)));
        check("widget", Some(("gadgets", false)));
        check("Gizmo", None);
    }

    #[test]
    fn core_secrets_are_refused_by_kind_and_by_what_the_server_says() {
        let check = |group: &str, kind: &str, plural: &str, is_refused: bool| {
            let kind = Kind { group: group.to_owned(), version: "v1".to_owned(), kind: kind.to_owned() };
            assert_eq!(kind.check(plural).is_err(), is_refused, "{kind:?} {plural}");
        };
        check("", "Secret", "", true);
        check("", "sEcReT", "", true);
        check("", "\u{17f}ecret", "secrets", true);
        check("", "ConfigMap", "configmaps", false);
        check("example.io", "Secret", "secrets", false);
    }

    #[test]
    fn paths_are_made_of_names() {
        let check = |group: &str, version: &str, expected: Option<&str>| {
            let kind = Kind { group: group.to_owned(), version: version.to_owned(), kind: "K".to_owned() };
            assert_eq!(kind.root().ok().as_deref(), expected);
        };
        check("", "v1", Some("/api/v1"));
        check("example.io", "v1beta1", Some("/apis/example.io/v1beta1"));
        check("", "v1/namespaces/a/secrets", None);
        check("../api", "v1", None);
        check("a", "", None);
    }
}
