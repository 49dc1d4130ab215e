//! Secrets without versions.

use strongroom_barrier::{Changes, View};
use strongroom_secret::SecretBytes;

use crate::error::KvError;
use crate::path::{checked, folder};

const DATA: &str = "data/";

/// The secrets of one mount.
#[derive(Clone, Debug)]
pub struct V1 {
    view: View,
}

impl V1 {
    /// The secrets in `view`.
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// The JSON text of the object that was written there.
    ///
    /// # Errors
    /// [`KvError::Absent`].
    pub async fn read(&self, path: &str) -> Result<SecretBytes, KvError> {
        let found = self.view.read_one(&key(path)?).await?;
        found.map(|found| found.value).ok_or(KvError::Absent)
    }

    /// Writes the JSON text of an object over what is there.
    ///
    /// # Errors
    /// A path that names no secret; the view's.
    pub async fn write(&self, path: &str, data: &SecretBytes) -> Result<(), KvError> {
        self.view.commit(&Changes { puts: vec![(key(path)?, data.clone())], ..Changes::default() }).await?;
        Ok(())
    }

    /// Erases what is there. What is absent is no fault.
    ///
    /// # Errors
    /// As [`V1::write`].
    pub async fn delete(&self, path: &str) -> Result<(), KvError> {
        self.view.commit(&Changes { deletes: vec![key(path)?], ..Changes::default() }).await?;
        Ok(())
    }

    /// Whether something is there.
    ///
    /// # Errors
    /// The view's.
    pub async fn exists(&self, path: &str) -> Result<bool, KvError> {
        Ok(self.view.read_one(&key(path)?).await?.is_some())
    }

    /// The names in a folder, those of folders with a slash at their end, in order of bytes.
    ///
    /// # Errors
    /// The view's.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, KvError> {
        Ok(self.view.list(&format!("{DATA}{}", folder(path)?)).await?)
    }
}

fn key(path: &str) -> Result<String, KvError> {
    Ok(format!("{DATA}{}", checked(path)?))
}
