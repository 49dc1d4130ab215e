//! The loop over sources: what is due, in which order, how much at once, and when again.

#![forbid(unsafe_code)]
