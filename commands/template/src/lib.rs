//! `strongroom template`: renders templates as the operator does.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use strongroom_failure::{Class, Failure};
use strongroom_read::read_file;
use strongroom_secret::SecretBytes;
use strongroom_template::{Settings, Template, Value};

/// The largest data file: what the largest Secret is, sixteen times over.
const LARGEST_DATA: usize = 16 * 1024 * 1024;
/// How long a rendering may take: far beyond what the other limits leave room for on any machine.
const LONGEST: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  strongroom template render --template config.tpl --data data.json
  kubectl get secret app -o json | jq '.data | map_values(@base64d)' > data.json

The data are at the root: {{ .password }} is the entry \"password\" of the file. What does not exist is an error.
The page docs/templates.md has the functions and the limits.";

/// Look at what templates give
#[derive(Args, Debug)]
pub struct TemplateCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Render(Render),
}

/// Render a template as the operator does, and print what it gives
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct Render {
    /// The template
    #[arg(long, value_name = "FILE")]
    template: PathBuf,

    /// The data: JSON
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// What opens an action
    #[arg(long, value_name = "TEXT", default_value = "{{")]
    left_delimiter: String,

    /// What closes an action
    #[arg(long, value_name = "TEXT", default_value = "}}")]
    right_delimiter: String,
}

impl TemplateCommand {
    /// Renders, and writes the result to standard output as it is.
    ///
    /// # Errors
    /// A file that cannot be read, data that are no JSON, and what is wrong with the template, with line and column.
    pub fn run(self) -> Result<(), Failure> {
        let Action::Render(render) = self.action;
        let output = render.output()?;
        let mut out = std::io::stdout().lock();
        let written = out.write_all(output.expose()).and_then(|()| out.flush());
        written.map_err(|error| Failure::new(Class::Unavailable, format!("cannot write to standard output: {error}")))
    }
}

impl Render {
    fn output(&self) -> Result<SecretBytes, Failure> {
        let begun = Instant::now();
        let settings = Settings {
            left_delimiter: self.left_delimiter.clone(),
            right_delimiter: self.right_delimiter.clone(),
            is_expired: Some(Arc::new(move || begun.elapsed() > LONGEST)),
            ..Settings::at(Timestamp::now())
        };
        let text = read_file(&self.template, settings.limits.template_bytes)?;
        let path = self.template.display().to_string();
        let text = text.expose_text().ok_or_else(|| Failure::new(Class::Invalid, "is no UTF-8").in_field(&path))?;
        let template = Template::parse(&path, text, &settings)?;
        Ok(template.render(&self.values()?)?)
    }

    fn values(&self) -> Result<Value, Failure> {
        let data = read_file(&self.data, LARGEST_DATA)?;
        let failure = |error: serde_json::Error| {
            // The library's words may quote the data: only the place is told.
            let words = format!("is no JSON: line {}, column {}", error.line(), error.column());
            Failure::new(Class::Invalid, words).in_field(self.data.display().to_string())
        };
        serde_json::from_slice::<serde_json::Value>(data.expose()).map(Value::from).map_err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "nobody reads these files meanwhile")]
    fn render(template: &str, data: &str) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (template_path, data_path) = (folder.path().join("t"), folder.path().join("d"));
        std::fs::write(&template_path, template).map_err(|error| error.to_string())?;
        std::fs::write(&data_path, data).map_err(|error| error.to_string())?;
        let render = Render {
            template: template_path,
            data: data_path,
            left_delimiter: "{{".to_owned(),
            right_delimiter: "}}".to_owned(),
        };
        let folder = folder.path().display().to_string();
        render
            .output()
            .map(|output| output.expose().to_vec())
            .map_err(|failure| failure.to_string().replace(&folder, "F"))
    }

    #[test]
    fn files_are_rendered_and_failures_placed() {
        assert_eq!(render("a {{ .b | upper }}\n", r#"{"b":"x"}"#).unwrap(), b"a X\n");
        let check =
            |template: &str, data: &str, expected: &str| assert_eq!(render(template, data).unwrap_err(), expected);
        check(
            "\n{{ .c }}",
            r#"{"b":"x"}"#,
            "template: F/t:2:3: executing \"F/t\" at <.c>: map has no entry for key \"c\"",
        );
        check("x", "{\"canary\"\n:}", "F/d: is no JSON: line 2, column 2");
    }
}
