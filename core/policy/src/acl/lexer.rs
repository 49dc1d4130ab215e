//! The words of a policy's text. Interpolation (`${…}`) is refused: nothing in a policy could be interpolated.

use strongroom_failure::Failure;

use super::document::wrong;

/// How a policy is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Hcl,
    Json,
}

/// One word, and the line on which it begins.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    Text(String),
    Number(String),
    Assign,
    Colon,
    Comma,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    End,
}

impl Kind {
    /// What a person is told that stands there; texts are not repeated.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Word(_) => "a word",
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Assign => "\"=\"",
            Self::Colon => "\":\"",
            Self::Comma => "\",\"",
            Self::OpenBrace => "\"{\"",
            Self::CloseBrace => "\"}\"",
            Self::OpenBracket => "\"[\"",
            Self::CloseBracket => "\"]\"",
            Self::End => "the end of the text",
        }
    }
}

pub(super) struct Lexer<'a> {
    /// What is still to be read.
    rest: &'a str,
    line: u32,
    notation: Notation,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, notation: Notation) -> Self {
        Self { rest: text, line: 1, notation }
    }

    pub(super) fn notation(&self) -> Notation {
        self.notation
    }

    pub(super) fn next_token(&mut self) -> Result<Token, Failure> {
        self.skip_blanks()?;
        let line = self.line;
        Ok(Token { line, kind: self.kind()? })
    }

    fn kind(&mut self) -> Result<Kind, Failure> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(Kind::End);
        };
        let mark = match first {
            '=' if self.notation == Notation::Hcl => Kind::Assign,
            ':' if self.notation == Notation::Json => Kind::Colon,
            ',' => Kind::Comma,
            '{' => Kind::OpenBrace,
            '}' => Kind::CloseBrace,
            '[' => Kind::OpenBracket,
            ']' => Kind::CloseBracket,
            '"' => return self.quoted(),
            '<' if self.notation == Notation::Hcl && self.rest.starts_with("<<") => return self.heredoc(),
            '-' | '0'..='9' => return self.number(),
            _ if first.is_alphabetic() || first == '_' => return Ok(self.word()),
            _ => return Err(wrong(self.line, format!("unexpected character {first:?}"))),
        };
        self.advance(1);
        Ok(mark)
    }

    /// Goes on by `length` bytes, which end at a character's end, and counts their lines.
    fn advance(&mut self, length: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        let lines = passed.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        passed
    }

    fn skip_blanks(&mut self) -> Result<(), Failure> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            self.advance(blanks);
            if self.notation == Notation::Json {
                return Ok(());
            }
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.get(2..).and_then(|rest| rest.find("*/")) else {
                    return Err(wrong(self.line, "the comment does not end"));
                };
                self.advance(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Kind {
        let is_inside = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        let length = self.rest.find(|letter| !is_inside(letter)).unwrap_or(self.rest.len());
        Kind::Word(self.advance(length).to_owned())
    }

    fn number(&mut self) -> Result<Kind, Failure> {
        let line = self.line;
        let is_inside = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '+');
        let length = self.rest.find(|letter| !is_inside(letter)).unwrap_or(self.rest.len());
        let digits = self.advance(length);
        let magnitude = digits.strip_prefix('-').unwrap_or(digits);
        if let Some(hexadecimal) = magnitude.strip_prefix("0x").filter(|_| self.notation == Notation::Hcl) {
            let Ok(number) = u32::from_str_radix(hexadecimal, 16) else {
                return Err(wrong(line, "the hexadecimal number is wrong or too large"));
            };
            let sign = if digits.starts_with('-') { "-" } else { "" };
            return Ok(Kind::Number(format!("{sign}{number}")));
        }
        if magnitude.len() > 1 && magnitude.starts_with('0') && !magnitude.starts_with("0.") {
            return Err(wrong(line, "a number must not begin with 0"));
        }
        if serde_json::from_str::<serde_json::Number>(digits).is_err() {
            return Err(wrong(line, "a number with a unit must stand in double quotes"));
        }
        Ok(Kind::Number(digits.to_owned()))
    }

    fn quoted(&mut self) -> Result<Kind, Failure> {
        let line = self.line;
        self.advance(1);
        let mut text = String::new();
        loop {
            let plain = self.rest.find(|letter: char| matches!(letter, '"' | '\\' | '$') || letter.is_control());
            let Some(plain) = plain else {
                return Err(wrong(line, "the text does not end on its line"));
            };
            text.push_str(self.advance(plain));
            match self.rest.as_bytes().first() {
                Some(b'"') => break,
                Some(b'\\') => text.push(self.escape()?),
                Some(b'$') if self.notation == Notation::Hcl && self.rest.starts_with("${") => {
                    let words = "policies have no \"${…}\"; what stands for the identity is written \"{{identity.…}}\"";
                    return Err(wrong(line, words));
                }
                Some(b'$') => text.push_str(self.advance(1)),
                Some(b'\n') => return Err(wrong(line, "the text does not end on its line")),
                Some(b'\t') if self.notation == Notation::Hcl => text.push_str(self.advance(1)),
                _ => return Err(wrong(line, "the text holds a control character")),
            }
        }
        self.advance(1);
        Ok(Kind::Text(text))
    }

    /// The character that an escape stands for.
    fn escape(&mut self) -> Result<char, Failure> {
        self.advance(1);
        let Some(letter) = self.rest.chars().next() else {
            return Err(wrong(self.line, "the text does not end on its line"));
        };
        let is_hcl = self.notation == Notation::Hcl;
        let simple = match letter {
            '"' | '\\' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '/' if !is_hcl => '/',
            'a' if is_hcl => '\u{7}',
            'v' if is_hcl => '\u{b}',
            '0'..='7' if is_hcl => return self.code(0, 3, 8),
            'x' if is_hcl => return self.code(1, 2, 16),
            'U' if is_hcl => return self.code(1, 8, 16),
            'u' => return self.code(1, 4, 16),
            other => return Err(wrong(self.line, format!("\"\\{}\" is no escape", other.escape_default()))),
        };
        self.advance(letter.len_utf8());
        Ok(simple)
    }

    /// A character by its number, of `count` digits after `skip` letters; in JSON perhaps by two, as UTF-16 has it.
    fn code(&mut self, skip: usize, count: usize, radix: u32) -> Result<char, Failure> {
        let line = self.line;
        let no_character = || wrong(line, "an escape names no character");
        let number = |lexer: &mut Self, skip: usize| {
            let digits =
                lexer.rest.get(skip..skip + count).filter(|all| all.bytes().all(|one| one.is_ascii_hexdigit()));
            let number = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok()).ok_or_else(no_character)?;
            lexer.advance(skip + count);
            Ok::<u32, Failure>(number)
        };
        let mut code = number(self, skip)?;
        if self.notation == Notation::Json && (0xd800..0xdc00).contains(&code) && self.rest.starts_with("\\u") {
            let low = number(self, 2)?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(no_character)?;
            code = 0x10000 + ((code - 0xd800) << 10) + low;
        }
        // `\xff` and `\377` are bytes and no characters; a path is text.
        let is_byte = count < 4 && code > 0x7f;
        char::from_u32(code).filter(|letter| !is_byte && *letter != '\0').ok_or_else(no_character)
    }

    /// `<<EOF`, lines, `EOF`; with `<<-EOF` each line loses the last one's indentation, if all have it.
    fn heredoc(&mut self) -> Result<Kind, Failure> {
        let line = self.line;
        let first = self.advance(self.rest.find('\n').map_or(self.rest.len(), |end| end + 1));
        let marker = first.trim_start_matches("<<").trim_end();
        let (is_indented, name) = match marker.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, marker),
        };
        if name.is_empty() || !name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
            return Err(wrong(line, "after \"<<\" there must be a name alone on the line"));
        }
        let mut lines = Vec::new();
        while !self.rest.is_empty() {
            let next = self.advance(self.rest.find('\n').map_or(self.rest.len(), |end| end + 1));
            if next.trim() != name {
                lines.push(next);
                continue;
            }
            let indentation = next.len() - next.trim_start().len();
            let indentation = next.get(..indentation).unwrap_or_default();
            let strip = is_indented && lines.iter().all(|one| one.starts_with(indentation));
            let kept = |one: &&'a str| if strip { one.strip_prefix(indentation).unwrap_or(one) } else { one };
            return Ok(Kind::Text(lines.iter().map(kept).collect()));
        }
        Err(wrong(line, format!("the text after \"<<{name}\" does not end")))
    }
}
