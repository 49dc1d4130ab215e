//! Why a pod is not admitted.

use std::fmt;

use strongroom_failure::{Class, Failure};

use crate::annotations::{FILES_OWNER, FILES_URL};
use crate::found::SourceKind;
use crate::pod::Container;
use crate::vault::MUTATE;

/// Why something cannot be injected: the pod must not be created then, since it would start without its secrets.
///
/// Shown in one line: the field, what is wrong, the container, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The container that it is about, where it is about one.
    pub container: Option<String>,
    /// Where the person who must mend it looks: `spec.containers[2].env[DB].valueFrom.secretKeyRef`.
    pub field: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The object is of another kind than the one that is served, whose name this is.
    OtherKind(&'static str),
    /// A ConfigMap or Secret that is not optional does not exist.
    Missing {
        /// Which of the two.
        kind: SourceKind,
        /// Its name.
        name: String,
    },
    /// The container has no command, and nobody told what its image starts.
    ImageUnknown,
    /// The container has no command, and its image starts nothing either.
    NoCommand,
    /// Something else is mounted where we would mount.
    PathTaken(String),
    /// A container that is none of ours has the name by which ours is known.
    NameTaken,
    /// An annotation of ours that does not exist; the names of those that do.
    UnknownAnnotation {
        /// The names of those that exist.
        known: String,
    },
    /// An annotation says what it cannot say.
    UnknownValue {
        /// What it can.
        known: String,
    },
    /// An annotation names a container that the pod does not have.
    NoSuchContainer(String),
    /// Not the ARN of a secret of AWS Secrets Manager.
    NotAnArn(String),
    /// Not a path that can be mounted or written below a mount.
    BadPath(String),
    /// Two secrets would be one file, or one the folder of the other.
    SamePath(String),
    /// More secrets than this are wanted as files.
    TooMany(usize),
    /// The list of files cannot be read.
    Malformed {
        /// What is wrong with it, without a reference.
        words: String,
        /// How to mend it.
        cure: String,
    },
    /// The list of files has more bytes than this.
    TooLong(usize),
    /// A file names its owner, which an agent without rights cannot make it; the field.
    OwnOwner(String),
    /// Root is to own the files, and the pod demands that nobody is root.
    NoRoot,
    /// A process is to be signalled that the agent does not see.
    ProcessesUnseen,
    /// A process is to be signalled, and no container is known to run as the agent's user.
    NobodyToSignal,
    /// A variable holds a reference of bank-vaults that cannot be read.
    Unreadable {
        /// The variable, or the annotation that says the same.
        name: String,
        /// What is wrong with it, without the value.
        words: String,
        /// How to mend it.
        cure: String,
    },
    /// bank-vaults would do here what is not served.
    NotServed {
        /// What to do instead.
        cure: &'static str,
    },
    /// A Secret's value is not base64.
    NotBase64,
    /// A Secret's name is not known before the API server has made it.
    NoName,
}

impl Refusal {
    pub(crate) fn new(field: impl Into<String>, reason: Reason) -> Self {
        Self { container: None, field: field.into(), reason }
    }

    pub(crate) fn of_annotation(name: &str, reason: Reason) -> Self {
        Self::new(format!("metadata.annotations[{name}]"), reason)
    }

    pub(crate) fn of_container(container: &Container<'_>, field: &str, reason: Reason) -> Self {
        Self { container: Some(container.name.to_owned()), field: container.field(field), reason }
    }

    /// A reference of bank-vaults that cannot be read; `failure` repeats nothing of the value.
    pub(crate) fn unreadable(container: &Container<'_>, field: &str, name: &str, failure: Failure) -> Self {
        Self::of_container(container, field, unreadable(name, failure))
    }

    /// What to try.
    pub fn cure(&self) -> String {
        match &self.reason {
            Reason::OtherKind(kind) => format!("send reviews of kind {kind} alone to this path"),
            Reason::Missing { .. } => "create it first, or mark the reference as optional".to_owned(),
            Reason::ImageUnknown | Reason::NoCommand => "write the command into the container".to_owned(),
            Reason::PathTaken(_) => "mount that volume elsewhere, or move ours by settings or annotation".to_owned(),
            Reason::NameTaken => "give the container another name".to_owned(),
            Reason::UnknownAnnotation { known } => format!("known are {known}"),
            Reason::UnknownValue { known } => format!("allowed: {known}"),
            Reason::NoSuchContainer(_) => "name containers of this pod, with commas between".to_owned(),
            Reason::NotAnArn(_) => "write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME".to_owned(),
            Reason::BadPath(_) => "write an absolute path without .. and without : or control characters".to_owned(),
            Reason::SamePath(_) => "give each secret a path of its own: ARN:/PATH".to_owned(),
            Reason::TooMany(_) => "put several values into one secret".to_owned(),
            Reason::Unreadable { cure, .. } | Reason::Malformed { cure, .. } => cure.clone(),
            Reason::TooLong(_) => "write shorter templates, or several secrets into one".to_owned(),
            Reason::OwnOwner(_) => format!("write {FILES_OWNER}: UID:GID, which is the owner of all files"),
            Reason::NoRoot => "name another user, or set spec.securityContext.runAsNonRoot: false".to_owned(),
            Reason::ProcessesUnseen => {
                format!("set spec.shareProcessNamespace: true, or use {FILES_URL}")
            }
            Reason::NobodyToSignal => format!("write {FILES_OWNER}: UID of the process"),
            Reason::NotServed { cure } => (*cure).to_owned(),
            Reason::NotBase64 => "write the value in base64, or use stringData".to_owned(),
            Reason::NoName => "name the Secret instead of using generateName".to_owned(),
        }
    }
}

/// Why what `name` says cannot be read.
pub(crate) fn unreadable(name: &str, failure: Failure) -> Reason {
    let mend = failure.hint.unwrap_or_else(|| "mend it".to_owned());
    let cure = format!("{mend}; if it is an ordinary value, annotate the pod with {MUTATE}: skip");
    Reason::Unreadable { name: name.to_owned(), words: failure.words, cure }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKind(kind) => write!(formatter, "this is not a {kind}"),
            // As the API server's clients word it, which is what people have searched for until now.
            Self::Missing { kind, name } => write!(formatter, "{} \"{name}\" not found", kind.plural()),
            Self::ImageUnknown => write!(formatter, "it is not known what the image starts"),
            Self::NoCommand => write!(formatter, "there is no command, and the image has neither ENTRYPOINT nor CMD"),
            Self::PathTaken(path) => write!(formatter, "something else is mounted at {path} already"),
            Self::NameTaken => write!(formatter, "the name is that of the init container that is injected"),
            Self::UnknownAnnotation { .. } => write!(formatter, "there is no such annotation"),
            Self::UnknownValue { .. } => write!(formatter, "the annotation's value is not known"),
            Self::NoSuchContainer(name) => write!(formatter, "there is no container \"{name}\""),
            Self::NotAnArn(text) => write!(formatter, "Not a valid ARN: {text}"),
            Self::BadPath(path) => write!(formatter, "\"{path}\" cannot be the path of a file or mount"),
            Self::SamePath(path) => write!(formatter, "two secrets are wanted at {path}"),
            Self::TooMany(limit) => write!(formatter, "more than {limit} secrets are wanted"),
            Self::Malformed { words, .. } => write!(formatter, "the list cannot be read: {words}"),
            Self::TooLong(limit) => write!(formatter, "the list has more than {limit} bytes"),
            Self::OwnOwner(field) => write!(formatter, "{field}: a file in a pod has no owner of its own"),
            Self::NoRoot => write!(formatter, "root is to own the files, and the pod demands that nobody runs as root"),
            Self::ProcessesUnseen => write!(formatter, "processes of other containers are not seen in this pod"),
            Self::NobodyToSignal => {
                write!(formatter, "no container is known to run as the agent's user, who may signal nobody else")
            }
            Self::Unreadable { name, words, .. } => write!(formatter, "{name}: {words}"),
            Self::NotServed { .. } => write!(formatter, "what it asks for is not served"),
            Self::NotBase64 => write!(formatter, "the value is not base64"),
            Self::NoName => write!(formatter, "the Secret has no name yet"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.reason)?;
        if let Some(container) = &self.container {
            write!(formatter, " (container \"{container}\")")?;
        }
        write!(formatter, "; {}", self.cure())
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let class = match refusal.reason {
            Reason::Missing { .. } => Class::NotFound,
            _ => Class::Invalid,
        };
        let words = match &refusal.container {
            Some(container) => format!("{} (container \"{container}\")", refusal.reason),
            None => refusal.reason.to_string(),
        };
        Self::new(class, words).with_hint(refusal.cure()).in_field(refusal.field)
    }
}
