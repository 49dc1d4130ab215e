//! The template engine as the operator sets it up, and the objects that templates lie in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{Secrets, read_config_map};
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;
use strongroom_sync::render::{Render, TemplateSource, sources};
use strongroom_template::{Settings, Template, Value};

use super::Round;
use crate::operator::FIELD_MANAGER;
use crate::settings::OperatorSettings;

/// How long one template may take. They run on the thread that does everything else; a long one takes a millisecond, and
/// private keys of 4096 bits take seconds.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Go templates with the operator's delimiters, within the usual limits.
pub(super) struct Engine(Settings);

impl Engine {
    pub(super) fn new(settings: &OperatorSettings) -> Self {
        Self(Settings {
            left_delimiter: settings.template_left_delimiter.clone(),
            right_delimiter: settings.template_right_delimiter.clone(),
            ..Settings::at(Timestamp::now())
        })
    }
}

impl Render for Engine {
    fn render(&self, name: &str, text: &str, values: &Values) -> Result<SecretBytes, Failure> {
        let start = Instant::now();
        let is_expired = Arc::new(move || start.elapsed() > TIME_LIMIT);
        let settings = Settings { is_expired: Some(is_expired), ..self.0.clone() };
        Ok(Template::parse(name, text, &settings)?.render(&Value::from(values.clone()))?)
    }
}

impl Round<'_> {
    /// The data of the ConfigMaps and Secrets that the template names; those that do not exist are left out.
    pub(super) async fn template_sources(&self) -> Result<BTreeMap<TemplateSource, Values>, Failure> {
        let mut found = BTreeMap::new();
        let template = self.object.spec.target.as_ref().and_then(|target| target.template.as_ref());
        for source in sources(template) {
            let read = match &source {
                TemplateSource::ConfigMap(name) => self.config_map(name).await,
                TemplateSource::Secret(name) => self.secret(name).await,
            };
            match read {
                Ok(values) => drop(found.insert(source, values)),
                Err(failure) if failure.class == Class::NotFound => {}
                Err(failure) => return Err(failure.in_field("spec.target.template.templateFrom")),
            }
        }
        Ok(found)
    }

    async fn config_map(&self, name: &str) -> Result<Values, Failure> {
        let client = self.operator.connection.client();
        let data = read_config_map(&client, &self.name.namespace, name).await?;
        Ok(data.into_iter().map(|(key, value)| (key, SecretBytes::new(value))).collect())
    }

    async fn secret(&self, name: &str) -> Result<Values, Failure> {
        let secrets = Secrets::new(self.operator.connection.client(), FIELD_MANAGER);
        let read = secrets.read(&self.name.namespace, name).await?;
        read.map(|secret| secret.data).ok_or_else(|| Failure::new(Class::NotFound, "there is no such Secret"))
    }
}
