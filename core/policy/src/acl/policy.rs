//! One policy, understood.

use std::sync::Arc;

use strongroom_failure::{Class, Failure};

use super::capability::Capabilities;
use super::document::{Entry, Node, Value, read, wrong};
use super::fields;
use super::identity::Template;
use super::rule::Limits;

/// The most blocks of one policy. Generated policies have hundreds; all of a login's are looked through when its
/// access list is made.
pub const RULE_LIMIT: usize = 10_000;

/// The most bytes of a path in a policy, as it is written. Stores bound names of secrets to less.
pub const PATH_LIMIT: usize = 4096;

/// The most mistakes that are told at once.
pub(super) const PROBLEM_LIMIT: usize = 20;

/// A policy that was understood; its text is kept by the caller.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) name: Arc<str>,
    pub(super) blocks: Vec<Block>,
}

/// One `path "…" { … }`.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) line: u32,
    pub(super) path: Template,
    pub(super) capabilities: Capabilities,
    pub(super) limits: Limits,
    /// The last second in which it holds, since 1970.
    pub(super) expires: Option<i64>,
}

impl Policy {
    /// Understands the text of a policy, in HCL or JSON. The name is kept as it is given; Vault's are in small letters,
    /// and `root` is no policy with a text ([`super::Acl::root`]).
    ///
    /// # Errors
    /// Every mistake (at most 20), `Invalid`, each with its line, path and argument as its field: `line 3, path "a/*",
    /// capabilities`. Values of parameters are not repeated. A text that is no HCL or JSON has one mistake, the first.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Failure>> {
        let entries = read(text).map_err(|failure| vec![failure])?;
        let mut problems = Vec::new();
        let mut blocks = Vec::new();
        for entry in &entries {
            top(entry, &mut blocks, &mut problems);
            if problems.len() >= PROBLEM_LIMIT || blocks.len() > RULE_LIMIT {
                break;
            }
        }
        if blocks.len() > RULE_LIMIT {
            problems.push(Failure::new(Class::Invalid, format!("the policy has more than {RULE_LIMIT} paths")));
        }
        problems.truncate(PROBLEM_LIMIT);
        if problems.is_empty() { Ok(Self { name: Arc::from(name), blocks }) } else { Err(problems) }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a path has a template, so that the access list depends on the identity.
    pub fn is_templated(&self) -> bool {
        self.blocks.iter().any(|block| block.path.has_values())
    }
}

/// Something at the top: `path`, or `name`, which Vault reads and does not use.
fn top(entry: &Entry, blocks: &mut Vec<Block>, problems: &mut Vec<Failure>) {
    let keys: Vec<&str> = entry.keys.iter().map(String::as_str).collect();
    match (keys.as_slice(), &entry.node.value) {
        (["name"], Value::Text(_)) => {}
        (["path", path], _) => push(path, entry.line, &entry.node, blocks, problems),
        // JSON: an object of paths, or a list of such objects.
        (["path"], Value::Object(_)) => paths(&entry.node, blocks, problems),
        (["path"], Value::List(list)) => list.iter().for_each(|node| paths(node, blocks, problems)),
        (["path"], _) => problems.push(wrong(entry.line, "a path is written: path \"secret/data/app\" { … }")),
        (["path", ..], _) => problems.push(wrong(entry.line, "a path has one label, in double quotes")),
        ([key, ..], _) => problems.push(wrong(
            entry.line,
            format!("{} is not known here; a policy consists of path \"…\" {{ … }}", fields::shown(key)),
        )),
        ([], _) => {}
    }
}

fn paths(node: &Node, blocks: &mut Vec<Block>, problems: &mut Vec<Failure>) {
    let Value::Object(entries) = &node.value else {
        problems.push(wrong(node.line, "a path is written: \"path\": {\"secret/data/app\": { … }}"));
        return;
    };
    for entry in entries {
        match entry.keys.as_slice() {
            [path] => push(path, entry.line, &entry.node, blocks, problems),
            _ => problems.push(wrong(entry.line, "a path has one label, in double quotes")),
        }
        if problems.len() >= PROBLEM_LIMIT || blocks.len() > RULE_LIMIT {
            return;
        }
    }
}

fn push(path: &str, line: u32, node: &Node, blocks: &mut Vec<Block>, problems: &mut Vec<Failure>) {
    let place = format!("line {line}, path {}", fields::shown(path));
    let Value::Object(entries) = &node.value else {
        problems.push(wrong(line, format!("path {} must be followed by a block: {{ … }}", fields::shown(path))));
        return;
    };
    let template = match template(path) {
        Ok(template) => template,
        Err(words) => {
            problems.push(wrong(line, words).in_field(place));
            return;
        }
    };
    if let Some(body) = fields::body(path, entries, problems) {
        let fields::Body { capabilities, limits, expires } = body;
        blocks.push(Block { line, path: template, capabilities, limits, expires });
    }
}

fn template(path: &str) -> Result<Template, String> {
    if path.len() > PATH_LIMIT {
        return Err(format!("the path is {} bytes long; the limit is {PATH_LIMIT}", path.len()));
    }
    if path.contains("+*") {
        return Err("\"+*\" is no pattern: \"+\" stands for a whole segment, \"*\" for any end".to_owned());
    }
    Template::new(path)
}
