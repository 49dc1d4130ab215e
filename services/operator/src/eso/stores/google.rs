use std::sync::Arc;

use strongroom_api::external_secrets::provider::GoogleProvider;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;

use super::Scope;

/// Opens Google Secret Manager as `spec` says.
pub(super) async fn open(_spec: &GoogleProvider, _scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    Err(Failure::new(Class::Invalid, "this provider is not served yet").in_field("spec.provider.gcpsm"))
}
