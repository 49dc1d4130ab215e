use std::borrow::Cow;

/// What stands before every key of a store; nothing by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole name of what is asked for as `key`.
    pub(crate) fn before<'a>(&self, key: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{}{key}", self.0)) }
    }
}

#[cfg(feature = "catalog")]
impl Prefix {
    /// How the secret with the whole `name` is asked for; `None` where this store cannot ask for it.
    pub(crate) fn key_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.0).filter(|key| !key.is_empty())
    }

    /// The prefix itself.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether names that begin with `path` can begin with the prefix as well.
    pub(crate) fn reaches(&self, path: &str) -> bool {
        path.starts_with(&self.0) || self.0.starts_with(path)
    }
}
