//! What is asked of the store and what it answers, apart from HTTP (governance.md §10.1).

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use strongroom_http::StatusCode;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;

use crate::members::Members;

/// What somebody asks.
#[derive(Debug)]
pub struct Request {
    /// A UUID: the audit entries of one exchange share it.
    pub id: String,
    /// The path below `/v1/`, decoded once; with a trailing slash where the request had one.
    pub path: String,
    /// What is to be done. A write is an update until the engine knows that nothing is there yet.
    pub operation: Operation,
    /// The members of the body, or the parameters of a request without one, as texts.
    pub data: Members,
    /// The parameters behind the path's question mark.
    pub query: Vec<(String, String)>,
    /// The token, if one came.
    pub token: Option<SecretBytes>,
    /// For how long the answer is to be wrapped, if it is.
    pub wrap_time: Option<Duration>,
    /// The content type, in small letters and without its parameters.
    pub content_type: Option<String>,
    /// Who asks.
    pub peer: SocketAddr,
    /// When it came.
    pub now: Timestamp,
}

impl Request {
    /// A parameter behind the path's question mark; the first of its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Who has logged in, as answers tell it.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// The new token.
    pub token: Option<SecretBytes>,
    /// All members but the token.
    pub members: Members,
}

/// A lease, as answers tell it.
#[derive(Clone, Debug, Default)]
pub struct Leased {
    /// Its id.
    pub id: String,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// How long it stands.
    pub time: Duration,
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// 200 where nothing says otherwise; 204 without data and without more.
    pub status: Option<StatusCode>,
    /// The data.
    pub data: Option<Members>,
    /// Whether the members of the data stand beside `data`, too, as some of Vault's oldest answers have it.
    pub repeats_data: bool,
    /// Whether the data are the whole body, without an envelope.
    pub is_bare: bool,
    /// A login.
    pub auth: Option<Auth>,
    /// A lease.
    pub lease: Option<Leased>,
    /// Words to whoever asks. They hold no value.
    pub warnings: Vec<String>,
}

impl Response {
    /// Nothing but success: 204.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Data in an envelope.
    pub fn of(data: impl Into<Members>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// Data without an envelope.
    pub fn bare(data: impl Into<Members>) -> Self {
        Self { is_bare: true, ..Self::of(data) }
    }

    /// Names, as a list answers them.
    ///
    /// # Errors
    /// 404 where there are none.
    pub fn of_names(names: Vec<String>) -> Result<Self, Fault> {
        if names.is_empty() {
            return Err(Fault::absent());
        }
        let names = names.into_iter().map(Value::from).collect::<Vec<_>>();
        Ok(Self::of(Members::default().with("keys", names)))
    }

    /// The same with a warning.
    #[must_use]
    pub fn warning(mut self, words: impl Into<String>) -> Self {
        self.warnings.push(words.into());
        self
    }

    /// The status that goes with it.
    pub fn status(&self) -> StatusCode {
        let has_body = self.data.is_some() || self.auth.is_some() || !self.warnings.is_empty() || self.lease.is_some();
        let usual = if has_body { StatusCode::OK } else { StatusCode::NO_CONTENT };
        self.status.unwrap_or(usual)
    }
}

/// Why something is not done. Its words go to whoever asks, and hold no value.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The status.
    pub status: StatusCode,
    /// What is wrong, one or more; none for 404s that say nothing.
    pub errors: Vec<String>,
    /// Words beside.
    pub warnings: Vec<String>,
    /// Data that are answered all the same: what a deleted version was, a batch that failed in part.
    pub data: Option<Members>,
}

impl Fault {
    /// Any status with words.
    pub fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, errors: vec![words.into()], warnings: Vec::new(), data: None }
    }

    /// 400: the request is wrong.
    pub fn invalid(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    /// 403 for a token that is missing, unknown or over.
    pub fn bad_token() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission denied")
    }

    /// 403 where the policies do not allow it.
    pub fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "1 error occurred:\n\t* permission denied\n\n")
    }

    /// 404 that says nothing: there is no such thing.
    pub fn absent() -> Self {
        Self { status: StatusCode::NOT_FOUND, errors: Vec::new(), warnings: Vec::new(), data: None }
    }

    /// 404 where no mount serves the path.
    pub fn no_handler(path: &str) -> Self {
        let words = format!("no handler for route \"{path}\". route entry not found.");
        Self::new(StatusCode::NOT_FOUND, words)
    }

    /// 405: the path is served, and not for this.
    pub fn unsupported() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "1 error occurred:\n\t* unsupported operation\n\n")
    }

    /// 503: sealed.
    pub fn sealed() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed")
    }

    /// 500: what went wrong is the store's own, and told in its log.
    pub fn internal(words: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, words)
    }

    /// The same with data.
    #[must_use]
    pub fn with_data(self, data: Members) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The same with a warning.
    #[must_use]
    pub fn warning(mut self, words: impl Into<String>) -> Self {
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
