use strongroom_secret::SecretBytes;

/// `fields` as a form's body (`application/x-www-form-urlencoded`), in memory that is wiped. Names are written as they
/// are; of values, all but letters, digits and `-._~` is percent-encoded.
pub fn form_body(fields: &[(&str, &[u8])]) -> SecretBytes {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    // No byte takes more than three, so that the body never moves and leaves a copy behind.
    let size = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut body = Vec::with_capacity(size);
    for (name, value) in fields {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        for byte in *value {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => body.push(*byte),
                byte => body.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
            }
        }
    }
    SecretBytes::new(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_carry_every_byte() {
        let body = form_body(&[("a", b"x y&=+/~"), ("b", b"\xff-_.")]);
        assert_eq!(body.expose_text(), Some("a=x%20y%26%3D%2B%2F~&b=%FF-_."));
        assert!(form_body(&[]).is_empty());
    }
}
