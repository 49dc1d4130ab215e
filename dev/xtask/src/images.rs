//! OCI archives of the shipped binaries, made without a container engine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use world::shipped;

use crate::metadata::Metadata;

/// From what the images are made, and where they go.
#[derive(Args)]
pub(crate) struct Images {
    /// The folder of the programs [default: out, where `make build` leaves them]
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// The folder of the archives [default: out/images]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// The PEM bundle of authorities that the programs trust: Debian's package ca-certificates has it here
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    authorities: PathBuf,
}

/// Writes `NAME.tar` for every shipped binary.
pub(crate) fn run(images: &Images) -> Result<()> {
    let root = Metadata::read()?.workspace_root;
    let from = images.from.clone().unwrap_or_else(|| root.join("out"));
    let to = images.to.clone().unwrap_or_else(|| root.join("out/images"));
    std::fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let authorities = std::fs::read(&images.authorities).with_context(|| {
        format!("cannot read {}; name another bundle by --authorities", images.authorities.display())
    })?;
    let reference = |name| format!("docker.io/strongroom/{name}:{}", env!("CARGO_PKG_VERSION"));
    let program = |name| built(&from, name);
    for (name, image) in [
        ("strongroom-init", shipped::init(&reference("strongroom-init"), &program("strongroom-init")?, &authorities)),
        ("strongroom", shipped::strongroom(&reference("strongroom"), &program("strongroom")?, &authorities)),
    ] {
        let archive = to.join(format!("{name}.tar"));
        let digest = image.write(&archive)?;
        eprintln!("{} {digest}", archive.display());
    }
    Ok(())
}

fn built(folder: &Path, name: &str) -> Result<PathBuf> {
    let program = folder.join(name);
    ensure!(
        program.is_file(),
        "{} is not built: run `make build`, or name another folder by --from",
        program.display()
    );
    Ok(program)
}
