//! JSONPath, RFC 9535.
//!
//! The crate has no limits of its own: what a query could cost is counted before it is evaluated.

use serde_json::Value;
use serde_json_path::JsonPath;
use strongroom_secret::SecretBytes;

use crate::expressions::names_unicode_class;
use crate::tree::{Tree, as_json, export};
use crate::unquoted::unquoted;
use crate::{DOCUMENT_LIMIT, SelectFailure};

/// The most brackets and negations inside each other: the parser recurses with them and tries each in several ways.
const NESTING_LIMIT: usize = 8;

/// The most nodes, counted by the byte, that a query may visit: 32 passes over the largest document.
const VISITS_LIMIT: usize = 32 * DOCUMENT_LIMIT;

/// What one regular expression costs, in visits: it is compiled anew for every node that it is tried on, and each
/// character of a text is held against every state of it.
const EXPRESSION_COST: usize = 256;

pub(crate) fn select(document: &SecretBytes, path: &str) -> Result<Option<SecretBytes>, SelectFailure> {
    with_nodes(document, path, |nodes| match nodes {
        [] => Ok(None),
        [node] => export(node).map(Some),
        nodes => as_json(&nodes).map(Some),
    })
}

pub(crate) fn select_first(document: &SecretBytes, path: &str) -> Result<Option<SecretBytes>, SelectFailure> {
    with_nodes(document, path, |nodes| {
        let mut found = nodes.first().copied();
        while let Some(Value::Array(elements)) = found {
            found = elements.first();
        }
        found.map(export).transpose()
    })
}

/// What `take` makes of the nodes that a query selects.
fn with_nodes<T>(
    document: &SecretBytes,
    path: &str,
    take: impl FnOnce(&[&Value]) -> Result<T, SelectFailure>,
) -> Result<T, SelectFailure> {
    let shape = Shape::of(path);
    if shape.nesting > NESTING_LIMIT {
        return Err(SelectFailure::TooDeep);
    }
    if shape.expressions && names_unicode_class(path) {
        return Err(SelectFailure::bad_path(
            "JSONPath",
            "classes of Unicode (\\p{…}) are not supported in match and search",
        ));
    }
    let query = JsonPath::parse(path).map_err(|error| SelectFailure::bad_path("JSONPath", &error.to_string()))?;
    let tree = Tree::parse(document)?;
    if shape.visits(document.len(), depth(tree.root())) > VISITS_LIMIT {
        return Err(SelectFailure::TooMuchWork);
    }
    take(query.query(tree.root()).all().as_slice())
}

/// What a query's text says about its cost.
struct Shape {
    /// Brackets and negations inside each other.
    nesting: usize,
    /// `..`: each can meet a node once for every level above it.
    descents: u32,
    /// `$` inside of filters: each starts over for every node.
    restarts: u32,
    /// Selectors side by side, multiplied: `[*,*]` doubles the nodes.
    choices: usize,
    /// Whether there are regular expressions.
    expressions: bool,
}

impl Shape {
    fn of(path: &str) -> Self {
        let mut shape = Self { nesting: 0, descents: 0, restarts: 0, choices: 1, expressions: false };
        let (mut open, mut negations, mut before) = (0usize, 0usize, ' ');
        // Commas seen in each bracket that is open.
        let mut commas: Vec<usize> = Vec::new();
        for character in unquoted(path) {
            match character {
                '(' | '[' => {
                    open += 1;
                    commas.push(0);
                }
                ')' | ']' => {
                    open = open.saturating_sub(1);
                    shape.choices = shape.choices.saturating_mul(commas.pop().unwrap_or(0) + 1);
                }
                ',' => commas.iter_mut().last().into_iter().for_each(|count| *count += 1),
                '!' => negations += 1,
                '$' => shape.restarts += 1,
                '.' if before == '.' => shape.descents += 1,
                _ => {}
            }
            before = character;
            shape.nesting = shape.nesting.max(open + negations);
        }
        shape.restarts = shape.restarts.saturating_sub(1);
        shape.expressions = path.contains("match") || path.contains("search");
        shape
    }

    fn visits(&self, bytes: usize, depth: usize) -> usize {
        depth
            .saturating_pow(self.descents)
            .saturating_mul(bytes.saturating_pow(self.restarts))
            .saturating_mul(self.choices)
            .saturating_mul(if self.expressions { EXPRESSION_COST } else { 1 })
            .saturating_mul(bytes)
    }
}

/// How many levels a document has; the parser allows 128.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(elements) => elements.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}
