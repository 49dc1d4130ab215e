//! What every storage does alike.

use std::collections::BTreeSet;

use crate::{Child, Children, Commit, LONGEST_KEY, MOST_BYTES, MOST_OPERATIONS, Page, StorageError, Stored};

impl Commit {
    /// Whether every storage would take it.
    ///
    /// # Errors
    /// [`StorageError::Refused`] with the limit that it exceeds, or the contradiction.
    pub fn check(&self) -> Result<(), StorageError> {
        if self.conditions.len() + self.puts.len() + self.deletes.len() > MOST_OPERATIONS {
            return Err(StorageError::Refused("a commit has too many operations"));
        }
        let bytes: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > MOST_BYTES {
            return Err(StorageError::Refused("a commit has too many bytes"));
        }
        let conditions = self.conditions.iter().map(|condition| &condition.key);
        let puts = self.puts.iter().map(|(key, _)| key);
        for key in conditions.chain(puts).chain(&self.deletes) {
            if key.is_empty() || key.len() > LONGEST_KEY {
                return Err(StorageError::Refused("a key is empty or too long"));
            }
        }
        let mut written = BTreeSet::new();
        let twice = |key| !written.insert(key);
        match self.puts.iter().map(|(key, _)| key).chain(&self.deletes).any(twice) {
            true => Err(StorageError::Refused("a commit writes a key twice")),
            false => Ok(()),
        }
    }
}

/// A page of the first `limit` entries of `found`.
///
/// # Errors
/// That of an entry.
pub fn page_of(
    found: impl Iterator<Item = Result<(String, Stored), StorageError>>,
    limit: usize,
) -> Result<Page, StorageError> {
    let mut page = Page::default();
    for entry in found {
        if page.entries.len() == limit {
            page.has_more = true;
            break;
        }
        page.entries.push(entry?);
    }
    Ok(page)
}

/// The first name in `folder` that `key` is or lies below; `None` for a key of another folder.
pub fn child_of(folder: &str, key: &str) -> Option<Child> {
    let rest = key.strip_prefix(folder)?;
    let (name, is_folder) = match rest.split_once('/') {
        Some((name, _)) => (name, true),
        None => (rest, false),
    };
    Some(Child { name: name.to_owned(), is_folder })
}

/// A part of a folder, found by seeking: `next` gives the first key that is `from` or stands behind it. Whatever lies in
/// a folder among the names costs one seek.
///
/// # Errors
/// That of `next`.
pub fn children_of(
    folder: &str,
    after: Option<&Child>,
    limit: usize,
    next: impl Fn(&str) -> Result<Option<String>, StorageError>,
) -> Result<Children, StorageError> {
    let mut children = Children::default();
    let mut from = after.map_or_else(|| folder.to_owned(), |child| behind(folder, child));
    while let Some(key) = next(&from)? {
        let Some(child) = child_of(folder, &key) else { break };
        if children.names.len() == limit {
            children.has_more = true;
            break;
        }
        from = behind(folder, &child);
        children.names.push(child);
    }
    Ok(children)
}

/// Where the search goes on behind a child. Behind a key `a` comes its folder `a/`, with `a-b` between them; behind the
/// folder, whatever begins with a greater letter than the slash.
pub fn behind(folder: &str, child: &Child) -> String {
    match child.is_folder {
        false => format!("{folder}{}\0", child.name),
        true => format!("{folder}{}0", child.name),
    }
}
