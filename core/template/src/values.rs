//! What templates compute with: Go's values, told apart as Go tells them apart, strings of any bytes, and maps that are
//! shared and change in place.

mod convert;
mod text;
mod types;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::formats::semver::Version;
use crate::formats::time::Moment;

pub(crate) use self::text::Text;
pub(crate) use self::types::{kind_name, type_name};

/// A value while a template is rendered. Cheap to clone: what is large is shared.
#[derive(Clone, Debug)]
pub(crate) enum Datum {
    /// Go's untyped nil.
    Nil,
    Bool(bool),
    /// Go's `int`: literals, lengths, indices.
    Int(i64),
    /// Go's `int64`: what sprig's arithmetic gives.
    Int64(i64),
    /// A byte of a string.
    Byte(u8),
    /// Go's `uint64`: the parts of a version.
    Uint64(u64),
    Float(f64),
    Text(Text),
    List(Rc<List>),
    Map(Rc<Map>),
    Time(Rc<Moment>),
    Version(Rc<Version>),
    Certificate(Rc<Certificate>),
}

/// What a list's elements are declared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Any,
    Text,
    Int,
    /// Lists of anything.
    List,
}

/// A list that nothing changes in place.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) element: Element,
    pub(crate) items: Vec<Datum>,
    /// Go's nil slice: empty, and `null` in JSON.
    pub(crate) is_nil: bool,
}

/// A map that `set` and its like change in place, for everyone who holds it.
#[derive(Debug)]
pub(crate) struct Map {
    /// Whether it is declared to hold texts alone: an absent entry is then an empty text rather than nil.
    pub(crate) holds_texts: bool,
    entries: RefCell<BTreeMap<Text, Datum>>,
}

/// What `genCA` and its like give.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: Text,
    pub(crate) key: Text,
}

impl Datum {
    pub(crate) fn text(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Text(Text::new(bytes.into()))
    }

    pub(crate) fn list(items: Vec<Datum>) -> Self {
        Self::List(Rc::new(List { element: Element::Any, items, is_nil: false }))
    }

    pub(crate) fn list_of(element: Element, items: Vec<Datum>) -> Self {
        Self::List(Rc::new(List { element, items, is_nil: false }))
    }

    pub(crate) fn texts(items: impl IntoIterator<Item = Text>) -> Self {
        Self::list_of(Element::Text, items.into_iter().map(Self::Text).collect())
    }

    pub(crate) fn nil_list(element: Element) -> Self {
        Self::List(Rc::new(List { element, items: Vec::new(), is_nil: true }))
    }

    pub(crate) fn map(entries: BTreeMap<Text, Datum>) -> Self {
        Self::Map(Rc::new(Map { holds_texts: false, entries: RefCell::new(entries) }))
    }

    pub(crate) fn map_of_texts(entries: BTreeMap<Text, Datum>) -> Self {
        Self::Map(Rc::new(Map { holds_texts: true, entries: RefCell::new(entries) }))
    }

    /// Whether an `if` takes it: not the zero of its kind.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Uint64(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(value) => !value.bytes().is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => map.len() > 0,
            Self::Time(_) | Self::Version(_) | Self::Certificate(_) => true,
        }
    }
}

impl Map {
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Datum> {
        self.entries.borrow().get(key).cloned()
    }

    pub(crate) fn set(&self, key: Text, value: Datum) {
        // What was there is dropped after the borrow: its own drop may look into other maps.
        let before = self.entries.borrow_mut().insert(key, value);
        drop(before);
    }

    pub(crate) fn unset(&self, key: &[u8]) {
        let before = self.entries.borrow_mut().remove(key);
        drop(before);
    }

    /// The entries by key; a copy, so that a loop over them may change the map.
    pub(crate) fn entries(&self) -> Vec<(Text, Datum)> {
        self.entries.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Takes all entries out: how a map that holds itself is let go.
    pub(crate) fn clear(&self) -> BTreeMap<Text, Datum> {
        std::mem::take(&mut *self.entries.borrow_mut())
    }
}

impl Drop for List {
    fn drop(&mut self) {
        drop_flat(std::mem::take(&mut self.items));
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        drop_flat(std::mem::take(self.entries.get_mut()).into_values().collect());
    }
}

/// Drops what templates nested deeper than the stack is.
pub(crate) fn drop_flat(mut pending: Vec<Datum>) {
    while let Some(datum) = pending.pop() {
        match datum {
            Datum::List(list) => {
                if let Ok(mut list) = Rc::try_unwrap(list) {
                    pending.append(&mut list.items);
                }
            }
            Datum::Map(map) => {
                if let Ok(mut map) = Rc::try_unwrap(map) {
                    pending.extend(std::mem::take(map.entries.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}

impl From<Text> for Datum {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Datum {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
