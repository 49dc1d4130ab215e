//! New keys and certificates. They begin at the time of the rendering.

use std::net::IpAddr;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::{CertificateFacts, NewCertificate, NewKey, PrivateKey, pem_blocks};

use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;
use crate::values::{Certificate, Datum, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("genPrivateKey", &[Kind::Text], private_key),
    fixed("genCA", &[Kind::Text, Kind::Int], |call| authority(call, None)),
    fixed("genCAWithKey", &[Kind::Text, Kind::Int, Kind::Text], |call| authority(call, Some(2))),
    fixed("genSelfSignedCert", &[Kind::Text, Kind::List, Kind::List, Kind::Int], |call| self_signed(call, None)),
    fixed("genSelfSignedCertWithKey", &[Kind::Text, Kind::List, Kind::List, Kind::Int, Kind::Text], |call| {
        self_signed(call, Some(4))
    }),
    fixed("genSignedCert", &[Kind::Text, Kind::List, Kind::List, Kind::Int, Kind::Certificate], |call| {
        signed(call, None)
    }),
    fixed(
        "genSignedCertWithKey",
        &[Kind::Text, Kind::List, Kind::List, Kind::Int, Kind::Certificate, Kind::Text],
        |call| signed(call, Some(5)),
    ),
    fixed("buildCustomCert", &[Kind::Text, Kind::Text], custom),
];

fn private_key(call: &mut Call<'_>) -> Answer {
    let kind = match call.text(0).bytes() {
        b"" | b"rsa" => NewKey::Rsa4096,
        b"ecdsa" => NewKey::P256,
        b"ed25519" => NewKey::Ed25519,
        b"dsa" => return fault("DSA is no longer made: use rsa, ecdsa or ed25519"),
        other => return call.make([b"Unknown type ", other].concat()),
    };
    call.meter.costly()?;
    let key = PrivateKey::generate(kind).map_err(Fault::new)?;
    call.make(key.to_usual_pem().as_bytes())
}

/// The key that is given as an argument, or a new one.
fn key(call: &mut Call<'_>, argument: Option<usize>) -> Result<PrivateKey, Fault> {
    call.meter.costly()?;
    let made = match argument {
        Some(argument) => PrivateKey::from_pem(&call.string(argument)),
        None => PrivateKey::generate(NewKey::Rsa2048),
    };
    made.map_err(|reason| Fault::new(format!("parsing private key: {reason}")))
}

fn wanted(call: &Call<'_>, days: usize, is_authority: bool) -> NewCertificate {
    NewCertificate {
        common_name: call.string(0),
        addresses: Vec::new(),
        names: Vec::new(),
        begins: call.now.as_second(),
        days: call.int(days),
        is_authority,
    }
}

fn authority(call: &mut Call<'_>, argument: Option<usize>) -> Answer {
    let key = key(call, argument)?;
    finished(wanted(call, 1, true).signed_by_itself(&key), &key)
}

/// A certificate for what the second and third argument name.
fn wanted_for(call: &Call<'_>) -> Result<NewCertificate, Fault> {
    let mut wanted = wanted(call, 3, false);
    for address in texts(call, 1, "error parsing ip: a value is not a string")? {
        let address: Result<IpAddr, _> = address.parse();
        wanted.addresses.push(address.map_err(|_| Fault::new("error parsing ip: this is no IP address"))?);
    }
    wanted.names = texts(call, 2, "error processing alternate dns name: a value is not a string")?;
    Ok(wanted)
}

fn texts(call: &Call<'_>, index: usize, otherwise: &str) -> Result<Vec<String>, Fault> {
    let text = |datum: &Datum| match datum {
        Datum::Text(text) => Ok(text.lossy().into_owned()),
        _ => fault(otherwise),
    };
    call.list(index).map_or_else(|| Ok(Vec::new()), |list| list.items.iter().map(text).collect())
}

fn self_signed(call: &mut Call<'_>, argument: Option<usize>) -> Answer {
    let wanted = wanted_for(call)?;
    let key = key(call, argument)?;
    finished(wanted.signed_by_itself(&key), &key)
}

fn signed(call: &mut Call<'_>, argument: Option<usize>) -> Answer {
    let Some(authority) = call.certificate(4) else { return fault("the signer's certificate is missing") };
    let wanted = wanted_for(call)?;
    let authority_key = PrivateKey::from_pem(&authority.key.lossy())
        .map_err(|reason| Fault::new(format!("error parsing private key: {reason}")))?;
    let key = key(call, argument)?;
    finished(wanted.signed_by(&key, &authority.certificate.lossy(), &authority_key), &key)
}

fn finished(certificate: Result<String, strongroom_crypto::Reason>, key: &PrivateKey) -> Answer {
    let certificate = Text::from(certificate.map_err(Fault::new)?);
    let key = Text::new(key.to_usual_pem().as_bytes().to_vec());
    Ok(Datum::Certificate(Rc::new(Certificate { certificate, key })))
}

/// A certificate and its key, both PEM in base64.
fn custom(call: &mut Call<'_>) -> Answer {
    let decode = |index: usize, what: &str| {
        let text = call.text(index);
        STANDARD.decode(text.bytes()).map_err(|_| Fault::new(format!("unable to decode base64 {what}")))
    };
    let (certificate, key) = (Text::new(decode(0, "certificate")?), Text::new(decode(1, "private key")?));
    call.meter.make(certificate.bytes().len() + key.bytes().len())?;
    let (blocks, _) = pem_blocks(&certificate.lossy());
    let Some(block) = blocks.first() else { return fault("unable to decode certificate") };
    if CertificateFacts::read(&block.bytes).is_none() {
        return fault("error parsing certificate");
    }
    if let Err(reason) = PrivateKey::from_pem(&key.lossy()) {
        return fault(format!("error parsing private key: {reason}"));
    }
    Ok(Datum::Certificate(Rc::new(Certificate { certificate, key })))
}
