//! What is to be done, with nothing missing, and the steps of doing it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strongroom_deliver_files::{Medium, Target, deliver, make_folders};
use strongroom_failure::Failure;
use strongroom_kamus::output::{Format, Values};
use strongroom_secret::SecretBytes;

use crate::init::kamus::encrypted::Encrypted;
use crate::init::kamus::{as_error, folders, invalid, template};

/// What files and folders had under the usual umask: the application runs as any user.
pub(super) const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// What is to be done.
pub(super) struct Order {
    /// Where encrypted files are; a later folder wins.
    pub(super) folders: Vec<PathBuf>,
    /// How they are written.
    pub(super) format: Format,
    /// Where they are written.
    pub(super) folder: PathBuf,
    /// The one file in it, for formats that write one.
    pub(super) file: Option<PathBuf>,
    /// Where that may lie.
    pub(super) medium: Medium,
}

impl Order {
    /// What lies encrypted in the folders now.
    ///
    /// # Errors
    /// What cannot be read, and a template that is needed and missing.
    pub(super) fn encrypted(&self) -> Result<Encrypted, Failure> {
        let encrypted = Encrypted::read(&self.folders, self.format == Format::Custom)?;
        if self.format == Format::Custom && encrypted.template.is_none() {
            let words = "Error: Missing template file, cannot write output";
            let hint = format!("the format custom needs the file {} in an encrypted folder", template::NAME);
            return Err(invalid(words).with_hint(hint));
        }
        Ok(encrypted)
    }

    /// Files with what they are to hold: the one, or one for each value, by their paths in the folder.
    ///
    /// # Errors
    /// A template that cannot be rendered.
    pub(super) fn contents(
        &self,
        encrypted: &Encrypted,
        values: &Values,
    ) -> Result<Vec<(PathBuf, SecretBytes)>, Failure> {
        let Some(file) = &self.file else {
            return Ok(values.iter().map(|(key, value)| (PathBuf::from(key), value.text().clone())).collect());
        };
        let content = match (values.file(self.format), &encrypted.template) {
            (Some(content), _) => content,
            (None, Some(template)) => template::render(template, values)?,
            (None, None) => return Err(invalid("Error: Missing template file, cannot write output")),
        };
        Ok(vec![(file.clone(), content)])
    }

    /// Writes all of it or nothing.
    ///
    /// # Errors
    /// What is in the way, named.
    pub(super) fn write(&self, contents: Vec<(PathBuf, SecretBytes)>) -> Result<(), Failure> {
        if let Err(error) = std::fs::create_dir(&self.folder)
            && error.kind() != ErrorKind::AlreadyExists
        {
            return Err(invalid(format!("Error: cannot make {}: {error}", self.folder.display())));
        }
        let target = |path: &Path| Target { path: self.folder.join(path), mode: FILE_MODE, owner: None };
        let files: Vec<(Target, SecretBytes)> =
            contents.into_iter().map(|(path, content)| (target(&path), content)).collect();
        for (target, _) in files.iter().filter(|_| self.file.is_none()) {
            make_folders(&self.folder, &target.path, FOLDER_MODE).map_err(as_error)?;
        }
        deliver(&files, self.medium).map_err(as_error)
    }

    /// The first file that is wanted and does not lie there.
    ///
    /// # Errors
    /// Encrypted folders that cannot be read, where these say which files are wanted.
    pub(super) fn missing(&self) -> Result<Option<PathBuf>, Failure> {
        let mut wanted: Vec<PathBuf> = self.file.iter().cloned().collect();
        if self.file.is_none() {
            for folder in &self.folders {
                wanted.extend(folders::files(folder)?.into_iter().map(|key| self.folder.join(key)));
            }
        }
        Ok(wanted.into_iter().find(|path| !path.is_file()))
    }
}
