//! A certificate that somebody else renews, in files.

use std::io::Read as _;
use std::path::Path;

use strongroom_crypto::Certificate;
use strongroom_failure::{Class, Failure};
use strongroom_http::ServerTls;
use strongroom_secret::SecretBytes;

use crate::contents::ServingCertificate;

/// The largest file that is read, in bytes: a chain has some thousands.
const LARGEST: u64 = 1 << 20;

/// A certificate and its key, as the files have them now. They may be renewed between the two reads, and then do not
/// fit: the next look finds both.
///
/// # Errors
/// Names the file that cannot be read or used.
pub(crate) fn certificate(certificate: &Path, key: &Path) -> Result<ServingCertificate, Failure> {
    let chain = content(certificate)?;
    let chain = chain.expose_text().map(str::to_owned);
    let chain = chain.ok_or_else(|| unusable(certificate, "it is not PEM"))?;
    let read = ServingCertificate { certificate: chain, key: content(key)? };
    ServerTls::from_pem(&read.certificate, &read.key).map_err(|failure| {
        let files = format!("{} with {}", certificate.display(), key.display());
        Failure::new(failure.class, format!("cannot use {files}: {}", failure.words))
    })?;
    Ok(read)
}

/// The authorities in a file.
///
/// # Errors
/// Where it cannot be read, or holds none.
pub(crate) fn bundle(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let content = content(path)?;
    let read = content.expose_text().and_then(Certificate::read_all);
    read.ok_or_else(|| unusable(path, "it holds no certificate in PEM, or one that cannot be read"))
}

fn content(path: &Path) -> Result<SecretBytes, Failure> {
    let failed = |error: std::io::Error| unusable(path, &error.to_string());
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > LARGEST {
        return Err(unusable(path, "it has more than 1 MiB"));
    }
    // Room for all at once: a vector that moves leaves parts of a key behind.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    let taken = file.take(LARGEST).read_to_end(&mut bytes);
    let bytes = SecretBytes::new(bytes);
    taken.map(|_| bytes).map_err(failed)
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(Class::Invalid, format!("cannot use {}: {why}", path.display()))
}
