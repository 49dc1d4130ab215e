//! As much of DER (X.690) as keys need: elements read one after the other, and written.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The first element of `input`: its tag, its content and what follows it.
pub(crate) fn read(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let bytes = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest.get(count..)?)
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

/// The content of the first element, where it bears `tag`, and what follows it.
pub(crate) fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    read(input).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// An element.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut made = vec![tag];
    let length = content.len();
    if length < 0x80 {
        made.push(u8::try_from(length).unwrap_or(0));
    } else {
        let bytes = length.to_be_bytes();
        let used: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        made.push(0x80 | u8::try_from(used.len()).unwrap_or(0));
        made.extend_from_slice(&used);
    }
    made.extend_from_slice(content);
    made
}

/// A sequence of elements that are written already.
pub(crate) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    write(SEQUENCE, &elements.concat())
}

/// A number that is not negative, from its big-endian bytes.
pub(crate) fn number(bytes: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    write(INTEGER, &content)
}

/// A bit string of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    write(BIT_STRING, &[&[0], bytes].concat())
}
