//! The contract between the pipeline and every store outside: batch first, each key answered by itself.
//!
//! A provider is opened for one (store, identity) and knows how its store likes to be asked; retries, deduplication,
//! coalescing, rate and concurrency belong to `pipeline/resolve`, so a provider never retries by itself (except the
//! one fresh login after a refused token).

#![forbid(unsafe_code)]

#[cfg(feature = "push")]
mod document;
#[cfg(feature = "push")]
mod draft;
mod find;
#[cfg(feature = "push")]
mod grouped;
mod meter;
mod push;
mod shared;
mod token;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
pub use strongroom_pattern::Pattern;
pub use strongroom_secret::{Facet, Lease, RemoteKey, RemoteValue, SecretBytes, Version};

#[cfg(feature = "push")]
pub use crate::draft::{Draft, Keeps, Left, MARK, MARKED, NoSettings, foreign, reduced, settings, whole};
pub use crate::find::{Find, Found};
#[cfg(feature = "push")]
pub use crate::grouped::each_secret;
pub use crate::meter::{Meter, Outcome};
pub use crate::push::{Content, DeleteAnswer, Deleted, Place, Push, PushAnswer, Pushed, Source};
pub use crate::shared::Shared;
pub use crate::token::TokenSource;

/// One answer: what was read, or why not. Its [`Failure`] names class, key, store and words; `field` is left to the
/// caller.
pub type Answer = Result<RemoteValue, Failure>;

/// One call that a store would be asked, before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The store's name for the operation, which is also what must be allowed:
    /// `secretsmanager:BatchGetSecretValue`, `GET kv/data/app`.
    pub operation: String,
    /// Places in the list of keys that the call answers.
    pub keys: Vec<usize>,
}

/// How much one store may be asked at once and per second; the defaults come from the store's published quotas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Calls under way at once.
    pub concurrency: usize,
    /// Calls a second in the long run (the token bucket's refill).
    pub rate: f64,
    /// Calls that may be made at once after a pause (the token bucket's size).
    pub burst: usize,
}

/// A store outside: reads many keys at a time, and answers each of them.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The store in people's words, for messages: `AWS Secrets Manager (eu-west-1)`.
    fn describe(&self) -> String;

    /// Which identity would be used, in people's words and without asking the store: `role arn:… from the web identity
    /// token in /var/run/…`, `token from VAULT_TOKEN`.
    fn identity(&self) -> String;

    /// How much the store may be asked.
    fn limits(&self) -> Limits;

    /// Groups `keys` into the fewest calls that the store accepts. Every place appears in exactly one call.
    /// Pure and cheap: the planner asks it for costs before anything is read.
    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call>;

    /// Reads `keys` and returns as many answers, in the same order. One bad key spoils only its own answer.
    /// The pipeline passes the keys of one planned [`Call`]; any other list must be answered as well.
    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer>;

    /// Lends what a read gave for longer; the answer says for how long from now on.
    ///
    /// # Errors
    /// A failure that may pass leaves the lease as it was. Any other says that it cannot be renewed: whoever needs the
    /// value beyond its end reads anew. `Invalid` also where the login that it hangs from is over.
    async fn renew(&self, _lease: &Lease) -> Result<Lease, Failure> {
        let words = "this kind of store lends nothing";
        Err(Failure::new(Class::Invalid, words).from_store(self.describe()))
    }

    /// Whether the store looks at [`RemoteKey::property`] itself; else the whole value is read and the property
    /// selected from it afterwards.
    fn takes_properties(&self) -> bool {
        false
    }

    /// Whether the names that a search finds become keys of a Secret, by conversion, before anything else is made of
    /// them: what rewrites them then sees the converted ones.
    fn converts_names(&self) -> bool {
        false
    }

    /// The secrets that fit `query`, in the store's order; values come along where listing gives them for nothing.
    ///
    /// # Errors
    /// One failure for the whole query: `Invalid` where the store cannot search, or not by what the query names.
    async fn find(&self, _query: &Find) -> Result<Vec<Found>, Failure> {
        let words = "this kind of store cannot be searched; name the keys instead";
        Err(Failure::new(Class::Invalid, words).from_store(self.describe()))
    }

    /// Keeps `pushes` in the store and returns as many answers, in the same order. Entries for properties of one secret
    /// are one read and at most one write. What is there already is not written again. A secret that does not carry
    /// External Secrets Operator's mark of ownership is refused (`Denied`) and stays as it is.
    async fn push(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        let words = "this kind of store cannot be written to";
        let refused = || Err(Failure::new(Class::Invalid, words).from_store(self.describe()));
        pushes.iter().map(|_| refused()).collect()
    }

    /// Removes what was pushed to `places` and returns as many answers, in the same order. A property is taken out of
    /// its secret, and the secret goes with its last property. Only what carries the mark of ownership is touched.
    async fn delete(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        let words = "this kind of store cannot be written to";
        let refused = || Err(Failure::new(Class::Invalid, words).from_store(self.describe()));
        places.iter().map(|_| refused()).collect()
    }

    /// What rules for tenants know `place` by: they ask before every push and every deletion whether somebody may have
    /// this name, so it names everything that tells one secret of the store from another.
    ///
    /// # Errors
    /// `Invalid` where the place names a namespace and the store is no cluster: what it meant would not be what is
    /// written.
    fn name_for_rules(&self, place: &Place) -> Result<String, Failure> {
        match &place.namespace {
            None => Ok(place.key.clone()),
            Some(_) => {
                let words = "metadata: this kind of store has no namespaces, so there is no remoteNamespace";
                let refused = Failure::new(Class::Invalid, words).from_store(self.describe());
                Err(refused.with_hint("leave spec.remoteNamespace out of the metadata"))
            }
        }
    }

    /// Proves, as cheaply as the store allows, that the identity can be established: a login, no read of a secret.
    ///
    /// # Errors
    /// Why the store cannot be used now.
    async fn validate(&self) -> Result<Validation, Failure> {
        Ok(Validation::Unknown)
    }
}

/// What [`Provider::validate`] found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// The store knows us.
    Valid,
    /// The store has no way to ask without reading.
    Unknown,
}

/// One call a key, for stores that read one at a time; `operation` names each.
pub fn one_by_one(keys: &[RemoteKey], operation: impl Fn(&RemoteKey) -> String) -> Vec<Call> {
    keys.iter().enumerate().map(|(place, key)| Call { operation: operation(key), keys: vec![place] }).collect()
}
