//! Digests, password hashes and AES.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto as crypto;

use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("sha1sum", &[Kind::Text], |call| digest(call, |bytes| crypto::sha1(bytes).to_vec())),
    fixed("sha256sum", &[Kind::Text], |call| digest(call, |bytes| crypto::sha256(bytes).to_vec())),
    fixed("sha512sum", &[Kind::Text], |call| digest(call, |bytes| crypto::sha512(bytes).to_vec())),
    fixed("adler32sum", &[Kind::Text], |call| {
        let text = call.text(0);
        call.meter.make(text.bytes().len())?;
        call.make(crypto::adler32(text.bytes()).to_string())
    }),
    fixed("bcrypt", &[Kind::Text], |call| {
        let hash = bcrypt(call, call.text(0).bytes())?;
        call.make(hash)
    }),
    fixed("htpasswd", &[Kind::Text, Kind::Text, Kind::Text], htpasswd),
    fixed("derivePassword", &[Kind::Uint32, Kind::Text, Kind::Text, Kind::Text, Kind::Text], derive_password),
    fixed("encryptAES", &[Kind::Text, Kind::Text], |call| {
        let (password, plain) = (call.text(0), call.text(1));
        if plain.bytes().is_empty() {
            return call.make("");
        }
        call.meter.make(plain.bytes().len().saturating_mul(2))?;
        let encrypted = crypto::aes_encrypt(password.bytes(), plain.bytes()).map_err(Fault::new)?;
        call.make(STANDARD.encode(encrypted))
    }),
    fixed("decryptAES", &[Kind::Text, Kind::Text], |call| {
        let (password, text) = (call.text(0), call.text(1));
        if text.bytes().is_empty() {
            return call.make("");
        }
        call.meter.make(text.bytes().len())?;
        let encrypted = STANDARD.decode(text.bytes()).map_err(|_| Fault::new("illegal base64 data"))?;
        let plain = crypto::aes_decrypt(password.bytes(), &encrypted).map_err(Fault::new)?;
        call.make(plain.as_slice())
    }),
];

fn digest(call: &mut Call<'_>, digest: impl Fn(&[u8]) -> Vec<u8>) -> Answer {
    let text = call.text(0);
    call.meter.make(text.bytes().len())?;
    let made: String = digest(text.bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    call.make(made)
}

/// The hash or, as sprig has it, the reason in its place.
fn bcrypt(call: &mut Call<'_>, password: &[u8]) -> Result<String, Fault> {
    call.meter.costly()?;
    Ok(crypto::bcrypt_hash(password).unwrap_or_else(|reason| format!("failed to encrypt string with bcrypt: {reason}")))
}

/// A line of an htpasswd file: by `sha`, else by bcrypt.
fn htpasswd(call: &mut Call<'_>) -> Answer {
    let (user, password, algorithm) = (call.text(0), call.text(1), call.text(2));
    if user.bytes().contains(&b':') {
        return call.make([b"invalid username: ", user.bytes()].concat());
    }
    let hash = match algorithm.bytes() {
        b"sha" => format!("{{SHA}}{}", STANDARD.encode(crypto::sha1(password.bytes()))),
        _ => bcrypt(call, password.bytes())?,
    };
    call.make([user.bytes(), b":", hash.as_bytes()].concat())
}

const SEED: &[u8] = b"com.lyndir.masterpassword";

/// The templates of each type of password: a letter for each character's class.
const TEMPLATES: &[(&[u8], &[&str])] = &[
    (b"maximum", &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"]),
    (
        b"long",
        &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
    ),
    (b"medium", &["CvcnoCvc", "CvcCvcno"]),
    (b"short", &["Cvcn"]),
    (b"basic", &["aaanaaan", "aannaaan", "aaannaaa"]),
    (b"pin", &["nnnn"]),
];

/// The characters of a class.
fn characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// `text` after its length.
fn framed(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes(), text].concat()
}

/// The master password algorithm: counter, type, password, user, site.
fn derive_password(call: &mut Call<'_>) -> Answer {
    let (kind, password, user, site) = (call.text(1), call.text(2), call.text(3), call.text(4));
    let Some((_, templates)) = TEMPLATES.iter().find(|(name, _)| *name == kind.bytes()) else {
        return call.make([b"cannot find password template ", kind.bytes()].concat());
    };
    let counter = u32::try_from(call.int(0)).unwrap_or(0).to_be_bytes();
    call.meter.costly()?;
    let salt = [SEED, &framed(user.bytes())].concat();
    let key = crypto::scrypt_64(password.bytes(), &salt).map_err(Fault::new)?;
    let message = [SEED, &framed(site.bytes()), &counter].concat();
    let seed = crypto::hmac_sha256(key.as_slice(), &message);
    let (first, rest) = seed.split_at(1);
    let chosen = usize::from(first.first().copied().unwrap_or(0)) % templates.len();
    let Some(template) = templates.get(chosen) else { return fault("there is no such template") };
    let character = |(class, byte): (u8, &u8)| {
        let characters = characters(class);
        characters.get(usize::from(*byte) % characters.len()).copied().unwrap_or(b'x')
    };
    let made: Vec<u8> = template.bytes().zip(rest).map(character).collect();
    call.make(made)
}
