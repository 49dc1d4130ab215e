//! The characters of a query that stand outside of quotes, for counting what a query could cost.

/// The characters of `query` outside of quotes; a backslash and what it escapes are left out, too.
pub(crate) fn unquoted(query: &str) -> impl Iterator<Item = char> {
    let (mut quote, mut escaped) = (None, false);
    query.chars().filter(move |character| {
        if escaped {
            escaped = false;
            return false;
        }
        match (quote, *character) {
            (_, '\\') => escaped = true,
            (Some(end), character) => quote = quote.filter(|_| end != character),
            (None, '"' | '\'' | '`') => quote = Some(*character),
            (None, _) => return true,
        }
        false
    })
}
