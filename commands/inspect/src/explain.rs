use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use strongroom_failure::Failure;
use strongroom_read::{Ambient, ReadOptions};
use strongroom_reference::{Reference, Syntax};
use strongroom_resolve::PlannedCall;
use strongroom_secret::Version;

use crate::{print_value, reading};

const EXAMPLES: &str = "\
Examples:
  strongroom explain 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db#password'
  strongroom explain --config stores.yaml 'sr://vault@team-a/secret%2Fapp?optional#token'";

/// Say how a reference is parsed, which identity would read it, and which calls that costs
///
/// Nothing is read and nobody is asked.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    #[command(flatten)]
    read: ReadOptions,

    /// The reference, in any syntax
    #[arg(value_name = "REF")]
    reference: String,
}

impl Explain {
    /// Prints what is known of the reference without asking a store.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        reading(&self.read, variables, "cannot explain the reference", |read, ambient| self.try_run(read, ambient))
    }

    fn try_run(&self, read: &ReadOptions, ambient: Ambient) -> Result<(), Failure> {
        let reference = strongroom_reference::parse(&self.reference)?;
        // How it is parsed is known even where its store is not.
        print_rows(&about_reference(&self.reference, &reference))?;
        let calls = read.reader(ambient, None)?.cost(std::slice::from_ref(&reference))?;
        print_rows(&about_calls(&calls))
    }
}

type Row = (&'static str, String);

fn print_rows(rows: &[Row]) -> Result<(), Failure> {
    let lines: String = rows.iter().map(|(name, text)| format!("{name:<10} {text}\n")).collect();
    print_value(lines.as_bytes())
}

fn about_reference(text: &str, reference: &Reference) -> Vec<Row> {
    let version = match &reference.key.version {
        None => "the current one".to_owned(),
        Some(Version::Id(id)) => format!("{id} (exact)"),
        Some(Version::Stage(stage)) => format!("{stage} (moves)"),
    };
    let mut rows = vec![
        ("reference", reference.to_string()),
        ("syntax", Syntax::of(text).map_or("unknown", Syntax::name).to_owned()),
        ("provider", reference.provider.name().to_owned()),
        (
            "settings",
            reference
                .store
                .clone()
                .map_or("ambient".to_owned(), |store| format!("store \"{store}\" of the configuration")),
        ),
        ("key", reference.key.name.clone()),
        ("version", version),
    ];
    if let Some(request) = &reference.key.request {
        rows.push(("request", format!("writes {request} so that the store makes the value")));
    }
    match &reference.property {
        Some(property) => rows.push(("property", format!("{property} ({})", reference.language.name()))),
        None => rows.push(("property", "none: the whole value".to_owned())),
    }
    rows.push(("decode", reference.decode.name().to_owned()));
    match (&reference.default, reference.optional) {
        (Some(_), _) => rows.push(("absent", "the default in the reference".to_owned())),
        (None, true) => rows.push(("absent", "left out".to_owned())),
        (None, false) => rows.push(("absent", "an error".to_owned())),
    }
    rows
}

fn about_calls(calls: &[PlannedCall]) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(call) = calls.first() {
        rows.push(("store", call.store.clone()));
        rows.push(("identity", call.identity.clone()));
    }
    rows.extend(calls.iter().map(|call| ("call", call.operation.clone())));
    rows
}
