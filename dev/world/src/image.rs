//! OCI image archives of one layer, made without a container engine.
//!
//! The same content gives the same bytes: entries are sorted, owned by root and dated 1970. containerd
//! (`ctr images import --local`), podman and skopeo read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value as Json, json};
use tar::{Builder, EntryType, Header};

use crate::cache;

/// An image to be written: what is in it and how it starts.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    environment: Vec<String>,
    user: String,
    working_directory: String,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory { mode: u32 },
    File { content: Content, mode: u32 },
    Link { target: String },
}

#[derive(Clone, Debug)]
enum Content {
    Bytes(Vec<u8>),
    Source(PathBuf),
}

impl Image {
    /// An empty image with a full name: `docker.io/world/app:1`.
    pub fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            user: String::new(),
            working_directory: String::new(),
            entries: BTreeMap::new(),
        }
    }

    /// What always runs, with the arguments that come before the command's.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// What runs when a container names nothing else.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Adds a variable to the environment of its containers.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Who runs it: `USER[:GROUP]`, names or numbers; root when never called.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Where it starts; `/` when never called.
    #[must_use]
    pub fn working_directory(mut self, path: &str) -> Self {
        path.clone_into(&mut self.working_directory);
        self
    }

    /// Adds an empty directory. Directories above an entry need not be added: they get mode 0755.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.with(path, Entry::Directory { mode })
    }

    /// Adds a copy of the file `source`, read when the image is written.
    #[must_use]
    pub fn file(self, path: &str, source: &Path, mode: u32) -> Self {
        self.with(path, Entry::File { content: Content::Source(source.to_owned()), mode })
    }

    /// Adds a file with this content.
    #[must_use]
    pub fn bytes(self, path: &str, content: &[u8], mode: u32) -> Self {
        self.with(path, Entry::File { content: Content::Bytes(content.to_owned()), mode })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, Entry::Link { target: target.to_owned() })
    }

    /// Writes the archive and returns the digest of the image's manifest, `sha256:...`.
    ///
    /// # Errors
    /// When a source cannot be read, a path climbs out of the image, or the archive cannot be written.
    pub fn write(&self, archive: &Path) -> Result<String> {
        let layer = self.layer()?;
        let config = self.config(&layer)?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }))?;
        let mut files = BTreeMap::from([
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), self.index(&manifest)?),
        ]);
        let name = digest_of(&manifest);
        files.extend([layer, config, manifest].map(|blob| (format!("blobs/sha256/{}", hash_of(&blob)), blob)));
        let mut tar = Builder::new(Vec::new());
        for (path, content) in files {
            append(&mut tar, &path, EntryType::Regular, 0o644, &content)?;
        }
        cache::write(archive, &tar.into_inner()?)?;
        Ok(name)
    }

    fn with(mut self, path: &str, entry: Entry) -> Self {
        let path = path.trim_matches('/');
        for (slash, _) in path.match_indices('/') {
            self.entries.entry(path[..slash].to_owned()).or_insert(Entry::Directory { mode: 0o755 });
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            match entry {
                Entry::Directory { mode } => append(&mut tar, &format!("{path}/"), EntryType::Directory, *mode, &[])?,
                Entry::File { content: Content::Bytes(bytes), mode } => {
                    append(&mut tar, path, EntryType::Regular, *mode, bytes)?;
                }
                Entry::File { content: Content::Source(source), mode } => {
                    let bytes = std::fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
                    append(&mut tar, path, EntryType::Regular, *mode, &bytes)?;
                }
                Entry::Link { target } => append_link(&mut tar, path, target)?,
            }
        }
        Ok(tar.into_inner()?)
    }

    fn config(&self, layer: &[u8]) -> Result<Vec<u8>> {
        let config = json!({
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "Env": self.environment,
            "User": self.user,
            "WorkingDir": self.working_directory,
        });
        Ok(serde_json::to_vec(&json!({
            "architecture": architecture()?,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }))?)
    }

    fn index(&self, manifest: &[u8]) -> Result<Vec<u8>> {
        let mut descriptor = descriptor(MANIFEST, manifest);
        let tag = self.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        descriptor["annotations"] = json!({
            "io.containerd.image.name": self.reference,
            "org.opencontainers.image.ref.name": tag,
        });
        Ok(serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [descriptor]}))?)
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The machine's architecture, in the words of OCI (which are Go's).
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no images can be made on {other}"),
    }
}

fn descriptor(kind: &str, content: &[u8]) -> Json {
    json!({"mediaType": kind, "digest": digest_of(content), "size": content.len()})
}

fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hash_of(content))
}

fn hash_of(content: &[u8]) -> String {
    cache::hexadecimal(digest(&SHA256, content).as_ref())
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append(tar: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = header(kind, mode, content.len());
    tar.append_data(&mut header, path, content).with_context(|| format!("cannot put {path} into the image"))
}

fn append_link(tar: &mut Builder<Vec<u8>>, path: &str, target: &str) -> Result<()> {
    let mut header = header(EntryType::Symlink, 0o777, 0);
    tar.append_link(&mut header, path, target).with_context(|| format!("cannot put {path} into the image"))
}
