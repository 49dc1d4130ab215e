//! Tokens of the pod's service account for one audience, each in a volume that only those mount who log in with it.

use serde_json::{Value, json};

use crate::draft::Draft;
use crate::pod::{list, text};
use crate::settings::Settings;

/// A kind of token.
pub(crate) struct Token {
    /// Its volume, unless another has that name.
    volume: &'static str,
    /// Where the volume is mounted.
    pub(crate) mount: &'static str,
}

/// The token's file in its volume.
const FILE: &str = "token";

/// Logs in to Vault.
pub(crate) const VAULT: Token =
    Token { volume: "strongroom-vault-token", mount: "/var/run/secrets/strongroom.dev/vault" };

/// Takes a role of AWS.
pub(crate) const AWS: Token = Token { volume: "strongroom-aws-token", mount: "/var/run/secrets/strongroom.dev/aws" };

impl Token {
    /// Where the token lies for whoever mounts its volume.
    pub(crate) fn file(&self) -> String {
        format!("{}/{FILE}", self.mount)
    }

    /// The volume with a token for `audience`: that of an earlier plan or of this one, or a new one.
    pub(crate) fn volume(&self, audience: &str, settings: &Settings, draft: &mut Draft<'_>) -> String {
        let is_it = |volume: &&Value| {
            let sources = volume.get("projected").map_or(&[][..], |projected| list(projected, "sources"));
            let token = sources.iter().find_map(|source| source.get("serviceAccountToken"));
            let token = token.filter(|token| text(token, "path") == Some(FILE));
            text(volume, "name").is_some_and(|name| name.starts_with(self.volume))
                && token.is_some_and(|token| text(token, "audience") == Some(audience))
        };
        let mut all = draft.pod.volumes().iter().chain(&draft.volumes);
        if let Some(name) = all.find(is_it).and_then(|volume| text(volume, "name")) {
            return name.to_owned();
        }
        let name = draft.free_volume(self.volume);
        let token = json!({"audience": audience, "expirationSeconds": settings.token_seconds(), "path": FILE});
        draft.volumes.push(json!({"name": name, "projected": {"sources": [{"serviceAccountToken": token}]}}));
        name
    }
}
