//! The format `custom`: a template of the user's own, EJS, which is a program in JavaScript. It runs in a process of its
//! own, where a build has one to start.

use strongroom_failure::Failure;
use strongroom_kamus::output::Values;
use strongroom_secret::SecretBytes;

use crate::init::kamus::invalid;

/// The template's file in an encrypted folder.
pub(super) const NAME: &str = "template.ejs";

pub(super) use imp::render;

/// Whether this build renders templates.
///
/// # Errors
/// That it does not.
pub(super) fn offered() -> Result<(), Failure> {
    if cfg!(feature = "javascript") {
        return Ok(());
    }
    let words = "Error: the format custom is a template in JavaScript, and this program has no JavaScript";
    let hint = "use json, cfg, cfg-strict or files, or have a Secret made with a template: docs/templates.md";
    Err(invalid(words).with_hint(hint))
}

#[cfg(feature = "javascript")]
mod imp {
    use std::time::Duration;

    use strongroom_javascript::{Dialect, Encoding, Engine, Fault, Kind, Limits};

    use super::{Failure, NAME, SecretBytes, Values, invalid};
    use crate::init::kamus::{as_error, cannot_start};

    /// A pod renders its own template alone and has no other place for what it comes to, so that this may be larger
    /// than in an operator: some ConfigMaps at 1 MiB. By the clock an init container with a twentieth of a processor
    /// is slow.
    const LIMITS: Limits = Limits {
        processor_time: Duration::from_secs(1),
        deadline: Duration::from_secs(30),
        memory: 128 << 20,
        stack: 4 << 20,
        output: 4 << 20,
        template: 1 << 20,
        templates: 1,
        data: 16 << 20,
    };

    /// What `template` comes to with `values` as its `secrets`.
    ///
    /// # Errors
    /// What is wrong with the template, without any value; a process that cannot be started.
    pub(in crate::init::kamus) fn render(template: &str, values: &Values) -> Result<SecretBytes, Failure> {
        let engine = Engine::of_this_program(LIMITS).with_dialect(Dialect::Ejs).with_encoding(Encoding::Json);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_start)?;
        let secrets: Vec<(&str, &SecretBytes)> =
            values.in_order_of_insertion().map(|(key, value)| (key, value.document())).collect();
        let answers = runtime.block_on(engine.render_in_order(&secrets, &[template])).map_err(as_error)?;
        let answer = answers.into_iter().next().unwrap_or_else(|| Err(Fault::of(Kind::Killed)));
        answer.map_err(|fault| failure(&fault))
    }

    fn failure(fault: &Fault) -> Failure {
        let hint = match fault.kind {
            Kind::Killed => "the pod may be short of memory",
            Kind::Syntax | Kind::Runtime => {
                "templates are EJS, with secrets and stringifyIfJson, and without include, require and process"
            }
            Kind::Time | Kind::Memory | Kind::OutputTooLarge | Kind::TemplateTooLarge => "make the template smaller",
        };
        invalid(format!("Error: {NAME}: {fault}")).with_hint(hint)
    }
}

#[cfg(not(feature = "javascript"))]
mod imp {
    use super::{Failure, SecretBytes, Values, offered};

    /// Never asked: the format is refused before.
    pub(in crate::init::kamus) fn render(_template: &str, _values: &Values) -> Result<SecretBytes, Failure> {
        offered().map(|()| SecretBytes::default())
    }
}
