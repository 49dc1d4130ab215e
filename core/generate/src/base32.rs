//! Base32 (RFC 4648).

use zeroize::Zeroizing;

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `bytes` in base32, with padding.
pub(crate) fn encode(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut made = Zeroizing::new(Vec::with_capacity(bytes.len().div_ceil(5) * 8));
    for group in bytes.chunks(5) {
        let mut whole = [0; 8];
        whole[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(whole);
        let used = (group.len() * 8).div_ceil(5);
        for place in 0..8 {
            let letter = LETTERS[usize::try_from((bits >> (35 - 5 * place)) & 31).unwrap_or(0)];
            made.push(if place < used { letter } else { b'=' });
        }
    }
    made
}

/// What `text` says, without padding; `None` where it is not base32 in capital letters.
pub(crate) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut made = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
    // One, three and six letters carry no whole byte more than one less.
    if matches!(text.len() % 8, 1 | 3 | 6) {
        return None;
    }
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text {
        let value = LETTERS.iter().position(|known| known == letter)?;
        bits = (bits << 5) | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            made.push(u8::try_from((bits >> count) & 0xff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    Some(made)
}
