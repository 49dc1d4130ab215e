use std::ffi::OsString;

use clap::Args;
use serde::Serialize;
use strongroom_api::external_secrets::ExternalSecret;
use strongroom_failure::{Class, Failure};
use strongroom_operator::explain::{Preview, Report};

use crate::cluster::{ClusterOptions, OperatorFlags, Output};
use crate::files::{Document, FileOptions, documents};
use crate::print::print;
use crate::why::{json, screen};

const EXAMPLES: &str = "\
Examples:
  strongroom es render -f app.yaml -n team-a
  strongroom es render -f app.yaml -o json

Exit status: 0 all could be made, 1 something is wrong (and is said as by strongroom why).
Stores are those of the cluster, opened with your own rights in it. Nothing is written, and no value is shown.";

/// Show what the Secrets of ExternalSecrets in files would look like, without writing anything
///
/// Reads the values from the cluster's stores and applies the template; prints names and lengths, never a value.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Render {
    #[command(flatten)]
    files: FileOptions,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Output,

    #[command(flatten)]
    operator: OperatorFlags,
}

/// One ExternalSecret and what would become of it.
#[derive(Serialize)]
struct Rendered {
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Preview>,
}

impl Render {
    /// Fetches, renders and prints; whether all went well.
    ///
    /// # Errors
    /// Where a file cannot be read or holds no ExternalSecret, and where the cluster does not answer.
    pub(crate) async fn run(self, variables: &[OsString]) -> Result<bool, Failure> {
        let mut objects = Vec::new();
        for file in &self.files.files {
            for document in documents(file)? {
                objects.extend(external_secret(document)?);
            }
        }
        if objects.is_empty() {
            return Err(Failure::new(Class::Invalid, "there is no ExternalSecret in the files"));
        }
        let desk = self.cluster.desk(&self.operator.flags, variables).await?;
        let mut all = Vec::new();
        for mut object in objects {
            if self.cluster.namespace.is_some() || object.metadata.namespace.is_none() {
                object.metadata.namespace = Some(self.cluster.namespace(&desk).to_owned());
            }
            let target = object.spec.target.as_ref().and_then(|target| target.name.clone());
            let (report, secret) = desk.preview(object).await?;
            if self.output == Output::Text {
                print(&shown(&report, target.as_deref(), secret.as_ref()))?;
            }
            all.push(Rendered { report, secret });
        }
        if self.output == Output::Json {
            print(&json(&all)?)?;
        }
        Ok(all.iter().all(|rendered| rendered.report.is_well))
    }
}

/// The ExternalSecret in a document; nothing where it is of another kind.
fn external_secret(document: Document) -> Result<Option<ExternalSecret>, Failure> {
    let place = document.place;
    let object = document.object.map_err(|failure| failure.in_field(&place))?;
    if object.get("kind").is_none_or(|kind| kind != "ExternalSecret") {
        return Ok(None);
    }
    // The reader's words may quote the file.
    let object = serde_json::from_value::<ExternalSecret>(object).map_err(|_| {
        Failure::new(Class::Invalid, "its fields do not fit the kind ExternalSecret")
            .in_field(&place)
            .with_hint("strongroom es validate says which")
    })?;
    if object.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(Failure::new(Class::Invalid, "metadata.name is missing").in_field(place));
    }
    Ok(Some(object))
}

fn shown(report: &Report, target: Option<&str>, secret: Option<&Preview>) -> String {
    let Some(secret) = secret.filter(|_| report.is_well) else { return screen(report) };
    let name = target.unwrap_or(&report.name);
    let kind = secret.kind.as_deref().unwrap_or("Opaque");
    let mut text = format!("Secret {}/{name}, type {kind} (not written)\n", report.namespace);
    let names = |title: &str, names: &[String]| match names.is_empty() {
        true => String::new(),
        false => format!("  {title}: {}\n", names.join(", ")),
    };
    text.push_str(&names("labels", &secret.labels));
    text.push_str(&names("annotations", &secret.annotations));
    text.push_str("  data:\n");
    let width = secret.data.keys().map(|key| key.len()).max().unwrap_or_default();
    for (key, length) in &secret.data {
        text.push_str(&format!("    {key:<width$}  {length} bytes\n"));
    }
    text.push_str(&format!("{}\n", report.verdict));
    text
}
