//! Templates of lodash: what has any JavaScript in it is rendered elsewhere, everything else stands for itself.

use strongroom_api::kes::ExternalSecretSpec;
use strongroom_failure::{Class, Failure};
use strongroom_kes::Values;
use strongroom_kes::secret::{Place, is_template, pieces};
use strongroom_secret::SecretBytes;

/// What renders templates.
pub(super) struct Templates;

impl Templates {
    pub(super) fn new() -> Self {
        Self
    }

    /// The texts of the template of `spec` with `values` in their places.
    ///
    /// # Errors
    /// All texts that cannot be rendered.
    pub(super) async fn render(
        &self,
        spec: &ExternalSecretSpec,
        _values: &Values,
    ) -> Result<Vec<(Place, SecretBytes)>, Vec<Failure>> {
        let mut rendered = Vec::new();
        for (place, text) in pieces(spec).map_err(|failure| vec![failure])? {
            if is_template(&text) {
                let words = "templates are not served yet";
                return Err(vec![Failure::new(Class::Invalid, words).in_field(place.to_string())]);
            }
            rendered.push((place, SecretBytes::from(text)));
        }
        Ok(rendered)
    }
}
