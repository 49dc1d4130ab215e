//! References: the table of every syntax, the page made from it, and properties of the canonical form.

mod cases;
mod page;
mod properties;
mod table;
