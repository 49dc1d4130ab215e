//! What a target should be and what must change: pure planning for everything that writes a Secret.

#![forbid(unsafe_code)]
