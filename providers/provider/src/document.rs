use serde_json::{Map, Value};
use strongroom_failure::{Class, Failure};
use strongroom_http::json_body;
use strongroom_secret::SecretBytes;
use zeroize::Zeroize;

use crate::draft::Keeps;

/// A JSON object whose members keep their order and whose texts are wiped when it goes.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Document(Map<String, Value>);

impl Document {
    /// Reads the object that `property` is one of.
    pub(crate) fn parse(bytes: &SecretBytes, property: &str) -> Result<Self, Failure> {
        match serde_json::from_slice(bytes.expose()) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            other => {
                if let Ok(mut value) = other {
                    wipe(&mut value);
                }
                let words = format!("its value is no JSON object, so it can have no property \"{property}\"");
                Err(Failure::new(Class::Invalid, words))
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, property: &str, keeps: Keeps) -> bool {
        self.member(property, keeps).is_some()
    }

    /// The property, where it is a text.
    pub(crate) fn text(&self, property: &str, keeps: Keeps) -> Option<&str> {
        self.member(property, keeps)?.as_str()
    }

    pub(crate) fn set(&mut self, property: &str, text: &str, keeps: Keeps) -> Result<(), Failure> {
        let path = self.path(property, keeps);
        let Some((last, above)) = path.split_last() else { return Ok(()) };
        let mut members = &mut self.0;
        for name in above {
            let member = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
            members = member.as_object_mut().ok_or_else(|| {
                let words =
                    format!("the property \"{property}\" cannot be set: \"{name}\" is there and no JSON object");
                Failure::new(Class::Invalid, words)
            })?;
        }
        if let Some(mut old) = members.insert(last.clone(), Value::String(text.to_owned())) {
            wipe(&mut old);
        }
        Ok(())
    }

    /// Takes the property out, and the objects above it that hold nothing else; whether it was there.
    pub(crate) fn remove(&mut self, property: &str, keeps: Keeps) -> bool {
        let path = self.path(property, keeps);
        remove(&mut self.0, &path)
    }

    pub(crate) fn bytes(&self) -> Result<SecretBytes, Failure> {
        Ok(json_body(&self.0)?)
    }

    fn member(&self, property: &str, keeps: Keeps) -> Option<&Value> {
        let path = self.path(property, keeps);
        let (first, below) = path.split_first()?;
        below.iter().try_fold(self.0.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// The names that lead to a property. A member that is called so as a whole wins, as it does when it is read.
    fn path(&self, property: &str, keeps: Keeps) -> Vec<String> {
        if keeps == Keeps::Objects || self.0.contains_key(property) {
            return vec![property.to_owned()];
        }
        let (mut path, mut name, mut letters) = (Vec::new(), String::new(), property.chars());
        while let Some(letter) = letters.next() {
            match letter {
                '.' => path.push(std::mem::take(&mut name)),
                '\\' => name.extend(letters.next()),
                other => name.push(other),
            }
        }
        path.push(name);
        path
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn remove(members: &mut Map<String, Value>, path: &[String]) -> bool {
    match path {
        [] => false,
        // The others keep their order.
        [last] => match members.shift_remove(last) {
            Some(mut old) => {
                wipe(&mut old);
                true
            }
            None => false,
        },
        [first, below @ ..] => {
            let Some(inner) = members.get_mut(first).and_then(Value::as_object_mut) else { return false };
            let was_there = remove(inner, below);
            if was_there && inner.is_empty() {
                members.shift_remove(first);
            }
            was_there
        }
    }
}

/// The refusal of a value that JSON cannot carry.
pub(crate) fn not_text(name: &str) -> Failure {
    let words = format!("the value of \"{name}\" is not text (UTF-8), and a JSON object holds only texts");
    Failure::new(Class::Invalid, words).with_hint("encode it in the template, by b64enc for example")
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(elements) => elements.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
