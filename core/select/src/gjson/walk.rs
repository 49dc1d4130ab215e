//! One pass over the document along a path's components, building nothing but the answer.

use super::get;
use super::limits::{Bounded, Output, Run};
use super::path::{ArrayStep, Elements, ObjectStep, Query, Rest, split_at_pipe};
use super::query::fits;
use super::scan::{self, Start};
use super::value::{Kind, Text, Value, within};
use super::wildcard;

/// A pass under way: the document, the answer so far, and what the path says to do with the answer.
pub(super) struct Walk<'j, 'p> {
    json: &'j [u8],
    answer: Value<'j>,
    pipe: Option<&'p [u8]>,
}

/// Where a step ended, and whether the answer is final.
type Step = (usize, bool);

/// Looks up a path that begins with a component (no modifier, literal or multipath).
pub(super) fn look_up<'j>(run: &mut Run, json: &'j [u8], path: &[u8]) -> Bounded<Value<'j>> {
    let mut walk = Walk { json, answer: Value::default(), pipe: None };
    if let Some(path) = path.strip_prefix(b"..") {
        // JSON lines: the text is the inside of an array without brackets.
        walk.array(run, 0, path)?;
    } else if let Some(at) = json.iter().position(|byte| matches!(byte, b'{' | b'[')) {
        if json[at] == b'{' {
            walk.object(run, at + 1, path)?;
        } else {
            walk.array(run, at + 1, path)?;
        }
    }
    match walk.pipe {
        Some(pipe) => within(run, walk.answer.raw, |run, json| get(run, json, pipe)),
        None => Ok(walk.answer),
    }
}

/// What comes next in an array.
enum Next {
    /// A value begins here.
    Value(usize),
    /// The array is closed here; the end of the text closes it as a bracket does.
    Close(usize),
    /// The text ended inside of a string.
    Broken,
}

impl<'j, 'p> Walk<'j, 'p> {
    /// Looks for the path in the object whose members begin at `start`.
    fn object(&mut self, run: &mut Run, start: usize, path: &'p [u8]) -> Bounded<Step> {
        run.charge(path.len())?;
        let step = ObjectStep::parse(path, run.version);
        self.remember_pipe(step.rest);
        run.deeper(|run| self.members(run, start, &step))
    }

    fn remember_pipe(&mut self, rest: Rest<'p>) {
        if let Rest::Pipe(pipe) = rest {
            self.pipe = Some(pipe);
        }
    }

    fn members(&mut self, run: &mut Run, start: usize, step: &ObjectStep<'p>) -> Bounded<Step> {
        let json = self.json;
        let mut at = start;
        while at < json.len() {
            let Some(length) = json[at..].iter().position(|byte| matches!(byte, b'"' | b'}')) else {
                break;
            };
            at += length;
            if json[at] == b'}' {
                return Ok((at + 1, false));
            }
            let key = scan::string_end(json, at + 1);
            if !key.closed {
                break;
            }
            let matched = key_fits(run, step, &json[at..=key.at])?;
            let Some(length) = (key.at + 1..json.len()).position(|at| scan::start_at(json, at).is_some()) else {
                break;
            };
            let value = key.at + 1 + length;
            let (end, found) = self.value(run, value, matched, step.rest.more())?;
            if found {
                return Ok((end, true));
            }
            at = end;
        }
        Ok((json.len(), false))
    }

    /// Deals with the value at `at`: takes it, goes on with `more` in it, or steps over it.
    fn value(&mut self, run: &mut Run, at: usize, matched: bool, more: Option<&'p [u8]>) -> Bounded<Step> {
        match (matched, more, self.json[at]) {
            (true, None, _) => Ok(self.take(at)),
            (true, Some(path), b'{') => self.object(run, at + 1, path),
            (true, Some(path), b'[') => self.array(run, at + 1, path),
            _ => Ok((self.end_of_value(at).0, false)),
        }
    }

    /// Makes the value at `at` the answer.
    fn take(&mut self, at: usize) -> Step {
        let (end, kind) = self.end_of_value(at);
        let Some(kind) = kind else {
            return (end, false);
        };
        // A null keeps the kind of what an earlier query under the same pattern left behind, as gjson does.
        if kind != Kind::Null {
            self.answer.kind = kind;
        }
        self.answer.raw = Text::Borrowed(self.slice(at, end));
        (end, true)
    }

    fn slice(&self, start: usize, end: usize) -> &'j [u8] {
        &self.json[start..end.min(self.json.len())]
    }

    /// The end and the kind of the value at `at`; no kind where it is a string that never closes.
    fn end_of_value(&self, at: usize) -> (usize, Option<Kind>) {
        let json = self.json;
        match scan::start_at(json, at) {
            Some(Start::String) => {
                let end = scan::string_end(json, at + 1);
                if end.closed { (end.at + 1, Some(Kind::String)) } else { (end.at, None) }
            }
            Some(Start::Object | Start::Array) => (scan::block_end(json, at), Some(Kind::Json)),
            Some(Start::Number) => (scan::number_end(json, at), Some(Kind::Number)),
            Some(Start::Literal) => (scan::literal_end(json, at), Some(scan::literal_kind(json[at]))),
            None => (at + 1, None),
        }
    }

    /// Looks for the path in the array whose elements begin at `start`.
    fn array(&mut self, run: &mut Run, start: usize, path: &'p [u8]) -> Bounded<Step> {
        run.charge(path.len())?;
        let step = ArrayStep::parse(path, run.version);
        self.remember_pipe(step.rest);
        let more = step.rest.more();
        run.deeper(|run| match step.elements {
            Elements::Where(query) => self.matching(run, start, &query, more),
            Elements::At(index) => self.element(run, start, index, more),
            Elements::Nothing => self.element(run, start, None, more),
            Elements::Count => Ok(self.count(start)),
            Elements::Each(path) => self.each(run, start, path),
        })
    }

    fn next_element(&self, start: usize) -> Next {
        let length = self.json.len();
        for at in start..length {
            if self.json[at] == b']' {
                return Next::Close(at);
            }
            if scan::start_at(self.json, at).is_some() {
                return Next::Value(at);
            }
        }
        if start > length { Next::Broken } else { Next::Close(length) }
    }

    /// `3`, `3.more`: the element at `index`.
    fn element(&mut self, run: &mut Run, start: usize, index: Option<i64>, more: Option<&'p [u8]>) -> Bounded<Step> {
        let (mut at, mut place) = (start, 0);
        loop {
            match self.next_element(at) {
                Next::Value(value) => {
                    let (end, found) = self.value(run, value, index == Some(place), more)?;
                    if found {
                        return Ok((end, true));
                    }
                    (at, place) = (end, place + 1);
                }
                Next::Close(close) => return Ok((close + 1, false)),
                Next::Broken => return Ok((at, false)),
            }
        }
    }

    /// `#`: how many elements there are.
    fn count(&mut self, start: usize) -> Step {
        let (mut at, mut count) = (start, 0usize);
        loop {
            match self.next_element(at) {
                Next::Value(value) => match self.end_of_value(value) {
                    (end, Some(_)) => (at, count) = (end, count + 1),
                    (end, None) => return (end, false),
                },
                Next::Close(close) => {
                    self.answer = Value::made(Kind::Number, count.to_string().into_bytes().into());
                    return (close + 1, true);
                }
                Next::Broken => return (at, false),
            }
        }
    }

    /// `#.path`: the path's value in each element that has it, as an array.
    fn each(&mut self, run: &mut Run, start: usize, path: &'p [u8]) -> Bounded<Step> {
        let split = split_at_pipe(run, path)?;
        let path = split.map_or(path, |(left, _)| left);
        let mut gathered = Output::default();
        gathered.push(b'[')?;
        let mut at = start;
        let close = loop {
            match self.next_element(at) {
                Next::Value(value) => {
                    let (end, kind) = self.end_of_value(value);
                    let Some(kind) = kind else {
                        return Ok((end, false));
                    };
                    let element = Value::new(kind, self.slice(value, end));
                    gather(&mut gathered, &get(run, &element.raw, path)?)?;
                    at = end;
                }
                Next::Close(close) => break close,
                Next::Broken => return Ok((at, false)),
            }
        };
        self.gather_beyond(run, at, path, &mut gathered)?;
        if let Some((_, pipe)) = split {
            self.pipe = Some(pipe);
        }
        gathered.push(b']')?;
        self.answer = Value::made(Kind::Json, gathered.finish());
        Ok((close + 1, true))
    }

    /// Where something other than the bracket follows the last element (a comma too many), gjson reads on behind the
    /// array and takes the next value of the text for an element.
    fn gather_beyond(&self, run: &mut Run, end: usize, path: &[u8], gathered: &mut Output) -> Bounded<()> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let rest = self.json.get(end..).unwrap_or_default();
        let Some(at) = rest.iter().position(|byte| !blank(byte)).filter(|at| rest[*at] != b']') else {
            return Ok(());
        };
        match scan::next_value(rest, at) {
            Some((_, element)) => gather(gathered, &get(run, &element.raw, path)?),
            None => Ok(()),
        }
    }

    /// `#(…)`: the first element that fits; `#(…)#`: all of them, as an array.
    fn matching(
        &mut self,
        run: &mut Run,
        start: usize,
        query: &Query<'p>,
        mut more: Option<&'p [u8]>,
    ) -> Bounded<Step> {
        let mut gathered = Output::default();
        gathered.push(b'[')?;
        let mut at = start;
        loop {
            match self.next_element(at) {
                Next::Value(value) => {
                    let (end, kind) = self.end_of_value(value);
                    let Some(kind) = kind else {
                        return Ok((end, false));
                    };
                    let selected = self.selected(run, query, kind, self.slice(value, end), &mut more)?;
                    match selected {
                        Some(answer) if query.all => gather(&mut gathered, &answer)?,
                        Some(answer) => {
                            self.answer = answer;
                            return Ok((end, true));
                        }
                        None => {}
                    }
                    at = end;
                }
                Next::Close(close) => {
                    if query.all && !self.answer.exists() {
                        gathered.push(b']')?;
                        self.answer = Value::made(Kind::Json, gathered.finish());
                    }
                    return Ok((close + 1, false));
                }
                Next::Broken => return Ok((at, false)),
            }
        }
    }

    /// What an element contributes, if it fits the query: itself, or the value of the path that follows.
    fn selected(
        &mut self,
        run: &mut Run,
        query: &Query<'p>,
        kind: Kind,
        raw: &'j [u8],
        more: &mut Option<&'p [u8]>,
    ) -> Bounded<Option<Value<'j>>> {
        let subject = if kind == Kind::Json {
            get(run, raw, query.path)?
        } else if query.path.is_empty() {
            Value::new(kind, raw)
        } else {
            return Ok(None);
        };
        if !fits(run, query, &subject)? {
            return Ok(None);
        }
        let Some(path) = *more else {
            return Ok(Some(Value::new(kind, raw)));
        };
        if let Some((left, right)) = split_at_pipe(run, path)? {
            *more = Some(left);
            self.pipe = Some(right);
        }
        get(run, raw, more.unwrap_or_default()).map(Some)
    }
}

/// Adds a value to an array in the making; what does not exist leaves no gap.
fn gather(gathered: &mut Output, value: &Value<'_>) -> Bounded<()> {
    if value.raw.is_empty() {
        return Ok(());
    }
    if gathered.len() > 1 {
        gathered.push(b',')?;
    }
    gathered.extend(&value.raw)
}

/// Whether a key (with its quotes) is the one that the component names.
fn key_fits(run: &mut Run, step: &ObjectStep<'_>, key: &[u8]) -> Bounded<bool> {
    let key = scan::string_text(key);
    if step.wild { wildcard::matches(run, &key, &step.part) } else { Ok(*key == *step.part) }
}
