//! JSON Web Keys as PEM.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use strongroom_crypto::{Jwk, Reason, pem_encode};
use zeroize::Zeroizing;

use super::super::{Answer, fault};
use super::counted;
use crate::evaluate::Call;
use crate::limits::Fault;

pub(super) fn public_key(call: &mut Call<'_>) -> Answer {
    let made = with_key(call, |key| key.public_key().map(|der| pem_encode("PUBLIC KEY", &der)))?;
    call.make(made.as_bytes())
}

pub(super) fn private_key(call: &mut Call<'_>) -> Answer {
    let made = with_key(call, |key| key.private_key().map(|key| key.to_pkcs8_pem()))?;
    call.make(made.as_bytes())
}

fn with_key(
    call: &mut Call<'_>,
    convert: impl Fn(&Jwk<'_>) -> Result<Zeroizing<String>, Reason>,
) -> Result<Zeroizing<String>, Fault> {
    let text = Zeroizing::new(counted(call, 0)?);
    let Ok(Value::Object(members)) = serde_json::from_str(&text) else {
        return fault("failed to parse the key: it is no JSON object");
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let member = |name: &str| {
        let letters = text(name)?.trim_end_matches('=');
        URL_SAFE_NO_PAD.decode(letters).ok().map(Zeroizing::new)
    };
    let key = Jwk { kind: text("kty").unwrap_or_default(), curve: text("crv").unwrap_or_default(), member: &member };
    convert(&key).map_err(|reason| Fault::new(format!("failed to convert the key: {reason}")))
}
