//! Whether a text is valid JSON, by gjson's own rules: RFC 8259 without a check of UTF-8.

use super::limits::{Bounded, Run};

/// Whether `json` is one value and white space.
pub(super) fn is_valid(run: &mut Run, json: &[u8]) -> Bounded<bool> {
    run.charge(json.len())?;
    let mut reader = Reader { json, at: 0 };
    Ok(reader.value(run)?.is_some() && {
        reader.skip_blanks();
        reader.at == json.len()
    })
}

/// Whether `json` is one string and nothing else.
pub(super) fn is_string(json: &[u8]) -> bool {
    let mut reader = Reader { json, at: 0 };
    reader.next() == Some(b'"') && reader.string().is_some() && reader.at == json.len()
}

struct Reader<'j> {
    json: &'j [u8],
    at: usize,
}

/// `Some` where what was asked for stood there and was read.
type Read = Option<()>;

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.json.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn next_token(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.next()
    }

    fn value(&mut self, run: &mut Run) -> Bounded<Read> {
        Ok(match self.next_token() {
            Some(b'{') => run.deeper(|run| self.object(run))?,
            Some(b'[') => run.deeper(|run| self.array(run))?,
            Some(b'"') => self.string(),
            Some(first @ (b'-' | b'0'..=b'9')) => self.number(first),
            Some(b't') => self.word(b"rue"),
            Some(b'f') => self.word(b"alse"),
            Some(b'n') => self.word(b"ull"),
            _ => None,
        })
    }

    fn object(&mut self, run: &mut Run) -> Bounded<Read> {
        let mut token = self.next_token();
        if token == Some(b'}') {
            return Ok(Some(()));
        }
        loop {
            let key = token == Some(b'"') && self.string().is_some() && self.next_token() == Some(b':');
            if !key || self.value(run)?.is_none() {
                return Ok(None);
            }
            match self.next_token() {
                Some(b',') => token = self.next_token(),
                end => return Ok((end == Some(b'}')).then_some(())),
            }
        }
    }

    fn array(&mut self, run: &mut Run) -> Bounded<Read> {
        self.skip_blanks();
        if self.json.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Some(()));
        }
        loop {
            if self.value(run)?.is_none() {
                return Ok(None);
            }
            match self.next_token() {
                Some(b',') => {}
                end => return Ok((end == Some(b']')).then_some(())),
            }
        }
    }

    fn string(&mut self) -> Read {
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            self.next().filter(u8::is_ascii_hexdigit)?;
                        }
                    }
                    _ => return None,
                },
                ..b' ' => return None,
                _ => {}
            }
        }
    }

    fn number(&mut self, first: u8) -> Read {
        let leading = if first == b'-' { self.next().filter(u8::is_ascii_digit)? } else { first };
        if leading != b'0' {
            self.digits();
        }
        if self.json.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.next().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        if matches!(self.json.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.json.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.next().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        Some(())
    }

    fn digits(&mut self) {
        while self.json.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn word(&mut self, rest: &[u8]) -> Read {
        let end = self.at + rest.len();
        (self.json.get(self.at..end) == Some(rest)).then(|| self.at = end)
    }
}
