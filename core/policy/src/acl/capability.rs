//! What a rule can allow, and what each operation needs.

use std::fmt;

/// One word of `capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Capability {
    /// Writing where nothing is yet; whether that is so is found out by the caller.
    Create,
    /// Deleting; of versions, softly.
    Delete,
    /// Nothing at all, whatever else says so on the same path.
    Deny,
    /// The names below a path, whoever may read them.
    List,
    /// Changing parts.
    Patch,
    /// Reading.
    Read,
    /// The names below a path and below those (OpenBao).
    Scan,
    /// Paths that the caller knows to need more than their capability.
    Sudo,
    /// Writing over what is there.
    Update,
}

impl Capability {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Delete,
        Self::Deny,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Scan,
        Self::Sudo,
        Self::Update,
    ];

    /// The word in policies and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    /// The capability of that name; letters count, as in Vault.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of capabilities. With `deny` there is nothing else in it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u16);

impl Capabilities {
    /// Whether `capability` is among them.
    pub fn contain(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both together; `deny` in either leaves nothing else.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        if both.contain(Capability::Deny) { Self(Capability::Deny.bit()) } else { both }
    }

    /// Whether they allow anything.
    pub fn allow_something(self) -> bool {
        !self.is_empty() && !self.contain(Capability::Deny)
    }

    /// One after the other, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |one| self.contain(*one))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capability>>(capabilities: T) -> Self {
        capabilities.into_iter().fold(Self::default(), |set, one| set.union(Self(one.bit())))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(Capability::name)).finish()
    }
}

/// What a request does. Renewing and revoking a lease are updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A write where nothing is yet.
    Create,
    /// A read.
    Read,
    /// A write over what is there.
    Update,
    /// A change of parts.
    Patch,
    /// A deletion.
    Delete,
    /// The names below a path.
    List,
    /// The names below a path and below those.
    Scan,
}

impl Operation {
    /// The capability that it needs.
    pub fn capability(self) -> Capability {
        match self {
            Self::Create => Capability::Create,
            Self::Read => Capability::Read,
            Self::Update => Capability::Update,
            Self::Patch => Capability::Patch,
            Self::Delete => Capability::Delete,
            Self::List => Capability::List,
            Self::Scan => Capability::Scan,
        }
    }

    /// Whether allowed, denied and required parameters are looked at: as in Vault, not where names are listed or
    /// something is deleted.
    pub(super) fn has_parameters(self) -> bool {
        matches!(self, Self::Create | Self::Read | Self::Update | Self::Patch)
    }
}
