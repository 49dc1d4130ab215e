//! Reading: events of a YAML parser, resolved by the rules of YAML 1.1.

use std::collections::{BTreeMap, HashMap};

use granit_parser::{Event, Parser, ScalarStyle};

use super::resolve::resolve;
use crate::formats::float;
use crate::limits::{Fault, Meter};
use crate::values::{Datum, Text};

/// Why a text is no YAML: words for the template, which may print them, with the line.
pub(crate) type Unread = String;

/// Reads the first document of `text` as a mapping; nothing is an empty one.
pub(crate) fn read(meter: &mut Meter, text: &str) -> Result<Result<BTreeMap<Text, Datum>, Unread>, Fault> {
    let mut reader = Reader { parser: Parser::new_from_str(text), meter, anchors: HashMap::new(), depth: 0 };
    Ok(match reader.document() {
        Ok(Some(Datum::Map(map))) => Ok(map.clear()),
        Ok(None | Some(Datum::Nil)) => Ok(BTreeMap::new()),
        Ok(Some(_)) => Err("error unmarshaling JSON: the document is no mapping".to_owned()),
        Err(Stop::Unread(words)) => Err(format!("error converting YAML to JSON: yaml: {words}")),
        Err(Stop::Fault(fault)) => return Err(fault),
    })
}

struct Reader<'m, 'i> {
    parser: Parser<'i, granit_parser::StrInput<'i>>,
    meter: &'m mut Meter,
    /// Nodes that aliases name, by the parser's number for the anchor.
    anchors: HashMap<usize, Datum>,
    depth: usize,
}

enum Stop {
    Unread(Unread),
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn unread<T>(words: &str) -> Result<T, Stop> {
    Err(Stop::Unread(words.to_owned()))
}

impl<'i> Reader<'_, 'i> {
    fn event(&mut self) -> Result<Event<'i>, Stop> {
        self.meter.step(1)?;
        loop {
            match self.parser.next_event() {
                None => return Ok(Event::StreamEnd),
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok((event, _))) => return Ok(event),
                Some(Err(error)) => {
                    return Err(Stop::Unread(format!("line {}: could not parse it", error.marker().line())));
                }
            }
        }
    }

    fn document(&mut self) -> Result<Option<Datum>, Stop> {
        loop {
            match self.event()? {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(None),
                event => return self.node(event).map(Some),
            }
        }
    }

    fn node(&mut self, event: Event<'i>) -> Result<Datum, Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.to_string());
                let datum = scalar(&text, style, tag.as_deref())?;
                self.meter.make(text.len())?;
                self.remember(anchor, &datum);
                Ok(datum)
            }
            Event::SequenceStart(_, anchor, _) => {
                let datum = self.deeper(Self::sequence)?;
                self.remember(anchor, &datum);
                Ok(datum)
            }
            Event::MappingStart(_, anchor, _) => {
                let datum = self.deeper(Self::mapping)?;
                self.remember(anchor, &datum);
                Ok(datum)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(datum) => Ok(crate::functions::copied(self.meter, datum)?),
                None => unread("unknown anchor"),
            },
            _ => unread("could not parse it"),
        }
    }

    fn remember(&mut self, anchor: usize, datum: &Datum) {
        if anchor > 0 {
            self.anchors.insert(anchor, datum.clone());
        }
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<Datum, Stop>) -> Result<Datum, Stop> {
        if self.depth >= self.meter.depth() {
            return Err(Fault::new(format!("a document is nested deeper than {}", self.meter.depth())).into());
        }
        self.depth += 1;
        let made = inner(self);
        self.depth -= 1;
        made
    }

    fn sequence(&mut self) -> Result<Datum, Stop> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Event::SequenceEnd => return Ok(Datum::list(items)),
                event => items.push(self.node(event)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Datum, Stop> {
        let mut entries = BTreeMap::new();
        let mut merged: Vec<Datum> = Vec::new();
        loop {
            let event = match self.event()? {
                Event::MappingEnd => break,
                event => event,
            };
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event)?;
            let event = self.event()?;
            let value = self.node(event)?;
            if is_merge {
                merged.push(value);
            } else {
                entries.insert(key_text(&key)?, value);
            }
        }
        for source in merged.into_iter().flat_map(sources) {
            let Datum::Map(map) = source else {
                return unread("map merge requires map or sequence of maps as the value");
            };
            for (key, value) in map.entries() {
                entries.entry(key).or_insert(value);
            }
        }
        Ok(Datum::map(entries))
    }
}

/// What a merge key names: one mapping, or several of which the first one wins.
fn sources(value: Datum) -> Vec<Datum> {
    match value {
        Datum::List(list) => list.items.clone(),
        other => vec![other],
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Datum, Stop> {
    match tag {
        Some("tag:yaml.org,2002:str" | "!") => return Ok(Datum::text(text)),
        Some("tag:yaml.org,2002:binary") => {
            use base64::Engine as _;
            let clean: String = text.split_whitespace().collect();
            return base64::engine::general_purpose::STANDARD.decode(clean).map_or_else(
                |_| unread("!!binary value contains invalid base64 data"),
                |bytes| Ok(Datum::text(bytes)),
            );
        }
        _ => {}
    }
    let is_resolved = tag.is_some_and(|tag| tag.starts_with("tag:yaml.org,2002:"));
    if style != ScalarStyle::Plain && !is_resolved {
        return Ok(Datum::text(text));
    }
    match resolve(text).datum(text) {
        Some(datum) => Ok(datum),
        None => unread("json: unsupported value"),
    }
}

/// A key as JSON has it: a string.
fn key_text(key: &Datum) -> Result<Text, Stop> {
    match key {
        Datum::Text(text) => Ok(text.clone()),
        Datum::Float(value) => Ok(Text::from(float::json(*value))),
        Datum::Bool(value) => Ok(Text::from(value.to_string())),
        _ => unread("unsupported map key"),
    }
}
