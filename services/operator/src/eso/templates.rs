//! The template engine as the operator sets it up, and the objects that templates lie in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_api::external_secrets::Template as SecretTemplate;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{Secrets, read_config_map};
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;
use strongroom_sync::render::{Render, TemplateSource, sources};
use strongroom_template::{Settings, Template, Value};

use crate::operator::{FIELD_MANAGER, Operator};
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

/// The data of the ConfigMaps and Secrets of `namespace` that `template` names; those that do not exist are left out.
///
/// # Errors
/// Why one of them could not be read.
pub(super) async fn sources_of(
    operator: &Operator,
    namespace: &str,
    template: Option<&SecretTemplate>,
) -> Result<BTreeMap<TemplateSource, Values>, Failure> {
    let mut found = BTreeMap::new();
    for source in sources(template) {
        let read = match &source {
            TemplateSource::ConfigMap(name) => config_map(operator, namespace, name).await,
            TemplateSource::Secret(name) => secret(operator, namespace, name).await,
        };
        match read {
            Ok(values) => drop(found.insert(source, values)),
            Err(failure) if failure.class == Class::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

async fn config_map(operator: &Operator, namespace: &str, name: &str) -> Result<Values, Failure> {
    let data = read_config_map(&operator.connection.client(), namespace, name).await?;
    Ok(data.into_iter().map(|(key, value)| (key, SecretBytes::new(value))).collect())
}

async fn secret(operator: &Operator, namespace: &str, name: &str) -> Result<Values, Failure> {
    let read = Secrets::new(operator.connection.client(), FIELD_MANAGER).read(namespace, name).await?;
    read.map(|secret| secret.data).ok_or_else(|| Failure::new(Class::NotFound, "there is no such Secret"))
}
