//! Templates of lodash: what has any JavaScript in it is rendered in a process of its own, everything else stands for
//! itself.

use strongroom_api::kes::ExternalSecretSpec;
use strongroom_failure::{Class, Failure};
use strongroom_javascript::{Engine, Fault, Kind, Limits, WORKER};
use strongroom_kes::Values;
use strongroom_kes::secret::{Place, is_template, pieces};
use strongroom_secret::SecretBytes;

/// This very program, also when its file has been replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// What renders templates.
pub(super) struct Templates(Engine);

impl Templates {
    pub(super) fn new() -> Self {
        Self(Engine::new(PROGRAM.into(), vec![WORKER.into()], Limits::default()))
    }

    /// The texts of the template of `spec` with `values` in their places (KE-03, KE-12). A process is started only where
    /// one of them has something to compute.
    ///
    /// # Errors
    /// All texts that cannot be rendered.
    pub(super) async fn render(
        &self,
        spec: &ExternalSecretSpec,
        values: &Values,
    ) -> Result<Vec<(Place, SecretBytes)>, Vec<Failure>> {
        let pieces = pieces(spec).map_err(|failure| vec![failure])?;
        let templates: Vec<&str> =
            pieces.iter().map(|(_, text)| text.as_str()).filter(|text| is_template(text)).collect();
        let answers = if templates.is_empty() { Ok(Vec::new()) } else { self.0.render(values, &templates).await };
        let mut answers = answers.map_err(|failure| vec![failure.in_field("template")])?.into_iter();
        let (mut rendered, mut failures) = (Vec::new(), Vec::new());
        for (place, text) in pieces {
            let answer = if is_template(&text) { answers.next() } else { Some(Ok(SecretBytes::from(text))) };
            match answer.unwrap_or_else(|| Err(Fault::of(Kind::Killed))) {
                Ok(text) => rendered.push((place, text)),
                Err(fault) => failures.push(failure(&fault, &place)),
            }
        }
        if failures.is_empty() { Ok(rendered) } else { Err(failures) }
    }
}

fn failure(fault: &Fault, place: &Place) -> Failure {
    let (class, hint) = match fault.kind {
        Kind::Killed => (Class::Unavailable, "the node may be short of memory"),
        Kind::Syntax | Kind::Runtime => (Class::Invalid, "templates are those of lodash, with yaml and data"),
        Kind::Time | Kind::Memory | Kind::OutputTooLarge | Kind::TemplateTooLarge => {
            (Class::Invalid, "make the template smaller")
        }
    };
    Failure::new(class, fault.to_string()).in_field(place.to_string()).with_hint(hint)
}
