//! `external-secrets.io/v1`: the kinds of External Secrets Operator 2.x, field by field.

mod cluster_external_secret;
mod external_secret;
mod problems;
pub mod provider;
mod rules;
mod selector;
mod store;
pub mod vocabulary;

pub use cluster_external_secret::{
    ClusterCondition, ClusterExternalSecret, ClusterExternalSecretSpec, ClusterExternalSecretStatus,
    ExternalSecretMetadata, FailedNamespace,
};
pub use external_secret::{
    Condition, ConversionStrategy, CreationPolicy, DataEntry, DataFromEntry, DecodingStrategy, DeletionPolicy,
    EngineVersion, ExternalSecret, ExternalSecretSpec, ExternalSecretStatus, Find, FindName, GeneratorRef, ManifestRef,
    MergeConflictPolicy, MergePriorityPolicy, MergeStrategy, MetadataPolicy, NullBytePolicy, RefreshPolicy, RemoteRef,
    Rewrite, RewriteMerge, RewriteRegexp, RewriteTransform, SecretStoreKind, SecretStoreRef, SourceRef, SyncWindow,
    SyncWindowKind, SyncWindows, Target, Template, TemplateFrom, TemplateMergePolicy, TemplateMetadata, TemplateRef,
    TemplateRefItem, TemplateScope,
};
pub use selector::{CaProvider, CaProviderKind, SecretKeySelector, ServiceAccountSelector};
pub use store::{
    Capabilities, ClusterSecretStore, ClusterSecretStoreSpec, NamespaceCondition, RetrySettings, SecretStore,
    SecretStoreSpec, SecretStoreStatus, StoreInterval,
};
