use std::io::{ErrorKind, Write};

use strongroom_failure::{Class, Failure};

/// Columns of a line: what most terminals and pages show without scrolling.
const WIDTH: usize = 110;

/// Writes to standard output. A reader that has gone away has read enough.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Class::Unavailable, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// `text` after `head`, in lines of at most [`WIDTH`] columns; the second and later ones stand below the first's text.
pub(crate) fn wrapped(head: &str, text: &str) -> String {
    let indent = head.chars().count();
    let mut lines = head.to_owned();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines.truncate(lines.trim_end().len());
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_continued_below_their_text() {
        assert_eq!(wrapped("ok  ", "a  b"), "ok  a b\n");
        assert_eq!(wrapped("ok  ", ""), "ok\n");
        let long = "word ".repeat(40);
        let lines = wrapped("!!  key  ", &long);
        assert!(lines.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(lines.lines().skip(1).all(|line| line.starts_with("         word")));
        assert_eq!(lines.split_whitespace().filter(|word| *word == "word").count(), 40);
        // What does not fit is not cut.
        assert!(wrapped("ok  ", &"x".repeat(200)).contains(&"x".repeat(200)));
    }
}
