//! What an entry says, in the members and the order of Vault's and OpenBao's audit devices (governance.md §4.4). Empty
//! members are left out, as they leave them out.
//!
//! Everything that is secret has a type that only a [`Hasher`](crate::Hasher) makes. The rest is told as it is: whoever
//! fills in `error`, `warnings`, `path` or `metadata` vouches that no value is in them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::data::{Document, Omission};
use crate::hash::Hashed;
use crate::headers::Headers;

/// The most bytes that an entry may have. Data is limited by [`Limits`](crate::Limits) before; this is for all the rest,
/// which a server's limits on paths, headers and logins keep far below.
pub const ENTRY_LIMIT: usize = 4 << 20;

/// Bytes that most entries stay below: room that is taken at once need not be copied and wiped as it grows.
const USUAL: usize = 2048;

/// Which half of an exchange an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Half {
    /// Before the request takes effect.
    Request,
    /// Before the response leaves.
    Response,
}

/// One entry. The entry of a response repeats the request.
#[derive(Clone, Debug, Serialize)]
pub struct Entry<'a> {
    /// When it was made; written in UTC with up to nanoseconds.
    pub time: Timestamp,
    /// Which half it tells.
    #[serde(rename = "type")]
    pub half: Half,
    /// Who asks; nearly empty for requests without a token.
    pub auth: Auth<'a>,
    /// What is asked for.
    pub request: Request<'a>,
    /// What is answered; in the entry of a response alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response<'a>>,
    /// Why the request failed; empty where it did not. Holds no value.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub error: &'a str,
    /// The address of the standby that sent the request on.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub forwarded_from: &'a str,
}

/// Who asks, as far as is known, or whom a login made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Auth<'a> {
    /// The token.
    #[serde(skip_serializing_if = "Hashed::is_empty")]
    pub client_token: Hashed,
    /// The token's accessor.
    #[serde(skip_serializing_if = "Hashed::is_empty")]
    pub accessor: Hashed,
    /// The login's name for people: `kubernetes-team-a-web`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub display_name: &'a str,
    /// All policies.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub policies: &'a [String],
    /// Policies by the token.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub token_policies: &'a [String],
    /// Policies by the identity.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub identity_policies: &'a [String],
    /// Policies of other namespaces, by namespace.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_namespace_policies: BTreeMap<&'a str, &'a [String]>,
    /// Whether the policy `default` was refused.
    #[serde(skip_serializing_if = "is_false")]
    pub no_default_policy: bool,
    /// What the policies said; absent where none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_results: Option<PolicyResults<'a>>,
    /// What the auth method knows of the login: names of roles, service accounts, users.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<&'a str, &'a str>,
    /// Uses that the token was made with; 0 for any number.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_uses: u64,
    /// Uses that are left; 0 where they are not counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub remaining_uses: u64,
    /// The identity's id.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub entity_id: &'a str,
    /// Whether this login made the identity.
    #[serde(skip_serializing_if = "is_false")]
    pub entity_created: bool,
    /// `service`, `batch` or `default`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub token_type: &'a str,
    /// Seconds that the token was made for; 0 for ever.
    #[serde(skip_serializing_if = "is_zero")]
    pub token_ttl: u64,
    /// When the token was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_issue_time: Option<Timestamp>,
}

/// What the policies said.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PolicyResults<'a> {
    /// Whether the request may be made; told where it is false, too.
    pub allowed: bool,
    /// The policies that allowed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granting_policies: Vec<GrantingPolicy<'a>>,
}

/// A policy that allowed a request.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GrantingPolicy<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    /// Its namespace's id.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace_id: &'a str,
    /// Its kind: `acl`.
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    pub kind: &'a str,
}

/// A namespace.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Namespace<'a> {
    /// Its id: `root` for the outermost.
    pub id: &'a str,
    /// Its path, empty for the outermost.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub path: &'a str,
}

impl Default for Namespace<'_> {
    fn default() -> Self {
        Self { id: "root", path: "" }
    }
}

/// The data of a half: what it is, or why it is not told.
#[derive(Clone, Copy, Debug, Default)]
pub enum Data<'a> {
    /// There is none.
    #[default]
    Absent,
    /// This, with every scalar hashed.
    Told(Document<'a>),
    /// It was beyond a limit: `data_omitted` stands in place of `data`.
    Omitted(Omission),
}

impl<'a> From<Result<Document<'a>, Omission>> for Data<'a> {
    fn from(made: Result<Document<'a>, Omission>) -> Self {
        match made {
            Ok(document) if document.is_empty() => Self::Absent,
            Ok(document) => Self::Told(document),
            Err(omission) => Self::Omitted(omission),
        }
    }
}

impl Data<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Serialize for Data<'_> {
    /// One member, since which one it is depends on what there is; flattened into the half.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.collect_map([("", ""); 0]),
            Self::Told(document) => serializer.collect_map([("data", document)]),
            Self::Omitted(omission) => serializer.collect_map([("data_omitted", omission)]),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Request<'a> {
    /// The request's id, a UUID: the entries of one exchange share it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub id: &'a str,
    /// The client's id, for counting clients.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub client_id: &'a str,
    /// `read`, `update`, `create`, `patch`, `delete` or `list`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub operation: &'a str,
    /// Where it goes.
    #[serde(flatten)]
    pub mount: Mount<'a>,
    /// The version of what serves the mount.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub mount_running_version: &'a str,
    /// The token that came with it.
    #[serde(skip_serializing_if = "Hashed::is_empty")]
    pub client_token: Hashed,
    /// That token's accessor.
    #[serde(skip_serializing_if = "Hashed::is_empty")]
    pub client_token_accessor: Hashed,
    /// The namespace.
    pub namespace: Namespace<'a>,
    /// The whole path, the mount's with it, without `/v1/`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub path: &'a str,
    /// The body, or the parameters of a request without one.
    #[serde(flatten, skip_serializing_if = "Data::is_absent")]
    pub data: Data<'a>,
    /// Whether the client asked to go beyond soft policies.
    #[serde(skip_serializing_if = "is_false")]
    pub policy_override: bool,
    /// The client's address, without its port.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub remote_address: &'a str,
    /// The client's port.
    #[serde(skip_serializing_if = "is_zero")]
    pub remote_port: u64,
    /// Seconds for which the response is to be wrapped; 0 where it is not.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrap_ttl: u64,
    /// Headers that were configured to be told.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// The serial number of the certificate that the client showed.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub client_certificate_serial_number: &'a str,
}

/// What serves a request.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Mount<'a> {
    /// Its path, with `/` behind.
    #[serde(rename = "mount_point", skip_serializing_if = "str::is_empty")]
    pub point: &'a str,
    /// Its type: `kv`, `transit`, `token`.
    #[serde(rename = "mount_type", skip_serializing_if = "str::is_empty")]
    pub kind: &'a str,
    /// Its accessor, which is no secret: `kv_0d3f…`.
    #[serde(rename = "mount_accessor", skip_serializing_if = "str::is_empty")]
    pub accessor: &'a str,
    /// `secret` or `auth`.
    #[serde(rename = "mount_class", skip_serializing_if = "str::is_empty")]
    pub class: &'a str,
}

/// What is answered.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Response<'a> {
    /// Whom a login or the making of a token made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth<'a>>,
    /// What answered.
    #[serde(flatten)]
    pub mount: Mount<'a>,
    /// The version of what answered.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub mount_running_plugin_version: &'a str,
    /// The lease that the answer stands under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Leased<'a>>,
    /// The answer's data.
    #[serde(flatten, skip_serializing_if = "Data::is_absent")]
    pub data: Data<'a>,
    /// Warnings to the client. They hold no value.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub warnings: &'a [String],
    /// Where the client is sent.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub redirect: &'a str,
    /// The wrapping that the client gets in place of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrap_info: Option<WrapInfo<'a>>,
    /// Headers of the answer.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
}

/// A lease.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Leased<'a> {
    /// Its id, in clear so that it can be revoked by what the trail says; an id alone lets nobody read.
    pub lease_id: &'a str,
}

/// A wrapping.
#[derive(Clone, Debug, Serialize)]
pub struct WrapInfo<'a> {
    /// Seconds that it lives.
    pub ttl: u64,
    /// The wrapping's token.
    pub token: Hashed,
    /// That token's accessor.
    pub accessor: Hashed,
    /// When it was made.
    pub creation_time: Timestamp,
    /// The path that was asked.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub creation_path: &'a str,
    /// The accessor of the token inside, where there is one inside.
    #[serde(skip_serializing_if = "Hashed::is_empty")]
    pub wrapped_accessor: Hashed,
}

/// An entry as it will be written, without its place in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(Vec<u8>);

impl Body {
    /// The JSON object. It has one member at least.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why an entry cannot be written; its request must not take effect, or its response not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// It has more than [`ENTRY_LIMIT`] bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It cannot be put into JSON: a time that no calendar has.
    Unwritable,
}

impl std::fmt::Display for EntryError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(formatter, "the audit entry has {bytes} bytes, and {ENTRY_LIMIT} are allowed")
            }
            Self::Unwritable => formatter.write_str("the audit entry cannot be written as JSON"),
        }
    }
}

impl std::error::Error for EntryError {}

impl Entry<'_> {
    /// Makes what is written: the same bytes for the same entry. Done before the entry waits for its place in a chain,
    /// so that hashing, which takes the most time, runs beside that of others.
    ///
    /// # Errors
    /// An entry that is too long.
    pub fn body(&self) -> Result<Body, EntryError> {
        let mut bytes = Vec::with_capacity(USUAL);
        serde_json::to_writer(&mut bytes, self).map_err(|_| EntryError::Unwritable)?;
        if bytes.len() > ENTRY_LIMIT {
            return Err(EntryError::TooLong { bytes: bytes.len() });
        }
        Ok(Body(bytes))
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
