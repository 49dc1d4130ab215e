//! What became of each object: for people, or as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// Columns of a line: what most terminals and pages show without scrolling.
const WIDTH: usize = 110;

/// What came of a run.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// One entry for each object of KES, sorted by namespace and name.
    pub(crate) objects: Vec<ObjectReport>,
    /// The stores that were made, sorted by name.
    pub(crate) stores: Vec<StoreReport>,
    /// Who relies on a permission that is wider than it looks.
    pub(crate) reliances: Vec<Reliance>,
    /// What holds for the whole run.
    pub(crate) remarks: Vec<String>,
    /// What could not be read at all.
    pub(crate) unreadable: Vec<String>,
}

/// What became of one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectReport {
    /// Where it was found.
    pub(crate) place: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// The store that it reads now.
    pub(crate) store: Option<String>,
    #[serde(flatten)]
    pub(crate) notes: Notes,
}

/// What became of an object, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    Carried,
    CarriedWithDifference,
    NotCarried,
}

/// What is to be said about an object.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notes {
    /// Why it is not carried over; it is where there is nothing.
    pub(crate) reasons: Vec<Reason>,
    /// In what the new object is not as the old one.
    pub(crate) differences: Vec<String>,
    /// What changes nothing, and is good to know.
    pub(crate) remarks: Vec<String>,
}

/// Why something is not carried over.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reason {
    pub(crate) why: String,
    pub(crate) what_to_do: String,
}

/// A store that was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoreReport {
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// Who reads it.
    pub(crate) namespaces: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

/// An object that reads something only because a namespace's pattern matches anywhere, or is not asked at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reliance {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The namespace's annotation.
    pub(crate) annotation: String,
    /// What it says.
    pub(crate) pattern: String,
    /// The field that names what is read.
    pub(crate) field: String,
    /// What is read, or the role that is taken.
    pub(crate) value: String,
    /// Whether the controller never compared them; else the pattern matches a part of the value alone.
    pub(crate) is_unchecked: bool,
}

impl Notes {
    /// Says why the object is not carried over, and what to do.
    pub(crate) fn refuse(&mut self, why: impl Into<String>, what_to_do: impl Into<String>) {
        self.reasons.push(Reason { why: why.into(), what_to_do: what_to_do.into() });
    }

    pub(crate) fn differs(&mut self, words: impl Into<String>) {
        self.differences.push(words.into());
    }

    pub(crate) fn remark(&mut self, words: impl Into<String>) {
        self.remarks.push(words.into());
    }

    /// What they amount to.
    pub(crate) fn outcome(&self) -> Outcome {
        match (self.reasons.is_empty(), self.differences.is_empty()) {
            (false, _) => Outcome::NotCarried,
            (true, false) => Outcome::CarriedWithDifference,
            (true, true) => Outcome::Carried,
        }
    }
}

impl Report {
    /// Whether everything was carried over.
    pub(crate) fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && self.count(Outcome::NotCarried) == 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.objects.iter().filter(|object| object.outcome == outcome).count()
    }

    /// The report for programs, the same for the same input.
    ///
    /// # Errors
    /// Where it cannot be written, which a mistake in its types alone can cause.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.unreadable.iter().for_each(|words| text += &wrapped("unreadable  ", words));
        self.objects.iter().for_each(|object| object.tell(&mut text));
        self.stores.iter().for_each(|store| store.tell(&mut text));
        self.reliances.iter().for_each(|reliance| reliance.tell(&mut text));
        self.remarks.iter().for_each(|words| text += &wrapped("note  ", words));
        let (all, carried) = (self.objects.len(), self.count(Outcome::Carried));
        let (different, not) = (self.count(Outcome::CarriedWithDifference), self.count(Outcome::NotCarried));
        let _ = writeln!(text, "{all} objects: {carried} carried, {different} carried with a difference, {not} not");
        text
    }
}

impl ObjectReport {
    fn tell(&self, text: &mut String) {
        let name = full_name(self.namespace.as_deref(), &self.name);
        let outcome = match self.outcome {
            Outcome::Carried => "carried",
            Outcome::CarriedWithDifference => "carried with a difference",
            Outcome::NotCarried => "NOT carried",
        };
        // In a cluster the place is the name.
        let place = if self.place == name { String::new() } else { format!(" ({})", self.place) };
        let _ = writeln!(text, "{name}: {outcome}{place}");
        for reason in &self.notes.reasons {
            *text += &wrapped("    why      ", &reason.why);
            *text += &wrapped("    do       ", &reason.what_to_do);
        }
        self.notes.differences.iter().for_each(|words| *text += &wrapped("    differs  ", words));
        self.notes.remarks.iter().for_each(|words| *text += &wrapped("    note     ", words));
    }
}

impl StoreReport {
    fn tell(&self, text: &mut String) {
        let name = full_name(self.namespace.as_deref(), &self.name);
        let readers = match (self.kind.as_str(), self.namespaces.is_empty()) {
            ("SecretStore", _) => "its own namespace".to_owned(),
            (_, true) => "all namespaces".to_owned(),
            (_, false) => self.namespaces.join(", "),
        };
        *text += &wrapped(&format!("{} {name}: ", self.kind), &format!("for {readers}"));
        self.remarks.iter().for_each(|words| *text += &wrapped("    note     ", words));
    }
}

impl Reliance {
    fn tell(&self, text: &mut String) {
        let Self { namespace, name, annotation, pattern, field, value, .. } = self;
        let words = if self.is_unchecked {
            format!(
                "{field} names {value}, which the annotation {annotation}: {pattern} does not admit; KES never looks \
                 at this field"
            )
        } else {
            format!(
                "{field} names {value}, of which the annotation {annotation}: {pattern} admits a part only; as a whole \
                 it is not admitted"
            )
        };
        *text += &wrapped(&format!("permission {namespace}/{name}: "), &words);
    }
}

/// `namespace/name`, as far as it is known.
pub(crate) fn full_name(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// `text` after `head`, in lines of at most [`WIDTH`] columns; the second and later ones stand indented.
fn wrapped(head: &str, text: &str) -> String {
    let indent = if head.chars().count() > 16 { 4 } else { head.chars().count() };
    let mut lines = head.to_owned();
    let mut column = head.chars().count();
    let mut is_first = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_first && column + 1 + length > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !is_first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
        is_first = false;
    }
    lines.push('\n');
    lines
}
