//! What both kinds of tests need: images as bytes, and a client that may reach this machine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_registry::{CacheSettings, Credential, ImageConfig, Platform, Registry, Settings};
use world::registry::{Registry as Part, digest_of};

/// In every credential of these tests: must be in no failure and no Debug output.
pub(crate) const CANARY: &str = "canary-51d9";

/// Long enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Settings that allow the test's own registries and token services, which listen here and have no TLS.
pub(crate) fn settings() -> Settings {
    let here = vec!["127.0.0.1".to_owned()];
    Settings { plain_hosts: here.clone(), local_hosts: here, ..Settings::default() }
}

pub(crate) fn registry() -> Registry {
    Registry::new(settings()).unwrap()
}

/// One that takes a tag's meaning as known for this long.
pub(crate) fn registry_remembering(tag_life: Duration) -> Registry {
    let cache = CacheSettings { tag_life, ..CacheSettings::default() };
    Registry::new(Settings { cache, ..settings() }).unwrap()
}

pub(crate) fn login(place: &str) -> Credential {
    Credential::with_password(place, "ann".to_owned(), CANARY.to_owned())
}

pub(crate) async fn look(
    registry: &Registry,
    image: &str,
    credentials: &[Credential],
) -> Result<Arc<ImageConfig>, Failure> {
    registry.config(image, &Platform::default(), credentials, false, DEADLINE).await
}

pub(crate) async fn look_afresh(
    registry: &Registry,
    image: &str,
    credentials: &[Credential],
) -> Result<Arc<ImageConfig>, Failure> {
    registry.config(image, &Platform::default(), credentials, true, DEADLINE).await
}

/// The words of a failure of this class, hint included, once they were searched for what must not be in them.
pub(crate) fn refused(result: Result<Arc<ImageConfig>, Failure>, class: Class) -> String {
    let failure = result.unwrap_err();
    let words = format!("{failure} [{}]", failure.hint.as_deref().unwrap_or_default());
    assert_eq!(failure.class, class, "{words}");
    assert!(!format!("{failure:?}").contains(CANARY), "a credential is in a failure");
    words
}

pub(crate) fn config_bytes(program: &str) -> Vec<u8> {
    let commands = json!({"Entrypoint": [program], "Cmd": ["serve"], "User": "1000", "WorkingDir": "/srv"});
    json!({"os": "linux", "architecture": "amd64", "config": commands, "rootfs": {"type": "layers", "diff_ids": []}})
        .to_string()
        .into_bytes()
}

pub(crate) fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest_of(content), "size": content.len()})
}

pub(crate) fn manifest_bytes(config: &[u8]) -> Vec<u8> {
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": []});
    manifest.to_string().into_bytes()
}

/// Puts an image that starts `program` under a tag, and returns its digest.
pub(crate) fn push(part: &Part, repository: &str, tag: &str, program: &str) -> String {
    let config = config_bytes(program);
    part.push_blob(repository, &config).unwrap();
    part.push_manifest(repository, tag, MANIFEST, &manifest_bytes(&config)).unwrap()
}
