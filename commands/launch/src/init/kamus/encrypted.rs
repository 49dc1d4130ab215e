//! What lies encrypted in folders, read before any of it is decrypted.

use std::path::{Path, PathBuf};

use strongroom_failure::Failure;
use strongroom_kamus::output::Values;
use strongroom_read::read_file;

use crate::init::kamus::decryptor::Decryptor;
use crate::init::kamus::{as_error, folders, invalid, template};

/// No ConfigMap is larger than 1 MiB.
const LARGEST_TEXT: usize = 4 * 1024 * 1024;

/// The files of folders as they were at one time.
#[derive(PartialEq, Eq)]
pub(super) struct Encrypted {
    files: Vec<EncryptedFile>,
    /// The template's text, where one was looked for and found.
    pub(super) template: Option<String>,
}

/// One file.
#[derive(PartialEq, Eq)]
pub(super) struct EncryptedFile {
    /// Its path in its folder.
    key: String,
    /// Where it lies.
    pub(super) path: PathBuf,
    /// What it holds.
    pub(super) text: String,
}

impl Encrypted {
    /// Reads `folders` in their order; with `has_template`, the file of that name in one of them is no secret but the
    /// template, the last of several.
    ///
    /// # Errors
    /// What cannot be read, or is no text.
    pub(super) fn read(folders: &[PathBuf], has_template: bool) -> Result<Self, Failure> {
        let mut encrypted = Self { files: Vec::new(), template: None };
        for folder in folders {
            for key in folders::files(folder)? {
                let path = folder.join(&key);
                let text = read_text(&path)?;
                if has_template && key == template::NAME {
                    encrypted.template = Some(text);
                } else {
                    encrypted.files.push(EncryptedFile { key, path, text });
                }
            }
        }
        Ok(encrypted)
    }

    /// Whether there is no file but a template.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What the files hold; `tell` is told each file's key before it is decrypted.
    ///
    /// # Errors
    /// The first file that the decryptor does not decrypt.
    pub(super) fn decrypted(&self, decryptor: &Decryptor, tell: &dyn Fn(&str)) -> Result<Values, Failure> {
        let mut values = Values::default();
        for file in &self.files {
            tell(&file.key);
            values.insert(file.key.clone(), decryptor.decrypt(file)?);
        }
        Ok(values)
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let content = read_file(path, LARGEST_TEXT).map_err(as_error)?;
    let no_text = || invalid(format!("Error: {} is no UTF-8", path.display()));
    content.expose_text().map(str::to_owned).ok_or_else(no_text)
}
