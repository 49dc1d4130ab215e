//! Templates in paths: `{{identity.entity.name}}` and what else a login knows of itself (governance.md §8.1).

use std::collections::BTreeMap;
use std::ops::Range;

/// Who has logged in, as far as templates can ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The one who logged in; root and orphan tokens have none.
    pub entity: Option<Entity>,
    /// The groups that it is in.
    pub groups: Vec<Group>,
}

/// One person or workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entity {
    /// `identity.entity.id`.
    pub id: String,
    /// `identity.entity.name`.
    pub name: String,
    /// `identity.entity.metadata.KEY`.
    pub metadata: BTreeMap<String, String>,
    /// Its logins, one for each auth mount.
    pub aliases: Vec<Alias>,
}

/// What one auth method knows the entity as: `identity.entity.aliases.ACCESSOR.…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// The accessor of the auth mount, `auth_kubernetes_1a2b3c4d`.
    pub accessor: String,
    /// `….id`.
    pub id: String,
    /// `….name`.
    pub name: String,
    /// `….metadata.KEY`: what the login gave, such as `service_account_namespace`.
    pub metadata: BTreeMap<String, String>,
    /// `….custom_metadata.KEY`: what people wrote down.
    pub custom_metadata: BTreeMap<String, String>,
}

/// A group: `identity.groups.ids.ID.…` and `identity.groups.names.NAME.…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `….id`.
    pub id: String,
    /// `….name`.
    pub name: String,
    /// `….metadata.KEY`.
    pub metadata: BTreeMap<String, String>,
}

/// A path with templates in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Value(Selector),
}

/// A template with the identity's values, and where they stand: in there nothing is a wildcard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) text: String,
    pub(super) values: Vec<Range<usize>>,
}

impl Template {
    /// Understands a path; the error is a sentence about it.
    pub(super) fn new(path: &str) -> Result<Self, String> {
        let unbalanced = || "\"{{\" and \"}}\" do not match".to_owned();
        let mut parts = path.split("{{");
        let first = parts.next().unwrap_or_default();
        if first.contains("}}") {
            return Err(unbalanced());
        }
        let mut pieces = vec![Piece::Literal(first.to_owned())];
        for part in parts {
            let (inside, after) = part.split_once("}}").ok_or_else(unbalanced)?;
            if after.contains("}}") {
                return Err(unbalanced());
            }
            pieces.push(Piece::Value(Selector::new(inside.trim())?));
            pieces.push(Piece::Literal(after.to_owned()));
        }
        // A value with a slash at that end would make a wildcard of it.
        if path.contains("+{{") || path.contains("}}+") {
            return Err("a \"+\" must not stand beside a template".to_owned());
        }
        Ok(Self { pieces })
    }

    /// Whether the identity decides what the path is.
    pub(super) fn has_values(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Value(_)))
    }

    /// What stands before the first value.
    pub(super) fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// Puts the identity's values in; `None` where it lacks one.
    pub(super) fn fill(&self, identity: &Identity) -> Option<Filled> {
        let mut filled = Filled { text: String::new(), values: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => filled.text.push_str(text),
                Piece::Value(selector) => {
                    // An empty value would turn `team-{{…}}*` into everybody's path.
                    let value = selector.find(identity).filter(|value| !value.is_empty())?;
                    let start = filled.text.len();
                    filled.text.push_str(value);
                    filled.values.push(start..filled.text.len());
                }
            }
        }
        Some(filled)
    }
}

/// What a template asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selector {
    Entity(Fact),
    Alias(String, Fact),
    GroupById(String, Fact),
    GroupByName(String, Fact),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fact {
    Id,
    Name,
    Metadata(String),
    CustomMetadata(String),
}

impl Selector {
    fn new(text: &str) -> Result<Self, String> {
        let nothing = || {
            "a template names nothing that is known: there are identity.entity.id, .name, .metadata.KEY and \
             .aliases.ACCESSOR.…, identity.groups.ids.ID.… and identity.groups.names.NAME.…"
                .to_owned()
        };
        let inner = |rest: &str| {
            let (name, fact) = rest.split_once('.')?;
            Some((name.to_owned(), Fact::new(fact)?))
        };
        let selector = if let Some(rest) = text.strip_prefix("identity.entity.aliases.") {
            inner(rest).map(|(accessor, fact)| Self::Alias(accessor, fact))
        } else if let Some(rest) = text.strip_prefix("identity.entity.") {
            Fact::new(rest).map(Self::Entity)
        } else if let Some(rest) = text.strip_prefix("identity.groups.ids.") {
            inner(rest).map(|(id, fact)| Self::GroupById(id, fact))
        } else if let Some(rest) = text.strip_prefix("identity.groups.names.") {
            inner(rest).map(|(name, fact)| Self::GroupByName(name, fact))
        } else {
            None
        };
        // Only a login's alias has metadata that people add.
        let has_custom = |fact: &Fact| matches!(fact, Fact::CustomMetadata(_));
        let is_known = |one: &Self| match one {
            Self::Alias(..) => true,
            Self::Entity(fact) | Self::GroupById(_, fact) | Self::GroupByName(_, fact) => !has_custom(fact),
        };
        selector.filter(is_known).ok_or_else(nothing)
    }

    fn find<'a>(&self, identity: &'a Identity) -> Option<&'a str> {
        match self {
            Self::Entity(fact) => {
                let entity = identity.entity.as_ref()?;
                fact.of(&entity.id, &entity.name, &entity.metadata, None)
            }
            Self::Alias(accessor, fact) => {
                let alias = identity.entity.as_ref()?.aliases.iter().find(|alias| alias.accessor == *accessor)?;
                fact.of(&alias.id, &alias.name, &alias.metadata, Some(&alias.custom_metadata))
            }
            Self::GroupById(id, fact) => fact.of_group(identity.groups.iter().find(|group| group.id == *id)?),
            Self::GroupByName(name, fact) => fact.of_group(identity.groups.iter().find(|group| group.name == *name)?),
        }
    }
}

impl Fact {
    fn new(text: &str) -> Option<Self> {
        match text {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            _ => match text.split_once('.')? {
                ("metadata", key) if !key.is_empty() => Some(Self::Metadata(key.to_owned())),
                ("custom_metadata", key) if !key.is_empty() => Some(Self::CustomMetadata(key.to_owned())),
                _ => None,
            },
        }
    }

    fn of<'a>(
        &self,
        id: &'a str,
        name: &'a str,
        metadata: &'a BTreeMap<String, String>,
        custom: Option<&'a BTreeMap<String, String>>,
    ) -> Option<&'a str> {
        match self {
            Self::Id => Some(id),
            Self::Name => Some(name),
            Self::Metadata(key) => metadata.get(key).map(String::as_str),
            Self::CustomMetadata(key) => custom?.get(key).map(String::as_str),
        }
    }

    fn of_group<'a>(&self, group: &'a Group) -> Option<&'a str> {
        self.of(&group.id, &group.name, &group.metadata, None)
    }
}
