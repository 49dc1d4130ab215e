//! Base64, base32 and hexadecimal. What cannot be decoded gives the reason as its result, as sprig has it.

use super::{Answer, fixed};
use crate::evaluate::{Call, Function, Kind};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("b64enc", &[Kind::Text], |call| encoded(call, &BASE64)),
    fixed("b64dec", &[Kind::Text], |call| decoded(call, &BASE64)),
    fixed("b32enc", &[Kind::Text], |call| encoded(call, &BASE32)),
    fixed("b32dec", &[Kind::Text], |call| decoded(call, &BASE32)),
    fixed("hexdec", &[Kind::Text], |call| {
        let text = call.text(0);
        match hexadecimal(text.bytes()) {
            Ok(bytes) => call.make(bytes),
            Err(words) => call.make(words),
        }
    }),
];

/// An alphabet: how many bits a letter holds, and how many letters are a group.
struct Base {
    name: &'static str,
    alphabet: &'static [u8],
    bits: u32,
    letters: usize,
    bytes: usize,
}

const BASE64: Base = Base {
    name: "base64",
    alphabet: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    bits: 6,
    letters: 4,
    bytes: 3,
};

const BASE32: Base =
    Base { name: "base32", alphabet: b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bits: 5, letters: 8, bytes: 5 };

fn encoded(call: &mut Call<'_>, base: &Base) -> Answer {
    let text = call.text(0);
    call.meter.make(text.bytes().len().saturating_mul(base.letters) / base.bytes)?;
    let mut made = Vec::with_capacity(text.bytes().len() * base.letters / base.bytes + base.letters);
    let total = base.bits * u32::try_from(base.letters).unwrap_or(0);
    for group in text.bytes().chunks(base.bytes) {
        let number =
            (0..base.bytes).fold(0_u64, |number, at| (number << 8) | u64::from(group.get(at).copied().unwrap_or(0)));
        let used = (group.len() * 8).div_ceil(base.bits as usize);
        for place in 0..base.letters {
            let shift = total - base.bits * (u32::try_from(place).unwrap_or(0) + 1);
            let letter = usize::try_from((number >> shift) & ((1 << base.bits) - 1)).unwrap_or(0);
            made.push(if place < used { base.alphabet.get(letter).copied().unwrap_or(b'=') } else { b'=' });
        }
    }
    call.make(made)
}

fn decoded(call: &mut Call<'_>, base: &Base) -> Answer {
    let text = call.text(0);
    match decode(text.bytes(), base) {
        Ok(bytes) => call.make(bytes),
        Err(at) => call.make(format!("illegal {} data at input byte {at}", base.name)),
    }
}

/// The bytes, or where they end to be such. Line ends do not count as data, but as bytes.
fn decode(text: &[u8], base: &Base) -> Result<Vec<u8>, usize> {
    let letters: Vec<(usize, u8)> =
        text.iter().copied().enumerate().filter(|(_, letter)| !matches!(letter, b'\r' | b'\n')).collect();
    let mut made = Vec::with_capacity(text.len() * base.bytes / base.letters);
    let mut groups = letters.chunks(base.letters).peekable();
    while let Some(group) = groups.next() {
        let data = group.iter().take_while(|(_, letter)| *letter != b'=').count();
        let mut number = 0_u64;
        for (at, letter) in group.iter().take(data) {
            let value = base.alphabet.iter().position(|known| known == letter).ok_or(*at)?;
            number = (number << base.bits) | value as u64;
        }
        if group.len() < base.letters {
            // Go names the start of a group that is cut off, or the end where padding is.
            let padding = group.get(data).map(|(at, _)| *at);
            return Err(match padding {
                None => group.first().map_or(text.len(), |(at, _)| *at),
                Some(at) if data < 2 => at,
                Some(_) => text.len(),
            });
        }
        let bytes = data * base.bits as usize / 8;
        if data < base.letters {
            check_padding(group, data, base)?;
            if let Some(after) = groups.peek().and_then(|group| group.first()) {
                return Err(after.0);
            }
        }
        let unused = base.bits * u32::try_from(base.letters - data).unwrap_or(0);
        let all = (number << unused).to_be_bytes();
        made.extend_from_slice(all.get(8 - base.bytes..8 - base.bytes + bytes).unwrap_or_default());
    }
    Ok(made)
}

/// Padding fills a group whose letters are whole bytes, and nothing else.
fn check_padding(group: &[(usize, u8)], data: usize, base: &Base) -> Result<(), usize> {
    let is_full = group.iter().skip(data).all(|(_, letter)| *letter == b'=');
    let fits = if base.bits == 6 { data >= 2 } else { matches!(data, 2 | 4 | 5 | 7) };
    if is_full && fits { Ok(()) } else { Err(group.get(data).map_or(0, |(at, _)| *at)) }
}

/// Go's `encoding/hex`, with its words, but for the byte, which is not told.
fn hexadecimal(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut made = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks(2) {
        let digits: Vec<Option<u8>> = pair.iter().map(|byte| digit(*byte)).collect();
        match digits.as_slice() {
            [Some(high), Some(low)] => made.push((high << 4) | low),
            [Some(_)] => return Err("encoding/hex: odd length hex string".to_owned()),
            _ => return Err("encoding/hex: invalid byte".to_owned()),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_placed() {
        let check = |text: &str, expected: Result<&[u8], usize>| {
            assert_eq!(decode(text.as_bytes(), &BASE64), expected.map(<[u8]>::to_vec), "{text}");
        };
        check("aGVsbG8=", Ok(b"hello"));
        check("aGVs\nbG8=", Ok(b"hello"));
        check("", Ok(b""));
        check("!!!", Err(0));
        check("aGVsbG8", Err(4));
        check("aGVsbG8=x", Err(8));
        check("aG!s", Err(2));
        assert_eq!(decode(b"NBSWY3DP", &BASE32), Ok(b"hello".to_vec()));
        assert_eq!(decode(b"ME======", &BASE32), Ok(b"a".to_vec()));
    }
}
