//! What the settings and the credentials' file come to, for whichever of Google's services is opened.

use strongroom_failure::{Class, Failure};
use strongroom_http::HeaderValue;

use crate::credentials::Source;
use crate::metadata::Metadata;
use crate::name::is_domain;
use crate::settings::Settings;

/// Who asks, and where.
pub(crate) struct Opened {
    pub(crate) metadata: Metadata,
    pub(crate) source: Source,
    /// The domain of Google's services.
    pub(crate) universe: String,
    pub(crate) quota_project: Option<HeaderValue>,
}

impl Opened {
    /// Reads the credentials' file, asks nothing of the network.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used; the field says which.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        settings.validate()?;
        let metadata = Metadata::new(settings.metadata_host())?;
        let found = Source::find(settings)?;
        let universe = settings.universe_domain.clone().or(found.universe_domain);
        let universe = universe.unwrap_or_else(|| "googleapis.com".to_owned());
        if !is_domain(&universe) {
            return Err(Failure::new(Class::Invalid, "this is not a domain").in_field("universeDomain"));
        }
        let quota_project = settings.quota_project.clone().or(found.quota_project);
        let quota_project = quota_project.map(HeaderValue::try_from).transpose().map_err(|_| {
            Failure::new(Class::Invalid, "the project has characters that no project has").in_field("quotaProject")
        })?;
        Ok(Self { metadata, source: found.source, universe, quota_project })
    }
}
