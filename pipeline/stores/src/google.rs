use strongroom_failure::Failure;
use strongroom_google::{SecretManager, Settings};
use strongroom_resolve::Place;

use crate::{StoreSettings, Stores, mismatch};

impl Stores {
    pub(crate) fn google(&self, place: &Place, settings: Option<&StoreSettings>) -> Result<SecretManager, Failure> {
        let lookup = |name: &str| self.ambient.get(name);
        let settings = match settings {
            None => Settings { project: self.google_project.clone(), ..Settings::default() },
            Some(StoreSettings::Google(settings)) => settings.as_ref().clone(),
            Some(other) => return Err(mismatch(place, other)),
        };
        SecretManager::open(settings.completed(&lookup)?, self.meter())
    }
}
