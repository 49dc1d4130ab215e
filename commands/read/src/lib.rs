//! What every command that reads secrets shares: its flags, the configuration file, one blocking read of many
//! references, and the words in which failures reach people.

#![forbid(unsafe_code)]

mod duration;
mod file;
mod options;
mod reader;
mod report;

pub use crate::duration::parse_duration;
pub use crate::file::{read_bounded, read_file};
pub use crate::options::ReadOptions;
pub use crate::reader::Reader;
pub use crate::report::{Audience, log, report};
pub use strongroom_stores::Ambient;
