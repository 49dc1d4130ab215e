//! What an ExternalSecret asks the stores for, in the order in which it counts: `dataFrom`, then `data`.

use strongroom_api::external_secrets::{
    ConversionStrategy, DataEntry, DataFromEntry, DecodingStrategy, ExternalSecretSpec, GeneratorRef,
    MergeConflictPolicy, MergePriorityPolicy, MergeStrategy as MergeKind, MetadataPolicy, NullBytePolicy, RemoteRef,
    Rewrite as RewriteEntry, RewriteMerge, SecretStoreKind, SecretStoreRef,
};
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;
use strongroom_secret::Facet;
use strongroom_select::Decode;

use crate::Texts;
use crate::keys::Conversion;
use crate::rewrite::{Merge, MergeStrategy, Rewrite};

/// One entry of `data` or `dataFrom`.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// The entry's path: `spec.data[1]`.
    pub field: String,
    /// What it asks for.
    pub what: What,
    /// How each value is encoded.
    pub decode: Decode,
    /// Whether a value with NUL bytes is an error.
    pub forbids_nul: bool,
}

/// What an entry asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// One value, for the key `secret_key`.
    Value {
        /// Where it is.
        store: StoreRef,
        /// Which it is.
        part: Part,
        /// The key that it gets.
        secret_key: String,
    },
    /// All members of one value that is a JSON object.
    Extract {
        /// Where it is.
        store: StoreRef,
        /// Which it is.
        part: Part,
        /// What becomes of the members' names.
        naming: Naming,
    },
    /// All secrets of a store that match.
    Find {
        /// The store.
        store: StoreRef,
        /// What must match.
        find: Find,
        /// How names become keys where the store's provider converts them by itself, before `naming`.
        conversion: Conversion,
        /// What becomes of the secrets' names.
        naming: Naming,
    },
    /// What a generator makes.
    Generator {
        /// The generator, with its API version.
        generator: GeneratorRef,
        /// What becomes of the names of what it makes.
        naming: Naming,
    },
}

/// A store, after defaults.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreRef {
    /// Its kind.
    pub kind: SecretStoreKind,
    /// Its name.
    pub name: String,
}

/// A value of a store, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Part {
    /// The store's name for the secret.
    pub key: String,
    /// The version, as the store's provider reads it.
    pub version: Option<String>,
    /// The part that is wanted.
    pub property: Option<String>,
    /// The secret itself, or what the store says about it.
    pub facet: Facet,
}

/// Which secrets of a store are meant; what is given must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Find {
    /// Where the search begins.
    pub path: Option<String>,
    /// What the name matches.
    pub name: Option<Pattern>,
    /// The tags that it has.
    pub tags: Texts,
}

/// What becomes of names, so that they can be keys of a Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Naming {
    /// They are converted, character by character.
    Convert(Conversion),
    /// They are rewritten, and not converted.
    Rewrite(Vec<Rewrite>),
    /// They stay as they are.
    Keep,
}

impl Want {
    /// The store that is asked; none where a generator makes the values.
    pub fn store(&self) -> Option<&StoreRef> {
        match &self.what {
            What::Value { store, .. } | What::Extract { store, .. } | What::Find { store, .. } => Some(store),
            What::Generator { .. } => None,
        }
    }

    /// The store's key that is asked for, where there is one.
    pub fn key(&self) -> Option<&str> {
        match &self.what {
            What::Value { part, .. } | What::Extract { part, .. } => Some(&part.key),
            What::Find { .. } | What::Generator { .. } => None,
        }
    }
}

/// What `spec` asks for.
///
/// # Errors
/// `Invalid`, in the field that is wrong: no store, a wrong regular expression, an entry that asks for nothing or for two
/// things.
pub fn wants(spec: &ExternalSecretSpec) -> Result<Vec<Want>, Failure> {
    let default = spec.secret_store_ref.as_ref();
    let from = spec.data_from.iter().enumerate().map(|(index, entry)| {
        let field = format!("spec.dataFrom[{index}]");
        many(entry, default, &field)
    });
    let single = spec.data.iter().enumerate().map(|(index, entry)| {
        let field = format!("spec.data[{index}]");
        one(entry, default, &field)
    });
    from.chain(single).collect()
}

fn one(entry: &DataEntry, default: Option<&SecretStoreRef>, field: &str) -> Result<Want, Failure> {
    let own = entry.source_ref.as_ref();
    if own.is_some_and(|own| own.generator_ref.is_some()) {
        let words = "an entry of data has no generator; only one of dataFrom can";
        return Err(invalid(words, format!("{field}.sourceRef.generatorRef")));
    }
    let store = store(own.and_then(|own| own.store_ref.as_ref()), default, field)?;
    let part = part(&entry.remote_ref);
    Ok(Want {
        what: What::Value { store, part, secret_key: entry.secret_key.clone() },
        ..coded(field, entry.remote_ref.decoding_strategy, entry.remote_ref.null_byte_policy)
    })
}

fn many(entry: &DataFromEntry, default: Option<&SecretStoreRef>, field: &str) -> Result<Want, Failure> {
    let own = entry.source_ref.as_ref();
    let store = || store(own.and_then(|own| own.store_ref.as_ref()), default, field);
    let rewrites = rewrites(&entry.rewrite, field)?;
    let conversion_of = |strategy: Option<ConversionStrategy>| conversion_of(strategy.unwrap_or_default());
    let naming = |strategy: Option<ConversionStrategy>| match rewrites.is_empty() {
        true => Naming::Convert(conversion_of(strategy)),
        false => Naming::Rewrite(rewrites.clone()),
    };
    match (&entry.extract, &entry.find, own.and_then(|own| own.generator_ref.as_ref())) {
        (Some(extract), None, None) => Ok(Want {
            what: What::Extract { store: store()?, part: part(extract), naming: naming(extract.conversion_strategy) },
            ..coded(field, extract.decoding_strategy, extract.null_byte_policy)
        }),
        (None, Some(find), None) => {
            let name = find.name.as_ref().and_then(|name| name.regexp.as_deref()).map(Pattern::new).transpose();
            let name = name.map_err(|failure| failure.in_field(format!("{field}.find.name.regexp")))?;
            let wanted = Find { path: find.path.clone(), name, tags: find.tags.clone() };
            Ok(Want {
                what: What::Find {
                    store: store()?,
                    find: wanted,
                    conversion: conversion_of(find.conversion_strategy),
                    naming: naming(find.conversion_strategy),
                },
                ..coded(field, find.decoding_strategy, find.null_byte_policy)
            })
        }
        (None, None, Some(generator)) => {
            let naming = if rewrites.is_empty() { Naming::Keep } else { Naming::Rewrite(rewrites) };
            let what = What::Generator { generator: generator.clone(), naming };
            Ok(Want { what, ..coded(field, None, None) })
        }
        _ => Err(invalid("exactly one of extract, find and sourceRef.generatorRef is needed", field)),
    }
}

/// A want of nothing yet, with what concerns each value.
fn coded(field: &str, decoding: Option<DecodingStrategy>, nul: Option<NullBytePolicy>) -> Want {
    Want {
        field: field.to_owned(),
        what: What::Generator {
            generator: GeneratorRef { api_version: None, kind: String::new(), name: String::new() },
            naming: Naming::Keep,
        },
        decode: decode_of(decoding.unwrap_or_default()),
        forbids_nul: nul == Some(NullBytePolicy::Fail),
    }
}

fn store(own: Option<&SecretStoreRef>, default: Option<&SecretStoreRef>, field: &str) -> Result<StoreRef, Failure> {
    let meant = own.or(default);
    match meant.and_then(|store| store.name.clone()) {
        Some(name) => Ok(StoreRef { kind: meant.and_then(|store| store.kind).unwrap_or_default(), name }),
        None => Err(invalid("no store is named, neither here nor in spec.secretStoreRef", field)),
    }
}

fn part(remote: &RemoteRef) -> Part {
    Part {
        key: remote.key.clone(),
        version: remote.version.clone(),
        property: remote.property.clone().filter(|property| !property.is_empty()),
        facet: match remote.metadata_policy.unwrap_or_default() {
            MetadataPolicy::None => Facet::Value,
            MetadataPolicy::Fetch => Facet::Metadata,
        },
    }
}

/// The way of decoding that a strategy names.
pub fn decode_of(strategy: DecodingStrategy) -> Decode {
    match strategy {
        DecodingStrategy::Auto => Decode::Auto,
        DecodingStrategy::Base64 => Decode::Base64,
        DecodingStrategy::Base64Url => Decode::Base64Url,
        DecodingStrategy::None => Decode::None,
    }
}

fn conversion_of(strategy: ConversionStrategy) -> Conversion {
    match strategy {
        ConversionStrategy::Default => Conversion::Underscore,
        ConversionStrategy::Unicode => Conversion::Unicode,
    }
}

pub(crate) fn rewrites(entries: &[RewriteEntry], field: &str) -> Result<Vec<Rewrite>, Failure> {
    let read = |(index, entry)| rewrite(entry, &format!("{field}.rewrite[{index}]"));
    entries.iter().enumerate().map(read).collect()
}

fn rewrite(entry: &RewriteEntry, field: &str) -> Result<Rewrite, Failure> {
    match (&entry.regexp, &entry.transform, &entry.merge) {
        (Some(regexp), None, None) => {
            let source = Pattern::new(&regexp.source);
            let source = source.map_err(|failure| failure.in_field(format!("{field}.regexp.source")))?;
            Ok(Rewrite::Pattern { source, target: regexp.target.clone() })
        }
        (None, Some(transform), None) => Ok(Rewrite::Transform { template: transform.template.clone() }),
        (None, None, Some(merge)) => merge_of(merge, field).map(Rewrite::Merge),
        _ => Err(invalid("exactly one of regexp, transform and merge is needed", field)),
    }
}

fn merge_of(merge: &RewriteMerge, field: &str) -> Result<Merge, Failure> {
    let strategy = match (merge.strategy.unwrap_or_default(), merge.into.as_deref().unwrap_or_default()) {
        (MergeKind::Extract, _) => MergeStrategy::Extract,
        (MergeKind::Json, "") => {
            return Err(invalid("the strategy JSON needs a key to merge into", format!("{field}.merge.into")));
        }
        (MergeKind::Json, into) => MergeStrategy::Json(into.to_owned()),
    };
    Ok(Merge {
        strategy,
        priority: merge.priority.clone(),
        may_miss_priority: merge.priority_policy == Some(MergePriorityPolicy::IgnoreNotFound),
        may_conflict: merge.conflict_policy == Some(MergeConflictPolicy::Ignore),
    })
}

fn invalid(words: &str, field: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field)
}
