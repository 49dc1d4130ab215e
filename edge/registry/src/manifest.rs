//! Documents of a registry: manifests, indexes of them, configs; and which of an index a node would take.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use strongroom_failure::outside_words;

use crate::bytes::{Digest, is_shallow};
use crate::platform::Platform;

/// The largest manifest or index that is read, in bytes: what registries take and containerd reads. A manifest has 200
/// bytes a layer, an index 400 a platform; most have two thousand.
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;

/// The largest config that is read, in bytes. It holds the build's history, a few hundred bytes a step.
pub(crate) const CONFIG_LIMIT: u64 = 4 << 20;

/// The most that ENTRYPOINT and CMD may have together, in bytes: Linux takes no longer word, and all of it goes into
/// the pod.
const COMMAND_LIMIT: usize = 128 << 10;

/// What is asked for as a manifest.
pub(crate) const ACCEPT_MANIFEST: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What Buildkit calls a statement about an image that lies beside it in an index.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What an image starts, of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// ENTRYPOINT: the program and its first arguments.
    pub entrypoint: Vec<String>,
    /// CMD: the program where there is no entrypoint, else the arguments that a container's own replace.
    pub command: Vec<String>,
    /// USER: name or number, with a group after a colon; empty for root.
    pub user: String,
    /// WORKDIR; empty for `/`.
    pub working_directory: String,
    /// The digest that the image's name stood for, `sha256:...`: of the index where the image has one.
    pub digest: String,
}

impl ImageConfig {
    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let words = self.entrypoint.iter().chain(&self.command).map(|word| word.len() + size_of::<String>());
        words.sum::<usize>() + self.user.len() + self.working_directory.len() + self.digest.len() + size_of::<Self>()
    }
}

/// What a registry gives for an image's name.
#[derive(Debug)]
pub(crate) enum Document {
    /// One image; its config.
    Manifest(Descriptor),
    /// Images for several platforms.
    Index(Vec<Descriptor>),
}

/// Another content, as a document names it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    media_type: Option<String>,
    digest: String,
    pub(crate) size: u64,
    platform: Option<OfferedPlatform>,
    annotations: Option<HashMap<String, String>>,
    artifact_type: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct OfferedPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    media_type: Option<String>,
    config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RawConfig {
    config: Option<RawCommands>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawCommands {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
}

/// Reads a manifest or an index. What is neither, or could be taken for both, is refused: whoever checked it may have
/// seen the other.
pub(crate) fn document(bytes: &[u8]) -> Result<Document, String> {
    let document: RawDocument = parsed("manifest", bytes)?;
    let says =
        |kinds: [&str; 2]| document.media_type.as_deref().is_none_or(|kind| kind.is_empty() || kinds.contains(&kind));
    match (document.config, document.manifests) {
        (Some(_), Some(_)) => Err("its manifest is an image's and an index at once".to_owned()),
        (Some(config), None) if says(MANIFESTS) => {
            let kind = config.media_type.as_deref().unwrap_or_default();
            if CONFIGS.contains(&kind) {
                return Ok(Document::Manifest(config));
            }
            Err(format!("it is no container image: its config is \"{}\"", outside_words(kind, &[])))
        }
        (None, Some(manifests)) if says(INDEXES) => Ok(Document::Index(manifests)),
        (None, None) if document.fs_layers.is_some() => {
            Err("its manifest is of the old form (schema 1), which no current node pulls".to_owned())
        }
        _ => Err("what it gives for the image is neither a manifest nor an index".to_owned()),
    }
}

/// The manifest of `entries` that a node of `platform` would take.
pub(crate) fn chosen(entries: Vec<Descriptor>, platform: &Platform) -> Result<Descriptor, String> {
    let mut images: Vec<_> = entries.into_iter().filter(Descriptor::is_image).collect();
    let rank = |entry: &Descriptor| entry.offered().and_then(|offered| platform.rank(&offered));
    let ranked = images.iter().enumerate().filter_map(|(place, entry)| Some((rank(entry)?, place)));
    // One that says nothing of its platform may be for any.
    let best =
        ranked.min().map(|(_, place)| place).or_else(|| images.iter().position(|image| image.platform.is_none()));
    match best {
        Some(place) => Ok(images.swap_remove(place)),
        None => {
            let offered: Vec<_> =
                images.iter().filter_map(Descriptor::offered).map(|offer| offer.to_string()).collect();
            let offered = if offered.is_empty() { "none".to_owned() } else { outside_words(&offered.join(", "), &[]) };
            Err(format!("it has no image for {platform} (it has: {offered})"))
        }
    }
}

/// Reads a config; `digest` is what the image's name stands for.
pub(crate) fn config(bytes: &[u8], digest: &Digest) -> Result<ImageConfig, String> {
    let config: RawConfig = parsed("config", bytes)?;
    let commands = config.config.unwrap_or_default();
    let (entrypoint, command) = (commands.entrypoint.unwrap_or_default(), commands.cmd.unwrap_or_default());
    if entrypoint.iter().chain(&command).map(String::len).sum::<usize>() > COMMAND_LIMIT {
        return Err(format!("its ENTRYPOINT and CMD have more than {COMMAND_LIMIT} bytes"));
    }
    Ok(ImageConfig {
        entrypoint,
        command,
        user: commands.user.unwrap_or_default(),
        working_directory: commands.working_dir.unwrap_or_default(),
        digest: digest.to_string(),
    })
}

fn parsed<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, String> {
    if !is_shallow(bytes) {
        return Err(format!("the JSON of its {what} is nested too deeply"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        format!("its {what} is not the JSON that was expected (line {}, column {})", error.line(), error.column())
    })
}

impl Descriptor {
    /// The digest, where it can be checked.
    pub(crate) fn digest(&self) -> Result<Digest, String> {
        Digest::parse(&self.digest).ok_or_else(|| "its manifest names a digest that cannot be checked".to_owned())
    }

    /// Whether it can be an image, and not a statement about one.
    fn is_image(&self) -> bool {
        let kind = self.media_type.as_deref().unwrap_or_default();
        let is_statement = self.annotations.as_ref().is_some_and(|all| all.contains_key(REFERENCE_TYPE));
        let is_artifact = self.artifact_type.as_deref().is_some_and(|kind| !kind.is_empty());
        (MANIFESTS.contains(&kind) || INDEXES.contains(&kind)) && !is_statement && !is_artifact
    }

    fn offered(&self) -> Option<Platform> {
        let platform = self.platform.as_ref()?;
        let variant = platform.variant.as_deref().unwrap_or_default();
        Some(Platform::new(platform.os.as_deref()?, platform.architecture.as_deref()?, variant))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(document: &Value) -> Result<Document, String> {
        super::document(document.to_string().as_bytes())
    }

    /// An entry of an index, told from others by its size.
    fn entry(size: u64, platform: Option<&str>) -> Value {
        let mut entry = json!({"mediaType": MANIFESTS[0], "digest": DIGEST, "size": size});
        if let Some(platform) = platform {
            let mut parts = platform.split('/');
            let mut next = || parts.next().unwrap_or_default();
            entry["platform"] = json!({"os": next(), "architecture": next(), "variant": next()});
        }
        entry
    }

    #[test]
    fn a_manifest_is_one_thing_or_refused() {
        let config = |kind: &str| json!({"mediaType": kind, "digest": DIGEST, "size": 3});
        for (kind, inner) in MANIFESTS.iter().zip(CONFIGS) {
            let document = read(&json!({"schemaVersion": 2, "mediaType": kind, "config": config(inner), "layers": []}));
            assert!(matches!(document, Ok(Document::Manifest(Descriptor { size: 3, .. }))), "{document:?}");
        }
        for kind in [Some(INDEXES[0]), Some(INDEXES[1]), None] {
            let document = read(&json!({"mediaType": kind, "manifests": []}));
            assert!(matches!(&document, Ok(Document::Index(entries)) if entries.is_empty()), "{document:?}");
        }
        let check = |document: Value, expected: &str| {
            let words = read(&document).unwrap_err();
            assert!(words.contains(expected), "{words}");
        };
        check(json!({"config": config(CONFIGS[0]), "manifests": []}), "at once");
        check(json!({"mediaType": INDEXES[0], "config": config(CONFIGS[0])}), "neither");
        check(json!({"mediaType": MANIFESTS[0], "manifests": []}), "neither");
        check(json!({"mediaType": "text/html", "manifests": []}), "neither");
        check(json!({"schemaVersion": 1, "fsLayers": []}), "schema 1");
        check(json!({}), "neither");
        check(json!({"config": config("application/vnd.cncf.helm.config.v1+json")}), "no container image");
        check(json!({"config": {"digest": DIGEST, "size": -1}}), "JSON");
        check(json!([]), "JSON");
        let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert!(super::document(deep.as_bytes()).unwrap_err().contains("deeply"));
        assert!(super::document(b"<html>").unwrap_err().contains("line 1"));
    }

    #[test]
    fn the_image_that_a_node_would_take_is_chosen() {
        let check = |entries: Vec<Value>, platform: &str, expected: Result<u64, &str>| {
            let Document::Index(entries) = read(&json!({"manifests": entries})).unwrap() else { panic!("no index") };
            let got = chosen(entries, &platform.parse().unwrap()).map(|chosen| chosen.size);
            match expected {
                Ok(size) => assert_eq!(got, Ok(size), "{platform}"),
                Err(words) => assert!(got.as_ref().unwrap_err().contains(words), "{got:?}"),
            }
        };
        let statement = |size| {
            let mut statement = entry(size, Some("unknown/unknown"));
            statement["annotations"] = json!({REFERENCE_TYPE: "attestation-manifest"});
            statement
        };
        let usual = vec![
            statement(1),
            entry(2, Some("linux/arm64/v8")),
            entry(3, Some("linux/amd64")),
            entry(4, Some("linux/arm/v6")),
            entry(5, Some("linux/arm/v7")),
            entry(6, Some("linux/amd64/v3")),
        ];
        check(usual.clone(), "linux/amd64", Ok(3));
        check(usual.clone(), "linux/amd64/v4", Ok(6));
        check(usual.clone(), "linux/arm64", Ok(2));
        check(usual.clone(), "linux/arm", Ok(5));
        check(usual.clone(), "linux/arm/v6", Ok(4));
        check(usual, "linux/s390x", Err("no image for linux/s390x (it has: linux/arm64, linux/amd64,"));
        check(vec![entry(1, Some("linux/amd64")), entry(2, Some("linux/amd64"))], "linux/amd64", Ok(1));
        check(vec![entry(1, Some("linux/arm64")), entry(2, None)], "linux/amd64", Ok(2));
        let mut bare_statement = entry(1, None);
        bare_statement["annotations"] = json!({REFERENCE_TYPE: "attestation-manifest"});
        let (mut artifact, mut blob) = (entry(2, None), entry(3, None));
        artifact["artifactType"] = json!("application/spdx+json");
        blob["mediaType"] = json!("application/octet-stream");
        check(vec![bare_statement, artifact, blob], "linux/amd64", Err("(it has: none)"));
        check(vec![], "linux/amd64", Err("(it has: none)"));
    }

    #[test]
    fn a_config_gives_what_starts() {
        let digest = Digest::parse(DIGEST).unwrap();
        let check = |text: &str, expected: Result<Expected<'_>, &str>| {
            let got = config(text.as_bytes(), &digest);
            match expected {
                Ok((entrypoint, command, user, working_directory)) => {
                    let got = got.unwrap();
                    assert_eq!(
                        (got.entrypoint.as_slice(), got.command.as_slice()),
                        (&*owned(entrypoint), &*owned(command))
                    );
                    assert_eq!((&*got.user, &*got.working_directory, &*got.digest), (user, working_directory, DIGEST));
                }
                Err(words) => assert!(got.as_ref().unwrap_err().contains(words), "{got:?}"),
            }
        };
        let whole = r#"{"config":{"Entrypoint":["/a","b"],"Cmd":["c"],"User":"1:2","WorkingDir":"/w","Env":["X=y"]}}"#;
        check(whole, Ok((&["/a", "b"], &["c"], "1:2", "/w")));
        check(r#"{"config":{"Entrypoint":null,"Cmd":null}}"#, Ok((&[], &[], "", "")));
        check(r#"{"config":null,"history":[{}]}"#, Ok((&[], &[], "", "")));
        check("{}", Ok((&[], &[], "", "")));
        check(r#"{"config":{"Entrypoint":"/a"}}"#, Err("JSON"));
        check(r#"{"config":{"Cmd":[1]}}"#, Err("JSON"));
        check(&format!(r#"{{"config":{{"Cmd":["{}"]}}}}"#, "x".repeat(COMMAND_LIMIT + 1)), Err("more than"));
        check(&"[".repeat(100), Err("deeply"));
    }

    /// Entrypoint, command, user, working directory.
    type Expected<'a> = (&'a [&'a str], &'a [&'a str], &'a str, &'a str);

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
