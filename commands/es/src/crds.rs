use std::process::ExitCode;

use clap::Args;
use strongroom_failure::{Class, Failure};

use crate::ended;
use crate::print::print;

const EXAMPLES: &str = "\
Examples:
  strongroom crds | kubectl apply --server-side -f -
  strongroom crds > crds.yaml";

/// Print the custom resource definitions that the operator serves, as YAML
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Crds {}

impl Crds {
    /// Prints them to standard output, the same at every call.
    pub fn run(self) -> ExitCode {
        let yaml = strongroom_api::crds_yaml();
        let yaml = yaml.map_err(|error| Failure::new(Class::Invalid, format!("cannot write the definitions: {error}")));
        ended(yaml.and_then(|yaml| print(&yaml)).map(|()| true))
    }
}
