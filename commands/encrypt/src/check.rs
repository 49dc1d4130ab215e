//! `--check`: what of the values in files is not encrypted, or not for the newest key. For CI and before a commit.

use std::path::{Path, PathBuf};

use strongroom_failure::Failure;
use strongroom_kamus::PublicKey;
use strongroom_kamus::manifest::{self, Kind, Manifest, Standing};
use strongroom_read::read_file;

use crate::in_place::{LARGEST_FILE, say};

/// What a file must contain somewhere to be of concern, so that templates of other things need not be YAML.
const KINDS: [&str; 2] = ["KamusSecret", "Secret"];

/// Names what is wrong, a line each, and says whether nothing is.
pub(crate) fn run(files: &[PathBuf], key: Option<&PublicKey>) -> Result<bool, Failure> {
    let mut is_clean = true;
    for file in files {
        for (object, field, what) in found(file, key)? {
            is_clean = false;
            say(&format!("{}: {object}: {field}: {what}\n", file.display()));
        }
    }
    Ok(is_clean)
}

fn found(file: &Path, key: Option<&PublicKey>) -> Result<Vec<(String, String, String)>, Failure> {
    let named = |failure: Failure| {
        let field = failure.subject.field.clone().map(|field| format!(": {field}")).unwrap_or_default();
        failure.in_field(format!("{}{field}", file.display()))
    };
    let content = read_file(file, LARGEST_FILE)?;
    let Some(text) = content.expose_text().filter(|text| KINDS.iter().any(|kind| text.contains(kind))) else {
        return Ok(Vec::new());
    };
    let manifests = manifest::read(text).map_err(named)?;
    Ok(manifests.iter().flat_map(|manifest| of_manifest(manifest, key)).collect())
}

fn of_manifest(manifest: &Manifest, key: Option<&PublicKey>) -> Vec<(String, String, String)> {
    let kind = if manifest.kind == Kind::Secret { "Secret" } else { "KamusSecret" };
    let object = format!("{kind} {}", manifest.name);
    let told = |entry: &manifest::Entry| {
        let what = match (entry.standing(manifest.kind), key) {
            (Standing::Plain, _) => "is not encrypted".to_owned(),
            (Standing::Legacy, Some(_)) => "is encrypted in a form of Kamus' own".to_owned(),
            (Standing::Sealed(text), Some(key)) if text.key() != key.id() => {
                format!("is encrypted for the key {}, and the newest is {}", text.key(), key.id())
            }
            _ => return None,
        };
        Some((object.clone(), entry.field(), what))
    };
    manifest.values.iter().filter_map(told).collect()
}
