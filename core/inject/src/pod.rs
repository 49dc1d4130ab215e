//! A pod as the API server sends it: raw JSON, looked at through names.

use serde_json::Value;

use crate::refusal::{Reason, Refusal};

/// The lists of containers that are looked at. Ephemeral ones are not: they come later, and nothing may be added to
/// what they mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Init containers, native sidecars among them.
    Init,
    /// The containers that make the pod.
    Main,
}

impl List {
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Main => "containers",
        }
    }
}

/// One container and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Container<'pod> {
    pub(crate) list: List,
    pub(crate) index: usize,
    pub(crate) name: &'pod str,
    pub(crate) value: &'pod Value,
}

impl<'pod> Container<'pod> {
    /// A field of it in people's words: `spec.containers[2].image`.
    pub(crate) fn field(&self, rest: &str) -> String {
        format!("spec.{}[{}].{rest}", self.list.member(), self.index)
    }

    /// A JSON pointer to it.
    pub(crate) fn pointer(&self) -> String {
        format!("/spec/{}/{}", self.list.member(), self.index)
    }

    /// The words of a list such as `args`.
    pub(crate) fn words(&self, member: &str) -> impl Iterator<Item = &'pod str> + use<'pod> {
        list(self.value, member).iter().filter_map(Value::as_str)
    }

    /// The volume that is mounted at `path`, if any.
    pub(crate) fn mounted(&self, path: &str) -> Option<&'pod str> {
        let mounts = list(self.value, "volumeMounts").iter();
        let mut there = mounts.filter(|mount| text(mount, "mountPath").map(trimmed) == Some(trimmed(path)));
        there.next().map(|mount| text(mount, "name").unwrap_or_default())
    }
}

/// A pod, whose kind has been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pod<'pod> {
    pub(crate) object: &'pod Value,
    pub(crate) spec: &'pod Value,
    annotations: Option<&'pod serde_json::Map<String, Value>>,
}

impl<'pod> Pod<'pod> {
    /// # Errors
    /// An object of another kind, which is never patched.
    pub(crate) fn read(object: &'pod Value) -> Result<Self, Refusal> {
        let kind = object.get("kind").map_or(Some("Pod"), Value::as_str);
        match object.get("spec") {
            Some(spec @ Value::Object(_)) if kind == Some("Pod") => {
                let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations")?.as_object());
                Ok(Self { object, spec, annotations })
            }
            _ => Err(Refusal::new("kind", Reason::OtherKind("Pod"))),
        }
    }

    /// Init containers first, in the order in which they start.
    pub(crate) fn containers(&self) -> impl Iterator<Item = Container<'pod>> + use<'pod> {
        let spec = self.spec;
        [List::Init, List::Main].into_iter().flat_map(move |kind| {
            list(spec, kind.member()).iter().enumerate().map(move |(index, value)| Container {
                list: kind,
                index,
                name: text(value, "name").unwrap_or_default(),
                value,
            })
        })
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&'pod str> {
        self.annotations?.get(name)?.as_str()
    }

    pub(crate) fn annotation_names(&self) -> impl Iterator<Item = &'pod str> + use<'pod> {
        self.annotations.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    pub(crate) fn volumes(&self) -> &'pod [Value] {
        list(self.spec, "volumes")
    }
}

/// The elements of an array; none where it is missing, `null` or something else.
pub(crate) fn list<'pod>(value: &'pod Value, member: &str) -> &'pod [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text that is there and is not empty.
pub(crate) fn text<'pod>(value: &'pod Value, member: &str) -> Option<&'pod str> {
    value.get(member)?.as_str().filter(|text| !text.is_empty())
}

/// A path without slashes at its end.
pub(crate) fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// Whether `path` is `folder`, or lies in it; neither has a slash at its end.
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An absolute path that can be mounted and stays where it is.
pub(crate) fn is_path(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part))
        && !path.contains(|letter: char| letter == ':' || letter.is_control())
}

/// A text that comes out of kubelet's expansion of `$(NAME)` as it went in.
pub(crate) fn unexpanded(text: &str) -> String {
    // One dollar alone stands for itself, two for one.
    if text.contains("$(") || text.contains("$$") { text.replace('$', "$$") } else { text.to_owned() }
}
