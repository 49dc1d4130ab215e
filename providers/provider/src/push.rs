use std::collections::BTreeMap;

use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

/// Where in a store something is kept: a secret, or one property of the JSON object that the secret is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The store's own name for the secret.
    pub key: String,
    /// A property of it, in External Secrets Operator's notation for this store.
    pub property: Option<String>,
    /// Another namespace than the store's own, for stores that are clusters (`remoteNamespace` in the metadata).
    pub namespace: Option<String>,
}

/// What is to be kept there.
#[derive(Clone, Debug)]
pub enum Content {
    /// One value, as bytes.
    One(SecretBytes),
    /// A whole Secret, by its keys. Stores that keep one value a secret keep it as a JSON object of texts.
    Whole(BTreeMap<String, SecretBytes>),
}

/// One value on its way into a store.
#[derive(Clone, Debug)]
pub struct Push {
    /// Where it goes.
    pub place: Place,
    /// What goes there.
    pub content: Content,
    /// The provider's own settings for this entry (`spec.data[].metadata` of a PushSecret), as JSON.
    pub metadata: Option<serde_json::Value>,
    /// The Secret that the content is from, for stores that keep Secrets or certificates.
    pub source: Source,
    /// Only where nothing is kept there yet (`updatePolicy: IfNotExists`).
    pub only_if_absent: bool,
}

/// The Secret that something is pushed from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its type: `kubernetes.io/tls`.
    pub secret_type: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// All its data, after the template.
    pub data: BTreeMap<String, SecretBytes>,
}

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was written.
    Written,
    /// It was there already, with the same content and the same settings; nothing was written.
    Unchanged,
    /// Something else is there, and only what is absent was to be written.
    Kept,
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone now.
    Removed,
    /// There was no such thing.
    Absent,
    /// It is not managed by External Secrets Operator or by us, and was left alone.
    Foreign,
}

/// What one entry of a list of pushes came to.
pub type PushAnswer = Result<Pushed, Failure>;

/// What one entry of a list of deletions came to.
pub type DeleteAnswer = Result<Deleted, Failure>;
