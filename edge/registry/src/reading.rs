//! What is read from a registry, each content checked before it is used.

use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Response};

use crate::bytes::Digest;
use crate::image::Reference;
use crate::manifest::{ACCEPT_MANIFEST, CONFIG_LIMIT, Descriptor, Document, MANIFEST_LIMIT, chosen, document};
use crate::platform::Platform;
use crate::session::Session;

/// Indexes that may lie in each other; images have one, and a few builders make two.
const INDEXES: usize = 3;

/// Where registries say which digest they give.
const DIGEST_HEADER: &str = "docker-content-digest";

/// Has the registry say what a name means, which also shows that whoever asks may read it. `None` where it does not
/// say.
pub(crate) async fn meant_digest(session: &Session<'_>, reference: &Reference) -> Result<Option<Digest>, Failure> {
    let path = match reference {
        Reference::Tag(tag) => format!("manifests/{tag}"),
        Reference::Digest(digest) => format!("manifests/{digest}"),
    };
    let response = match session.ask(Method::HEAD, &path, ACCEPT_MANIFEST).await {
        Ok(response) => response,
        // Some do not know HEAD, and no answer to it says why: asking for the manifest does.
        Err(failure) if matches!(failure.class, Class::Invalid | Class::NotFound) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    Ok(match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => digest_header(&response),
    })
}

fn digest_header(response: &Response) -> Option<Digest> {
    Digest::parse(response.headers.get(DIGEST_HEADER)?.to_str().ok()?)
}

/// The manifest or index that a name stands for, checked.
pub(crate) async fn manifest(
    session: &Session<'_>,
    reference: &Reference,
    meant: Option<Digest>,
) -> Result<(Digest, Response), Failure> {
    let path = match (&meant, reference) {
        (Some(digest), _) | (None, Reference::Digest(digest)) => format!("manifests/{digest}"),
        (None, Reference::Tag(tag)) => format!("manifests/{tag}"),
    };
    let response = session.ask(Method::GET, &path, ACCEPT_MANIFEST).await?;
    let body = response.body.expose();
    let named = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => meant.or_else(|| digest_header(&response)),
    };
    let digest = named.unwrap_or_else(|| Digest::of(body));
    if digest.is_of(body) { Ok((digest, response)) } else { Err(lie("manifest", &digest)) }
}

/// The config of the image for `platform`, down from whatever the name stood for.
pub(crate) async fn config_descriptor(
    session: &Session<'_>,
    mut body: Response,
    platform: &Platform,
) -> Result<Descriptor, Failure> {
    for _ in 0..=INDEXES {
        let entries = match document(body.body.expose()).map_err(invalid)? {
            Document::Manifest(config) => return Ok(config),
            Document::Index(entries) => entries,
        };
        let entry = chosen(entries, platform).map_err(invalid)?;
        let path = format!("manifests/{}", entry.digest().map_err(invalid)?);
        body = content(session, &entry, &path, ("manifest", MANIFEST_LIMIT), ACCEPT_MANIFEST).await?;
    }
    Err(invalid(format!("more than {INDEXES} indexes lie in each other")))
}

pub(crate) async fn blob(session: &Session<'_>, descriptor: &Descriptor) -> Result<Response, Failure> {
    let path = format!("blobs/{}", descriptor.digest().map_err(invalid)?);
    content(session, descriptor, &path, ("config", CONFIG_LIMIT), "*/*").await
}

/// What a document names, checked: its size before it is asked for, size and digest after.
async fn content(
    session: &Session<'_>,
    descriptor: &Descriptor,
    path: &str,
    (what, limit): (&str, u64),
    accept: &'static str,
) -> Result<Response, Failure> {
    if descriptor.size > limit {
        return Err(invalid(format!("its {what} has {} bytes, more than the limit of {limit}", descriptor.size)));
    }
    let response = session.ask(Method::GET, path, accept).await?;
    let (body, digest) = (response.body.expose(), descriptor.digest().map_err(invalid)?);
    if body.len() as u64 != descriptor.size {
        return Err(invalid(format!("its {what} has {} bytes instead of {}", body.len(), descriptor.size)));
    }
    if digest.is_of(body) { Ok(response) } else { Err(lie(what, &digest)) }
}

fn lie(what: &str, digest: &Digest) -> Failure {
    let failure = invalid(format!("what it gives as the {what} {digest} has another digest"));
    failure.with_hint("something on the way, or the registry itself, changes images: do not run what it gives")
}

pub(crate) fn invalid(words: String) -> Failure {
    Failure::new(Class::Invalid, words)
}
