//! The parsed document that JSONPath and JMESPath work on, and how a value leaves it.

use std::io;

use serde_json::Value;
use strongroom_secret::SecretBytes;
use zeroize::{Zeroize, Zeroizing};

use crate::{DOCUMENT_LIMIT, SelectFailure};

/// The most bytes of a result: whatever a query repeats, no more than four of the largest documents.
const RESULT_LIMIT: usize = 4 * DOCUMENT_LIMIT;

/// A parsed document whose strings are wiped when it goes.
pub(crate) struct Tree(Value);

impl Tree {
    pub(crate) fn parse(document: &SecretBytes) -> Result<Self, SelectFailure> {
        // serde_json bounds the nesting (128 levels).
        let parsed = serde_json::from_slice(document.expose());
        parsed.map(Self).map_err(|error| SelectFailure::NotJson { line: error.line(), column: error.column() })
    }

    pub(crate) fn root(&self) -> &Value {
        &self.0
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(elements) => elements.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A value for a workload: strings without quotes, null as nothing, the rest as JSON.
pub(crate) fn export(value: &Value) -> Result<SecretBytes, SelectFailure> {
    match value {
        Value::String(text) => Ok(SecretBytes::new(text.clone().into_bytes())),
        Value::Null => Ok(SecretBytes::default()),
        other => as_json(other),
    }
}

/// Anything as JSON text.
pub(crate) fn as_json(value: &impl serde::Serialize) -> Result<SecretBytes, SelectFailure> {
    let mut text = Text(Zeroizing::default());
    serde_json::to_writer(&mut text, value).map_err(|_| SelectFailure::ResultTooLarge)?;
    Ok(SecretBytes::new(std::mem::take(&mut *text.0)))
}

/// JSON text in the making: bounded, and wiped where growing moves it.
struct Text(Zeroizing<Vec<u8>>);

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.len() + bytes.len();
        if length > RESULT_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * self.0.capacity()).max(64)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
