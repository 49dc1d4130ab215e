//! What is read: `data`, `dataFrom`, `dataFromWithOptions`.

use std::collections::BTreeSet;

use strongroom_api::external_secrets::{
    DataEntry, DataFromEntry, DecodingStrategy, Find, FindName, RemoteRef, Rewrite, RewriteRegexp,
};
use strongroom_api::kes::{self, Backend};

use crate::property;
use crate::report::Notes;

/// What an ExternalSecret reads.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) data: Vec<DataEntry>,
    pub(super) data_from: Vec<DataFromEntry>,
    /// What a policy of the store must admit.
    pub(super) keys: BTreeSet<Key>,
}

/// What is read of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// This.
    Exact(String),
    /// What is directly below.
    Below(String),
    /// What is anywhere below.
    Anywhere(String),
}

/// The entries of `spec`, in the order in which the later wins.
pub(super) fn entries(backend: Backend, spec: &kes::ExternalSecretSpec, notes: &mut Notes) -> Entries {
    let mut made = Entries::default();
    for key in spec.data_from.iter().flatten() {
        made.extract(RemoteRef { key: key.clone(), ..RemoteRef::default() });
    }
    for (place, entry) in spec.data_from_with_options.iter().flatten().enumerate() {
        let field = format!("dataFromWithOptions[{place}]");
        let version = version(backend, &field, entry.version_stage.as_deref(), entry.version_id.as_deref(), notes);
        if entry.is_binary == Some(true) {
            notes.remark(format!("{field}.isBinary has no effect in KES and is left out"));
        }
        let key = entry.key.clone().unwrap_or_default();
        made.extract(RemoteRef { key, version, ..RemoteRef::default() });
    }
    let (list, given) = spec.entries();
    for (place, entry) in given.iter().enumerate() {
        let field = format!("{list}[{place}]");
        match entry.path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => made.below(backend, &field, path, entry, notes),
            None => made.single(backend, &field, entry, notes),
        }
    }
    made.keep_last_of_each(list, notes);
    if made.data.is_empty() && made.data_from.is_empty() && notes.reasons.is_empty() {
        notes.refuse("it reads nothing: KES writes an empty Secret for it", "make such a Secret by other means");
    }
    made
}

impl Entries {
    fn extract(&mut self, remote: RemoteRef) {
        self.keys.insert(Key::Exact(remote.key.clone()));
        self.data_from.push(DataFromEntry { extract: Some(remote), ..DataFromEntry::default() });
    }

    fn single(&mut self, backend: Backend, field: &str, entry: &kes::DataEntry, notes: &mut Notes) {
        let stage_and_id = (entry.version_stage.as_deref(), entry.version_id.as_deref());
        let version = match backend {
            Backend::GcpSecretsManager => entry.version.clone().filter(|version| !version.is_empty()),
            _ => version(backend, field, stage_and_id.0, stage_and_id.1, notes),
        };
        if entry.version.is_some() && backend != Backend::GcpSecretsManager {
            notes.remark(format!("{field}.version has no effect in KES for this backend and is left out"));
        }
        let property = entry.property.as_deref().and_then(|property| respelled(field, property, notes));
        let decoding = (entry.is_binary == Some(true)).then(|| {
            notes.differs(format!(
                "{field}.isBinary: the value must be base64 as it is usually written (decodingStrategy: Base64). KES \
                 also takes it without padding, in the spelling for addresses and between other characters, and leaves \
                 a binary value of the store as it is; write Base64URL or leave decodingStrategy out for these"
            ));
            DecodingStrategy::Base64
        });
        let key = entry.key.clone().unwrap_or_default();
        self.keys.insert(Key::Exact(key.clone()));
        let remote_ref = RemoteRef { key, property, version, decoding_strategy: decoding, ..RemoteRef::default() };
        let secret_key = entry.name.clone().unwrap_or_default();
        self.data.push(DataEntry { secret_key, remote_ref, source_ref: None });
    }

    /// All parameters below a path, under the last parts of their names.
    fn below(&mut self, backend: Backend, field: &str, path: &str, entry: &kes::DataEntry, notes: &mut Notes) {
        if backend != Backend::SystemManager {
            let cure = "name the keys one by one in data";
            notes.refuse(format!("{field}.path is for systemManager alone: KES says _getByPath not implemented"), cure);
            return;
        }
        if entry.property.is_some() {
            let why = format!("{field} has path and property, of which KES makes an empty Secret");
            notes.refuse(why, "leave one of them out");
            return;
        }
        if entry.is_binary == Some(true) {
            notes.remark(format!("{field}.isBinary has no effect in KES beside path and is left out"));
        }
        if !self.data.is_empty() {
            notes.differs(format!(
                "{field}.path: where it finds a name that an entry of data before it has, that entry wins now"
            ));
        }
        let is_recursive = entry.recursive == Some(true);
        if is_recursive {
            notes.differs(format!(
                "{field}.recursive: of parameters in different folders with the same last part, the last in the order \
                 of whole names wins; with KES the last that AWS lists"
            ));
        }
        let folder = path.trim_end_matches('/');
        self.keys.insert(if is_recursive { Key::Anywhere(folder.to_owned()) } else { Key::Below(folder.to_owned()) });
        let inside = if is_recursive { ".+" } else { "[^/]+$" };
        let name = FindName { regexp: Some(format!("^{}/{inside}", quoted(folder))) };
        let searched = if folder.is_empty() { "/" } else { folder };
        let find = Find { path: Some(searched.to_owned()), name: Some(name), ..Find::default() };
        let rewrite = RewriteRegexp { source: "^.*/".to_owned(), target: String::new() };
        let rewrite = vec![Rewrite { regexp: Some(rewrite), ..Rewrite::default() }];
        self.data_from.push(DataFromEntry { find: Some(find), rewrite, ..DataFromEntry::default() });
    }

    /// Two entries of one name are not allowed; in KES the last wins.
    fn keep_last_of_each(&mut self, list: &str, notes: &mut Notes) {
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for entry in self.data.drain(..).rev() {
            if seen.insert(entry.secret_key.clone()) {
                kept.push(entry);
            } else {
                notes.remark(format!(
                    "{list}: of the entries for {} the last is kept, which wins in KES",
                    entry.secret_key
                ));
            }
        }
        kept.reverse();
        self.data = kept;
    }
}

/// The version of Secrets Manager, as stores are asked for it.
fn version(backend: Backend, field: &str, stage: Option<&str>, id: Option<&str>, notes: &mut Notes) -> Option<String> {
    let filled = |text: &'_ &str| !text.is_empty();
    let (stage, id) = (stage.filter(filled), id.filter(filled));
    if backend != Backend::SecretsManager {
        if stage.or(id).is_some() && backend != Backend::AlicloudSecretsManager {
            notes.remark(format!("{field}: versions have no effect in KES for this backend and are left out"));
        }
        return None;
    }
    id.map(|id| format!("uuid/{id}")).or_else(|| stage.map(str::to_owned))
}

fn respelled(field: &str, property: &str, notes: &mut Notes) -> Option<String> {
    match property::path(property) {
        Ok(path) => {
            if path.is_respelled {
                notes.remark(format!(
                    "{field}.property is written {} now; a key that is called like the whole of it is no longer \
                     looked for first",
                    path.text
                ));
            }
            Some(path.text)
        }
        Err(words) => {
            let cure = "write the property as a path of keys and indexes";
            notes.refuse(format!("{field}.property cannot be written as a GJSON path: {words}"), cure);
            None
        }
    }
}

/// `text` as a regular expression for itself.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}
