//! `docs/configuration.md`: its prose is written by hand, the flags of long-running roles by this test from their help.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::strongroom;

/// Roles, and the mark where their flags begin.
const ROLES: [(&str, &str); 2] =
    [("operator", "<!-- flags of the operator -->\n"), ("admission", "<!-- flags of admission -->\n")];

const END: &str = "<!-- end -->";

/// How far the help indents what it says of a flag.
const INDENT: &str = "          ";

/// One flag as the help has it.
#[derive(Debug, PartialEq)]
struct Flag {
    heading: String,
    name: String,
    default: String,
    meaning: String,
}

#[test]
fn the_page_shows_the_flags_of_each_role_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let wanted = ROLES.iter().fold(page.clone(), |page, (role, begin)| with_flags(&page, role, begin));
    if page == wanted {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/configuration.md differs from the help of a role; \
         run UPDATE_DOCS=1 cargo test --profile world -p strongroom --test it -- pages::, and commit the page"
    );
    fs::write(&path, wanted).unwrap();
}

/// The page with the flags of a role as its help has them.
fn with_flags(page: &str, role: &str, begin: &str) -> String {
    let missing = |mark: &str| panic!("docs/configuration.md lacks the mark {mark}");
    let (before, rest) = page.split_once(begin).unwrap_or_else(|| missing(begin));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| missing(END));
    let help = strongroom(&[role, "--help"], &[], b"");
    assert_eq!(help.code, 0, "{}", help.stderr);
    let flags = flags(help.text());
    assert!(flags.len() > 10, "{role} has flags: {flags:?}");
    format!("{before}{begin}{}{END}{after}", tables(&flags))
}

#[test]
fn a_flag_is_read_with_all_that_is_said_of_it() {
    let help = "About it.\n\nOptions:\n  -h, --help\n          Print help\n\nCluster:\n      --qps <N>\n          \
                Requests a\n          second\n          \n          [default: 500]\n\n      --lead [<BOOL>]\n          \
                a | b\n          [possible values: true, false]\n\n  -p, --provider <NAME>\n          Whose\n\n\
                Examples:\n  a --lead\n    --qps=1    with it\n\nMore.\n";
    let flag = |name: &str, default: &str, meaning: &str| Flag {
        heading: "Cluster".to_owned(),
        name: name.to_owned(),
        default: default.to_owned(),
        meaning: meaning.to_owned(),
    };
    let expected = [
        flag("--qps N", "500", "Requests a second"),
        flag("--lead[=BOOL]", "", r"a \| b"),
        flag("--provider NAME, -p", "", "Whose"),
    ];
    assert_eq!(flags(help), expected);
}

/// The flags under headings of their own, in the order of the help.
fn flags(help: &str) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    let mut heading = "";
    for line in help.lines() {
        let text = long_first(line.trim());
        let text = text.as_str();
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            heading = name;
        } else if ["", "Options", "Paths", "Examples"].contains(&heading) {
            // What the program says of itself, and `--help`; a line of an example may begin like a flag.
        } else if text.starts_with("--") && !line.starts_with(INDENT) {
            let name = text.replace(" [<", "[=").replace(">]", "]").replace(['<', '>'], "");
            flags.push(Flag { heading: heading.to_owned(), name, default: String::new(), meaning: String::new() });
        } else if let Some(flag) = flags.last_mut().filter(|_| line.starts_with(INDENT)) {
            take(flag, text);
        }
    }
    flags
}

/// A flag's line with its letter, where it has one, behind its name.
fn long_first(line: &str) -> String {
    let with_letter = line.split_once(", --").filter(|(letter, _)| letter.len() == 2 && letter.starts_with('-'));
    with_letter.map_or_else(|| line.to_owned(), |(letter, name)| format!("--{name}, {letter}"))
}

/// Takes one line of what is said of a flag.
fn take(flag: &mut Flag, text: &str) {
    let bracketed = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_suffix(']'));
    if let Some(default) = bracketed("[default: ") {
        // None, as the help writes it.
        flag.default = if default == "\"\"" { String::new() } else { default.to_owned() };
    } else if bracketed("[possible values: ").is_none() && !text.is_empty() {
        if !flag.meaning.is_empty() {
            flag.meaning.push(' ');
        }
        flag.meaning.push_str(&text.replace('|', r"\|"));
    }
}

/// A table for each heading.
fn tables(flags: &[Flag]) -> String {
    let mut page = String::new();
    let mut heading = "";
    for flag in flags {
        if flag.heading != heading {
            heading = &flag.heading;
            write!(page, "\n**{heading}**\n\n| Flag | Default | Meaning |\n|---|---|---|\n").unwrap();
        }
        let default = if flag.default.is_empty() { String::new() } else { format!(" `{}`", flag.default) };
        writeln!(page, "| `{}` |{default} | {} |", flag.name, flag.meaning).unwrap();
    }
    page.push('\n');
    page
}
