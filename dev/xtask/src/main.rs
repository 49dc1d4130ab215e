//! The workspace's own chores: `cargo xtask tidy`, `cargo xtask images`.

#![forbid(unsafe_code)]

mod images;
mod metadata;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of this workspace
#[derive(Parser)]
struct Xtask {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check what the compiler does not: the arrows between rooms, bans, licences, texts
    Tidy,
    /// Write OCI archives of the shipped binaries to out/images
    Images,
}

fn main() -> anyhow::Result<ExitCode> {
    match Xtask::parse().chore {
        Chore::Tidy => tidy::run(),
        Chore::Images => images::run().map(|()| ExitCode::SUCCESS),
    }
}
