use std::sync::Arc;

use strongroom_api::external_secrets::provider::VaultProvider;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;

use super::Scope;

/// Opens HashiCorp Vault, and OpenBao by the same slot or its own as `spec` says.
pub(super) async fn open(_spec: &VaultProvider, _scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    Err(Failure::new(Class::Invalid, "this provider is not served yet").in_field("spec.provider.vault"))
}

/// Opens OpenBao by its own slot.
pub(super) async fn open_bao(_spec: &strongroom_api::external_secrets::provider::OpenBaoProvider, _scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    Err(Failure::new(Class::Invalid, "this provider is not served yet").in_field("spec.provider.openBao"))
}
