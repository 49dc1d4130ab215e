//! Text to tokens, one at a time, so that an error further down never hides an earlier one.

use super::Offset;

/// A token and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) at: Offset,
    pub(super) text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    LeftDelimiter,
    RightDelimiter,
    LeftParenthesis,
    RightParenthesis,
    Space,
    Assign,
    Declare,
    Pipe,
    Comma,
    Dot,
    Nil,
    Bool,
    Number,
    Character,
    Quoted,
    Raw,
    Field,
    Variable,
    Identifier,
    Keyword,
    /// Some other printable character.
    Sign,
    End,
}

/// Why the text is no template, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) at: Offset,
    pub(super) words: String,
}

const KEYWORDS: &[&str] = &["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];
const COMMENT: (&str, &str) = ("/*", "*/");
/// A trim marker and the space beside it.
const MARKER: usize = 2;

pub(super) struct Lexer<'a> {
    text: &'a str,
    left: &'a str,
    right: &'a str,
    start: Offset,
    position: Offset,
    is_inside: bool,
    parentheses: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, left: &'a str, right: &'a str) -> Self {
        Self { text, left, right, start: 0, position: 0, is_inside: false, parentheses: 0 }
    }

    /// The next token; `End` again and again after the last.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Wrong> {
        loop {
            self.start = self.position;
            let found = if self.is_inside { self.inside().map(Some) } else { self.outside() };
            if let Some(token) = found? {
                return Ok(token);
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.position += letter.len_utf8();
        Some(letter)
    }

    fn accept(&mut self, wanted: &str) -> bool {
        let is_wanted = self.peek().is_some_and(|letter| wanted.contains(letter));
        if is_wanted {
            self.next();
        }
        is_wanted
    }

    fn accept_while(&mut self, is_wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&is_wanted) {
            self.next();
        }
    }

    fn emit(&self, kind: Kind) -> Token<'a> {
        Token { kind, at: self.start, text: self.text.get(self.start..self.position).unwrap_or_default() }
    }

    fn wrong<T>(&self, words: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong { at: self.start, words: words.into() })
    }

    /// Text up to the next action; `None` where something was passed that gives no token (a comment, trimmed text).
    fn outside(&mut self) -> Result<Option<Token<'a>>, Wrong> {
        let Some(found) = self.rest().find(self.left) else {
            self.position = self.text.len();
            return Ok(Some(self.emit(if self.start == self.position { Kind::End } else { Kind::Text })));
        };
        if found > 0 {
            self.position += found;
            let after = self.rest().get(self.left.len()..).unwrap_or_default();
            let mut token = self.emit(Kind::Text);
            if has_left_marker(after) {
                token.text = token.text.trim_end_matches(is_space);
            }
            return Ok((!token.text.is_empty()).then_some(token));
        }
        self.position += self.left.len();
        let marker = if has_left_marker(self.rest()) { MARKER } else { 0 };
        if self.rest().get(marker..).is_some_and(|after| after.starts_with(COMMENT.0)) {
            self.position += marker;
            return self.comment().map(|()| None);
        }
        let token = self.emit(Kind::LeftDelimiter);
        self.position += marker;
        self.is_inside = true;
        self.parentheses = 0;
        Ok(Some(token))
    }

    fn comment(&mut self) -> Result<(), Wrong> {
        self.position += COMMENT.0.len();
        let Some(end) = self.rest().find(COMMENT.1) else { return self.wrong("unclosed comment") };
        self.position += end + COMMENT.1.len();
        let Some(trims) = self.at_right_delimiter() else {
            return self.wrong("comment ends before closing delimiter");
        };
        self.pass_right_delimiter(trims);
        Ok(())
    }

    /// Whether the right delimiter comes next, and whether it trims what follows.
    fn at_right_delimiter(&self) -> Option<bool> {
        let rest = self.rest();
        let is_trimming = has_right_marker(rest) && rest.get(MARKER..).is_some_and(|end| end.starts_with(self.right));
        if is_trimming {
            return Some(true);
        }
        rest.starts_with(self.right).then_some(false)
    }

    fn pass_right_delimiter(&mut self, trims: bool) {
        self.position += self.right.len() + if trims { MARKER } else { 0 };
        if trims {
            self.accept_while(is_space);
        }
    }

    fn inside(&mut self) -> Result<Token<'a>, Wrong> {
        if let Some(trims) = self.at_right_delimiter() {
            if self.parentheses > 0 {
                return self.wrong("unclosed left paren");
            }
            return Ok(self.end_of_action(trims));
        }
        let Some(letter) = self.next() else { return self.wrong("unclosed action") };
        match letter {
            _ if is_space(letter) => Ok(self.space()),
            '=' => Ok(self.emit(Kind::Assign)),
            ':' if self.next() == Some('=') => Ok(self.emit(Kind::Declare)),
            ':' => self.wrong("expected :="),
            '|' => Ok(self.emit(Kind::Pipe)),
            ',' => Ok(self.emit(Kind::Comma)),
            '"' => self.delimited('"', Kind::Quoted, "unterminated quoted string"),
            '\'' => self.delimited('\'', Kind::Character, "unterminated character constant"),
            '`' => self.raw(),
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot),
            '.' | '+' | '-' | '0'..='9' => self.number(),
            '(' => {
                self.parentheses += 1;
                Ok(self.emit(Kind::LeftParenthesis))
            }
            ')' if self.parentheses == 0 => self.wrong("unexpected right paren"),
            ')' => {
                self.parentheses -= 1;
                Ok(self.emit(Kind::RightParenthesis))
            }
            _ if is_alphanumeric(letter) => self.identifier(),
            '!'..='~' => Ok(self.emit(Kind::Sign)),
            _ => self.wrong(format!("unrecognized character in action: U+{:04X}", u32::from(letter))),
        }
    }

    fn end_of_action(&mut self, trims: bool) -> Token<'a> {
        let token = Token { kind: Kind::RightDelimiter, at: self.start, text: self.right };
        self.pass_right_delimiter(trims);
        self.is_inside = false;
        token
    }

    /// Spaces, the last of which may belong to a trimming delimiter.
    fn space(&mut self) -> Token<'a> {
        self.accept_while(is_space);
        self.position -= 1;
        if self.at_right_delimiter() != Some(true) {
            self.position += 1;
        } else if self.position == self.start {
            return self.end_of_action(true);
        }
        self.emit(Kind::Space)
    }

    fn delimited(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<Token<'a>, Wrong> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|next| next != '\n') => {
                    self.next();
                }
                Some('\\' | '\n') | None => return self.wrong(unterminated),
                Some(letter) if letter == quote => return Ok(self.emit(kind)),
                Some(_) => {}
            }
        }
    }

    fn raw(&mut self) -> Result<Token<'a>, Wrong> {
        self.accept_while(|letter| letter != '`');
        if self.next().is_none() {
            return self.wrong("unterminated raw quoted string");
        }
        Ok(self.emit(Kind::Raw))
    }

    /// `.name`, `$name`, or the sign alone.
    fn name(&mut self, named: Kind, alone: Kind) -> Result<Token<'a>, Wrong> {
        if self.at_terminator() {
            return Ok(self.emit(alone));
        }
        self.accept_while(is_alphanumeric);
        self.terminated(named)
    }

    fn identifier(&mut self) -> Result<Token<'a>, Wrong> {
        self.accept_while(is_alphanumeric);
        let kind = match self.text.get(self.start..self.position).unwrap_or_default() {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.terminated(kind)
    }

    fn terminated(&self, kind: Kind) -> Result<Token<'a>, Wrong> {
        if self.at_terminator() {
            return Ok(self.emit(kind));
        }
        let letter = self.peek().map_or(0, u32::from);
        Err(Wrong { at: self.position, words: format!("bad character U+{letter:04X}") })
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(self.right),
        }
    }

    /// A number as far as it looks like one; the parser judges it.
    fn number(&mut self) -> Result<Token<'a>, Wrong> {
        self.position = self.start;
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        let is_digit = |letter: char| digits.contains(letter);
        self.accept_while(is_digit);
        if self.accept(".") {
            self.accept_while(is_digit);
        }
        let exponent = if digits.len() > 11 { "pP" } else { "eE" };
        if digits.len() >= 11 && self.accept(exponent) {
            self.accept("+-");
            self.accept_while(|letter| letter.is_ascii_digit() || letter == '_');
        }
        let after = self.peek();
        if after.is_some_and(|letter| is_alphanumeric(letter) || letter == '+' || letter == '-') {
            return self.wrong("bad number syntax");
        }
        Ok(self.emit(Kind::Number))
    }
}

pub(super) fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(letter: char) -> bool {
    letter == '_' || letter.is_alphabetic() || letter.is_numeric()
}

fn has_left_marker(after: &str) -> bool {
    after.strip_prefix('-').is_some_and(|after| after.starts_with(is_space))
}

fn has_right_marker(rest: &str) -> bool {
    rest.strip_prefix(is_space).is_some_and(|after| after.starts_with('-'))
}
