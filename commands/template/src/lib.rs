//! `strongroom template`: renders templates as the operator does.

#![forbid(unsafe_code)]
