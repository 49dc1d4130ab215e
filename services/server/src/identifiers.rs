//! Ids that nobody else has.

use crate::exchange::Fault;

/// A random UUID (RFC 9562, version 4).
///
/// # Errors
/// 500 where the system gives no randomness.
pub(crate) fn uuid() -> Result<String, Fault> {
    let mut bytes = [0_u8; 16];
    strongroom_crypto::fill_random(&mut bytes).ok_or_else(|| Fault::internal("the system gives no randomness"))?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut parts = Vec::with_capacity(5);
    let mut rest = hex.as_str();
    for length in [8, 4, 4, 4, 12] {
        let (part, behind) = rest.split_at(length);
        parts.push(part);
        rest = behind;
    }
    Ok(parts.join("-"))
}
