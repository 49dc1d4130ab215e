//! What becomes of an environment, as tables.

mod delivery;
mod env_file;
