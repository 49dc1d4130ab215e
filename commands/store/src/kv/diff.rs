//! `strongroom kv diff`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};
use strongroom_failure::Failure;

use super::store::{Data, Store};
use crate::api::Ending;
use crate::terminal::{harmless, say};

/// Compare two versions of a secret
#[derive(Args)]
#[command(after_help = "Values are hidden, on a terminal and in files, unless --reveal is given.\n\n\
                        Exit status: 0 the same, 5 they differ, 1 something is wrong, 2 wrong usage, 4 there is no such \
                        secret or version\n\n\
                        Examples:\n  \
                        strongroom kv diff app --from 3\n  \
                        strongroom kv diff app --from 3 --to 5 --reveal")]
pub(super) struct Diff {
    path: String,
    /// The version to begin with
    #[arg(long, value_name = "VERSION")]
    from: u64,
    /// The version to end with [default: the latest]
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Show values
    #[arg(long)]
    reveal: bool,
    /// Names of keys as JSON; with --reveal, values as well
    #[arg(long)]
    json: bool,
}

/// Keys that differ, each in the order of their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
    pub(super) changed: BTreeSet<String>,
}

impl Difference {
    /// What it takes to get from one to the other.
    pub(super) fn between(before: &Data, after: &Data) -> Self {
        let mut difference = Self::default();
        for (key, value) in after {
            match before.get(key) {
                None => drop(difference.added.insert(key.clone())),
                Some(old) if old != value => drop(difference.changed.insert(key.clone())),
                Some(_) => {}
            }
        }
        difference.removed = before.keys().filter(|key| !after.contains_key(*key)).cloned().collect();
        difference
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Diff {
    pub(super) fn run(&self, store: &Store<'_>) -> Result<Ending, Failure> {
        let version = |number: Option<u64>| -> Result<(u64, Data), Failure> {
            let mut read = store.read(&self.path, number)?;
            let data = match read["data"].take() {
                Value::Object(data) => data,
                _ => Data::new(),
            };
            Ok((read["metadata"]["version"].as_u64().unwrap_or_default(), data))
        };
        let ((from, before), (to, after)) = (version(Some(self.from))?, version(self.to)?);
        let difference = Difference::between(&before, &after);
        say(&match self.json {
            true => format!("{:#}\n", self.as_json((from, &before), (to, &after), &difference)),
            false => self.as_text((from, &before), (to, &after), &difference),
        })?;
        Ok(if difference.is_none() { Ending::Well } else { Ending::Differs })
    }

    fn as_json(&self, before: (u64, &Data), after: (u64, &Data), difference: &Difference) -> Value {
        let Difference { added, removed, changed } = difference;
        let pick = |keys: &BTreeSet<String>, value: &dyn Fn(&str) -> Value| match self.reveal {
            true => keys.iter().map(|key| (key.clone(), value(key))).collect::<Data>().into(),
            false => json!(keys),
        };
        json!({
            "path": self.path,
            "from": before.0,
            "to": after.0,
            "added": pick(added, &|key| after.1[key].clone()),
            "removed": pick(removed, &|key| before.1[key].clone()),
            "changed": pick(changed, &|key| json!({"from": before.1[key], "to": after.1[key]})),
        })
    }

    fn as_text(&self, before: (u64, &Data), after: (u64, &Data), difference: &Difference) -> String {
        if difference.is_none() {
            return format!("{}: version {} and {} are the same\n", self.path, before.0, after.0);
        }
        let value = |data: &Data, key: &str| data.get(key).map(|value| harmless(&value.to_string()));
        let mut text = format!("{}: from version {} to {}\n", self.path, before.0, after.0);
        for (sign, keys) in [('+', &difference.added), ('-', &difference.removed), ('~', &difference.changed)] {
            for key in keys {
                let values: Vec<String> = [value(before.1, key), value(after.1, key)].into_iter().flatten().collect();
                let shown = if self.reveal { format!(": {}", values.join(" -> ")) } else { String::new() };
                text.push_str(&format!("  {sign} {}{shown}\n", harmless(key)));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_found() {
        let check = |before: Value, after: Value, expected: [&[&str]; 3]| {
            let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
            let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
            let [added, removed, changed] = expected.map(set);
            assert_eq!(Difference::between(before, after), Difference { added, removed, changed });
        };
        check(json!({}), json!({}), [&[], &[], &[]]);
        check(json!({"a": 1, "b": "x"}), json!({"b": "x", "a": 1}), [&[], &[], &[]]);
        check(json!({"a": 1, "b": 2}), json!({"b": "2", "c": 3}), [&["c"], &["a"], &["b"]]);
        check(json!({"a": {"b": [1]}}), json!({"a": {"b": [2]}}), [&[], &[], &["a"]]);
    }
}
