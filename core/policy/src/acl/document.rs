//! A policy's text as a tree, from either of its two notations: HCL 1, as Vault reads it, and JSON.

use strongroom_failure::{Class, Failure};

use super::lexer::{Kind, Lexer, Notation, Token};

/// The most bytes of a policy's text. A thousand generated paths take about 150 KiB; more than this is a mistake, and
/// parsing takes a multiple of it in memory.
pub const SIZE_LIMIT: usize = 1024 * 1024;

/// How deep blocks and lists may nest. The language needs five: a path, its parameters, a list, a map in it, a value.
pub const DEPTH_LIMIT: usize = 16;

/// A value, and the line on which it begins, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

/// A value as it is written. A number keeps its digits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(String),
    Truth(bool),
    Null,
    List(Vec<Node>),
    Object(Vec<Entry>),
}

/// `key = value`, `key { … }`, or `key "label" { … }`: one key, then labels. Repeated ones are all kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) line: u32,
    pub(super) keys: Vec<String>,
    pub(super) node: Node,
}

/// A mistake on `line`.
pub(super) fn wrong(line: u32, words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("line {line}"))
}

/// Reads a whole text. It is JSON if it begins with a brace, as Vault has it.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Failure> {
    if text.len() > SIZE_LIMIT {
        let words = format!("the policy is {} bytes long; the limit is {SIZE_LIMIT}", text.len());
        return Err(Failure::new(Class::Invalid, words));
    }
    let is_json = text.trim_start().starts_with('{');
    let mut parser = Parser::new(text, if is_json { Notation::Json } else { Notation::Hcl })?;
    if !is_json {
        return parser.entries(0);
    }
    let node = parser.value(0)?;
    match (node.value, &parser.token.kind) {
        (Value::Object(entries), Kind::End) => Ok(entries),
        _ => Err(wrong(parser.token.line, "there is something after the end of the JSON object")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, notation: Notation) -> Result<Self, Failure> {
        let mut lexer = Lexer::new(text, notation);
        let token = lexer.next_token()?;
        Ok(Self { lexer, token })
    }

    /// The current token; the next one becomes current.
    fn take(&mut self) -> Result<Token, Failure> {
        let next = self.lexer.next_token()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn take_if(&mut self, kind: &Kind) -> Result<bool, Failure> {
        let is_it = self.token.kind == *kind;
        if is_it {
            self.take()?;
        }
        Ok(is_it)
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, Failure> {
        Err(wrong(self.token.line, format!("expected {wanted}, found {}", self.token.kind.words())))
    }

    /// HCL's entries up to the end (at depth 0) or the closing brace, which is taken.
    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Failure> {
        let end = if depth == 0 { Kind::End } else { Kind::CloseBrace };
        let mut entries = Vec::new();
        while !self.take_if(&end)? {
            entries.push(self.entry(depth)?);
            self.take_if(&Kind::Comma)?;
        }
        Ok(entries)
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, Failure> {
        let line = self.token.line;
        let mut keys = Vec::new();
        loop {
            match &self.token.kind {
                Kind::Word(_) | Kind::Text(_) => {
                    if let Kind::Word(key) | Kind::Text(key) = self.take()?.kind {
                        keys.push(key);
                    }
                }
                Kind::Assign if keys.len() == 1 => {
                    self.take()?;
                    return Ok(Entry { line, keys, node: self.value(depth)? });
                }
                Kind::OpenBrace if !keys.is_empty() => return Ok(Entry { line, keys, node: self.value(depth)? }),
                Kind::Assign if !keys.is_empty() => return self.unexpected("\"{\""),
                Kind::End if depth > 0 && keys.is_empty() => return self.unexpected("\"}\""),
                _ if keys.is_empty() => return self.unexpected("a name"),
                _ => return self.unexpected("\"=\" or \"{\""),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Failure> {
        let Token { line, kind } = self.take()?;
        if depth >= DEPTH_LIMIT && matches!(kind, Kind::OpenBrace | Kind::OpenBracket) {
            return Err(wrong(line, format!("blocks and lists nest deeper than {DEPTH_LIMIT}")));
        }
        let value = match kind {
            Kind::Text(text) => Value::Text(text),
            Kind::Number(digits) => Value::Number(digits),
            Kind::Word(word) if word == "true" || word == "false" => Value::Truth(word == "true"),
            Kind::Word(word) if word == "null" && self.lexer.notation() == Notation::Json => Value::Null,
            Kind::Word(_) => return Err(wrong(line, "text must stand in double quotes")),
            Kind::OpenBracket => Value::List(self.list(depth + 1)?),
            Kind::OpenBrace if self.lexer.notation() == Notation::Json => Value::Object(self.members(depth + 1)?),
            Kind::OpenBrace => Value::Object(self.entries(depth + 1)?),
            other => return Err(wrong(line, format!("expected a value, found {}", other.words()))),
        };
        Ok(Node { line, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Failure> {
        let mut list = Vec::new();
        while !self.take_if(&Kind::CloseBracket)? {
            list.push(self.value(depth)?);
            if !self.take_if(&Kind::Comma)? && self.token.kind != Kind::CloseBracket {
                return self.unexpected("\",\" or \"]\"");
            }
        }
        Ok(list)
    }

    /// JSON's members up to the closing brace, which is taken.
    fn members(&mut self, depth: usize) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        while !self.take_if(&Kind::CloseBrace)? {
            let Token { line, kind: Kind::Text(key) } = self.take()? else {
                return Err(wrong(self.token.line, "expected a name in double quotes"));
            };
            if !self.take_if(&Kind::Colon)? {
                return self.unexpected("\":\"");
            }
            entries.push(Entry { line, keys: vec![key], node: self.value(depth)? });
            if !self.take_if(&Kind::Comma)? && self.token.kind != Kind::CloseBrace {
                return self.unexpected("\",\" or \"}\"");
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let got = match read(text) {
            Ok(entries) => entries.iter().map(shown).collect::<Vec<_>>().join("; "),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(got, expected, "{text}");
    }

    fn shown(entry: &Entry) -> String {
        format!("{}@{}={}", entry.keys.join(" "), entry.line, shown_value(&entry.node.value))
    }

    fn shown_value(value: &Value) -> String {
        match value {
            Value::Text(text) => format!("{text:?}"),
            Value::Number(digits) => digits.clone(),
            Value::Truth(truth) => truth.to_string(),
            Value::Null => "null".to_owned(),
            Value::List(list) => {
                format!("[{}]", list.iter().map(|one| shown_value(&one.value)).collect::<Vec<_>>().join(","))
            }
            Value::Object(entries) => format!("{{{}}}", entries.iter().map(shown).collect::<Vec<_>>().join(";")),
        }
    }

    #[test]
    fn hcl_is_read_as_vault_reads_it() {
        check("", "");
        check(" # only\n// a\n/* comment\n */", "");
        check("a = 1", "a@1=1");
        check("a = -1.5e3 b = 0x1F", "a@1=-1.5e3; b@1=31");
        check("path \"a\" {}", "path a@1={}");
        check("\"path\" a {\n b = [\"x\", true,]\r\n}", "path a@1={b@2=[\"x\",true]}");
        check("a { \"b\" = [] \"c\" = [[1], {d=1}] }, e {}", "a@1={b@1=[];c@1=[[1],{d@1=1}]}; e@1={}");
        check(r#"a = "\x41\u00e9\101\n\"\\""#, "a@1=\"AéA\\n\\\"\\\\\"");
        check("a = <<EOF\n x\n  EOF\nb = 1", "a@1=\" x\\n\"; b@4=1");
        check("a = <<-EOF\n   x\n  y\n  EOF\n", "a@1=\" x\\ny\\n\"");
        check("a = <<-EOF\n x\n  EOF\n", "a@1=\" x\\n\"");
    }

    #[test]
    fn json_is_read_with_all_that_is_repeated() {
        check("{}", "");
        check(
            " \n{\"path\": {\"a\": [1, \"x\\/\\ud83d\\ude00\", null, false]}}",
            "path@2={a@2=[1,\"x/😀\",null,false]}",
        );
        check("{\"a\":1,\n\"a\":2}", "a@1=1; a@2=2");
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        check("\npath \"a\" {", "line 2: expected \"}\", found the end of the text");
        check("}", "line 1: expected a name, found \"}\"");
        check("path \"a\" = {}", "line 1: expected \"{\", found \"=\"");
        check("a\n b ]", "line 2: expected \"=\" or \"{\", found \"]\"");
        check("a = [\"x\"\n \"y\"]", "line 2: expected \",\" or \"]\", found a text");
        check("a = [,1]", "line 1: expected a value, found \",\"");
        check("a = read", "line 1: text must stand in double quotes");
        check("a = null", "line 1: text must stand in double quotes");
        check("a = \"x\ny\"", "line 1: the text does not end on its line");
        check("a = \"x", "line 1: the text does not end on its line");
        check(r#"a = "\q""#, "line 1: \"\\q\" is no escape");
        check(r#"a = "\xff""#, "line 1: an escape names no character");
        check(r#"a = "\ud83d""#, "line 1: an escape names no character");
        check(
            "a = \"${x}\"",
            "line 1: policies have no \"${…}\"; what stands for the identity is written \"{{identity.…}}\"",
        );
        check("/* x", "line 1: the comment does not end");
        check("a = <<EOF\nx", "line 1: the text after \"<<EOF\" does not end");
        check("a = 1h", "line 1: a number with a unit must stand in double quotes");
        check("a = 010", "line 1: a number must not begin with 0");
        check("path 'a' {}", "line 1: unexpected character '\\''");
        check("\u{feff}a = 1", "line 1: unexpected character '\\u{feff}'");
        check("a = \"\0\"", "line 1: the text holds a control character");
        check("{\"a\":1} x", "line 1: there is something after the end of the JSON object");
        check("{\"a\" 1}", "line 1: expected \":\", found a number");
        check("{a: 1}", "line 1: expected a name in double quotes");
        check("{\"a\":\"\\x41\"}", "line 1: \"\\x\" is no escape");
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let nested = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH_LIMIT)).is_ok());
        check(&nested(DEPTH_LIMIT + 1), "line 1: blocks and lists nest deeper than 16");
        check(&nested(500_000), "line 1: blocks and lists nest deeper than 16");
        check(&"a{".repeat(500_000), "line 1: blocks and lists nest deeper than 16");
        check(&"{\"a\":".repeat(200_000), "line 1: blocks and lists nest deeper than 16");
        check(&"#".repeat(SIZE_LIMIT + 1), "the policy is 1048577 bytes long; the limit is 1048576");
    }
}
