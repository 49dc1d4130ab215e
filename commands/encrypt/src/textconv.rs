//! `--textconv`: a file as `git diff` shows it, with short names in the places of long texts.

use std::io::Write as _;
use std::path::Path;

use strongroom_failure::Failure;
use strongroom_kamus::Text;
use strongroom_read::read_file;

use crate::in_place::LARGEST_FILE;

/// Characters of a text that are shown: of its tag, in which no two texts are alike.
const SHOWN: usize = 12;

/// Prints the file; what is no UTF-8 stays as it is.
pub(crate) fn run(file: &Path) -> Result<(), Failure> {
    let content = read_file(file, LARGEST_FILE)?;
    let shown = content.expose_text().map(shortened);
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(shown.as_ref().map_or(content.expose(), |text| text.as_bytes()));
    Ok(())
}

/// Every text of ours as `sr1.KEY.…END`.
fn shortened(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|character| !is_part(character)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        shown.push_str(before);
        match Text::read(word) {
            Ok(Text::Sealed(sealed)) if word.len() > SHOWN => {
                shown.push_str(&format!("sr1.{}.…{}", sealed.key(), &word[word.len() - SHOWN..]));
            }
            _ => shown.push_str(word),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_texts_are_shown_by_key_and_end_and_all_else_as_it_is() {
        let before = "a: sr1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAgME # é\nb: 'sr1.x.y'\nc: 1.5-x\n";
        let after = "a: sr1.0123456789abcdef.…AAAAAAABAgME # é\nb: 'sr1.x.y'\nc: 1.5-x\n";
        assert_eq!(shortened(before), after);
        assert_eq!(shortened("plain"), "plain");
    }
}
