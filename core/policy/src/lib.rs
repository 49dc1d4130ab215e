//! Who may read which key of which store: namespace conditions and StorePolicy rules.

#![forbid(unsafe_code)]
