//! The words that External Secrets Operator writes into objects and that dashboards, health checks and it itself read.

/// The API group.
pub const GROUP: &str = "external-secrets.io";

/// Who writes targets, before `/` and the ExternalSecret's name; also how it is called as a writer of events.
pub const FIELD_MANAGER_PREFIX: &str = "externalsecrets.external-secrets.io";

/// Labels.
pub mod label {
    /// On a target that an ExternalSecret writes; its value is [`MANAGED_VALUE`].
    pub const MANAGED: &str = "reconcile.external-secrets.io/managed";
    /// The value of [`MANAGED`].
    pub const MANAGED_VALUE: &str = "true";
    /// On a target that an ExternalSecret owns: a hash of its namespace and name.
    pub const OWNER: &str = "reconcile.external-secrets.io/created-by";
    /// On a Secret that a webhook store may read.
    pub const TYPE: &str = "external-secrets.io/type";
    /// The value of [`TYPE`] for webhook stores.
    pub const TYPE_WEBHOOK: &str = "webhook";
}

/// Annotations.
pub mod annotation {
    /// On a target: a hash of its data.
    pub const DATA_HASH: &str = "reconcile.external-secrets.io/data-hash";
    /// On a ClusterExternalSecret, which hands it on to its ExternalSecrets: any change syncs them.
    pub const FORCE_SYNC: &str = "external-secrets.io/force-sync";
    /// On a store: no events about its provider's maintenance.
    pub const IGNORE_MAINTENANCE: &str = "external-secrets.io/ignore-maintenance-checks";
}

/// Finalizers.
pub mod finalizer {
    /// On an ExternalSecret whose target goes with it.
    pub const EXTERNAL_SECRET: &str = "externalsecrets.external-secrets.io/externalsecret-cleanup";
    /// On a ClusterExternalSecret.
    pub const CLUSTER_EXTERNAL_SECRET: &str = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup";
    /// On a namespace, before the ClusterExternalSecret's name.
    pub const NAMESPACE_PREFIX: &str = "externalsecrets.external-secrets.io/ces-";
    /// On a PushSecret whose values go from the stores with it.
    pub const PUSH_SECRET: &str = "pushsecret.externalsecrets.io/finalizer";
    /// On a store that a PushSecret must still clean up.
    pub const SECRET_STORE: &str = "secretstore.externalsecrets.io/finalizer";
}

/// Types of conditions.
pub mod condition {
    /// Whether the object does what it should.
    pub const READY: &str = "Ready";
    /// Whether an ExternalSecret's target was deleted.
    pub const DELETED: &str = "Deleted";
}

/// Reasons of conditions.
pub mod reason {
    /// The Secret is as the stores say.
    pub const SECRET_SYNCED: &str = "SecretSynced";
    /// It could not be made so.
    pub const SECRET_SYNCED_ERROR: &str = "SecretSyncedError";
    /// It was deleted, since the stores hold nothing for it.
    pub const SECRET_DELETED: &str = "SecretDeleted";
    /// There is none to merge into.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// Another kind of target is as the stores say.
    pub const RESOURCE_SYNCED: &str = "ResourceSynced";
    /// It could not be made so.
    pub const RESOURCE_SYNCED_ERROR: &str = "ResourceSyncedError";
    /// It was deleted, since the stores hold nothing for it.
    pub const RESOURCE_DELETED: &str = "ResourceDeleted";
    /// There is none to merge into.
    pub const RESOURCE_MISSING: &str = "ResourceMissing";
    /// The stores hold what is pushed.
    pub const SYNCED: &str = "Synced";
    /// They could not be made to.
    pub const ERRORED: &str = "Errored";
    /// The source of a push is gone, and what was pushed from it was deleted.
    pub const SOURCE_DELETED: &str = "SourceDeleted";
    /// The store can be used.
    pub const VALID: &str = "Valid";
    /// The store's own settings are wrong.
    pub const INVALID_STORE: &str = "InvalidStoreConfiguration";
    /// The provider's settings are wrong.
    pub const INVALID_PROVIDER: &str = "InvalidProviderConfig";
    /// The system behind the store refused us.
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    /// Whether the store can be used shows only when it is: the store is ready nevertheless.
    pub const VALIDATION_UNKNOWN: &str = "ValidationUnknown";
}

/// Messages of conditions, where there is no better one.
pub mod message {
    /// Synced.
    pub const SYNCED: &str = "secret synced";
    /// The stores hold nothing, and the Secret stays.
    pub const RETAINED: &str = "secret retained due to DeletionPolicy=Retain";
    /// The stores hold nothing, and the Secret went.
    pub const DELETED: &str = "secret deleted due to DeletionPolicy=Delete";
    /// There is no Secret to merge into.
    pub const NOT_CREATED: &str = "secret will not be created due to CreationPolicy=Merge";
    /// A store did not answer, or not with a value.
    pub const NO_DATA: &str = "could not get secret data from provider";
    /// The Secret could not be deleted.
    pub const NOT_DELETED: &str = "could not delete secret";
    /// Secrets of former names could not be deleted.
    pub const ORPHANS_NOT_DELETED: &str = "could not delete orphaned secrets";
    /// The Secret could not be written.
    pub const NOT_UPDATED: &str = "could not update secret";
    /// The Secret can never change.
    pub const IMMUTABLE: &str = "could not update secret, target is immutable";
    /// The Secret could not be made ours.
    pub const NOT_OWNED: &str = "failed to take ownership of target secret";
    /// The stores hold what a PushSecret pushes.
    pub const PUSHED: &str = "PushSecret synced successfully";
    /// So they do, with what they had already left alone.
    pub const PUSHED_IF_ABSENT: &str = "PushSecret synced successfully. Existing secrets in providers unchanged.";
    /// The source of a push is gone, and what was pushed went with it.
    pub const PUSH_SOURCE_DELETED: &str = "source secret deleted; provider secrets cleaned up";
    /// The source of a push could not be read.
    pub const NO_SOURCE: &str = "could not get source secret";
    /// A store did not take what was pushed.
    pub const NOT_PUSHED: &str = "set secret failed";
    /// A store did not delete what had been pushed.
    pub const NOT_TAKEN_BACK: &str = "Failed to Delete Secrets from Provider";
    /// The Secret is another ExternalSecret's.
    pub const OWNED_BY_ANOTHER: &str = "target is owned by another ExternalSecret";
}

/// Events.
pub mod event {
    /// Who writes them.
    pub const SOURCE: &str = "external-secrets";
    /// The target was made.
    pub const CREATED: &str = "Created";
    /// The target was changed.
    pub const UPDATED: &str = "Updated";
    /// The target was deleted.
    pub const DELETED: &str = "Deleted";
    /// The target could not be made right: a warning, with the cause.
    pub const UPDATE_FAILED: &str = "UpdateFailed";
    /// A store has no such secret, and the ExternalSecret goes on without it.
    pub const MISSING_PROVIDER_SECRET: &str = "MissingProviderSecret";
    /// A field is used that has a successor.
    pub const PARAMETER_DEPRECATED: &str = "ParameterDeprecated";
    /// Nobody maintains the store's provider.
    pub const STORE_UNMAINTAINED: &str = "StoreUnmaintained";
    /// The store's provider will go.
    pub const STORE_DEPRECATED: &str = "StoreDeprecated";
}
