use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use strongroom_failure::{Class, Failure};
use strongroom_reference::Language;
use strongroom_secret::SecretBytes;

use crate::print_value;

/// The largest document that is read: what the largest store's value is, sixteen times over.
const LARGEST_DOCUMENT: u64 = 16 * 1024 * 1024;

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
        let mut bytes = Vec::new();
        let read = match &self.file {
            Some(path) => {
                std::fs::File::open(path).and_then(|file| file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes))
            }
            None => std::io::stdin().lock().take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes),
        };
        let name = || self.file.as_ref().map_or("standard input".to_owned(), |path| path.display().to_string());
        let invalid = |words: String| Failure::new(Class::Invalid, words).in_field(name());
        read.map_err(|error| invalid(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            return Err(invalid(format!("is larger than {LARGEST_DOCUMENT} bytes")));
        }
        Ok(SecretBytes::new(bytes))
    }
}
