//! The images that are shipped: one definition for `cargo xtask images` and for the tests that run them.

use std::path::Path;

use crate::image::Image;

/// Where an image's program looks for the authorities of public servers.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Who runs the programs: nobody in particular, and not root, as a number, so that kubelet can see that.
const USER: &str = "1000";

/// The image of `strongroom`: the static `program` alone and the PEM bundle `authorities`.
pub fn strongroom(reference: &str, program: &Path, authorities: &[u8]) -> Image {
    empty(reference, authorities).file("/strongroom", program, 0o755).entrypoint(&["/strongroom"]).command(&["--help"])
}

/// The image of `strongroom-init`, under both its names, so that `/secrets-init` may be copied out of it as out of the
/// image that it replaces. A copy uses the authorities of the image that it is copied into; those of `authorities` are
/// for what runs here: the init container of AWS' secret sidecar injector.
pub fn init(reference: &str, program: &Path, authorities: &[u8]) -> Image {
    empty(reference, authorities)
        .file("/strongroom-init", program, 0o755)
        .file("/secrets-init", program, 0o755)
        .entrypoint(&["/strongroom-init"])
        .command(&["--version"])
}

/// Nothing but what both programs need: stores outside are reached over TLS.
fn empty(reference: &str, authorities: &[u8]) -> Image {
    Image::new(reference).directory("/tmp", 0o1777).bytes(AUTHORITIES, authorities, 0o644).user(USER)
}
