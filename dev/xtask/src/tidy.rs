//! What the compiler does not check: the arrows between rooms, who may name which library, what we accept among
//! dependencies, and texts. Every finding says what to do.

mod accepted;
mod arrows;
mod texts;

use std::process::ExitCode;

use anyhow::Result;

use crate::metadata::Metadata;

/// Runs every check and prints the findings.
pub(crate) fn run() -> Result<ExitCode> {
    let metadata = Metadata::read()?;
    let mut findings = arrows::check(&metadata);
    findings.extend(accepted::check(&metadata)?);
    findings.extend(texts::check(&metadata.workspace_root)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if findings.is_empty() {
        eprintln!("tidy: nothing to mend");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} to mend", findings.len());
    Ok(ExitCode::FAILURE)
}
