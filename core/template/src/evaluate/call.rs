//! A function as the table has it, and a call of it.

use std::rc::Rc;

use jiff::Timestamp;

use crate::formats::Builder;
use crate::limits::{Fault, Made, Meter};
use crate::values::{Certificate, Datum, List, Map, Text};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Bool,
    Int,
    Uint32,
    Float,
    Text,
    Map,
    List,
    Time,
    Version,
    Certificate,
}

impl Kind {
    /// The name that errors give it: Go's type.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint32 => "uint32",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Map => "map[string]interface {}",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
            Self::Version => "*semver.Version",
            Self::Certificate => "sprig.certificate",
        }
    }
}

/// A function that templates call.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// What its parameters take, in order.
    pub(crate) parameters: &'static [Kind],
    /// What any number of further arguments must be, where there may be such.
    pub(crate) rest: Option<Kind>,
    pub(crate) run: fn(&mut Call<'_>) -> Result<Datum, Fault>,
}

impl Function {
    /// What the argument of this index must be.
    pub(crate) fn kind(&self, index: usize) -> Kind {
        self.parameters.get(index).copied().or(self.rest).unwrap_or(Kind::Any)
    }

    pub(crate) fn takes(&self, count: usize) -> Result<(), Fault> {
        let (name, wanted) = (self.name, self.parameters.len());
        match self.rest {
            Some(_) if count >= wanted => Ok(()),
            None if count == wanted => Ok(()),
            Some(_) => Err(Fault::new(format!("wrong number of args for {name}: want at least {wanted} got {count}"))),
            None => Err(Fault::new(format!("wrong number of args for {name}: want {wanted} got {count}"))),
        }
    }
}

/// A call: its arguments, which fit the parameters, and what a function may need besides.
pub(crate) struct Call<'r> {
    pub(crate) arguments: &'r [Datum],
    pub(crate) meter: &'r mut Meter,
    pub(crate) made: &'r mut Made,
    /// The time of the rendering.
    pub(crate) now: Timestamp,
    /// Whether the one argument is a literal in the template, which its author meant to be seen.
    pub(crate) is_written: bool,
}

impl Call<'_> {
    pub(crate) fn any(&self, index: usize) -> Datum {
        self.arguments.get(index).cloned().unwrap_or(Datum::Nil)
    }

    /// The arguments from `index` on.
    pub(crate) fn rest(&self, index: usize) -> &[Datum] {
        self.arguments.get(index..).unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.arguments.len()
    }

    /// A text, empty where the parameter took something else.
    pub(crate) fn text(&self, index: usize) -> Text {
        match self.arguments.get(index) {
            Some(Datum::Text(text)) => text.clone(),
            _ => Text::default(),
        }
    }

    /// A text as UTF-8.
    pub(crate) fn string(&self, index: usize) -> String {
        self.text(index).lossy().into_owned()
    }

    pub(crate) fn int(&self, index: usize) -> i64 {
        match self.arguments.get(index) {
            Some(Datum::Int(value) | Datum::Int64(value)) => *value,
            _ => 0,
        }
    }

    pub(crate) fn float(&self, index: usize) -> f64 {
        match self.arguments.get(index) {
            Some(Datum::Float(value)) => *value,
            _ => 0.0,
        }
    }

    pub(crate) fn is_true(&self, index: usize) -> bool {
        matches!(self.arguments.get(index), Some(Datum::Bool(true)))
    }

    pub(crate) fn map(&self, index: usize) -> Option<Rc<Map>> {
        match self.arguments.get(index) {
            Some(Datum::Map(map)) => Some(Rc::clone(map)),
            _ => None,
        }
    }

    pub(crate) fn list(&self, index: usize) -> Option<Rc<List>> {
        match self.arguments.get(index) {
            Some(Datum::List(list)) => Some(Rc::clone(list)),
            _ => None,
        }
    }

    pub(crate) fn certificate(&self, index: usize) -> Option<Rc<Certificate>> {
        match self.arguments.get(index) {
            Some(Datum::Certificate(certificate)) => Some(Rc::clone(certificate)),
            _ => None,
        }
    }

    /// A string in the making, whose bytes are counted.
    pub(crate) fn builder(&mut self) -> Builder<'_> {
        Builder::new(self.meter)
    }

    /// A text of `bytes`, counted.
    pub(crate) fn make(&mut self, bytes: impl Into<Vec<u8>>) -> Result<Datum, Fault> {
        let bytes = bytes.into();
        self.meter.make(bytes.len())?;
        Ok(Datum::text(bytes))
    }

    /// A list of anything, counted.
    pub(crate) fn make_list(&mut self, items: Vec<Datum>) -> Result<Datum, Fault> {
        self.meter.step(items.len())?;
        Ok(Datum::list(items))
    }
}
