//! How a scalar may be written, as libyaml's emitter judges it.

/// What a scalar's text allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Analysis {
    pub(super) is_multiline: bool,
    pub(super) allows_plain: bool,
    pub(super) allows_single_quotes: bool,
    pub(super) allows_block: bool,
}

/// Looks at every letter once.
pub(super) fn analyse(text: &str) -> Analysis {
    if text.is_empty() {
        return Analysis { is_multiline: false, allows_plain: true, allows_single_quotes: true, allows_block: false };
    }
    let mut has_indicator = text.starts_with("---") || text.starts_with("...");
    let mut marks = Marks::default();
    let letters: Vec<char> = text.chars().collect();
    for (index, letter) in letters.iter().copied().enumerate() {
        let before = index.checked_sub(1).and_then(|before| letters.get(before)).copied();
        let after = letters.get(index + 1).copied();
        has_indicator |= is_indicator(letter, before, after);
        marks.note(letter, before, after);
    }
    let edge = marks.leading_space || marks.leading_break || marks.trailing_space || marks.trailing_break;
    let is_broken = marks.space_break || marks.special;
    Analysis {
        is_multiline: marks.has_breaks,
        allows_plain: !(edge || marks.break_space || is_broken || marks.has_breaks || has_indicator),
        allows_single_quotes: !(marks.break_space || is_broken),
        allows_block: !(marks.trailing_space || is_broken),
    }
}

#[derive(Default)]
struct Marks {
    leading_space: bool,
    leading_break: bool,
    trailing_space: bool,
    trailing_break: bool,
    break_space: bool,
    space_break: bool,
    has_breaks: bool,
    special: bool,
}

impl Marks {
    fn note(&mut self, letter: char, before: Option<char>, after: Option<char>) {
        self.special |= !is_printable(letter);
        if letter == ' ' {
            self.leading_space |= before.is_none();
            self.trailing_space |= after.is_none();
            self.break_space |= before.is_some_and(is_break);
        } else if is_break(letter) {
            self.has_breaks = true;
            self.leading_break |= before.is_none();
            self.trailing_break |= after.is_none();
            self.space_break |= before == Some(' ');
        }
    }
}

/// Whether a letter, where it stands, means something else in a plain scalar of a block.
fn is_indicator(letter: char, before: Option<char>, after: Option<char>) -> bool {
    let is_followed = after.is_none_or(is_blank);
    match (letter, before) {
        ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`', None) => true,
        ('?' | ':' | '-', None) => is_followed,
        (':', Some(_)) => is_followed,
        ('#', Some(before)) => is_blank(before),
        _ => false,
    }
}

fn is_blank(letter: char) -> bool {
    letter == ' ' || letter == '\t' || is_break(letter)
}

pub(super) fn is_break(letter: char) -> bool {
    matches!(letter, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What libyaml's emitter writes as it is; what lies beyond the first plane it escapes.
pub(super) fn is_printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}
