//! What differs each time: such a template gives another result on every rendering.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto as crypto;

use super::casts::to_count;
use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;
use crate::values::Datum;

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("randAlphaNum", &[Kind::Int], |call| letters(call, &|letter| letter.is_ascii_alphanumeric())),
    fixed("randAlpha", &[Kind::Int], |call| letters(call, &|letter| letter.is_ascii_alphabetic())),
    fixed("randNumeric", &[Kind::Int], |call| letters(call, &|letter| letter.is_ascii_digit())),
    fixed("randAscii", &[Kind::Int], |call| letters(call, &|letter| (b' '..=b'~').contains(&letter))),
    fixed("randBytes", &[Kind::Int], |call| {
        let Some(count) = to_count(call.int(0)) else { return fault("a count of bytes is not negative") };
        call.meter.make(count)?;
        let bytes = crypto::random_bytes(count).ok_or_else(none)?;
        call.make(STANDARD.encode(bytes.expose()))
    }),
    fixed("randInt", &[Kind::Int, Kind::Int], |call| {
        let (least, end) = (call.int(0), call.int(1));
        let Some(width) = end.checked_sub(least).and_then(|width| u64::try_from(width).ok()).filter(|width| *width > 0)
        else {
            return fault("invalid argument to Intn: the second number is larger than the first");
        };
        let drawn = crypto::random_below(width).ok_or_else(none)?;
        Ok(Datum::Int(least.wrapping_add(i64::try_from(drawn).unwrap_or(0))))
    }),
    fixed("shuffle", &[Kind::Text], |call| {
        let mut letters: Vec<char> = call.string(0).chars().collect();
        call.meter.step(letters.len())?;
        for place in (1..letters.len()).rev() {
            let drawn = crypto::random_below(place as u64 + 1).ok_or_else(none)?;
            letters.swap(place, usize::try_from(drawn).unwrap_or(place));
        }
        call.make(letters.into_iter().collect::<String>())
    }),
    fixed("uuidv4", &[], uuid),
];

fn none() -> Fault {
    Fault::new("the machine gives no randomness")
}

/// As many characters as asked for, each of those that fit as likely; none for a negative count, as sprig has it.
fn letters(call: &mut Call<'_>, fits: &dyn Fn(u8) -> bool) -> Answer {
    let count = to_count(call.int(0)).unwrap_or(0);
    call.meter.make(count)?;
    call.meter.step(count)?;
    let alphabet: Vec<u8> = (0..=127).filter(|letter| fits(*letter)).collect();
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        let drawn = crypto::random_below(alphabet.len() as u64).ok_or_else(none)?;
        made.extend(usize::try_from(drawn).ok().and_then(|place| alphabet.get(place)));
    }
    call.make(made)
}

/// A random UUID (RFC 9562, version 4).
fn uuid(call: &mut Call<'_>) -> Answer {
    let mut bytes = [0_u8; 16];
    crypto::fill_random(&mut bytes).ok_or_else(none)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_owned());
    call.make(parts.join("-"))
}
