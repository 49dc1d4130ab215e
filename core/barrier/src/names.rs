//! Storage keys that cannot be read on disk, and still can be listed by prefix.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::BarrierError;
use crate::ring::KeyRing;

/// Lengths of segments are told in steps of this many bytes.
const STEP: usize = 16;

/// Stands behind a segment, before the zeros that fill it up: no byte of UTF-8.
const END: u8 = 0xff;

impl KeyRing {
    /// The storage key as it lies on disk. What hides `a/b/` is the beginning of what hides `a/b/c`.
    ///
    /// Segments are those between slashes; empty ones stay empty.
    ///
    /// # Errors
    /// [`BarrierError::Unavailable`].
    pub fn hide_name(&self, key: &str) -> Result<String, BarrierError> {
        let mut hidden = Vec::new();
        for (before, segment) in segments(key) {
            if segment.is_empty() {
                hidden.push(String::new());
                continue;
            }
            let sealed = self.names().seal(before.as_bytes(), &padded(segment));
            hidden.push(URL_SAFE_NO_PAD.encode(sealed.map_err(|_| BarrierError::Unavailable)?));
        }
        Ok(hidden.join("/"))
    }

    /// The storage key that [`KeyRing::hide_name`] hid.
    ///
    /// # Errors
    /// [`BarrierError::NameRefused`] for anything else, segments that were moved to another folder with it.
    pub fn show_name(&self, hidden: &str) -> Result<String, BarrierError> {
        let mut shown = String::new();
        for (number, segment) in hidden.split('/').enumerate() {
            if number > 0 {
                shown.push('/');
            }
            if !segment.is_empty() {
                let sealed = URL_SAFE_NO_PAD.decode(segment).map_err(|_| BarrierError::NameRefused)?;
                let plain = self.names().open(shown.as_bytes(), &sealed).map_err(|_| BarrierError::NameRefused)?;
                shown.push_str(unpadded(plain.expose()).ok_or(BarrierError::NameRefused)?);
            }
        }
        Ok(shown)
    }
}

/// Each segment with all that stands before it, the slash with it.
fn segments(key: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut start = 0;
    key.split('/').map(move |segment| {
        let before = key.get(..start).unwrap_or_default();
        start += segment.len() + 1;
        (before, segment)
    })
}

fn padded(segment: &str) -> Vec<u8> {
    let mut bytes = segment.as_bytes().to_vec();
    bytes.push(END);
    bytes.resize(bytes.len().next_multiple_of(STEP), 0);
    bytes
}

fn unpadded(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|byte| *byte == END)?;
    std::str::from_utf8(bytes.get(..end)?).ok()
}
