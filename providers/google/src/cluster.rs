use strongroom_failure::Failure;

use crate::metadata::Metadata;

/// A GKE cluster by its whole name, which its workload identity is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The project's id.
    pub project: String,
    /// The region or zone.
    pub location: String,
    /// The cluster's name.
    pub name: String,
}

impl Cluster {
    /// The cluster of these parts; those that are absent are the machine's own, asked of the metadata server
    /// (`metadata_host`, else Google's usual one).
    ///
    /// # Errors
    /// Where a part is absent and the metadata server does not tell it.
    pub async fn completed(
        project: Option<&str>,
        location: Option<&str>,
        name: Option<&str>,
        metadata_host: Option<&str>,
    ) -> Result<Self, Failure> {
        let metadata = Metadata::new(metadata_host.unwrap_or(crate::settings::METADATA_HOST))?;
        let unknown = |failure: Failure, field: &str| {
            let words = format!("the metadata server {} does not tell it: {}", metadata.host(), failure.words);
            Failure { words, ..failure }.in_field(field).with_hint("name the cluster in the store")
        };
        let own = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let project = match own(project) {
            Some(project) => project,
            None => metadata.project().await.map_err(|failure| unknown(failure, "clusterProjectID"))?,
        };
        let location = match own(location) {
            Some(location) => location,
            None => {
                metadata.attribute("cluster-location").await.map_err(|failure| unknown(failure, "clusterLocation"))?
            }
        };
        let name = match own(name) {
            Some(name) => name,
            None => metadata.attribute("cluster-name").await.map_err(|failure| unknown(failure, "clusterName"))?,
        };
        Ok(Self { project, location, name })
    }

    /// The pool of the cluster's identities, which its service-account tokens are meant for.
    pub fn pool(&self) -> String {
        format!("{}.svc.id.goog", self.project)
    }

    /// The audience of the exchange.
    pub fn audience(&self) -> String {
        let Self { project, location, name } = self;
        let provider =
            format!("https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}");
        format!("identitynamespace:{}:{provider}", self.pool())
    }
}
