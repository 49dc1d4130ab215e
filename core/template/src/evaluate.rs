//! Walks a template's trees and writes its output, by the rules of Go's `text/template`.

mod call;
mod fields;
mod operands;

use jiff::Timestamp;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::failure::{Place, TemplateFailure};
use crate::formats::Builder;
use crate::formats::print::print;
use crate::limits::{Fault, Made, Meter};
use crate::syntax::{Branch, BranchKind, Node, Offset, Pipe, Trees};
use crate::values::Datum;

pub(crate) use self::call::{Call, Function, Kind};

/// What a template is rendered from.
pub(crate) struct Source<'t> {
    pub(crate) name: &'t str,
    pub(crate) text: &'t str,
    pub(crate) trees: &'t Trees,
    pub(crate) now: Timestamp,
}

/// Renders `source` with `dot` as its data.
pub(crate) fn render(source: &Source<'_>, dot: Datum, meter: Meter) -> Result<SecretBytes, TemplateFailure> {
    let mut machine = Machine { source, meter, made: Made::default(), output: Zeroizing::new(Vec::new()), depth: 0 };
    let mut scope = Scope { template: source.name, variables: vec![("$", dot.clone())] };
    let done = match source.trees.get(source.name) {
        Some(tree) => machine.walk(&mut scope, &dot, tree).map(|_| ()),
        None => Ok(()),
    };
    let output = SecretBytes::new(std::mem::take(&mut *machine.output));
    done.map(|()| output)
}

/// What a rendering has in its hands.
pub(crate) struct Machine<'t> {
    source: &'t Source<'t>,
    meter: Meter,
    made: Made,
    output: Zeroizing<Vec<u8>>,
    depth: usize,
}

/// The variables of one template's body.
struct Scope<'t> {
    template: &'t str,
    /// Names with their `$`, the innermost last.
    variables: Vec<(&'t str, Datum)>,
}

/// What comes after a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Walked = Result<Flow, TemplateFailure>;
type Evaluated = Result<Datum, TemplateFailure>;

impl<'t> Machine<'t> {
    /// Names the place of a fault.
    fn at(&self, scope: &Scope<'t>, at: Offset, what: String, fault: &Fault) -> TemplateFailure {
        let place = Place::of(self.source.name, self.source.text, at);
        TemplateFailure::new(place, fault.words()).executing(scope.template, what)
    }

    fn fail<T>(
        &self,
        scope: &Scope<'t>,
        at: Offset,
        what: String,
        words: impl Into<String>,
    ) -> Result<T, TemplateFailure> {
        Err(self.at(scope, at, what, &Fault::new(words)))
    }

    fn deeper<T>(
        &mut self,
        scope: &mut Scope<'t>,
        at: Offset,
        inner: impl FnOnce(&mut Self, &mut Scope<'t>) -> Result<T, TemplateFailure>,
    ) -> Result<T, TemplateFailure> {
        if self.depth >= self.meter.depth() {
            return self.fail(scope, at, String::new(), format!("nesting is deeper than {}", self.meter.depth()));
        }
        self.depth += 1;
        let made = inner(self, scope);
        self.depth -= 1;
        made
    }

    fn walk(&mut self, scope: &mut Scope<'t>, dot: &Datum, nodes: &'t [Node]) -> Walked {
        for node in nodes {
            let flow = self.node(scope, dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, scope: &mut Scope<'t>, dot: &Datum, node: &'t Node) -> Walked {
        match node {
            Node::Text(text) => {
                let written = self.meter.step(1).and_then(|()| self.meter.write(text.bytes().len()));
                written.map_err(|fault| self.at(scope, 0, "text".to_owned(), &fault))?;
                self.output.extend_from_slice(text.bytes());
            }
            Node::Action(pipe) => {
                let value = self.pipe(scope, dot, pipe)?;
                if pipe.declared.is_empty() {
                    self.print(&value).map_err(|fault| self.at(scope, pipe.at, pipe.name(), &fault))?;
                }
            }
            Node::Branch(branch) => {
                let variables = scope.variables.len();
                let flow = self.deeper(scope, branch.pipe.at, |machine, scope| match branch.kind {
                    BranchKind::Range => machine.range(scope, dot, branch),
                    BranchKind::If | BranchKind::With => machine.choose(scope, dot, branch),
                })?;
                scope.variables.truncate(variables);
                return Ok(flow);
            }
            Node::Template { at, name, pipe } => self.template(scope, dot, *at, name, pipe.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Datum) -> Result<(), Fault> {
        if let Datum::Text(text) = value {
            self.meter.write(text.bytes().len())?;
            self.output.extend_from_slice(text.bytes());
            return Ok(());
        }
        let mut builder = Builder::new(&mut self.meter);
        print(&mut builder, value)?;
        let bytes = builder.finish();
        self.meter.write(bytes.len())?;
        self.output.extend_from_slice(&bytes);
        Ok(())
    }

    fn choose(&mut self, scope: &mut Scope<'t>, dot: &Datum, branch: &'t Branch) -> Walked {
        let value = self.pipe(scope, dot, &branch.pipe)?;
        if !value.is_true() {
            return self.walk(scope, dot, &branch.otherwise);
        }
        let dot = if branch.kind == BranchKind::With { &value } else { dot };
        self.walk(scope, dot, &branch.body)
    }

    fn range(&mut self, scope: &mut Scope<'t>, dot: &Datum, branch: &'t Branch) -> Walked {
        let value = self.pipe(scope, dot, &branch.pipe)?;
        let pairs = match &value {
            Datum::Nil => Vec::new(),
            Datum::List(list) => numbered(list.items.iter().cloned()),
            Datum::Map(map) => map.entries().into_iter().map(|(key, value)| (Datum::Text(key), value)).collect(),
            Datum::Int(count) | Datum::Int64(count) => return self.count(scope, dot, branch, &value, *count),
            other => {
                let words = format!("range can't iterate over {}", crate::values::type_name(other));
                return self.fail(scope, branch.pipe.at, branch.pipe.name(), words);
            }
        };
        if pairs.is_empty() {
            return self.walk(scope, dot, &branch.otherwise);
        }
        let mark = scope.variables.len();
        for (index, element) in pairs {
            if !self.turn(scope, branch, mark, index, element)? {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// A range over a number: from 0 up to it.
    fn count(&mut self, scope: &mut Scope<'t>, dot: &Datum, branch: &'t Branch, kind: &Datum, count: i64) -> Walked {
        if branch.pipe.declared.len() > 1 {
            let words = "can't use a number to iterate over more than one variable";
            return self.fail(scope, branch.pipe.at, branch.pipe.name(), words);
        }
        if count <= 0 {
            return self.walk(scope, dot, &branch.otherwise);
        }
        let mark = scope.variables.len();
        for number in 0..count {
            let element = if matches!(kind, Datum::Int64(_)) { Datum::Int64(number) } else { Datum::Int(number) };
            if !self.turn(scope, branch, mark, Datum::Nil, element)? {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// One turn of a loop; whether there may be another.
    fn turn(
        &mut self,
        scope: &mut Scope<'t>,
        branch: &'t Branch,
        mark: usize,
        index: Datum,
        element: Datum,
    ) -> Result<bool, TemplateFailure> {
        self.meter.step(1).map_err(|fault| self.at(scope, branch.pipe.at, branch.pipe.name(), &fault))?;
        let values = match branch.pipe.declared.as_slice() {
            [] => Vec::new(),
            [one] => vec![(one, element.clone())],
            [first, second, ..] => vec![(first, index), (second, element.clone())],
        };
        for (name, value) in values {
            scope.assign(name, value);
        }
        let flow = self.walk(scope, &element, &branch.body)?;
        scope.variables.truncate(mark);
        Ok(flow != Flow::Break)
    }

    fn template(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        at: Offset,
        name: &'t str,
        pipe: Option<&'t Pipe>,
    ) -> Result<(), TemplateFailure> {
        let Some(tree) = self.source.trees.get(name) else {
            return self.fail(scope, at, "template".to_owned(), format!("template \"{name}\" not defined"));
        };
        let dot = match pipe {
            Some(pipe) => self.pipe(scope, dot, pipe)?,
            None => Datum::Nil,
        };
        self.deeper(scope, at, |machine, _| {
            let mut inner = Scope { template: name, variables: vec![("$", dot.clone())] };
            machine.walk(&mut inner, &dot, tree).map(|_| ())
        })
    }

    /// The value of a pipeline, declared variables set.
    fn pipe(&mut self, scope: &mut Scope<'t>, dot: &Datum, pipe: &'t Pipe) -> Evaluated {
        let mut value = None;
        for command in &pipe.commands {
            self.meter.step(1).map_err(|fault| self.at(scope, command.first.at, command.first.name(), &fault))?;
            value = Some(self.command(scope, dot, command, value)?);
        }
        let value = value.unwrap_or(Datum::Nil);
        for name in &pipe.declared {
            if pipe.assigns {
                if scope.variable(name).is_none() {
                    let at = pipe.commands.last().map_or(pipe.at, |command| command.first.at);
                    return self.fail(scope, at, pipe.name(), format!("undefined variable: {name}"));
                }
                scope.assign(name, value.clone());
            } else {
                scope.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }
}

impl Scope<'_> {
    fn assign(&mut self, name: &str, value: Datum) {
        if let Some(variable) = self.variables.iter_mut().rev().find(|variable| variable.0 == name) {
            variable.1 = value;
        }
    }

    fn variable(&self, name: &str) -> Option<Datum> {
        self.variables.iter().rev().find(|variable| variable.0 == name).map(|variable| variable.1.clone())
    }
}

fn numbered(items: impl Iterator<Item = Datum>) -> Vec<(Datum, Datum)> {
    items.enumerate().map(|(index, item)| (Datum::Int(i64::try_from(index).unwrap_or(i64::MAX)), item)).collect()
}
