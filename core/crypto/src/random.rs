//! Randomness, from the kernel through the library.

use aws_lc_rs::rand;
use strongroom_secret::SecretBytes;

/// Fills `place` with random bytes; `None` where the kernel gives none.
pub fn fill_random(place: &mut [u8]) -> Option<()> {
    rand::fill(place).ok()
}

/// `length` random bytes; `None` where the kernel gives none.
pub fn random_bytes(length: usize) -> Option<SecretBytes> {
    let mut bytes = SecretBytes::new(vec![0; length]);
    fill_random(bytes.expose_mut())?;
    Some(bytes)
}

/// A number from 0 to `bound` without `bound`, each as likely; `None` where `bound` is 0 or the kernel gives no
/// randomness.
pub fn random_below(bound: u64) -> Option<u64> {
    // Numbers above the largest multiple of `bound` would make the smallest ones likelier: draw again.
    let excess = u64::MAX.checked_rem(bound)?.wrapping_add(1) % bound;
    loop {
        let mut drawn = [0; 8];
        fill_random(&mut drawn)?;
        let drawn = u64::from_le_bytes(drawn);
        if drawn <= u64::MAX - excess {
            return Some(drawn % bound);
        }
    }
}
