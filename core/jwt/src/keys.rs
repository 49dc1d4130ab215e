//! Public keys, and the algorithms that they sign by.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use strongroom_crypto::{Curve, EcdsaForm, Hash, Jwk, SignatureAlgorithm, pem_blocks};
use zeroize::Zeroizing;

/// Keys of a set: more than any provider has at a time.
const MOST: usize = 256;

/// The signature algorithms of RFC 7518 and RFC 8037 that others can check: those by a shared secret are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the RFC")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of a name; nothing for `none`, for shared secrets and for what nobody knows.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(crate) fn signature(self) -> SignatureAlgorithm {
        let elliptic = |curve, hash| SignatureAlgorithm::Ecdsa(curve, hash, EcdsaForm::Fixed);
        match self {
            Self::Rs256 => SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
            Self::Rs384 => SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
            Self::Rs512 => SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
            Self::Ps256 => SignatureAlgorithm::RsaPss(Hash::Sha256),
            Self::Ps384 => SignatureAlgorithm::RsaPss(Hash::Sha384),
            Self::Ps512 => SignatureAlgorithm::RsaPss(Hash::Sha512),
            Self::Es256 => elliptic(Curve::P256, Hash::Sha256),
            Self::Es384 => elliptic(Curve::P384, Hash::Sha384),
            Self::Es512 => elliptic(Curve::P521, Hash::Sha512),
            Self::EdDsa => SignatureAlgorithm::Ed25519,
        }
    }
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// By which algorithm alone, where its set says so.
    algorithm: Option<String>,
    spki: Vec<u8>,
}

/// Public keys of those who sign tokens.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Keys as PEM, `PUBLIC KEY` blocks, one or more in each text. They have no names, and fit a token whatever it names.
    ///
    /// # Errors
    /// A text without such a block.
    pub fn of_pem<'p>(texts: impl IntoIterator<Item = &'p str>) -> Result<Self, &'static str> {
        let mut keys = Vec::new();
        for text in texts {
            let (blocks, _) = pem_blocks(text);
            let found = blocks.into_iter().filter(|block| block.label == "PUBLIC KEY");
            let before = keys.len();
            keys.extend(found.map(|block| Key { id: None, algorithm: None, spki: block.bytes.to_vec() }));
            if keys.len() == before {
                return Err("it holds no PEM block \"PUBLIC KEY\"");
            }
        }
        Ok(Self(keys))
    }

    /// The keys of a JSON Web Key Set that sign; those of kinds that are not known are left out.
    ///
    /// # Errors
    /// What is no set.
    pub fn of_set(json: &[u8]) -> Result<Self, &'static str> {
        let set: Value = serde_json::from_slice(json).map_err(|_| "it is no JSON")?;
        let keys = set["keys"].as_array().ok_or("it is no JSON Web Key Set")?;
        if keys.len() > MOST {
            return Err("it has too many keys");
        }
        Ok(Self(keys.iter().filter_map(key_of).collect()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that may have signed a token that names `id`.
    pub(crate) fn fitting<'k>(&'k self, id: Option<&'k str>, algorithm: Algorithm) -> impl Iterator<Item = &'k [u8]> {
        let fits = move |key: &&Key| {
            let is_named = match (&key.id, id) {
                (Some(own), Some(id)) => own == id,
                _ => true,
            };
            is_named && key.algorithm.as_deref().is_none_or(|own| own == algorithm.name())
        };
        self.0.iter().filter(fits).map(|key| key.spki.as_slice())
    }
}

fn key_of(key: &Value) -> Option<Key> {
    if key["use"].as_str().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let member = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok().map(Zeroizing::new);
    let kind = key["kty"].as_str()?;
    let jwk = Jwk { kind, curve: key["crv"].as_str().unwrap_or_default(), member: &member };
    let text = |name: &str| key[name].as_str().map(str::to_owned);
    Some(Key { id: text("kid"), algorithm: text("alg"), spki: jwk.public_key().ok()? })
}
