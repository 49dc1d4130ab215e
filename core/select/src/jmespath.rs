//! JMESPath, jmespath.org.
//!
//! The crate gets its values from serde, and there serde_json's numbers of arbitrary precision (which other crates of
//! the workspace need, so that numbers leave as they came) look like objects. So documents are converted here, the
//! literals of an expression are repaired, and `to_number` is our own. It has no limits of its own either: what could
//! multiply a document is counted before anything is evaluated, and `join` is our own as well.

use std::collections::BTreeMap;
use std::rc::Rc;

use jmespath::ast::Ast;
use jmespath::functions::{ArgumentType, CustomFunction, Signature};
use jmespath::{Context, ErrorReason, JmespathError, Rcvar, Runtime, Variable, interpret, parse};
use serde_json::{Number, Value};
use strongroom_secret::SecretBytes;

use crate::tree::{Tree, as_json};
use crate::unquoted::unquoted;
use crate::{DOCUMENT_LIMIT, SelectFailure};

const LANGUAGE: &str = "JMESPath";

/// The most brackets inside each other, and the most projections, negations and expression references in all: the
/// parser recurses with them. People write three.
const BRACKETS_LIMIT: usize = 24;
const PROJECTIONS_LIMIT: usize = 64;

/// The most steps inside each other, `a.b.c` being three: the interpreter recurses with them, in frames of several
/// kilobytes.
const DEPTH_LIMIT: usize = 64;

/// How large a result may be by the form of the expression, in bytes, as if every list in it were filled with the
/// whole document: `[@,@][]` doubles a list, and a chain of thirty of them would fill any memory.
const GROWTH_LIMIT: usize = 16 * DOCUMENT_LIMIT;

pub(crate) fn select(document: &SecretBytes, path: &str) -> Result<Option<SecretBytes>, SelectFailure> {
    let ast = compile(path)?;
    if growth(&ast).saturating_mul(document.len()) > GROWTH_LIMIT {
        return Err(SelectFailure::ResultTooLarge);
    }
    let tree = Tree::parse(document)?;
    let runtime = runtime();
    let mut context = Context::new(path, &runtime);
    let found = interpret(&convert(tree.root()), &ast, &mut context).map_err(|error| failed(&error))?;
    match &*found {
        Variable::Null => Ok(None),
        Variable::String(text) => Ok(Some(SecretBytes::new(text.clone().into_bytes()))),
        Variable::Expref(_) => Err(SelectFailure::bad_path(LANGUAGE, "an expression reference is no value")),
        _ => as_json(&found).map(Some),
    }
}

/// The reason alone: it names types and functions, where the whole error repeats the expression.
fn failed(error: &JmespathError) -> SelectFailure {
    SelectFailure::bad_path(LANGUAGE, &format!("{} (at character {})", error.reason, error.offset))
}

fn compile(path: &str) -> Result<Ast, SelectFailure> {
    check_nesting(path)?;
    let mut ast = parse(path).map_err(|error| failed(&error))?;
    if depth(&ast) > DEPTH_LIMIT {
        return Err(SelectFailure::TooDeep);
    }
    repair_literals(&mut ast);
    Ok(ast)
}

/// Bounds how deeply the parser recurses.
fn check_nesting(path: &str) -> Result<(), SelectFailure> {
    let (mut open, mut projections) = (0usize, 0usize);
    for character in unquoted(path) {
        match character {
            '[' => (open, projections) = (open + 1, projections + 1),
            '(' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '&' | '*' => projections += 1,
            _ => {}
        }
        if open > BRACKETS_LIMIT || projections > PROJECTIONS_LIMIT {
            return Err(SelectFailure::TooDeep);
        }
    }
    Ok(())
}

/// How many times larger than its input an expression's result can be.
fn growth(ast: &Ast) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.fold(0, usize::saturating_add).max(1);
    match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } | Ast::Literal { .. } => 1,
        Ast::Expref { ast, .. } => growth(ast),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => growth(node),
        Ast::Subexpr { lhs, rhs, .. } | Ast::Projection { lhs, rhs, .. } => growth(lhs).saturating_mul(growth(rhs)),
        Ast::Condition { then, .. } => growth(then),
        Ast::And { lhs, rhs, .. } | Ast::Or { lhs, rhs, .. } | Ast::Comparison { lhs, rhs, .. } => {
            growth(lhs).max(growth(rhs))
        }
        Ast::MultiList { elements, .. } => sum(&mut elements.iter().map(growth)),
        Ast::MultiHash { elements, .. } => sum(&mut elements.iter().map(|pair| growth(&pair.value))),
        // An expression reference is evaluated for each element of the other argument.
        Ast::Function { name, args, .. } => {
            let all = args.iter().map(growth).fold(1, usize::saturating_mul);
            // Every quote and backslash of a text inside is escaped once more.
            if name == "to_string" { all.saturating_mul(2) } else { all }
        }
    }
}

fn depth(ast: &Ast) -> usize {
    1 + match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } | Ast::Literal { .. } => 0,
        Ast::Expref { ast, .. } => depth(ast),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => depth(node),
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => depth(lhs).max(depth(rhs)),
        Ast::Condition { predicate, then, .. } => depth(predicate).max(depth(then)),
        Ast::MultiList { elements, .. } => elements.iter().map(depth).max().unwrap_or(0),
        Ast::MultiHash { elements, .. } => elements.iter().map(|pair| depth(&pair.value)).max().unwrap_or(0),
        Ast::Function { args, .. } => args.iter().map(depth).max().unwrap_or(0),
    }
}

/// Repairs the numbers in an expression's own literals.
fn repair_literals(ast: &mut Ast) {
    match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => {}
        Ast::Literal { value, .. } => *value = repaired(value),
        Ast::Expref { ast, .. } => repair_literals(ast),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => repair_literals(node),
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => {
            repair_literals(lhs);
            repair_literals(rhs);
        }
        Ast::Condition { predicate, then, .. } => {
            repair_literals(predicate);
            repair_literals(then);
        }
        Ast::MultiList { elements, .. } => elements.iter_mut().for_each(repair_literals),
        Ast::MultiHash { elements, .. } => elements.iter_mut().for_each(|pair| repair_literals(&mut pair.value)),
        Ast::Function { args, .. } => args.iter_mut().for_each(repair_literals),
    }
}

/// The same value with its numbers as numbers.
fn repaired(value: &Rcvar) -> Rcvar {
    match &**value {
        Variable::Array(elements) => Rc::new(Variable::Array(elements.iter().map(repaired).collect())),
        Variable::Object(members) => Rc::new(number_in_disguise(members).map_or_else(
            || Variable::Object(members.iter().map(|(key, value)| (key.clone(), repaired(value))).collect()),
            Variable::Number,
        )),
        _ => value.clone(),
    }
}

/// The number that serde_json handed over as an object of one member, under a name that it keeps for itself.
fn number_in_disguise(members: &BTreeMap<String, Rcvar>) -> Option<Number> {
    match members.iter().next() {
        Some((key, value)) if members.len() == 1 && key == "$serde_json::private::Number" => {
            value.as_string()?.parse().ok()
        }
        _ => None,
    }
}

/// A document as the crate wants it, its numbers as they are written.
fn convert(value: &Value) -> Rcvar {
    Rc::new(match value {
        Value::Null => Variable::Null,
        Value::Bool(truth) => Variable::Bool(*truth),
        Value::Number(number) => Variable::Number(number.clone()),
        Value::String(text) => Variable::String(text.clone()),
        Value::Array(elements) => Variable::Array(elements.iter().map(convert).collect()),
        Value::Object(members) => {
            Variable::Object(members.iter().map(|(key, value)| (key.clone(), convert(value))).collect())
        }
    })
}

fn runtime() -> Runtime {
    let mut runtime = Runtime::new();
    runtime.register_builtin_functions();
    let any = Signature::new(vec![ArgumentType::Any], None);
    runtime.register_function("to_number", Box::new(CustomFunction::new(any, Box::new(to_number))));
    let texts = ArgumentType::TypedArray(Box::new(ArgumentType::String));
    let joinable = Signature::new(vec![ArgumentType::String, texts], None);
    runtime.register_function("join", Box::new(CustomFunction::new(joinable, Box::new(join))));
    runtime
}

/// `to_number`: a number as it is, a text that is one in JSON as that, null for all else.
fn to_number(arguments: &[Rcvar], _: &mut Context<'_>) -> Result<Rcvar, JmespathError> {
    Ok(match &*arguments[0] {
        Variable::Number(_) => arguments[0].clone(),
        Variable::String(text) => {
            let number = serde_json::from_str::<Number>(text.trim()).ok();
            Rc::new(number.map_or(Variable::Null, Variable::Number))
        }
        _ => Rc::new(Variable::Null),
    })
}

/// `join`: texts with a glue between them, no larger than a document may be.
fn join(arguments: &[Rcvar], context: &mut Context<'_>) -> Result<Rcvar, JmespathError> {
    let glue = arguments[0].as_string().map_or("", String::as_str);
    let texts: Vec<&str> =
        arguments[1].as_array().into_iter().flatten().filter_map(|text| text.as_string()).map(String::as_str).collect();
    let glues = glue.len().saturating_mul(texts.len().saturating_sub(1));
    let length = texts.iter().map(|text| text.len()).fold(glues, usize::saturating_add);
    if length > DOCUMENT_LIMIT {
        let reason = ErrorReason::Parse("join makes too large a text".to_owned());
        return Err(JmespathError::from_ctx(context, reason));
    }
    Ok(Rc::new(Variable::String(texts.join(glue))))
}
