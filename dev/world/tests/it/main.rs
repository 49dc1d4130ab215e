//! Each part, started and asked.

mod google;
mod moto;
mod open_bao;
mod proxy;
mod switchboard;
