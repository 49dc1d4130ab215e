use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use strongroom_aws::Session;
use strongroom_failure::Failure;
use strongroom_resolve::Place;

use crate::{StoreSettings, Stores, mismatch};

/// One session for each store by its name: credentials are loaded and roles assumed once, whatever is read.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<Option<String>, Session>>);

impl Stores {
    pub(crate) fn aws(&self, place: &Place, settings: Option<&StoreSettings>) -> Result<Session, Failure> {
        let mut sessions = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(&place.store) {
            return Ok(session.clone());
        }
        let settings = match settings {
            None => strongroom_aws::Settings::default(),
            Some(StoreSettings::Aws(settings)) => settings.as_ref().clone(),
            Some(other) => return Err(mismatch(place, other)),
        };
        let session = Session::new(settings, self.meter())?;
        sessions.insert(place.store.clone(), session.clone());
        Ok(session)
    }
}
