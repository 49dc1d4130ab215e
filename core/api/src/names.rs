//! What Kubernetes allows in names, as patterns for schemas.

/// The name of an object (RFC 1123 subdomain); at most 253 characters.
pub(crate) const OBJECT: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The name of a namespace (RFC 1123 label); at most 63 characters.
pub(crate) const NAMESPACE: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// A key in the data of a Secret or ConfigMap; at most 253 characters.
pub(crate) const DATA_KEY: &str = r"^[-._a-zA-Z0-9]+$";
