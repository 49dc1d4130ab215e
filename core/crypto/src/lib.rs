//! The one place that names crypto libraries: aws-lc-rs, which is also what TLS uses, and kept crates for formats of
//! others that it lacks.
//!
//! Pure but for the randomness that the library takes from the kernel: bytes in, bytes out. Where a reason would say
//! nothing that the caller does not know (a key that is no key), the answer is an `Option`.

#![forbid(unsafe_code)]

mod digest;
mod random;
mod signing;

pub use crate::digest::{
    adler32, equal_in_constant_time, hmac_sha256, sha1, sha3_224, sha256, sha512, thumbprint_sha1, thumbprint_sha256,
};
pub use crate::random::{fill_random, random_below, random_bytes};
pub use crate::signing::{JwtAlgorithm, JwtSigningKey, RsaSigningKey};
