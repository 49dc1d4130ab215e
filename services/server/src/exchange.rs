//! What is asked of the store and what it answers, apart from HTTP (governance.md §10.1).

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use strongroom_http::{ReplyPart, StatusCode};
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use tokio::sync::mpsc;

use crate::members::Members;

/// What somebody asks.
#[derive(Debug)]
pub(crate) struct Request {
    /// A UUID: the audit entries of one exchange share it.
    pub(crate) id: String,
    /// The path below `/v1/`, decoded once; with a trailing slash where the request had one.
    pub(crate) path: String,
    /// What is to be done. A write is an update until the engine knows that nothing is there yet.
    pub(crate) operation: Operation,
    /// The members of the body, or the parameters of a request without one, as texts.
    pub(crate) data: Members,
    /// The token, if one came.
    pub(crate) token: Option<SecretBytes>,
    /// For how long the answer is to be wrapped, if it is.
    pub(crate) wrap_time: Option<Duration>,
    /// The content type, in small letters and without its parameters.
    pub(crate) content_type: Option<String>,
    /// Who asks.
    pub(crate) peer: SocketAddr,
    /// The address of `peer`, as a text.
    pub(crate) address: String,
    /// When it came.
    pub(crate) now: Timestamp,
}

/// Who has logged in, as answers tell it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auth {
    /// The identity's id; empty where there is none.
    pub(crate) entity_id: String,
    /// The new token.
    pub(crate) token: Option<SecretBytes>,
    /// Its accessor.
    pub(crate) accessor: String,
    /// All its policies.
    pub(crate) policies: Vec<String>,
    /// What is known of the login.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Seconds that it lives; 0 for ever.
    pub(crate) lease: u64,
    /// Whether it can be renewed.
    pub(crate) is_renewable: bool,
    /// Whether it ends with no other.
    pub(crate) is_orphan: bool,
    /// How often it may be used; 0 for any number.
    pub(crate) num_uses: u64,
    /// The login's name for people.
    pub(crate) display_name: String,
}

impl Auth {
    /// As Vault shows it.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let metadata = if self.metadata.is_empty() { Value::Null } else { json!(self.metadata) };
        let shown = json!({
            "client_token": self.token.as_ref().and_then(SecretBytes::expose_text).unwrap_or_default(),
            "accessor": self.accessor,
            "policies": self.policies,
            "token_policies": self.policies,
            "metadata": metadata,
            "lease_duration": self.lease,
            "renewable": self.is_renewable,
            "entity_id": self.entity_id,
            "token_type": "service",
            "orphan": self.is_orphan,
            "mfa_requirement": null,
            "num_uses": self.num_uses,
        });
        match shown {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

/// An answer that waits behind a token.
#[derive(Clone, Debug)]
pub(crate) struct Wrapped {
    /// The token, for one use.
    pub(crate) token: SecretBytes,
    /// Its accessor.
    pub(crate) accessor: String,
    /// Seconds that it lives.
    pub(crate) ttl: u64,
    /// When it was made.
    pub(crate) creation_time: Timestamp,
    /// The path whose answer it is.
    pub(crate) creation_path: String,
    /// The accessor of the token inside, where there is one inside.
    pub(crate) wrapped_accessor: Option<String>,
}

/// A lease, as answers tell it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leased {
    /// Its id.
    pub(crate) id: String,
    /// Whether it can be renewed.
    pub(crate) is_renewable: bool,
    /// How long it stands.
    pub(crate) time: Duration,
}

/// What is answered.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// 200 where nothing says otherwise; 204 without data and without more.
    pub(crate) status: Option<StatusCode>,
    /// The data.
    pub(crate) data: Option<Members>,
    /// Whether the members of the data stand beside `data`, too, as some of Vault's oldest answers have it.
    pub(crate) repeats_data: bool,
    /// Whether the data are the whole body, without an envelope.
    pub(crate) is_bare: bool,
    /// A login.
    pub(crate) auth: Option<Auth>,
    /// A login that was wrapped, as it was shown.
    pub(crate) unwrapped_auth: Option<Members>,
    /// Where the answer waits, in its place.
    pub(crate) wrapped: Option<Wrapped>,
    /// A lease.
    pub(crate) lease: Option<Leased>,
    /// Bytes that are the whole body and come part by part.
    pub(crate) stream: Option<mpsc::Receiver<ReplyPart>>,
    /// A text that is the whole body, and its content type.
    pub(crate) text: Option<(&'static str, String)>,
    /// Words to whoever asks. They hold no value.
    pub(crate) warnings: Vec<String>,
}

impl Response {
    /// A text as it is.
    pub(crate) fn text(content_type: &'static str, text: String) -> Self {
        Self { text: Some((content_type, text)), ..Self::default() }
    }

    /// Nothing but success: 204.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// Data in an envelope.
    pub(crate) fn of(data: impl Into<Members>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// Data without an envelope.
    pub(crate) fn bare(data: impl Into<Members>) -> Self {
        Self { is_bare: true, ..Self::of(data) }
    }

    /// Names, as a list answers them.
    ///
    /// # Errors
    /// 404 where there are none.
    pub(crate) fn of_names(names: Vec<String>) -> Result<Self, Fault> {
        if names.is_empty() {
            return Err(Fault::absent());
        }
        let names = names.into_iter().map(Value::from).collect::<Vec<_>>();
        Ok(Self::of(Members::default().with("keys", names)))
    }

    /// The same with a warning.
    #[must_use]
    pub(crate) fn warning(mut self, words: impl Into<String>) -> Self {
        self.warnings.push(words.into());
        self
    }

    /// The status that goes with it.
    pub(crate) fn status(&self) -> StatusCode {
        let has_body = self.data.is_some()
            || self.auth.is_some()
            || self.unwrapped_auth.is_some()
            || self.wrapped.is_some()
            || self.lease.is_some()
            || self.stream.is_some()
            || self.text.is_some()
            || !self.warnings.is_empty();
        let usual = if has_body { StatusCode::OK } else { StatusCode::NO_CONTENT };
        self.status.unwrap_or(usual)
    }
}

/// Why something is not done. Its words go to whoever asks, and hold no value.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The status.
    pub(crate) status: StatusCode,
    /// What is wrong, one or more; none for 404s that say nothing.
    pub(crate) errors: Vec<String>,
    /// Words beside.
    pub(crate) warnings: Vec<String>,
    /// Data that are answered all the same: what a deleted version was, a batch that failed in part.
    pub(crate) data: Option<Box<Members>>,
}

impl Fault {
    /// Any status with words.
    pub(crate) fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, errors: vec![words.into()], warnings: Vec::new(), data: None }
    }

    /// 400: the request is wrong.
    pub(crate) fn invalid(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    /// 403 for a token that is missing, unknown or over.
    pub(crate) fn bad_token() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission denied")
    }

    /// 403 where the policies do not allow it.
    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "1 error occurred:\n\t* permission denied\n\n")
    }

    /// 404 that says nothing: there is no such thing.
    pub(crate) fn absent() -> Self {
        Self { status: StatusCode::NOT_FOUND, errors: Vec::new(), warnings: Vec::new(), data: None }
    }

    /// 404 where no mount serves the path.
    pub(crate) fn no_handler(path: &str) -> Self {
        let words = format!("no handler for route \"{path}\". route entry not found.");
        Self::new(StatusCode::NOT_FOUND, words)
    }

    /// 405: the path is served, and not for this.
    pub(crate) fn unsupported() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "1 error occurred:\n\t* unsupported operation\n\n")
    }

    /// 503: sealed.
    pub(crate) fn sealed() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed")
    }

    /// 500: what went wrong is the store's own, and told in its log.
    pub(crate) fn internal(words: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, words)
    }

    /// The same with data.
    #[must_use]
    pub(crate) fn with_data(self, data: Members) -> Self {
        Self { data: Some(Box::new(data)), ..self }
    }

    /// The same with a warning.
    #[must_use]
    pub(crate) fn warning(mut self, words: impl Into<String>) -> Self {
        self.warnings.push(words.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.status, self.errors.join("; "))
    }
}

impl std::error::Error for Fault {}
