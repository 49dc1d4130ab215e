//! From lodash templates, as kubernetes-external-secrets fills them, to Go templates: those that only put values into a
//! text. Whatever is a program stays for a person to translate.

use crate::property::steps;

/// Why a template is not translated, in words after which it can be named.
pub(crate) type Reason = &'static str;

const PROGRAM: Reason = "runs JavaScript, which a Go template cannot";
const ESCAPED: Reason = "escapes for HTML (<%- %>), which a Go template does otherwise";
const UNKNOWN: Reason = "has an expression that is more than a value, a path into its JSON, or texts put together";

/// A template in Go's language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) text: String,
    /// Whether JSON is written in it, whose keys Go puts in order.
    pub(crate) writes_json: bool,
}

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Value(&'t str),
}

/// What an expression gives.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Text(String),
    /// A value by its key.
    Value(String),
    /// A place in the JSON that a value is; the value itself, parsed, where there are no steps.
    Parsed(String, Vec<String>),
    /// The JSON of such a place.
    Json(String, Vec<String>),
    /// One after the other, as text.
    Joined(Vec<Expression>),
    /// As base64.
    Base64(Box<Expression>),
}

/// Translates the template of a text.
///
/// # Errors
/// Where it is more than values in a text.
pub(crate) fn translate(template: &str) -> Result<Translated, Reason> {
    let mut translated = Translated { text: String::new(), writes_json: false };
    for piece in pieces(template)? {
        match piece {
            Piece::Text(text) => translated.text.push_str(&literal(text)),
            Piece::Value(source) => write(&expression(source)?, &mut translated)?,
        }
    }
    Ok(translated)
}

/// Translates the template of a text that is the base64 of what is meant; the translation gives what is meant. `None`
/// where it has no expression: the text itself is the base64.
///
/// # Errors
/// Where it is anything but one expression, in base64 by itself or from the value of a key.
pub(crate) fn translate_base64(template: &str) -> Option<Result<Translated, Reason>> {
    let pieces = match pieces(template) {
        Ok(pieces) => pieces,
        Err(reason) => return Some(Err(reason)),
    };
    if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        return None;
    }
    let is_blank = |piece: &Piece<'_>| matches!(piece, Piece::Text(text) if text.trim().is_empty());
    let mut filled = pieces.into_iter().filter(|piece| !is_blank(piece));
    let (Some(Piece::Value(source)), None) = (filled.next(), filled.next()) else {
        return Some(Err("puts base64 together from parts"));
    };
    Some(expression(source).and_then(|expression| {
        let mut translated = Translated { text: String::new(), writes_json: false };
        match expression {
            Expression::Base64(inner) => write(&inner, &mut translated)?,
            Expression::Value(key) => translated.text = format!("{{{{ {} | b64dec }}}}", field(".", &key)),
            _ => return Err("makes base64 in a way that is not known here"),
        }
        Ok(translated)
    }))
}

/// Whether lodash would find anything to fill in.
pub(crate) fn is_template(text: &str) -> bool {
    pieces(text).map_or(true, |pieces| pieces.iter().any(|piece| matches!(piece, Piece::Value(_))))
}

/// `text` so that Go's templates leave it as it is.
pub(crate) fn literal(text: &str) -> String {
    text.replace("{{", r#"{{ "{{" }}"#)
}

/// Takes a template apart. What is opened and not closed is text, as lodash has it.
fn pieces(template: &str) -> Result<Vec<Piece<'_>>, Reason> {
    let mut pieces = Vec::new();
    let (mut rest, mut text) = (template, 0);
    while let Some(at) = rest[text..].find(['<', '$']).map(|at| at + text) {
        let tail = &rest[at..];
        let found = match (tail.strip_prefix("<%"), tail.strip_prefix("${")) {
            (Some(inside), _) => inside.find("%>").filter(|end| *end > 0).map(|end| (&inside[..end], end + 4)),
            (_, Some(inside)) => inside.find('}').map(|end| (&inside[..end], end + 3)),
            _ => None,
        };
        let Some((inside, length)) = found else {
            text = at + 1;
            continue;
        };
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        match (tail.starts_with('$'), inside.chars().next()) {
            (true, _) => pieces.push(Piece::Value(inside)),
            (_, Some('=')) => pieces.push(Piece::Value(&inside[1..])),
            (_, Some('-')) => return Err(ESCAPED),
            _ => return Err(PROGRAM),
        }
        (rest, text) = (&tail[length..], 0);
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Reads an expression to its end.
fn expression(source: &str) -> Result<Expression, Reason> {
    let mut reader = Reader { rest: source.trim() };
    let expression = reader.sum()?;
    if reader.rest.is_empty() { Ok(expression) } else { Err(UNKNOWN) }
}

/// What is left of an expression.
struct Reader<'s> {
    rest: &'s str,
}

impl<'s> Reader<'s> {
    fn takes(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        self.rest = rest.trim_start();
        true
    }

    fn needs(&mut self, word: &str) -> Result<(), Reason> {
        if self.takes(word) { Ok(()) } else { Err(UNKNOWN) }
    }

    /// Operands with `+` between them.
    fn sum(&mut self) -> Result<Expression, Reason> {
        let mut parts = vec![self.operand()?];
        while self.takes("+") {
            parts.push(self.operand()?);
        }
        joined(parts)
    }

    fn operand(&mut self) -> Result<Expression, Reason> {
        let mut expression = self.start()?;
        loop {
            if self.takes(".concat(") {
                let mut parts = vec![expression, self.sum()?];
                while self.takes(",") {
                    parts.push(self.sum()?);
                }
                self.needs(")")?;
                // A method of texts: numbers and objects have none of this name.
                let is_text = !matches!(parts[0], Expression::Parsed(..));
                expression = if is_text { Expression::Joined(parts) } else { return Err(UNKNOWN) };
            } else if self.takes(".toString()") {
                if matches!(expression, Expression::Parsed(..)) {
                    return Err(UNKNOWN);
                }
            } else {
                return Ok(expression);
            }
        }
    }

    fn start(&mut self) -> Result<Expression, Reason> {
        if self.rest.starts_with(['"', '\'']) {
            return self.text().map(Expression::Text);
        }
        if self.takes("JSON.parse(") {
            let Expression::Value(key) = self.sum()? else { return Err(UNKNOWN) };
            self.needs(")")?;
            return Ok(Expression::Parsed(key, self.path()?));
        }
        if self.takes("JSON.stringify(") {
            let Expression::Parsed(key, path) = self.sum()? else { return Err(UNKNOWN) };
            self.needs(")")?;
            return Ok(Expression::Json(key, path));
        }
        if self.takes("Buffer.from(") {
            let inner = self.sum()?;
            self.needs(")")?;
            self.needs(".toString(")?;
            if self.text()? != "base64" || matches!(inner, Expression::Parsed(..)) {
                return Err(UNKNOWN);
            }
            self.needs(")")?;
            return Ok(Expression::Base64(Box::new(inner)));
        }
        if self.takes("(") {
            let inner = self.sum()?;
            self.needs(")")?;
            return Ok(inner);
        }
        let word = self.rest.strip_prefix("data").filter(|rest| rest.starts_with(['.', '[']));
        self.rest = word.ok_or(UNKNOWN)?;
        let mut path = self.path()?;
        match (path.pop(), path.is_empty()) {
            (Some(key), true) => Ok(Expression::Value(key)),
            _ => Err(UNKNOWN),
        }
    }

    /// `.a["b"][0]`, up to what is called as a function.
    fn path(&mut self) -> Result<Vec<String>, Reason> {
        let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
        let mut path = Vec::new();
        loop {
            let end = match self.rest.chars().next() {
                Some('.') => 1 + self.rest[1..].find(|letter| !is_word(letter)).unwrap_or(self.rest.len() - 1),
                Some('[') => 1 + self.rest.find(']').ok_or(UNKNOWN)?,
                _ => break,
            };
            let (step, rest) = self.rest.split_at(end);
            if rest.starts_with('(') {
                break;
            }
            let mut found = steps(step.strip_prefix('.').unwrap_or(step)).map_err(|_| UNKNOWN)?;
            path.append(&mut found);
            self.rest = rest;
        }
        self.rest = self.rest.trim_start();
        Ok(path)
    }

    /// A text in quotes.
    fn text(&mut self) -> Result<String, Reason> {
        let mut letters = self.rest.char_indices();
        let Some((_, quote @ ('"' | '\''))) = letters.next() else { return Err(UNKNOWN) };
        let mut text = String::new();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => text.push(match letters.next().map(|(_, letter)| letter) {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(letter @ ('\\' | '"' | '\'')) => letter,
                    _ => return Err(UNKNOWN),
                }),
                letter if letter == quote => {
                    self.rest = self.rest[at + 1..].trim_start();
                    return Ok(text);
                }
                letter => text.push(letter),
            }
        }
        Err(UNKNOWN)
    }
}

/// A sum. It is text where one of the first two is; else it may be a number.
fn joined(mut parts: Vec<Expression>) -> Result<Expression, Reason> {
    let is_number = |part: &Expression| matches!(part, Expression::Parsed(..));
    match parts.len() {
        1 => parts.pop().ok_or(UNKNOWN),
        _ if parts.iter().take(2).all(is_number) => Err(UNKNOWN),
        _ => Ok(Expression::Joined(parts)),
    }
}

fn write(expression: &Expression, out: &mut Translated) -> Result<(), Reason> {
    match expression {
        Expression::Text(text) => out.text.push_str(&literal(text)),
        Expression::Value(key) => out.text.push_str(&format!("{{{{ {} }}}}", field(".", key))),
        Expression::Parsed(key, path) => {
            // As JavaScript writes it: a text as it is, a number without an exponent.
            let place = place(key, path);
            let shown = r#"{{ ternary $value (toJson $value) (kindIs "string" $value) }}"#;
            out.text.push_str(&format!("{{{{ $value := {place} }}}}{shown}"));
        }
        Expression::Json(key, path) => {
            out.writes_json = true;
            out.text.push_str(&format!("{{{{ {} | toRawJson }}}}", place(key, path)));
        }
        Expression::Joined(parts) => parts.iter().try_for_each(|part| write(part, out))?,
        Expression::Base64(inner) => match inner.as_ref() {
            Expression::Value(key) => out.text.push_str(&format!("{{{{ {} | b64enc }}}}", field(".", key))),
            Expression::Json(key, path) => {
                out.writes_json = true;
                out.text.push_str(&format!("{{{{ {} | toRawJson | b64enc }}}}", place(key, path)));
            }
            _ => return Err(UNKNOWN),
        },
    }
    Ok(())
}

/// The place in the JSON of a value.
fn place(key: &str, path: &[String]) -> String {
    let document = format!("(fromJson {})", argument(&field(".", key)));
    path.iter().fold(document, |place, step| field(&place, step))
}

/// `step` of `of`, which is `.` or stands in parentheses or ends with a field.
fn field(of: &str, step: &str) -> String {
    let mut letters = step.chars();
    let is_first = |letter: char| letter.is_alphabetic() || letter == '_';
    let is_word =
        letters.next().is_some_and(is_first) && letters.all(|letter| letter.is_alphanumeric() || letter == '_');
    let of = argument(of);
    match (is_word, step.parse::<u32>()) {
        (true, _) if of == "." => format!(".{step}"),
        (true, _) => format!("{of}.{step}"),
        (_, Ok(index)) if of != "." => format!("index {of} {index}"),
        _ => format!("index {of} {}", quoted(step)),
    }
}

/// A call as an argument.
fn argument(call: &str) -> String {
    if call.starts_with("index ") { format!("({call})") } else { call.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use strongroom_secret::SecretBytes;
    use strongroom_template::{Settings, Template, Value};

    use super::*;

    /// What is shown of a place in JSON.
    fn shown(place: &str) -> String {
        format!("{{{{ $value := {place} }}}}{{{{ ternary $value (toJson $value) (kindIs \"string\" $value) }}}}")
    }

    #[test]
    fn values_in_texts_are_translated() {
        let check = |template: &str, expected: &str| {
            assert_eq!(translate(template).map(|translated| translated.text), Ok(expected.to_owned()), "{template}");
        };
        check("plain", "plain");
        check("", "");
        check("a <%= data.x %> b", "a {{ .x }} b");
        check("<%=data.x%><%= data.y %>", "{{ .x }}{{ .y }}");
        check("${data.x}", "{{ .x }}");
        check("<%= data['tls.crt'] %>", r#"{{ index . "tls.crt" }}"#);
        check("<%= data[\"a\"] %>", "{{ .a }}");
        check(r#"<%= "Hello".concat(data.secretData) %>"#, "Hello{{ .secretData }}");
        check("<%= data.a.concat(':', data.b) %>", "{{ .a }}:{{ .b }}");
        check("<%= 'a\\n' + data.x + \"b\" %>", "a\n{{ .x }}b");
        check("<%= data.x.toString() %>", "{{ .x }}");
        check("keep {{ braces }}", r#"keep {{ "{{" }} braces }}"#);
        check("5 < 6 $ <%", "5 < 6 $ <%");
        check("<%= open", "<%= open");
        check("<%= JSON.parse(data.s1).f2.f22 %>", &shown("(fromJson .s1).f2.f22"));
        check("<%= JSON.parse(data.s1).arr[0].x %>", &shown("(index (fromJson .s1).arr 0).x"));
        check("<%= JSON.parse(data['a-b'])[\"c-d\"] %>", &shown(r#"index (fromJson (index . "a-b")) "c-d""#));
        check("<%= JSON.stringify(JSON.parse(data.s1).objKey) %>", "{{ (fromJson .s1).objKey | toRawJson }}");
        check("<%= Buffer.from(data.x).toString('base64') %>", "{{ .x | b64enc }}");
    }

    #[test]
    fn programs_are_left_to_people() {
        let check = |template: &str, expected: Reason| assert_eq!(translate(template), Err(expected), "{template}");
        check("<% let a = 1 %><%= a %>", PROGRAM);
        check("<%- data.x %>", ESCAPED);
        for template in [
            "<%= process.env.HOME %>",
            "<%= yaml.dump(JSON.parse(data.s1)) %>",
            "<%= data.x.y %>",
            "<%= data %>",
            "<%= data.x.replace('a', 'b') %>",
            "<%= JSON.parse(data.x).a + JSON.parse(data.x).b %>",
            "<%= JSON.parse(data.x).list.join(',') %>",
            "<%= data.x ? 1 : 2 %>",
            "<%= 'open %>",
            "${`a`}",
        ] {
            check(template, UNKNOWN);
        }
    }

    #[test]
    fn base64_is_taken_off() {
        let check = |template: &str, expected: Option<Result<&str, ()>>| {
            let got = translate_base64(template).map(|done| done.map(|done| done.text).map_err(|_| ()));
            assert_eq!(got, expected.map(|done| done.map(str::to_owned)), "{template}");
        };
        check("aGVsbG8=", None);
        check("<%= data.x %>", Some(Ok("{{ .x | b64dec }}")));
        check(
            " <%= Buffer.from(JSON.stringify(JSON.parse(data.s1).o)).toString(\"base64\") %>\n",
            Some(Ok("{{ (fromJson .s1).o | toRawJson }}")),
        );
        check("<%= Buffer.from(data.x + 'y').toString('base64') %>", Some(Ok("{{ .x }}y")));
        check("<%= data.x %><%= data.y %>", Some(Err(())));
        check("<%= JSON.parse(data.x).y %>", Some(Err(())));
        check("<% program() %>", Some(Err(())));
    }

    /// What the operator makes of a translation.
    fn rendered(template: &str) -> String {
        let data = [
            ("secretData", "foo123"),
            ("tls.crt", "certificate"),
            ("encoded", "aGVsbG8="),
            ("s1", "{\"f1\":11,\"f2\":{\"f22\":\"hello\"},\"objKey\":{\"strKey\":\"hello world\"}}\n"),
            ("s2", r#"{"arr":[1,2,3],"n":123456789,"f":1.5,"yes":true,"markup":"<b> & \"q\""}"#),
        ];
        let data: BTreeMap<String, SecretBytes> =
            data.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::from((*value).to_owned()))).collect();
        let settings = Settings::at(jiff::Timestamp::UNIX_EPOCH);
        let made = Template::parse("t", template, &settings).unwrap().render(&Value::from(data)).unwrap();
        made.expose_text().unwrap().to_owned()
    }

    #[test]
    fn ke_12_translations_render_as_lodash_does() {
        let check = |template: &str, expected: &str| {
            assert_eq!(rendered(&translate(template).unwrap().text), expected, "{template}");
        };
        check(r#"<%= "Hello".concat(data.secretData) %>"#, "Hellofoo123");
        check("<%= JSON.parse(data.s1).f2.f22 %>", "hello");
        check("<%= JSON.parse(data.s1)['f2'][\"f22\"] %> and <%= JSON.parse(data.s1).f1 %>", "hello and 11");
        check("<%= JSON.parse(data.s2).arr[1] %>", "2");
        check("<%= JSON.parse(data.s2).n %>", "123456789");
        check("<%= JSON.parse(data.s2).f %>", "1.5");
        check("<%= JSON.parse(data.s2).yes %>", "true");
        check("<%= JSON.parse(data.s2).markup %>", "<b> & \"q\"");
        check("<%= data['tls.crt'] %>", "certificate");
        check("${data.secretData} {{ .secretData }}", "foo123 {{ .secretData }}");
        check("<%= JSON.stringify(JSON.parse(data.s1).objKey) %>", r#"{"strKey":"hello world"}"#);
        check(
            "<%= Buffer.from(JSON.stringify(JSON.parse(data.s1).objKey)).toString('base64') %>",
            "eyJzdHJLZXkiOiJoZWxsbyB3b3JsZCJ9",
        );
        let decoded = translate_base64("<%= data.encoded %>").unwrap().unwrap();
        assert_eq!(rendered(&decoded.text), "hello");
    }
}
