//! Changes of case, as Go's `strings` and `unicode` and the libraries under sprig do them.

/// The one upper-case letter of `letter`; itself where there is none or there are several.
pub(crate) fn upper(letter: char) -> char {
    let mut mapped = letter.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

/// The one lower-case letter of `letter`; itself where there is none or there are several.
pub(crate) fn lower(letter: char) -> char {
    let mut mapped = letter.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // Go's simple mapping of the one letter that has two.
        _ if letter == 'İ' => 'i',
        _ => letter,
    }
}

/// The first letter of each word in upper case; words end where `strings.Title` ends them.
pub(crate) fn title(text: &str) -> String {
    let mut before = ' ';
    let mut made = String::with_capacity(text.len());
    for letter in text.chars() {
        made.push(if is_separator(before) { upper(letter) } else { letter });
        before = letter;
    }
    made
}

fn is_separator(letter: char) -> bool {
    if letter.is_ascii() {
        return !(letter.is_ascii_alphanumeric() || letter == '_');
    }
    !letter.is_alphanumeric() && letter.is_whitespace()
}

/// The first letter of each word in lower case.
pub(crate) fn untitle(text: &str) -> String {
    let mut is_first = true;
    let change = |letter: char| {
        if letter.is_whitespace() {
            is_first = true;
            return letter;
        }
        if std::mem::take(&mut is_first) { lower(letter) } else { letter }
    };
    text.chars().map(change).collect()
}

/// Case for case, but for a word's first letter, which becomes a capital.
pub(crate) fn swap(text: &str) -> String {
    let mut after_space = true;
    let change = |letter: char| {
        if letter.is_uppercase() {
            after_space = false;
            lower(letter)
        } else if letter.is_lowercase() {
            after_space = false;
            upper(letter)
        } else {
            after_space = letter.is_whitespace();
            letter
        }
    };
    text.chars().map(change).collect()
}

fn is_connector(letter: char) -> bool {
    letter == '-' || letter == '_' || letter.is_whitespace()
}

/// `some_words` as `SomeWords`.
pub(crate) fn pascal(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut letters = text.chars();
    let first = loop {
        match letters.next() {
            Some(letter) if is_connector(letter) => made.push(letter),
            Some(letter) => break letter,
            None => return made,
        }
    };
    let mut is_run = first.is_uppercase();
    let mut current = upper(first);
    for letter in letters {
        let before = current;
        current = letter;
        if is_connector(current) && is_connector(before) {
            made.push(before);
            continue;
        }
        if is_connector(before) {
            is_run = current.is_uppercase();
            current = upper(current);
            continue;
        }
        if is_run && current.is_uppercase() {
            current = lower(current);
        } else if is_run {
            is_run = false;
        }
        made.push(before);
    }
    made.push(current);
    made
}

/// What runs of letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    None,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

/// `HTTPServer` as `http_server`, with `connector` between words.
pub(crate) fn connected(text: &str, connector: char) -> String {
    let mut made = String::with_capacity(text.len() + 4);
    let mut words = Words { rest: text };
    let (mut kind, mut word) = words.take();
    while !words.rest.is_empty() {
        if kind != Word::Connector {
            push(&mut made, kind, word, connector);
        }
        let (before, last) = (kind, word);
        (kind, word) = words.take();
        match before {
            Word::Number => {
                run(&mut made, &mut words, &mut kind, &mut word, connector);
                if !matches!(kind, Word::None | Word::Punctuation | Word::Connector) {
                    made.push(connector);
                }
            }
            Word::Connector => push(&mut made, before, last, connector),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punctuation) {
                    made.push(connector);
                }
            }
            _ if words.rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word) = words.take();
                let has_letters = kind == Word::Letters;
                if has_letters {
                    made.push(connector);
                }
                push(&mut made, Word::Number, number, connector);
                if has_letters {
                    run(&mut made, &mut words, &mut kind, &mut word, connector);
                }
                let is_over = has_letters && kind == Word::None;
                if !is_over && !matches!(kind, Word::Connector | Word::Punctuation) {
                    made.push(connector);
                }
            }
        }
    }
    push(&mut made, kind, word, connector);
    made
}

/// Letters and numbers that follow a number belong to its word.
fn run<'t>(made: &mut String, words: &mut Words<'t>, kind: &mut Word, word: &mut &'t str, connector: char) {
    while matches!(kind, Word::Letters | Word::Number) {
        push(made, *kind, word, connector);
        (*kind, *word) = words.take();
    }
}

fn push(made: &mut String, kind: Word, word: &str, connector: char) {
    if !matches!(kind, Word::Upper | Word::Connector) {
        made.push_str(word);
        return;
    }
    made.extend(word.chars().map(|letter| if is_connector(letter) { connector } else { lower(letter) }));
}

struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    fn take(&mut self) -> (Word, &'t str) {
        let Some(first) = self.rest.chars().next() else { return (Word::None, "") };
        let kind = word_of(first);
        let is_small = |letter: char| is_letter(letter) && !letter.is_uppercase();
        let length = match kind {
            Word::Upper => self.upper(),
            Word::Letters => self.run(is_small),
            Word::Other => self.run(|letter| word_of(letter) == Word::Other),
            _ => self.run(|letter| word_of(letter) == kind),
        };
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        (kind, word)
    }

    fn run(&self, belongs: impl Fn(char) -> bool) -> usize {
        let end = self.rest.char_indices().skip(1).find(|(_, letter)| !belongs(*letter));
        end.map_or(self.rest.len(), |(at, _)| at)
    }

    /// `HTTP` of `HTTPServer`, or `Server` of `ServerName`.
    fn upper(&self) -> usize {
        let second = self.rest.chars().nth(1);
        if !second.is_some_and(char::is_uppercase) {
            return self.run(|letter| is_letter(letter) && !letter.is_uppercase());
        }
        let end = self.run(char::is_uppercase);
        let after = self.rest.get(end..).and_then(|rest| rest.chars().next());
        match self.rest.get(..end).and_then(|word| word.chars().next_back()) {
            Some(last) if after.is_some_and(is_letter) => end - last.len_utf8(),
            _ => end,
        }
    }
}

fn is_letter(letter: char) -> bool {
    letter.is_alphabetic() && (letter.is_uppercase() || letter.is_lowercase())
}

fn word_of(letter: char) -> Word {
    match letter {
        _ if is_connector(letter) => Word::Connector,
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => Word::Other,
        _ if letter.is_ascii_punctuation() => Word::Punctuation,
        _ if letter.is_uppercase() => Word::Upper,
        _ if is_letter(letter) => Word::Letters,
        _ if letter.is_numeric() => Word::Number,
        _ => Word::Other,
    }
}
