//! `external-secrets.io`: the kinds of External Secrets Operator 2.x, field by field.

mod cluster_external_secret;
mod cluster_push_secret;
mod external_secret;
mod problems;
pub mod provider;
mod push_problems;
mod push_secret;
mod rules;
mod selector;
mod store;
pub mod vocabulary;

pub use cluster_external_secret::{
    ClusterCondition, ClusterExternalSecret, ClusterExternalSecretSpec, ClusterExternalSecretStatus,
    ExternalSecretMetadata, FailedNamespace,
};
pub use cluster_push_secret::{ClusterPushSecret, ClusterPushSecretSpec, ClusterPushSecretStatus};
pub use external_secret::{
    Condition, ConversionStrategy, CreationPolicy, DataEntry, DataFromEntry, DecodingStrategy, DeletionPolicy,
    EngineVersion, ExternalSecret, ExternalSecretSpec, ExternalSecretStatus, Find, FindName, GeneratorRef, ManifestRef,
    MergeConflictPolicy, MergePriorityPolicy, MergeStrategy, MetadataPolicy, NullBytePolicy, RefreshPolicy, RemoteRef,
    Rewrite, RewriteMerge, RewriteRegexp, RewriteTransform, SecretStoreKind, SecretStoreRef, SourceRef, SyncWindow,
    SyncWindowKind, SyncWindows, Target, Template, TemplateFrom, TemplateMergePolicy, TemplateMetadata, TemplateRef,
    TemplateRefItem, TemplateScope,
};
pub use push_secret::{
    PushConversion, PushData, PushDataTo, PushDataToMatch, PushDeletionPolicy, PushMatch, PushRemoteRef, PushRewrite,
    PushSecret, PushSecretSpec, PushSecretStatus, PushSelector, PushSource, PushStoreRef, PushUpdatePolicy,
    SyncedPushSecrets,
};
pub use selector::{CaProvider, CaProviderKind, SecretKeySelector, ServiceAccountSelector};
pub use store::{
    Capabilities, ClusterSecretStore, ClusterSecretStoreSpec, NamespaceCondition, RetrySettings, SecretStore,
    SecretStoreSpec, SecretStoreStatus, StoreInterval,
};
