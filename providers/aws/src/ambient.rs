//! What the surroundings say where the settings leave something out.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use futures_util::FutureExt as _;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Pem, Proxy, Roots, TlsSettings};

use crate::settings::{ProxySettings, Settings};

/// Looks a variable up; empty ones count as absent.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The region of references that name none, as far as it is known without asking the network.
pub(crate) fn region(settings: &Settings) -> Option<String> {
    let named = settings.region.clone().or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
    named.or_else(|| profile_region(settings.profile.as_deref()))
}

fn profile_region(profile: Option<&str>) -> Option<String> {
    let mut provider = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        provider = provider.profile_name(profile.to_owned());
    }
    // The SDK reads profile files without ever yielding.
    provider.build().region().now_or_never().flatten().map(|region| region.to_string())
}

/// The content of `file`, at most `limit` bytes of it.
pub(crate) fn content(file: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(file)?.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Proxies of the settings, or else of the environment.
pub(crate) fn proxy(settings: Option<&ProxySettings>) -> Result<Proxy, Failure> {
    let invalid = |error: strongroom_http::Error| Failure::new(Class::Invalid, error.to_string()).in_field("proxy");
    match settings {
        Some(proxy) => {
            let (http, https) = (proxy.http.as_ref(), proxy.https.as_ref());
            let (http, https) = (http.and_then(|url| url.expose_text()), https.and_then(|url| url.expose_text()));
            Proxy::new(http, https, &proxy.no_proxy).map_err(invalid)
        }
        None => Proxy::from_environment(&variable).map_err(invalid),
    }
}

/// Whom to trust: the authorities of `file`, else of `AWS_CA_BUNDLE`, else the system's.
pub(crate) fn tls(file: Option<&Path>) -> Result<TlsSettings, Failure> {
    let (file, field) = match (file, variable("AWS_CA_BUNDLE")) {
        (Some(file), _) => (file.to_owned(), "caFile"),
        (None, Some(file)) => (PathBuf::from(file), "AWS_CA_BUNDLE"),
        (None, None) => return Ok(TlsSettings::from_environment(&variable)),
    };
    let settings = TlsSettings { roots: Roots::Only(vec![Pem::File(file)]), ..TlsSettings::default() };
    // Tried at once, so that a wrong file is told before anything is asked.
    let invalid = |error: strongroom_http::Error| Failure::new(Class::Invalid, error.to_string()).in_field(field);
    settings.load().map_err(invalid)?;
    Ok(settings)
}

/// Which identity the SDK's default chain would take, in words, as far as its surroundings tell without asking.
pub(crate) fn identity(profile: Option<&str>) -> String {
    if let Some(profile) = profile {
        return format!("profile {profile} of the AWS configuration files");
    }
    if let (Some(id), true) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY").is_some()) {
        return format!("access key {id} from AWS_ACCESS_KEY_ID");
    }
    if let Some(profile) = variable("AWS_PROFILE") {
        return format!("profile {profile} from AWS_PROFILE");
    }
    if let Some(file) = credentials_file().filter(|file| file.exists()) {
        return format!("profile default of {}", file.display());
    }
    if let (Some(file), Some(role)) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN")) {
        return format!("role {role} from the web identity token in {file}");
    }
    if let Some(address) = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        return format!("the pod's or container's credentials from {address}");
    }
    if variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some() {
        return "the container's task role".to_owned();
    }
    "the machine's instance role".to_owned()
}

fn credentials_file() -> Option<PathBuf> {
    variable("AWS_SHARED_CREDENTIALS_FILE")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".aws/credentials")))
}
