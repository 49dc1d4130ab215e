use std::sync::Arc;

use strongroom_api::external_secrets::provider::KubernetesProvider;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;

use super::Scope;

/// Opens Secrets of a Kubernetes API server as `spec` says.
pub(super) async fn open(_spec: &KubernetesProvider, _scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    Err(Failure::new(Class::Invalid, "this provider is not served yet").in_field("spec.provider.kubernetes"))
}
