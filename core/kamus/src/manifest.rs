//! Files of KamusSecrets and Secrets: which values they hold and where these stand ([`read`]), and other texts in their
//! places with nothing else changed ([`apply`]).

mod edit;

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use strongroom_failure::{Class, Failure};

use crate::legacy::LegacyText;
use crate::{SealedText, Text};

pub use crate::manifest::edit::{Edit, apply};

/// Deeper than any manifest.
const DEEPEST: usize = 64;

/// The groups of values that both kinds have.
const GROUPS: [&str; 2] = ["stringData", "data"];

/// Lengths of what RSA keys of 2048, 3072 and 4096 bits encrypt (Azure), and how texts of Google's KMS begin.
const RSA_LENGTHS: [usize; 3] = [256, 384, 512];
const GOOGLE_BEGINNINGS: [[u8; 2]; 2] = [[0x0a, 0x24], [0x0a, 0x25]];

/// A kind of object that holds values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Encrypted values, or such that are to be.
    KamusSecret,
    /// Plain values.
    Secret,
}

/// One object of a file.
#[derive(Debug)]
pub struct Manifest {
    /// Its kind.
    pub kind: Kind,
    /// The scalar behind `apiVersion:`.
    pub api_version: Option<Scalar>,
    /// The scalar behind `kind:`.
    pub kind_at: Scalar,
    /// `metadata.name`; empty where it has none.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `serviceAccount`.
    pub account: Option<String>,
    /// Whether `immutable` says so.
    pub is_immutable: bool,
    /// Where the first of its own members begins, in bytes of the file, if these stand on lines of their own.
    pub begins: Option<usize>,
    /// The values, in the order of the groups.
    pub values: Vec<Entry>,
}

/// One value.
#[derive(Debug)]
pub struct Entry {
    /// `stringData` or `data`.
    pub group: &'static str,
    /// Its key.
    pub key: String,
    /// The value itself.
    pub value: Scalar,
}

/// A scalar and where it stands.
#[derive(Clone)]
pub struct Scalar {
    /// What a parser reads.
    pub text: String,
    /// Its bytes in the file; of a block, the indicator alone.
    range: Range<usize>,
    /// For a block, the column of its key: its lines are indented by more.
    block_in: Option<usize>,
    /// Its place among the parser's events.
    event: usize,
    /// Has a tag or an anchor, or is the alias of one.
    is_decorated: bool,
    is_empty: bool,
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Scalar({:?})", self.range)
    }
}

/// How a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not encrypted.
    Plain,
    /// One of our texts.
    Sealed(SealedText),
    /// In one of Kamus' own forms.
    Legacy,
}

impl Entry {
    /// How the value stands. A Secret holds plain values, whatever they look like, unless they are texts of ours.
    pub fn standing(&self, kind: Kind) -> Standing {
        match (Text::read(&self.value.text), kind) {
            (Ok(Text::Sealed(text)), _) => Standing::Sealed(text),
            (Ok(Text::Legacy(text)), Kind::KamusSecret) if is_credible(&text) => Standing::Legacy,
            _ => Standing::Plain,
        }
    }

    /// Its place in the object, for people.
    pub fn field(&self) -> String {
        format!("{}.{}", self.group, self.key)
    }

    /// # Errors
    /// Where another text in its place could change more than this value.
    pub fn check_editable(&self) -> Result<(), Failure> {
        if self.value.is_decorated {
            let words = "has a tag, an anchor or an alias, and cannot be replaced alone";
            return Err(invalid(words).in_field(self.field()).with_hint("write the value out"));
        }
        if self.value.is_empty {
            return Err(invalid("has no value").in_field(self.field()).with_hint("write \"\" for an empty one"));
        }
        Ok(())
    }
}

/// Every base64 text could be one that a cloud's key made: only what looks like it is taken for one.
fn is_credible(text: &LegacyText) -> bool {
    match text {
        LegacyText::Block(_) | LegacyText::Envelope { .. } => true,
        LegacyText::Direct(bytes) => {
            RSA_LENGTHS.contains(&bytes.len()) || GOOGLE_BEGINNINGS.iter().any(|begins| bytes.starts_with(begins))
        }
    }
}

/// The manifests of `text` that hold values; those in lists too.
///
/// # Errors
/// What is no YAML, with the line and nothing that stands there.
pub fn read(text: &str) -> Result<Vec<Manifest>, Failure> {
    let mut reader = Reader { parser: Parser::new_from_str(text), text, events: 0, depth: 0 };
    let mut found = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(found),
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (event, span) => {
                let node = reader.node(event, span)?;
                gather(&node, &mut found)?;
            }
        }
    }
}

/// What the parser says, one event after the other, with what an edit may not change.
fn events(text: &str) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut seen = Vec::new();
    for next in Parser::new_from_str(text) {
        let (event, _) = next.map_err(|error| unread(error.marker().line()))?;
        seen.push(match &event {
            // Where it stands beside its neighbours is only a guess of the parser's.
            Event::Comment(text, _) => (format!("#{text}"), None),
            Event::Scalar(text, ..) => (format!("{event:?}"), Some(text.to_string())),
            _ => (format!("{event:?}"), None),
        });
    }
    Ok(seen)
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

fn unread(line: usize) -> Failure {
    invalid(format!("line {line}: this is no YAML"))
}

/// What a manifest is looked at as.
enum Node {
    Scalar(Scalar),
    Map {
        entries: Vec<(Scalar, Node)>,
        is_block: bool,
    },
    List(Vec<Node>),
    /// A key or a value of no use here.
    Other,
}

struct Reader<'i> {
    parser: Parser<'i, granit_parser::StrInput<'i>>,
    text: &'i str,
    events: usize,
    depth: usize,
}

impl<'i> Reader<'i> {
    fn next(&mut self) -> Result<(Event<'i>, Span), Failure> {
        loop {
            let next = self.parser.next_event().ok_or_else(|| invalid("the file ends in the middle"))?;
            let (event, span) = next.map_err(|error| unread(error.marker().line()))?;
            self.events += 1;
            if !matches!(event, Event::Comment(..)) {
                return Ok((event, span));
            }
        }
    }

    fn node(&mut self, event: Event<'i>, span: Span) -> Result<Node, Failure> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_decorated = anchor > 0 || tag.is_some();
                Ok(self.scalar(&text, style, &span, is_decorated).map_or(Node::Other, Node::Scalar))
            }
            Event::MappingStart(style, ..) => self.deeper(|reader| reader.map(style)),
            Event::SequenceStart(..) => self.deeper(Self::list),
            Event::Alias(_) => Ok(Node::Scalar(Scalar {
                text: String::new(),
                range: span.byte_range().unwrap_or_default(),
                block_in: None,
                event: self.events - 1,
                is_decorated: true,
                is_empty: false,
            })),
            _ => Ok(Node::Other),
        }
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<Node, Failure>) -> Result<Node, Failure> {
        if self.depth == DEEPEST {
            return Err(invalid(format!("this is nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: &Span, is_decorated: bool) -> Option<Scalar> {
        let range = span.byte_range()?;
        let source = self.text.get(range.clone())?;
        let end = range.start + source.trim_end().len();
        Some(Scalar {
            text: text.to_owned(),
            range: range.start..end,
            block_in: matches!(style, ScalarStyle::Literal | ScalarStyle::Folded).then_some(0),
            event: self.events - 1,
            is_decorated,
            is_empty: style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL"),
        })
    }

    fn map(&mut self, style: StructureStyle) -> Result<Node, Failure> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node::Map { entries, is_block: style == StructureStyle::Block });
            }
            let column = span.start.col();
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span)?;
            if let Node::Scalar(key) = key {
                if let Node::Scalar(value) = &mut value
                    && value.block_in.is_some()
                {
                    self.find_block(&key, value, column);
                }
                entries.push((key, value));
            }
        }
    }

    /// A block begins with its indicator, which stands behind its key on the key's line.
    fn find_block(&self, key: &Scalar, value: &mut Scalar, column: usize) {
        let rest = self.text.get(key.range.end..).unwrap_or_default();
        let after =
            rest.trim_start_matches([' ', '\t']).strip_prefix(':').map(|rest| rest.trim_start_matches([' ', '\t']));
        let header = after.unwrap_or_default();
        let length = header.find(|character: char| !"|>+-0123456789".contains(character)).unwrap_or(header.len());
        let start = self.text.len() - header.len();
        // Without an indicator there: a tag, an anchor, a key of several lines.
        value.is_decorated |= length == 0;
        value.range = start..start + length;
        value.block_in = Some(column);
    }

    fn list(&mut self) -> Result<Node, Failure> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Node::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }
}

impl Node {
    fn get(&self, key: &str) -> Option<&Node> {
        let Node::Map { entries, .. } = self else { return None };
        entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    fn scalar(&self, key: &str) -> Option<&Scalar> {
        if let Some(Node::Scalar(scalar)) = self.get(key) { Some(scalar) } else { None }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.scalar(key).map(|scalar| scalar.text.clone())
    }
}

fn gather(node: &Node, found: &mut Vec<Manifest>) -> Result<(), Failure> {
    let kind = node.text("kind").unwrap_or_default();
    if kind.ends_with("List")
        && let Some(Node::List(items)) = node.get("items")
    {
        return items.iter().try_for_each(|item| gather(item, found));
    }
    let api_version = node.text("apiVersion").unwrap_or_default();
    let kind = match kind.as_str() {
        "KamusSecret" if api_version.starts_with("soluto.com/") => Kind::KamusSecret,
        "Secret" if api_version == "v1" => Kind::Secret,
        _ => return Ok(()),
    };
    found.extend(manifest(node, kind)?);
    Ok(())
}

fn manifest(node: &Node, kind: Kind) -> Result<Option<Manifest>, Failure> {
    let (Node::Map { entries, is_block }, Some(kind_at)) = (node, node.scalar("kind")) else { return Ok(None) };
    let metadata = node.get("metadata");
    let of_metadata = |key: &str| metadata.and_then(|metadata| metadata.text(key));
    let name = of_metadata("name").unwrap_or_default();
    let mut values = Vec::new();
    for group in GROUPS {
        for (key, value) in node.get(group).map(members).transpose()?.unwrap_or_default() {
            let Node::Scalar(value) = value else {
                let words = "is no value: write text";
                return Err(invalid(words).in_field(format!("{name}: {group}.{}", key.text)));
            };
            values.push(Entry { group, key: key.text.clone(), value: value.clone() });
        }
    }
    let begins = entries.first().filter(|_| *is_block).map(|(key, _)| key.range.start);
    Ok(Some(Manifest {
        kind,
        api_version: node.scalar("apiVersion").cloned(),
        kind_at: kind_at.clone(),
        name,
        namespace: of_metadata("namespace"),
        account: node.text("serviceAccount"),
        is_immutable: node.text("immutable").is_some_and(|text| text == "true"),
        begins,
        values,
    }))
}

/// The members of a group; what an alias or a list stands in for cannot be told.
fn members(node: &Node) -> Result<&[(Scalar, Node)], Failure> {
    match node {
        Node::Map { entries, .. } => Ok(entries),
        Node::Scalar(scalar) if scalar.is_empty => Ok(&[]),
        _ => Err(invalid("stringData and data are mappings, written out where they stand")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_with_their_place_and_standing() {
        let text = "# a comment\napiVersion: soluto.com/v1alpha2\nkind: KamusSecret\nmetadata: {name: app, namespace: team-a}\nserviceAccount: web\nstringData:\n  plain: x y # why\n  sealed: sr1.0123456789abcdef.AQID\n  aes: 'C4gChhspnTa5yVqYmSitrg==:tr0Ke6OGUaUa8KZgMJg14g=='\n  block: |-\n    a\n    b\ndata:\n  base64: aGVsbG8=\n---\nkind: ConfigMap\ndata: {a: b}\n";
        let manifests = read(text).unwrap();
        assert_eq!(manifests.len(), 1);
        let found = &manifests[0];
        assert_eq!((found.name.as_str(), found.namespace.as_deref()), ("app", Some("team-a")));
        let stands: Vec<(String, bool, bool, &str)> = found
            .values
            .iter()
            .map(|entry| {
                let standing = entry.standing(found.kind);
                let source = &text[entry.value.range.clone()];
                (entry.field(), standing == Standing::Plain, standing == Standing::Legacy, source)
            })
            .collect();
        let expected = [
            ("stringData.plain", true, false, "x y"),
            ("stringData.sealed", false, false, "sr1.0123456789abcdef.AQID"),
            ("stringData.aes", false, true, "'C4gChhspnTa5yVqYmSitrg==:tr0Ke6OGUaUa8KZgMJg14g=='"),
            ("stringData.block", true, false, "|-"),
            ("data.base64", true, false, "aGVsbG8="),
        ];
        let expected: Vec<_> =
            expected.map(|(field, plain, legacy, text)| (field.to_owned(), plain, legacy, text)).into();
        assert_eq!(stands, expected);
        let list = read("kind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: eA==}}\n")
            .unwrap();
        assert_eq!((list[0].kind, list[0].values.len()), (Kind::Secret, 1));
    }

    #[test]
    fn what_is_no_yaml_is_placed_without_quoting_it() {
        let words = read("kind: Secret\ndata: \"canary\n").unwrap_err().to_string();
        assert!(words.contains("line") && !words.contains("canary"), "{words}");
    }
}
