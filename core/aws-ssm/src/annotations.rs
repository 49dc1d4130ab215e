//! What the annotations of a Secret ask for.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_failure::{Class, Failure};
use strongroom_sync::Texts;

/// The parameter's name, under its own prefix and the older one. Of two, the first wins.
const NAME: [&str; 2] = ["aws-ssm/aws-param-name", "alpha.ssm.cmattoon.com/aws-param-name"];

/// The parameter's type.
const KIND: [&str; 2] = ["aws-ssm/aws-param-type", "alpha.ssm.cmattoon.com/aws-param-type"];

/// The role that is taken to read it.
const ROLE: [&str; 2] = ["aws-iam/role-arn", "iam.amazonaws.com/role"];

/// The longest name that AWS has: an ARN of a parameter.
const NAME_LIMIT: usize = 2048;

/// What a Secret says about itself, as far as it matters here; kept of each Secret that is annotated, so that others
/// cost nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The Secret's uid.
    pub uid: String,
    /// Its labels, by which it may be left to somebody else.
    pub labels: Texts,
    /// Whether it is being deleted.
    pub is_ending: bool,
    /// The ExternalSecret that controls it.
    pub maker: Option<String>,
    /// The parameter's name as it is written.
    pub name: String,
    /// Its type as it is written.
    pub kind: String,
    /// The role as it is written.
    pub role: Option<String>,
}

impl Asked {
    /// What the Secret asks for; nothing where its name or its type is not annotated (AS-04): aws-ssm ignores those.
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.as_ref()?;
        let owners = metadata.owner_references.iter().flatten();
        let mut makers = owners.filter(|owner| owner.controller == Some(true) && owner.kind == "ExternalSecret");
        Some(Self {
            name: written(annotations, NAME)?,
            kind: written(annotations, KIND)?,
            role: written(annotations, ROLE),
            uid: metadata.uid.clone().unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            is_ending: metadata.deletion_timestamp.is_some(),
            maker: makers.next().map(|owner| owner.name.clone()),
        })
    }

    /// The same, understood.
    ///
    /// # Errors
    /// `Invalid`, in the annotation's name, where it cannot be what was meant.
    pub fn request(&self) -> Result<Request, Failure> {
        if let Some(maker) = &self.maker {
            let words = format!("the ExternalSecret {maker} controls this Secret, and two would overwrite each other");
            return Err(Failure::new(Class::Invalid, words).with_hint("let only one of them write it"));
        }
        let kind = Kind::of(&self.kind)?;
        check_name(&self.name, kind)?;
        self.role.as_deref().map_or(Ok(()), check_role)?;
        Ok(Request { name: self.name.clone(), kind, role: self.role.clone() })
    }
}

/// The first of two annotations that is not empty.
fn written(annotations: &Texts, names: [&str; 2]) -> Option<String> {
    names.iter().filter_map(|name| annotations.get(*name)).find(|text| !text.is_empty()).cloned()
}

/// What a Secret asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The parameter's name or ARN; a directory's path.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The ARN of the role that is taken to read it.
    pub role: Option<String>,
}

/// What a parameter is. What Parameter Store itself has it for plays no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    String,
    /// One value that is kept encrypted.
    SecureString,
    /// A list: `a=1,b=2`.
    StringList,
    /// Every parameter below a path.
    Directory,
}

impl Kind {
    /// The type as annotations have it.
    ///
    /// # Errors
    /// `Invalid` for every other text. It is not repeated: somebody may have written a value there.
    fn of(text: &str) -> Result<Self, Failure> {
        let kinds = [Self::String, Self::SecureString, Self::StringList, Self::Directory];
        kinds.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            Failure::new(Class::Invalid, "there is no such type of parameter")
                .in_field(KIND[0])
                .with_hint("write String, SecureString, StringList or Directory")
        })
    }

    /// The type's name, which is also the key of a Secret that holds a whole value.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::SecureString => "SecureString",
            Self::StringList => "StringList",
            Self::Directory => "Directory",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Nothing that AWS would refuse, and with that nothing that a policy or a shell reads as more than a letter: names are
/// put into manifests for an administrator to apply.
fn check_name(name: &str, kind: Kind) -> Result<(), Failure> {
    let invalid = |words: &str| Err(Failure::new(Class::Invalid, words).in_field(NAME[0]));
    if name.len() > NAME_LIMIT {
        return invalid("the name is too long");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/:".contains(&byte)) {
        return invalid("a parameter's name has letters, numbers, and _ . - / only");
    }
    if kind == Kind::Directory && !name.starts_with('/') {
        return invalid("the path of a directory begins with a slash");
    }
    Ok(())
}

fn check_role(role: &str) -> Result<(), Failure> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    if role.starts_with("arn:") && role.len() <= NAME_LIMIT && role.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Failure::new(Class::Invalid, "this is no ARN of a role")
        .in_field(ROLE[0])
        .with_hint("write it whole, as arn:aws:iam::111122223333:role/reader"))
}
