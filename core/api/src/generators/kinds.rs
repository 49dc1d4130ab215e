//! The kinds of one namespace each.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external_secrets::SecretKeySelector;
use crate::lenient::filled;
use crate::names;

/// How a password is made.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "Password",
    plural = "passwords",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Makes passwords.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSpec {
    /// How many characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 24))]
    pub length: Option<i64>,
    /// How many of them are digits; a quarter where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<i64>,
    /// How many of them are symbols; a quarter where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols: Option<i64>,
    /// The symbols from which is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol_characters: Option<String>,
    /// Whether letters are small ones alone.
    #[serde(default)]
    pub no_upper: bool,
    /// Whether a character may come twice.
    #[serde(default)]
    pub allow_repeat: bool,
    /// The keys under which a password each is given; "password" alone where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253), regex(pattern = names::DATA_KEY)))]
    pub secret_keys: Vec<String>,
    /// How the password is encoded.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "raw"))]
    pub encoding: Option<Encoding>,
}

/// How a password is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Base64 (RFC 4648), with padding.
    Base64,
    /// URL-safe base64, with padding.
    Base64url,
    /// Base32, with padding.
    Base32,
    /// Small hexadecimal digits.
    Hex,
    /// Not at all.
    #[default]
    Raw,
}

/// A UUID has no settings.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "UUID",
    root = "Uuid",
    plural = "uuids",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Makes random UUIDs.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
pub struct UuidSpec {}

/// How a pair of SSH keys is made.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "SSHKey",
    root = "SshKey",
    plural = "sshkeys",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Makes pairs of SSH keys.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SshKeySpec {
    /// The algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "rsa"))]
    pub key_type: Option<SshKeyType>,
    /// The size in bits: of RSA 2048 (what is taken where nothing is said), 3072, 4096 or 8192; of ECDSA 256 (likewise),
    /// 384 or 521. Ed25519 has one size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 256, max = 8192))]
    pub key_size: Option<i64>,
    /// What is written behind the public key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub comment: Option<String>,
}

/// The algorithm of a pair of SSH keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SshKeyType {
    /// RSA.
    #[default]
    Rsa,
    /// ECDSA on a curve of NIST.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

/// Values that are written in the object.
#[derive(CustomResource, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "Fake",
    plural = "fakes",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Gives values that are written in it, for tests.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct FakeSpec {
    /// The class of the controller that serves the generator, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub controller: Option<String>,
    /// The values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

impl std::fmt::Debug for FakeSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.data.keys().collect();
        formatter.debug_struct("FakeSpec").field("controller", &self.controller).field("data", &keys).finish()
    }
}

/// How a one-time password follows from the time (RFC 6238).
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "MFA",
    root = "Mfa",
    plural = "mfas",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Makes one-time passwords that follow from the time (TOTP).",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MfaSpec {
    /// Where the seed is: base32, in groups if it likes.
    pub secret: SecretKeySelector,
    /// How many digits; 6 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<i64>,
    /// For how many seconds one holds; 30 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_period: Option<i64>,
    /// The hash function: sha1 (what is taken where nothing is said), sha256 or sha512.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub algorithm: Option<String>,
    /// The time for which it is made, instead of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Time>,
}
