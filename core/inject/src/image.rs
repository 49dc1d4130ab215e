//! What images start: needed where a container that is wrapped has no command.

use std::collections::BTreeMap;

use crate::pod::text;
use crate::survey::Survey;

/// A container whose image must be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageNeeded {
    /// The container's name, by which the answer is given.
    pub container: String,
    /// Its image, as it is written.
    pub image: String,
    /// Its imagePullPolicy, where it has one.
    pub pull_policy: Option<String>,
}

/// What an image starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub command: Vec<String>,
}

/// What is known of the images, by the names of containers.
pub type Images = BTreeMap<String, ImageConfig>;

impl Survey<'_> {
    /// The containers that will be wrapped and have no command, in the pod's order.
    pub fn images(&self) -> Vec<ImageNeeded> {
        let without_command = self.wrapped().filter(|(_, container, _)| container.words("command").next().is_none());
        let needed = without_command.map(|(_, container, _)| ImageNeeded {
            container: container.name.to_owned(),
            image: text(container.value, "image").unwrap_or_default().to_owned(),
            pull_policy: text(container.value, "imagePullPolicy").map(str::to_owned),
        });
        needed.collect()
    }
}

/// The first version of secrets-init whose image can copy itself (KI-08).
const COPIES_ITSELF: (u64, u64, u64) = (0, 4, 0);

/// The name of our own image, whose versions are others and all of which copy themselves.
const OUR_IMAGE: &str = "strongroom-init";

/// Whether the program of `image` knows `copy`; older images have the `cp` of their system and the program in
/// `/usr/local/bin`.
///
/// A tag that is no version says nothing. The original took such an image for an old one, and so do we, where it is
/// called secrets-init; an image of another name was never one of those.
pub(crate) fn copies_itself(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        None | Some((_, "latest") | (OUR_IMAGE, _)) => true,
        Some((repository, tag)) => is_new(tag).unwrap_or(repository != "secrets-init" || digest.is_some()),
    }
}

/// Whether a tag is the version that copies itself, or a later one; `None` where it is no version.
fn is_new(tag: &str) -> Option<bool> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let text = text.split_once('+').map_or(text, |(text, _)| text);
    let (numbers, is_early) = text.split_once('-').map_or((text, false), |(numbers, _)| (numbers, true));
    let mut numbers = numbers.split('.').map(|number| number.parse::<u64>().ok());
    let version = (numbers.next()??, numbers.next().unwrap_or(Some(0))?, numbers.next().unwrap_or(Some(0))?);
    // A fourth number is nobody's version.
    numbers.next().is_none().then_some(())?;
    Some(version > COPIES_ITSELF || version == COPIES_ITSELF && !is_early)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ki_08_the_tag_says_whether_an_image_copies_itself() {
        let check = |image, copies| assert_eq!(copies_itself(image), copies, "{image}");
        for image in [
            "secrets-init",
            "doitintl/secrets-init:latest",
            "doitintl/secrets-init:0.4.0",
            "doitintl/secrets-init:v0.5.3",
            "doitintl/secrets-init:1.0.0",
            "doitintl/secrets-init:0.4.1-rc1",
            "registry:5000/doitintl/secrets-init",
            "registry:5000/secrets-init:0.4.0",
            "registry.example/strongroom-init:main",
            "registry.example/strongroom-init:0.1.0",
            "registry.example/other:1",
            "secrets-init@sha256:0123",
            "registry:5000/secrets-init@sha256:0123",
            "secrets-init:0.5.0@sha256:0123",
        ] {
            check(image, true);
        }
        for image in [
            "doitintl/secrets-init:0.3.9",
            "doitintl/secrets-init:v0.2.9",
            "doitintl/secrets-init:0.1.0",
            "doitintl/secrets-init:0.4.0-rc1",
            "doitintl/secrets-init:wtf",
            "registry:5000/secrets-init:0.3.9",
            "registry:5000/mirror:0.3.9",
            "secrets-init:0.3.9@sha256:0123",
        ] {
            check(image, false);
        }
    }
}
