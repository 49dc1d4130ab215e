use strongroom_failure::Failure;
use strongroom_resolve::Place;
use strongroom_vault::{Settings, Vault};

use crate::{StoreSettings, Stores, mismatch};

impl Stores {
    pub(crate) fn vault(&self, place: &Place, settings: Option<&StoreSettings>) -> Result<Vault, Failure> {
        let lookup = |name: &str| self.ambient.get(name);
        let settings = match settings {
            None => Settings::from_environment(&lookup)?,
            Some(StoreSettings::Vault(settings)) => settings.as_ref().clone().with_ambient_proxy(&lookup)?,
            Some(other) => return Err(mismatch(place, other)),
        };
        Vault::open(settings, self.meter())
    }
}
