//! The workspace's own chores: `cargo xtask tidy`, `cargo xtask images`, `cargo xtask chart`.

#![forbid(unsafe_code)]

mod chart;
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
    /// Write OCI archives of the shipped binaries, to out/images
    Images(images::Images),
    /// Pack the Helm chart, to out/charts
    Chart,
}

fn main() -> anyhow::Result<ExitCode> {
    match Xtask::parse().chore {
        Chore::Tidy => tidy::run(),
        Chore::Images(images) => images::run(&images).map(|()| ExitCode::SUCCESS),
        Chore::Chart => chart::run().map(|()| ExitCode::SUCCESS),
    }
}
