//! Tokens to trees.

use super::lexer::{Kind, Lexer, Token, Wrong};
use super::{Branch, BranchKind, Command, Node, Number, Offset, Operand, Pipe, Term, Trees, quoting};
use crate::failure::{Place, TemplateFailure};
use crate::values::Text;

/// What a text is parsed by.
pub(crate) struct Rules<'a> {
    pub(crate) left_delimiter: &'a str,
    pub(crate) right_delimiter: &'a str,
    /// How deep controls and parentheses may nest.
    pub(crate) depth: usize,
    pub(crate) is_function: &'a dyn Fn(&str) -> bool,
}

/// Parses `text`; the tree of the whole bears `name`.
///
/// # Errors
/// The first place where it is no template. Literals are never quoted.
pub(crate) fn parse(name: &str, text: &str, rules: &Rules<'_>) -> Result<Trees, TemplateFailure> {
    let lexer = Lexer::new(text, rules.left_delimiter, rules.right_delimiter);
    let mut parser = Parser {
        lexer,
        ahead: Vec::new(),
        rules,
        trees: Trees::new(),
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    let parsed = parser.top().and_then(|root| parser.add(name.to_owned(), root, 0));
    match parsed {
        Ok(()) => Ok(parser.trees),
        Err(wrong) => Err(TemplateFailure::new(Place::of(name, text, wrong.at), wrong.words)),
    }
}

type Parsed<T> = Result<T, Wrong>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Tokens that were put back, the next one last.
    ahead: Vec<Token<'a>>,
    rules: &'a Rules<'a>,
    trees: Trees,
    /// Variables in scope, the innermost last.
    variables: Vec<String>,
    depth: usize,
    /// How many ranges stand around.
    ranges: usize,
}

/// How a list of nodes ended.
enum Ending {
    End,
    Else,
}

fn wrong<T>(at: Offset, words: impl Into<String>) -> Parsed<T> {
    Err(Wrong { at, words: words.into() })
}

/// A token in words: its text where that is a sign or a name, and never a literal.
fn shown(token: &Token<'_>) -> String {
    match token.kind {
        Kind::End => "EOF".to_owned(),
        Kind::Quoted | Kind::Raw => "string".to_owned(),
        Kind::Number | Kind::Character => "number".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Space => "space".to_owned(),
        _ => format!("\"{}\"", token.text),
    }
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Parsed<Token<'a>> {
        match self.ahead.pop() {
            Some(token) => Ok(token),
            None => self.lexer.token(),
        }
    }

    fn back(&mut self, token: Token<'a>) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> Parsed<Token<'a>> {
        let token = self.next()?;
        self.back(token.clone());
        Ok(token)
    }

    fn next_solid(&mut self) -> Parsed<Token<'a>> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_solid(&mut self) -> Parsed<Token<'a>> {
        let token = self.next_solid()?;
        self.back(token.clone());
        Ok(token)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'a>> {
        let token = self.next_solid()?;
        if token.kind == kind { Ok(token) } else { unexpected(&token, context) }
    }

    fn deeper<T>(&mut self, at: Offset, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= self.rules.depth {
            return wrong(at, format!("nesting is deeper than {}", self.rules.depth));
        }
        self.depth += 1;
        let made = inner(self);
        self.depth -= 1;
        made
    }

    fn add(&mut self, name: String, tree: Vec<Node>, at: Offset) -> Parsed<()> {
        let is_empty = is_empty(&tree);
        match self.trees.get(&name) {
            Some(present) if !self::is_empty(present) => {
                if is_empty {
                    Ok(())
                } else {
                    wrong(at, format!("multiple definition of template \"{name}\""))
                }
            }
            _ => {
                self.trees.insert(name, tree);
                Ok(())
            }
        }
    }

    /// The whole text, which alone may define templates.
    fn top(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::End => return Ok(nodes),
                Kind::LeftDelimiter => {
                    let first = self.next_solid()?;
                    if first.kind == Kind::Keyword && first.text == "define" {
                        self.define(first.at)?;
                        continue;
                    }
                    self.back(first);
                    match self.action()? {
                        Ok(node) => nodes.push(node),
                        Err(Ending::End) => return wrong(token.at, "unexpected {{end}}"),
                        Err(Ending::Else) => return wrong(token.at, "unexpected {{else}}"),
                    }
                }
                Kind::Text => nodes.push(Node::Text(Text::from(token.text))),
                _ => return unexpected(&token, "input"),
            }
        }
    }

    fn define(&mut self, at: Offset) -> Parsed<()> {
        let context = "define clause";
        let token = self.next_solid()?;
        let name = template_name(&token, context)?;
        self.expect(Kind::RightDelimiter, context)?;
        let body = self.own_body(at, context)?;
        self.add(name, body, at)
    }

    /// The body of a definition: its variables are its own, and no `break` leads out of it.
    fn own_body(&mut self, at: Offset, context: &str) -> Parsed<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, ending) = self.deeper(at, Self::list)?;
        self.variables = variables;
        self.ranges = ranges;
        match ending {
            Ending::End => Ok(body),
            Ending::Else => wrong(at, format!("unexpected {{{{else}}}} in {context}")),
        }
    }

    /// Nodes up to `end` or `else`.
    fn list(&mut self) -> Parsed<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next_solid()?;
            match token.kind {
                Kind::Text => nodes.push(Node::Text(Text::from(token.text))),
                Kind::LeftDelimiter => match self.action()? {
                    Ok(node) => nodes.push(node),
                    Err(ending) => return Ok((nodes, ending)),
                },
                Kind::End => return wrong(token.at, "unexpected EOF"),
                _ => return unexpected(&token, "input"),
            }
        }
    }

    /// What stands after a left delimiter: a node, or an ending of the list around.
    fn action(&mut self) -> Parsed<Result<Node, Ending>> {
        let token = self.next_solid()?;
        if token.kind != Kind::Keyword {
            self.back(token);
            return Ok(Ok(Node::Action(self.pipeline("command", Kind::RightDelimiter)?)));
        }
        let node = match token.text {
            "end" => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Err(Ending::End));
            }
            "else" => return self.otherwise().map(Err),
            "if" => self.control(token.at, BranchKind::If)?,
            "with" => self.control(token.at, BranchKind::With)?,
            "range" => self.control(token.at, BranchKind::Range)?,
            "break" => self.leave(&token, Node::Break)?,
            "continue" => self.leave(&token, Node::Continue)?,
            "template" => self.template()?,
            "block" => self.block()?,
            _ => return unexpected(&token, "command"),
        };
        Ok(Ok(node))
    }

    fn otherwise(&mut self) -> Parsed<Ending> {
        let after = self.peek_solid()?;
        // `else if` is an `else` whose list is that one `if`, without an end of its own.
        if !(after.kind == Kind::Keyword && matches!(after.text, "if" | "with")) {
            self.expect(Kind::RightDelimiter, "else")?;
        }
        Ok(Ending::Else)
    }

    fn leave(&mut self, token: &Token<'a>, node: Node) -> Parsed<Node> {
        self.expect(Kind::RightDelimiter, token.text)?;
        if self.ranges == 0 {
            return wrong(token.at, format!("{{{{{}}}}} outside {{{{range}}}}", token.text));
        }
        Ok(node)
    }

    fn control(&mut self, at: Offset, kind: BranchKind) -> Parsed<Node> {
        let variables = self.variables.len();
        let branch = self.deeper(at, |parser| parser.branch(kind))?;
        self.variables.truncate(variables);
        Ok(Node::Branch(branch))
    }

    fn branch(&mut self, kind: BranchKind) -> Parsed<Branch> {
        let (context, is_range) = match kind {
            BranchKind::If => ("if", 0),
            BranchKind::With => ("with", 0),
            BranchKind::Range => ("range", 1),
        };
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        self.ranges += is_range;
        let (body, ending) = self.list()?;
        self.ranges -= is_range;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else => self.else_list(kind, context)?,
        };
        Ok(Branch { kind, pipe, body, otherwise })
    }

    fn else_list(&mut self, kind: BranchKind, context: &str) -> Parsed<Vec<Node>> {
        let token = self.peek()?;
        if kind != BranchKind::Range && token.kind == Kind::Keyword && token.text == context {
            self.next()?;
            return Ok(vec![self.control(token.at, kind)?]);
        }
        match self.list()? {
            (list, Ending::End) => Ok(list),
            (_, Ending::Else) => wrong(token.at, "expected end; found {{else}}"),
        }
    }

    fn template(&mut self) -> Parsed<Node> {
        let context = "template clause";
        let token = self.next_solid()?;
        let name = template_name(&token, context)?;
        let after = self.next_solid()?;
        if after.kind == Kind::RightDelimiter {
            return Ok(Node::Template { at: token.at, name, pipe: None });
        }
        self.back(after);
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        Ok(Node::Template { at: token.at, name, pipe: Some(pipe) })
    }

    fn block(&mut self) -> Parsed<Node> {
        let context = "block clause";
        let token = self.next_solid()?;
        let name = template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        let body = self.own_body(token.at, context)?;
        self.add(name.clone(), body, token.at)?;
        Ok(Node::Template { at: token.at, name, pipe: Some(pipe) })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let start = self.peek_solid()?;
        let (declared, assigns) = self.declarations(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.next_solid()?;
            if token.kind == end {
                break;
            }
            if !starts_operand(token.kind) {
                return unexpected(&token, context);
            }
            let at = token.at;
            self.back(token);
            let command = self.command()?;
            let is_literal =
                matches!(command.first.term, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text(_));
            if is_literal && !commands.is_empty() {
                return wrong(at, format!("non executable command in pipeline stage {}", commands.len() + 1));
            }
            commands.push(command);
        }
        if commands.is_empty() {
            return wrong(start.at, format!("missing value for {context}"));
        }
        Ok(Pipe { at: start.at, declared, assigns, commands })
    }

    /// `$x :=`, `$x =` and, in a range, `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<String>, bool)> {
        let mut declared = Vec::new();
        loop {
            let variable = self.peek_solid()?;
            if variable.kind != Kind::Variable {
                break;
            }
            self.next_solid()?;
            let after = self.next()?;
            let next = if after.kind == Kind::Space { self.next_solid()? } else { after.clone() };
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.declare(&mut declared, variable.text);
                    return Ok((declared, next.kind == Kind::Assign));
                }
                Kind::Comma => {
                    self.declare(&mut declared, variable.text);
                    if context != "range" || declared.len() > 1 {
                        return wrong(next.at, format!("too many declarations in {context}"));
                    }
                    let second = self.peek_solid()?.kind;
                    if !matches!(second, Kind::Variable | Kind::RightDelimiter | Kind::RightParenthesis) {
                        return wrong(next.at, "range can only initialize variables");
                    }
                }
                _ => {
                    self.back(next);
                    if after.kind == Kind::Space {
                        self.back(after);
                    }
                    self.back(variable);
                    break;
                }
            }
        }
        Ok((declared, false))
    }

    fn declare(&mut self, declared: &mut Vec<String>, name: &str) {
        declared.push(name.to_owned());
        self.variables.push(name.to_owned());
    }

    /// Operands up to `|`, which is passed, or to what ends the pipeline, which is not.
    fn command(&mut self) -> Parsed<Command> {
        let mut operands = Vec::new();
        loop {
            let start = self.peek_solid()?;
            operands.extend(self.operand()?);
            let token = self.next()?;
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelimiter | Kind::RightParenthesis => self.back(token),
                Kind::Pipe => {}
                _ => return unexpected(&token, "operand"),
            }
            let mut operands = operands.into_iter();
            let Some(first) = operands.next() else { return wrong(start.at, "empty command") };
            return Ok(Command { first, arguments: operands.collect() });
        }
    }

    /// A term with the fields that follow it at once.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(operand) = self.term()? else { return Ok(None) };
        let first = self.peek()?;
        if first.kind != Kind::Field {
            return Ok(Some(operand));
        }
        let mut fields = Vec::new();
        while self.peek()?.kind == Kind::Field {
            fields.push(field_name(self.next()?.text));
        }
        let term = match operand.term {
            Term::Field(mut before) => {
                before.extend(fields);
                Term::Field(before)
            }
            Term::Variable(name, mut before) => {
                before.extend(fields);
                Term::Variable(name, before)
            }
            Term::Function(_) | Term::Pipe(_) | Term::Chain(..) => Term::Chain(Box::new(operand), fields),
            _ => return wrong(first.at, format!("unexpected . after term {}", operand.name())),
        };
        Ok(Some(Operand { at: first.at, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_solid()?;
        let at = token.at;
        let malformed = |words: String| Wrong { at, words };
        let term = match token.kind {
            Kind::Identifier if !(self.rules.is_function)(token.text) => {
                return wrong(at, format!("function \"{}\" not defined", token.text));
            }
            Kind::Identifier => Term::Function(token.text.to_owned()),
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable if !self.variables.iter().any(|name| name == token.text) => {
                return wrong(at, format!("undefined variable \"{}\"", token.text));
            }
            Kind::Variable => Term::Variable(token.text.to_owned(), Vec::new()),
            Kind::Field => Term::Field(vec![field_name(token.text)]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::Number => Term::Number(Number::from_text(token.text).map_err(malformed)?),
            Kind::Character => Term::Number(Number::from_character(token.text).map_err(malformed)?),
            Kind::LeftParenthesis => {
                Term::Pipe(self.deeper(at, |parser| parser.pipeline("parenthesized pipeline", Kind::RightParenthesis))?)
            }
            Kind::Quoted | Kind::Raw => Term::Text(Text::new(literal(&token)?)),
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at, term }))
    }
}

fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::Character
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::Raw
            | Kind::Quoted
            | Kind::Variable
            | Kind::LeftParenthesis
    )
}

fn field_name(text: &str) -> String {
    text.trim_start_matches('.').to_owned()
}

fn unexpected<T>(token: &Token<'_>, context: &str) -> Parsed<T> {
    wrong(token.at, format!("unexpected {} in {context}", shown(token)))
}

fn literal(token: &Token<'_>) -> Parsed<Vec<u8>> {
    if token.kind == Kind::Raw {
        return Ok(quoting::raw(token.text));
    }
    quoting::unquoted(token.text).map_or_else(|| wrong(token.at, "invalid syntax"), Ok)
}

fn template_name(token: &Token<'_>, context: &str) -> Parsed<String> {
    if !matches!(token.kind, Kind::Quoted | Kind::Raw) {
        return unexpected(token, context);
    }
    Ok(String::from_utf8_lossy(&literal(token)?).into_owned())
}

/// Whether a tree is nothing but space.
fn is_empty(tree: &[Node]) -> bool {
    tree.iter().all(|node| matches!(node, Node::Text(text) if text.bytes().trim_ascii().is_empty()))
}
