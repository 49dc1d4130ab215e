//! `*` and `?`: the pattern matching of gjson's queries and keys.

use super::limits::{Bounded, Run};
use super::runes::{first_rune, last_rune};

/// A pattern may cost this many branches per byte of text; after that it does not match (gjson's own bound).
const BRANCHES_PER_BYTE: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Match,
    Differs,
    /// Too many branches: the whole answer is "no".
    GaveUp,
}

/// Whether `text` fits `pattern`: `*` is any run of characters, `?` any one, `\` takes the next as itself.
pub(super) fn matches(run: &mut Run, text: &[u8], pattern: &[u8]) -> Bounded<bool> {
    if pattern == b"*" {
        return Ok(true);
    }
    let mut search = Search { branches: 0, most: text.len().saturating_mul(BRANCHES_PER_BYTE) };
    Ok(search.fits(run, text, pattern)? == Verdict::Match)
}

struct Search {
    branches: usize,
    most: usize,
}

impl Search {
    fn fits(&mut self, run: &mut Run, text: &[u8], pattern: &[u8]) -> Bounded<Verdict> {
        if self.branches > self.most {
            return Ok(Verdict::GaveUp);
        }
        self.branches += 1;
        run.deeper(|run| self.fits_from(run, text, pattern))
    }

    fn fits_from(&mut self, run: &mut Run, mut text: &[u8], mut pattern: &[u8]) -> Bounded<Verdict> {
        while !pattern.is_empty() {
            run.charge(1)?;
            let (mut wanted, mut width) = first_rune(pattern);
            let (found, step) = first_rune(text);
            let star = wanted == '*';
            if star {
                while pattern.get(1) == Some(&b'*') {
                    pattern = &pattern[1..];
                }
                if pattern.len() == 1 {
                    return Ok(Verdict::Match);
                }
                match trim_suffix(run, text, pattern)? {
                    Some(rest) => (text, pattern) = rest,
                    None => return Ok(Verdict::Differs),
                }
                if pattern.len() == 1 {
                    return Ok(Verdict::Match);
                }
                let verdict = self.fits(run, text, &pattern[1..])?;
                if verdict != Verdict::Differs {
                    return Ok(verdict);
                }
            }
            if text.is_empty() {
                return Ok(Verdict::Differs);
            }
            if !star && wanted != '?' {
                if wanted == '\\' {
                    pattern = &pattern[width..];
                    (wanted, width) = first_rune(pattern);
                }
                if width == 0 || found != wanted {
                    return Ok(Verdict::Differs);
                }
            }
            text = text.get(step..).unwrap_or_default();
            if !star {
                pattern = &pattern[width..];
            }
        }
        Ok(if text.is_empty() { Verdict::Match } else { Verdict::Differs })
    }
}

/// Takes the characters after the last star of `pattern` off the end of both; `None` where they differ.
///
/// `pattern` begins with a star and has more than that.
fn trim_suffix<'t, 'p>(
    run: &mut Run,
    mut text: &'t [u8],
    mut pattern: &'p [u8],
) -> Bounded<Option<(&'t [u8], &'p [u8])>> {
    while !text.is_empty() && pattern.len() > 1 {
        let (wanted, mut width) = last_rune(pattern);
        let backslashes = pattern[..pattern.len() - width].iter().rev().take_while(|byte| **byte == b'\\').count();
        run.charge(backslashes)?;
        let escaped = backslashes % 2 == 1;
        if escaped {
            width += 1;
        }
        if wanted == '*' && !escaped {
            break;
        }
        let (found, step) = last_rune(text);
        if (wanted != '?' || escaped) && wanted != found {
            return Ok(None);
        }
        text = &text[..text.len() - step];
        pattern = &pattern[..pattern.len() - width];
    }
    Ok(Some((text, pattern)))
}
