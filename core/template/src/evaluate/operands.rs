//! Commands and their operands.

use super::call::{Function, Kind};
use super::{Evaluated, Machine, Scope};
use crate::functions;
use crate::limits::Fault;
use crate::syntax::{Command, Number, Operand, Term};
use crate::values::{Datum, type_name};

impl<'t> Machine<'t> {
    /// A command's value; `last` is the value of the command before it in the pipeline.
    pub(super) fn command(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        command: &'t Command,
        last: Option<Datum>,
    ) -> Evaluated {
        let Command { first, arguments } = command;
        match &first.term {
            Term::Function(name) => return self.function(scope, dot, first, name, arguments, last),
            Term::Field(fields) => return self.chain(scope, dot, dot.clone(), first, fields, arguments, last),
            Term::Variable(name, fields) if !fields.is_empty() => {
                let value = scope.variable(name).unwrap_or(Datum::Nil);
                return self.chain(scope, dot, value, first, fields, arguments, last);
            }
            Term::Chain(inner, fields) => {
                let value = self.operand(scope, dot, inner, Kind::Any)?;
                return self.chain(scope, dot, value, first, fields, arguments, last);
            }
            _ => {}
        }
        if !arguments.is_empty() || last.is_some() {
            return self.fail(scope, first.at, first.name(), "can't give argument to non-function");
        }
        match &first.term {
            Term::Nil => self.fail(scope, first.at, first.name(), "nil is not a command"),
            _ => self.operand(scope, dot, first, Kind::Any),
        }
    }

    /// An operand's value where a parameter of `kind` is.
    pub(super) fn operand(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        operand: &'t Operand,
        kind: Kind,
    ) -> Evaluated {
        self.meter.step(1).map_err(|fault| self.at(scope, operand.at, operand.name(), &fault))?;
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil => Datum::Nil,
            Term::Field(fields) => self.chain(scope, dot, dot.clone(), operand, fields, &[], None)?,
            Term::Variable(name, fields) => {
                let value = scope.variable(name).unwrap_or(Datum::Nil);
                self.chain(scope, dot, value, operand, fields, &[], None)?
            }
            Term::Pipe(pipe) => self.deeper(scope, operand.at, |machine, scope| machine.pipe(scope, dot, pipe))?,
            Term::Function(name) => self.function(scope, dot, operand, name, &[], None)?,
            Term::Chain(inner, fields) => {
                let value = self.operand(scope, dot, inner, Kind::Any)?;
                self.chain(scope, dot, value, operand, fields, &[], None)?
            }
            Term::Bool(_) | Term::Number(_) | Term::Text(_) => {
                return literal(&operand.term, kind)
                    .map_err(|fault| self.at(scope, operand.at, operand.name(), &fault));
            }
        };
        fitting(value, kind).map_err(|fault| self.at(scope, operand.at, operand.name(), &fault))
    }

    fn function(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        operand: &'t Operand,
        name: &str,
        arguments: &'t [Operand],
        last: Option<Datum>,
    ) -> Evaluated {
        match name {
            "and" | "or" => self.shortcut(scope, dot, operand, name == "or", arguments, last),
            _ => match functions::find(name) {
                Some(function) => self.call(scope, dot, operand, function, None, arguments, last),
                None => self.fail(scope, operand.at, operand.name(), format!("\"{name}\" is not a defined function")),
            },
        }
    }

    /// `and` and `or`: the first argument that decides, or the last one.
    fn shortcut(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        operand: &'t Operand,
        deciding: bool,
        arguments: &'t [Operand],
        last: Option<Datum>,
    ) -> Evaluated {
        let mut value = None;
        for argument in arguments {
            let found = self.operand(scope, dot, argument, Kind::Any)?;
            if found.is_true() == deciding {
                return Ok(found);
            }
            value = Some(found);
        }
        match last.or(value) {
            Some(value) => Ok(value),
            None => {
                let words = format!("wrong number of args for {}: want at least 1 got 0", operand.name());
                self.fail(scope, operand.at, operand.name(), words)
            }
        }
    }

    /// Calls `function` with what its parameters take; `receiver` stands before the arguments.
    #[expect(clippy::too_many_arguments, reason = "a call is what all of these make; a struct would only rename them")]
    pub(super) fn call(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        operand: &'t Operand,
        function: &'static Function,
        receiver: Option<Datum>,
        arguments: &'t [Operand],
        last: Option<Datum>,
    ) -> Evaluated {
        let count = arguments.len() + usize::from(last.is_some());
        function.takes(count).map_err(|fault| self.at(scope, operand.at, operand.name(), &fault))?;
        let mut values: Vec<Datum> = receiver.into_iter().collect();
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.operand(scope, dot, argument, function.kind(index))?);
        }
        if let Some(last) = last {
            let value = fitting(last, function.kind(arguments.len()));
            values.push(value.map_err(|fault| self.at(scope, operand.at, operand.name(), &fault))?);
        }
        let is_written = matches!(arguments, [argument] if matches!(argument.term, Term::Text(_)));
        self.run(function, &values, is_written).map_err(|fault| {
            let fault = Fault::new(format!("error calling {}: {}", function.name, fault.words()));
            self.at(scope, operand.at, operand.name(), &fault)
        })
    }

    fn run(&mut self, function: &'static Function, arguments: &[Datum], is_written: bool) -> Result<Datum, Fault> {
        let mut call =
            super::Call { arguments, meter: &mut self.meter, made: &mut self.made, now: self.source.now, is_written };
        (function.run)(&mut call)
    }
}

/// A literal where a parameter of `kind` is: a number becomes what the parameter is.
fn literal(term: &Term, kind: Kind) -> Result<Datum, Fault> {
    let found = |what: &str| Fault::new(format!("expected {}; found {what}", kind.expected()));
    match (term, kind) {
        (Term::Bool(value), Kind::Any | Kind::Bool) => Ok(Datum::Bool(*value)),
        (Term::Text(text), Kind::Any | Kind::Text) => Ok(Datum::Text(text.clone())),
        (Term::Number(number), Kind::Any) => ideal(number),
        (Term::Number(number), Kind::Int) => number.int.map(Datum::Int).ok_or_else(|| found("number")),
        (Term::Number(number), Kind::Uint32) => {
            let value = number.uint.and_then(|value| u32::try_from(value).ok()).map(i64::from);
            value.map(Datum::Int).ok_or_else(|| found("number"))
        }
        (Term::Number(number), Kind::Float) => number.float.map(Datum::Float).ok_or_else(|| found("number")),
        (Term::Bool(_), _) => Err(found("bool")),
        (Term::Text(_), _) => Err(found("string")),
        _ => Err(found("number")),
    }
}

/// A number where nothing says what it should be.
fn ideal(number: &Number) -> Result<Datum, Fault> {
    match (number.is_float, number.float, number.int) {
        (true, Some(float), _) => Ok(Datum::Float(float)),
        (_, _, Some(int)) => Ok(Datum::Int(int)),
        _ => Err(Fault::new("number overflows int")),
    }
}

/// `value` where it fits a parameter of `kind`. Nothing is converted, as in Go: `int`, `toString` and their like do.
pub(super) fn fitting(value: Datum, kind: Kind) -> Result<Datum, Fault> {
    let fits = match (&value, kind) {
        (_, Kind::Any) | (Datum::Nil, Kind::Map | Kind::List) => true,
        (Datum::Nil, _) => return Err(Fault::new(format!("invalid value; expected {}", kind.expected()))),
        (Datum::Text(_), Kind::Text)
        | (Datum::Int(_), Kind::Int)
        | (Datum::Float(_), Kind::Float)
        | (Datum::Bool(_), Kind::Bool)
        | (Datum::Map(_), Kind::Map)
        | (Datum::List(_), Kind::List)
        | (Datum::Time(_), Kind::Time)
        | (Datum::Version(_), Kind::Version)
        | (Datum::Certificate(_), Kind::Certificate) => true,
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    let words = format!("wrong type for value; expected {}; got {}", kind.expected(), type_name(&value));
    Err(Fault::new(words))
}
