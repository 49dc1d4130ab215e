//! Each part, started and asked.

mod moto;
mod open_bao;
mod proxy;
mod switchboard;
