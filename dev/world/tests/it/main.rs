//! Each part, started and asked.

mod moto;
mod open_bao;
