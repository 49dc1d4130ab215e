//! Image archives: what is in them, and that they do not change by themselves.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value as Json, json};
use world::image::Image;

fn image(source: &Path) -> Image {
    Image::new("docker.io/world/app:7")
        .entrypoint(&["/bin/app", "--fast"])
        .command(&["serve"])
        .variable("PATH", "/bin")
        .user("65532:65532")
        .working_directory("/data")
        .file("/bin/app", source, 0o755)
        .bytes("etc/motd", b"hello", 0o640)
        .link("/bin/sh", "app")
        .directory("/tmp", 0o1777)
}

/// The archive's files by path.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), content);
    }
    files
}

fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Json) -> &'a [u8] {
    let content = &files[&format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"))];
    assert_eq!(descriptor["size"], content.len());
    content
}

#[test]
fn an_image_says_how_it_starts_and_holds_what_was_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let (source, archive) = (folder.path().join("source"), folder.path().join("image.tar"));
    world::cache::write(&source, b"program").unwrap();
    let digest = image(&source).write(&archive).unwrap();
    let files = files(&std::fs::read(&archive).unwrap());
    let index: Json = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index["manifests"][0]["digest"], digest);
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "docker.io/world/app:7");
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "7");
    let manifest: Json = serde_json::from_slice(blob(&files, &index["manifests"][0])).unwrap();
    let config: Json = serde_json::from_slice(blob(&files, &manifest["config"])).unwrap();
    let expected = json!({
        "Entrypoint": ["/bin/app", "--fast"], "Cmd": ["serve"], "Env": ["PATH=/bin"],
        "User": "65532:65532", "WorkingDir": "/data",
    });
    assert_eq!(config["config"], expected);
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let mut entries = Vec::new();
    for entry in tar::Archive::new(blob(&files, &manifest["layers"][0])).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        entries.push(format!("{} {:o}", entry.path().unwrap().display(), header.mode().unwrap()));
    }
    assert_eq!(entries, ["bin/ 755", "bin/app 755", "bin/sh 777", "etc/ 755", "etc/motd 640", "tmp/ 1777"]);
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    world::cache::write(&source, b"program").unwrap();
    let write = |image: Image, name: &str| {
        let archive = folder.path().join(name);
        let digest = image.write(&archive).unwrap();
        (digest, std::fs::read(archive).unwrap())
    };
    let first = write(image(&source), "first.tar");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world::cache::write(&source, b"program").unwrap();
    assert!(first == write(image(&source), "second.tar"));
    assert_ne!(first.0, write(image(&source).bytes("new", b"", 0o644), "third.tar").0);
}

#[test]
fn what_climbs_out_of_an_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Image::new("a:1").bytes("../up", b"", 0o644).write(&folder.path().join("image.tar")).unwrap_err();
    assert!(error.to_string().starts_with("cannot put ../ into the image"), "{error:#}");
}
