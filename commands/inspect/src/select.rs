use std::path::PathBuf;

use clap::Args;
use strongroom_failure::{Class, Failure};
use strongroom_read::{read_bounded, read_file};
use strongroom_reference::Language;
use strongroom_secret::SecretBytes;

use crate::print_value;

/// The largest document that is read: what the largest store's value is, sixteen times over.
const LARGEST_DOCUMENT: usize = 16 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  strongroom select --gjson 'users.#(name==\"app\").password' secret.json
  kubectl get secret app -o json | strongroom select --jsonpath '$.metadata.name'

Exits with 1 and the reason where the path does not exist.";

/// Print what a property would give of a JSON document
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Select {
    #[command(flatten)]
    path: PathOptions,

    /// The document; standard input when absent
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct PathOptions {
    /// A path of tidwall/gjson, as after # in a reference
    #[arg(long, value_name = "PATH")]
    gjson: Option<String>,

    /// An RFC 9535 path
    #[arg(long, value_name = "PATH")]
    jsonpath: Option<String>,

    /// A jmespath.org expression
    #[arg(long, value_name = "PATH")]
    jmespath: Option<String>,
}

impl PathOptions {
    fn chosen(&self) -> Option<(Language, &str)> {
        let gjson = self.gjson.as_deref().map(|path| (Language::Gjson, path));
        let jsonpath = self.jsonpath.as_deref().map(|path| (Language::Jsonpath, path));
        gjson.or(jsonpath).or(self.jmespath.as_deref().map(|path| (Language::Jmespath, path)))
    }
}

impl Select {
    /// Reads the document and prints what the path gives.
    ///
    /// # Errors
    /// A document that cannot be read, a path that is wrong or that does not exist in it.
    pub fn run(self) -> Result<(), Failure> {
        let document = self.document()?;
        let Some((language, path)) = self.path.chosen() else { return Ok(()) };
        let value = strongroom_select::select(language, &document, path)?;
        print_value(
            value.ok_or_else(|| Failure::new(Class::NotFound, "the path does not exist in the document"))?.expose(),
        )
    }

    fn document(&self) -> Result<SecretBytes, Failure> {
        if let Some(path) = &self.file {
            return read_file(path, LARGEST_DOCUMENT);
        }
        let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("standard input");
        read_bounded(std::io::stdin().lock(), 0, LARGEST_DOCUMENT)
            .map_err(|error| invalid(format!("cannot be read: {error}")))?
            .ok_or_else(|| invalid(format!("is larger than {LARGEST_DOCUMENT} bytes")))
    }
}
