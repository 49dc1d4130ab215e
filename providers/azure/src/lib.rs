//! Azure Key Vault: secrets, keys and certificates over `edge/http`.

#![forbid(unsafe_code)]
