//! A template's text to the body of a JavaScript function, as EJS 3 compiles it when nothing else is asked of it.
//!
//! As with lodash, a template sees what it is compiled to, and where statements end decides what is a template at all:
//! each tag and each text is a statement of its own, inside of `with` and `try`.

use super::write_literal;

/// What divides a template. At one place the first that fits counts.
const TAGS: [&str; 10] = ["<%%", "%%>", "<%=", "<%-", "<%_", "<%#", "<%", "%>", "-%>", "_%>"];

/// What `<%_` and `_%>` take away beside them.
const BLANKS: [char; 2] = [' ', '\t'];

/// What stands between tags is taken as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Script,
    Escaped,
    Raw,
    Comment,
    /// Behind `<%%` and `%%>`: text, and so is the tag that closes it.
    Literal,
}

/// The body of a function of `locals`, `escapeFn`, `include` and `rethrow` that returns the text.
///
/// # Errors
/// A tag that is not closed.
pub(super) fn compile(template: &str) -> Result<String, String> {
    let text = without_slurped(template);
    let parts = split(&text);
    let mut writer = Writer { body: String::with_capacity(text.len() * 2), mode: None, cuts_newline: false, line: 1 };
    writer.body.push_str("var __line = 1;\ntry {\nvar __output = '', __append = function (text) {\n");
    writer.body.push_str("if (text !== undefined && text !== null) __output += text;\n};\nwith (locals || {}) {\n");
    for (place, part) in parts.iter().enumerate() {
        let opens = part.starts_with("<%") && *part != "<%%";
        if opens && !parts.get(place + 2).is_some_and(|part| is_closing(part)) {
            return Err(format!("SyntaxError: missing closing %> for {part}"));
        }
        writer.write(part);
    }
    writer.body.push_str("}\nreturn __output;\n} catch (e) {\nrethrow(e);\n}\n");
    Ok(writer.body)
}

fn is_closing(part: &str) -> bool {
    matches!(part, "%>" | "-%>" | "_%>")
}

/// The template without the blanks before each `<%_` and behind each `_%>`, wherever these stand.
fn without_slurped(template: &str) -> String {
    let mut opened: Vec<&str> = template.split("<%_").collect();
    if let Some((_, before)) = opened.split_last_mut() {
        before.iter_mut().for_each(|part| *part = part.trim_end_matches(BLANKS));
    }
    let opened = opened.join("<%_");
    let closed = opened.split("_%>").enumerate();
    let closed = closed.map(|(place, part)| if place == 0 { part } else { part.trim_start_matches(BLANKS) });
    closed.collect::<Vec<_>>().join("_%>")
}

/// Tags and the texts between them, none of them empty, in order.
fn split(template: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut text_start, mut position) = (0, 0);
    while let Some(found) = template[position..].find(['<', '%', '-', '_']) {
        let start = position + found;
        let Some(tag) = TAGS.into_iter().find(|tag| template[start..].starts_with(tag)) else {
            position = start + 1;
            continue;
        };
        parts.push(&template[text_start..start]);
        parts.push(tag);
        position = start + tag.len();
        text_start = position;
    }
    parts.push(&template[text_start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// A body that is being written.
struct Writer {
    body: String,
    mode: Option<Mode>,
    /// Whether the next text loses the end of a line that it begins with: after `-%>` and `_%>`.
    cuts_newline: bool,
    line: usize,
}

impl Writer {
    fn write(&mut self, part: &str) {
        match part {
            "<%" | "<%_" => self.mode = Some(Mode::Script),
            "<%=" => self.mode = Some(Mode::Escaped),
            "<%-" => self.mode = Some(Mode::Raw),
            "<%#" => self.mode = Some(Mode::Comment),
            "<%%" | "%%>" => {
                self.mode = Some(Mode::Literal);
                self.append(if part == "<%%" { "<%" } else { "%>" });
            }
            "%>" | "-%>" | "_%>" => {
                if self.mode == Some(Mode::Literal) {
                    self.write_text(part);
                }
                self.mode = None;
                self.cuts_newline = part != "%>";
            }
            text => self.write_between(text),
        }
    }

    /// What stands between two tags. Which line of the template is done stands behind it, as a statement too.
    fn write_between(&mut self, text: &str) {
        match self.mode {
            None | Some(Mode::Literal) => self.write_text(text),
            Some(Mode::Comment) => {}
            Some(mode) => self.write_code(mode, text),
        }
        let newlines = text.matches('\n').count();
        if newlines > 0 {
            self.line += newlines;
            self.body.push_str(&format!("; __line = {}\n", self.line));
        }
    }

    fn write_code(&mut self, mode: Mode, code: &str) {
        // A comment up to the end of the line must not take what follows along.
        let is_open = code.rfind("//").is_some_and(|comment| code.rfind('\n').is_none_or(|line| line < comment));
        let end = if is_open { "\n" } else { "" };
        let value = without_semicolon(code);
        match mode {
            Mode::Escaped => self.body.extend(["; __append(escapeFn(", &value, end, "))\n"]),
            Mode::Raw => self.body.extend(["; __append(", &value, end, ")\n"]),
            Mode::Script | Mode::Comment | Mode::Literal => self.body.extend(["; ", code, end, "\n"]),
        }
    }

    fn write_text(&mut self, text: &str) {
        let without_newline = || ["\r\n", "\r", "\n"].into_iter().find_map(|newline| text.strip_prefix(newline));
        let cut = if self.cuts_newline { without_newline() } else { None };
        self.cuts_newline = false;
        let text = cut.unwrap_or(text);
        if !text.is_empty() {
            self.append(text);
        }
    }

    fn append(&mut self, text: &str) {
        self.body.push_str("; __append('");
        write_literal(text, &mut self.body);
        self.body.push_str("')\n");
    }
}

/// An expression without the semicolon at its end.
fn without_semicolon(code: &str) -> String {
    let trimmed = code.trim_end_matches(is_space);
    match trimmed.strip_suffix(';') {
        Some(before) => format!("{before}{}", &code[trimmed.len()..]),
        None => code.to_owned(),
    }
}

/// White space as JavaScript knows it.
fn is_space(character: char) -> bool {
    character == '\u{feff}' || (character.is_whitespace() && character != '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_split_where_ejs_splits_them() {
        let check = |template: &str, parts: &[&str]| assert_eq!(split(template), parts, "{template}");
        check("", &[]);
        check("a - b_c % d < e", &["a - b_c % d < e"]);
        check("a<%=b%>c<%-d-%>e<%_f_%>", &["a", "<%=", "b", "%>", "c", "<%-", "d", "-%>", "e", "<%_", "f", "_%>"]);
        check("<%%>", &["<%%", ">"]);
        check("<%%= a %%>", &["<%%", "= a ", "%%>"]);
        check("<% a --%>", &["<%", " a -", "-%>"]);
        check("<%#é%>", &["<%#", "é", "%>"]);
    }

    #[test]
    fn blanks_beside_slurping_tags_go() {
        assert_eq!(without_slurped("a \t<%_ b _%> \tc  <%_ d _%>\n e"), "a<%_ b _%>c<%_ d _%>\n e");
        assert_eq!(without_slurped("  a  "), "  a  ");
    }
}
