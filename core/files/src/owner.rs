//! Modes and owners as people write them.

use std::str::FromStr;

use strongroom_failure::Failure;

use crate::invalid;

/// A file's owner by number, as containers know it; written `USER[:GROUP]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id; the writer's own, or the folder's where that hands it down, when absent.
    pub group: Option<u32>,
}

impl FromStr for Owner {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        Ok(Self { user: number(user)?, group: group.map(number).transpose()? })
    }
}

fn number(text: &str) -> Result<u32, Failure> {
    // The greatest means "nobody in particular" to chown(2), and a sign is no part of a number here.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|id| plain && *id != u32::MAX);
    id.ok_or_else(|| invalid("a user or group is written as its number, as in 1000 or 1000:2000"))
}

/// The permission bits that `text` writes in octal digits: `0440`.
///
/// # Errors
/// What is no octal number or more than `0777`: bits that change who a program runs as have no place on a secret.
pub fn parse_mode(text: &str) -> Result<u32, Failure> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| plain && *mode <= 0o777);
    mode.ok_or_else(|| invalid("a mode is written in octal digits up to 0777, as in \"0440\""))
}
