//! Go text/template with sprig's and External Secrets Operator's functions, limited in steps, depth, output and time.

#![forbid(unsafe_code)]
