//! `docs/references.md`: its prose is written by hand, its tables by this test.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use strongroom_reference::Syntax;

use crate::cases::{CASES, Outcome, Section};

const SECTIONS: [(Section, &str); 7] = [
    (Section::Canonical, "canonical"),
    (Section::SecretsManager, "secrets-manager"),
    (Section::ParameterStore, "parameter-store"),
    (Section::Google, "google"),
    (Section::Vault, "vault"),
    (Section::Azure, "azure"),
    (Section::Ordinary, "ordinary"),
];

#[test]
fn the_page_shows_the_table_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/references.md");
    let page = fs::read_to_string(&path).unwrap();
    let wanted = SECTIONS.into_iter().fold(page.clone(), |page, (section, name)| with_table(&page, section, name));
    if page == wanted {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/references.md differs from the table in core/reference/tests/it/cases.rs; \
         run UPDATE_DOCS=1 cargo test -p strongroom-reference, and commit the page"
    );
    File::create(&path).unwrap().write_all(wanted.as_bytes()).unwrap();
}

/// `page` with the table of `section` between its two marks.
fn with_table(page: &str, section: Section, name: &str) -> String {
    let (begin, end) = (format!("<!-- table {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("docs/references.md lacks {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("docs/references.md lacks {end}"));
    format!("{before}{begin}{}{end}{after}", table(section))
}

fn table(section: Section) -> String {
    let rows = CASES.iter().filter(|case| case.0 == section);
    if section == Section::Ordinary {
        return rows.fold("| Text |\n|---|\n".to_owned(), |table, (_, text, _)| format!("{table}| {} |\n", code(text)));
    }
    rows.fold("| Text | Meaning |\n|---|---|\n".to_owned(), |table, (_, text, outcome)| {
        format!("{table}| {} | {} |\n", code(text), meaning(text, outcome))
    })
}

fn meaning(text: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Means(canonical) => code(canonical),
        Outcome::Composes(parts) => format!("in variables: {}", code(parts)),
        Outcome::Ordinary => "an ordinary value".to_owned(),
        Outcome::Refused(words) => {
            let refused = Syntax::of(text).and_then(|syntax| syntax.compose(text).err());
            let cure = refused.and_then(|failure| failure.hint).unwrap_or_default();
            format!("refused: {}; {}", cell(words), cell(&cure))
        }
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { format!("`{}`", cell(text)) }
}

/// Text that stays inside one cell; the only control character of the table is the line break.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "⏎")
}
