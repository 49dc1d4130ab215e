/// Why a text, a key or an identity cannot be used. Never holds a value, a key or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KamusError {
    /// A name that no namespace or service account can have.
    #[error("a namespace or service account has lower case letters, digits, dashes and dots, and is not empty")]
    BadName,
    /// The account that every pod of a namespace has by default.
    #[error("You cannot encrypt a secret for the default service account")]
    DefaultAccount,
    /// An installation's name that cannot be part of a label.
    #[error("an installation's name has 1 to 63 lower case letters, digits and dashes")]
    BadInstallation,
    /// What is neither a text of Kamus nor one of ours.
    #[error("this is no encrypted text")]
    NoText,
    /// A text of ours in a version that this program does not know.
    #[error("this text is of a newer version")]
    NewerVersion,
    /// Sealed for a key that is not there.
    #[error("the key that it was encrypted for is not known here")]
    UnknownKey,
    /// Another identity, another installation, or a changed text: which of them cannot be told, and must not be.
    #[error("it was not encrypted for this service account, or was changed")]
    Wrong,
    /// The key that Kamus published, by which everybody can read.
    #[error("this key is published with Kamus: everybody has it")]
    PublishedKey,
    /// A key that does not have 32 bytes in base64.
    #[error("the key is not 32 bytes in base64")]
    BadKey,
    /// A ring of keys that cannot be read.
    #[error("the ring of keys cannot be read")]
    BadRing,
    /// What is no document of a public key, or names another key than it holds.
    #[error("this is no document of a public key")]
    BadPublicKey,
    /// The library or the kernel's randomness failed.
    #[error("encryption failed")]
    Failed,
}
