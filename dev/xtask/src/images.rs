//! OCI archives of the shipped binaries, made without a container engine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use world::image::Image;

use crate::metadata::Metadata;

/// Writes `out/images/NAME.tar` for every shipped binary in `out/`.
pub(crate) fn run() -> Result<()> {
    let root = Metadata::read()?.workspace_root;
    let (out, images) = (root.join("out"), root.join("out/images"));
    std::fs::create_dir_all(&images).with_context(|| format!("cannot make {}", images.display()))?;
    for (name, image) in [("strongroom-init", init(&out)?), ("strongroom", strongroom(&out)?)] {
        let archive = images.join(format!("{name}.tar"));
        let digest = image.write(&archive)?;
        eprintln!("{} {digest}", archive.display());
    }
    Ok(())
}

/// The init under both its names, so that `/secrets-init` may be copied out of it as out of the image that it replaces.
fn init(out: &Path) -> Result<Image> {
    let program = shipped(out, "strongroom-init")?;
    Ok(named("strongroom-init")
        .file("/strongroom-init", &program, 0o755)
        .file("/secrets-init", &program, 0o755)
        .user("1000")
        .entrypoint(&["/strongroom-init"])
        .command(&["--version"]))
}

fn strongroom(out: &Path) -> Result<Image> {
    let program = shipped(out, "strongroom")?;
    Ok(named("strongroom")
        .file("/strongroom", &program, 0o755)
        .user("1000")
        .entrypoint(&["/strongroom"])
        .command(&["--help"]))
}

fn named(name: &str) -> Image {
    Image::new(&format!("docker.io/strongroom/{name}:{}", env!("CARGO_PKG_VERSION"))).directory("/tmp", 0o1777)
}

fn shipped(out: &Path, name: &str) -> Result<PathBuf> {
    let program = out.join(name);
    ensure!(program.is_file(), "{} is not built: run `make build` first", program.display());
    Ok(program)
}
