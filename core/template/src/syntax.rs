//! From text to a tree, by the rules of Go's `text/template/parse`.

mod lexer;
mod numbers;
mod parser;
mod quoting;

use std::collections::BTreeMap;

use crate::values::Text;

pub(crate) use self::numbers::{Number, parse_float, parse_int};
pub(crate) use self::parser::{Rules, parse};

/// Where something stands in the template's text, in bytes from its start.
pub(crate) type Offset = usize;

/// A template's trees by name; the one of the whole text bears the template's own name.
pub(crate) type Trees = BTreeMap<String, Vec<Node>>;

/// What a template is made of.
#[derive(Debug)]
pub(crate) enum Node {
    /// What stands outside delimiters.
    Text(Text),
    /// A pipeline whose value is printed, unless it declares variables.
    Action(Pipe),
    /// `if`, `with` and `range`.
    Branch(Branch),
    /// `template "name" pipeline`, and `block`.
    Template { at: Offset, name: String, pipe: Option<Pipe> },
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// One of the three controls, all of one shape.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) kind: BranchKind,
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BranchKind {
    If,
    With,
    Range,
}

/// Commands, each given the value of the one before as its last argument.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) at: Offset,
    /// Variables that get the value, `$` included in their names.
    pub(crate) declared: Vec<String>,
    /// Whether they are assigned (`=`) rather than declared (`:=`).
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// A function with its arguments, or one operand; never empty.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) first: Operand,
    pub(crate) arguments: Vec<Operand>,
}

/// A term with the place that errors about it name.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) at: Offset,
    pub(crate) term: Term,
}

#[derive(Debug)]
pub(crate) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Text),
    /// `.a.b`, names without dots.
    Field(Vec<String>),
    /// `$x.a.b`: the variable with its `$`, then fields.
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Pipe),
    /// Fields of a function's or a pipeline's value.
    Chain(Box<Operand>, Vec<String>),
}

impl Operand {
    /// What errors call it: names of fields and functions, and never a literal, which may have been a secret.
    pub(crate) fn name(&self) -> String {
        let dotted = |fields: &[String]| fields.iter().map(|field| format!(".{field}")).collect::<String>();
        match &self.term {
            Term::Dot => ".".to_owned(),
            Term::Nil => "nil".to_owned(),
            Term::Bool(value) => value.to_string(),
            Term::Number(_) => "number".to_owned(),
            Term::Text(_) => "string".to_owned(),
            Term::Field(fields) => dotted(fields),
            Term::Variable(name, fields) => format!("{name}{}", dotted(fields)),
            Term::Function(name) => name.clone(),
            Term::Pipe(pipe) => pipe.name(),
            Term::Chain(inner, fields) => format!("({}){}", inner.name(), dotted(fields)),
        }
    }
}

impl Pipe {
    /// What errors call it: its first command.
    pub(crate) fn name(&self) -> String {
        self.commands.first().map(|command| command.first.name()).unwrap_or_default()
    }
}
