//! RFC 6902.

use serde::Serialize;
use serde_json::Value;

/// One operation of a JSON patch; serializes as RFC 6902 has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Puts a member into an object, or an element into an array.
    Add {
        /// A JSON pointer (RFC 6901).
        path: String,
        /// What is put there.
        value: Value,
    },
    /// Puts something else into the place of what is there.
    Replace {
        /// A JSON pointer (RFC 6901).
        path: String,
        /// What is put there.
        value: Value,
    },
    /// Takes an element of an array elsewhere.
    Move {
        /// A JSON pointer (RFC 6901) to where it is.
        from: String,
        /// A JSON pointer (RFC 6901) to where it goes.
        path: String,
    },
}

impl Operation {
    pub(crate) fn add(path: String, value: Value) -> Self {
        Self::Add { path, value }
    }
}

/// Sets a member of the object at `pointer`, which is `object`.
pub(crate) fn set(operations: &mut Vec<Operation>, object: &Value, pointer: &str, member: &str, value: Value) {
    let path = format!("{pointer}/{}", escaped(member));
    operations.push(match object.get(member) {
        Some(_) => Operation::Replace { path, value },
        None => Operation::Add { path, value },
    });
}

/// Appends to an array of the object at `pointer`, which is `object`; makes it where it is missing.
pub(crate) fn append(operations: &mut Vec<Operation>, object: &Value, pointer: &str, member: &str, new: Vec<Value>) {
    if new.is_empty() {
        return;
    }
    if object.get(member).is_some_and(Value::is_array) {
        operations.extend(new.into_iter().map(|value| Operation::add(format!("{pointer}/{member}/-"), value)));
    } else {
        set(operations, object, pointer, member, Value::Array(new));
    }
}

/// A member's name inside a pointer.
fn escaped(member: &str) -> String {
    member.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_pointers() {
        let mut operations = Vec::new();
        set(&mut operations, &Value::Null, "/a", "x/y~z", Value::Null);
        assert_eq!(operations, [Operation::Add { path: "/a/x~1y~0z".to_owned(), value: Value::Null }]);
    }
}
