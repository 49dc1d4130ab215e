//! Who reads which key, for events: kept in digests, since there are as many keys as entries of objects.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use strongroom_api::external_secrets::ExternalSecret;
use strongroom_api::kes;
use strongroom_event::stems;

use crate::names::Name;
use crate::pairs::Pairs;

/// Readers by the digests of what they read. Two keys may share a digest: whoever is found here is looked at once more.
#[derive(Debug, Default)]
pub(crate) struct KeyReaders(Pairs<u64, Name>);

impl KeyReaders {
    pub(crate) fn insert(&mut self, reads: &[u64], name: &Name) {
        reads.iter().for_each(|digest| self.0.insert(digest, name));
    }

    pub(crate) fn remove(&mut self, reads: &[u64], name: &Name) {
        reads.iter().for_each(|digest| self.0.remove(digest, name));
    }

    /// Who reads a key with one of these stems, and who searches.
    pub(crate) fn of(&self, stems: &[String]) -> Vec<Name> {
        let digests = stems.iter().map(|stem| digest(Some(stem))).chain([digest(None)]);
        digests.flat_map(|digest| self.0.of(&digest).cloned().collect::<Vec<_>>()).collect()
    }
}

/// The digests of what an ExternalSecret reads.
pub(crate) fn reads(object: &ExternalSecret) -> Box<[u64]> {
    let entries = object.spec.data.iter().map(|entry| entry.remote_ref.key.as_str());
    let extracts = object.spec.data_from.iter().filter_map(|entry| entry.extract.as_ref());
    let searches = object.spec.data_from.iter().any(|entry| entry.find.is_some());
    digests(entries.chain(extracts.map(|extract| extract.key.as_str())), searches)
}

/// The digests of what an ExternalSecret of kubernetes-external-secrets reads.
pub(crate) fn kes_reads(object: &kes::ExternalSecret) -> Box<[u64]> {
    let Some((_, spec)) = object.asked() else { return Box::default() };
    let (_, entries) = spec.entries();
    let keys = entries.iter().filter_map(|entry| entry.key.as_deref());
    let whole = spec.data_from.iter().flatten().map(String::as_str);
    let versions = spec.data_from_with_options.iter().flatten().filter_map(|entry| entry.key.as_deref());
    digests(keys.chain(whole).chain(versions), entries.iter().any(|entry| entry.path.is_some()))
}

fn digests<'a>(keys: impl Iterator<Item = &'a str>, searches: bool) -> Box<[u64]> {
    let keys = keys.flat_map(stems).map(|stem| digest(Some(&stem)));
    let mut found: Vec<u64> = keys.chain(searches.then(|| digest(None))).collect();
    found.sort_unstable();
    found.dedup();
    found.into()
}

/// Of a key's stem, or of searching.
fn digest(stem: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    stem.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish(spec: &serde_json::Value) -> ExternalSecret {
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "a"}, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    fn found(readers: &KeyReaders, key: &str) -> Vec<String> {
        readers.of(&stems(key)).iter().map(|name| name.name.to_string()).collect()
    }

    #[test]
    fn readers_are_found_by_each_spelling_until_they_read_something_else() {
        let mut readers = KeyReaders::default();
        let one = reads(&wish(&json!({"data": [
            {"secretKey": "a", "remoteRef": {"key": "team/db"}},
            {"secretKey": "b", "remoteRef": {"key": "team/db"}},
        ]})));
        let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:team/db-AbCdEf";
        let two = reads(&wish(&json!({"dataFrom": [{"extract": {"key": arn}}]})));
        let search = reads(&wish(&json!({"dataFrom": [{"find": {"path": "team"}}]})));
        assert_eq!((one.len(), two.len(), search.len()), (1, 2, 1));
        for (reads, name) in [(&one, "one"), (&two, "two"), (&search, "search")] {
            readers.insert(reads, &Name::new("team", name));
        }
        assert_eq!(found(&readers, "team/db"), ["one", "two", "search"]);
        assert_eq!(found(&readers, "team/other"), ["search"]);
        readers.remove(&one, &Name::new("team", "one"));
        readers.remove(&search, &Name::new("team", "search"));
        assert_eq!(found(&readers, "team/db"), ["two"]);
    }

    #[test]
    fn objects_of_kubernetes_external_secrets_are_found_by_all_their_lists() {
        let spec = json!({
            "backendType": "systemManager", "dataFrom": ["whole"], "dataFromWithOptions": [{"key": "version"}],
            "data": [{"key": "/team/db", "name": "a"}, {"path": "/below"}],
        });
        let object = json!({"metadata": {"name": "a"}, "spec": spec});
        let reads = kes_reads(&serde_json::from_value(object).unwrap());
        let mut readers = KeyReaders::default();
        readers.insert(&reads, &Name::new("team", "a"));
        for key in ["whole", "version", "/team/db", "searched"] {
            assert!(found(&readers, key).contains(&"a".to_owned()), "{key}");
        }
    }
}
