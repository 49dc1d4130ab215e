//! Logins by a JWT.

use std::sync::Arc;

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Provider as _, SecretBytes, TokenSource};
use strongroom_vault::{Auth, Credential, Jwt, Settings};

use super::server::{CANARY, Server, open, read_name};

const SIGNER: &str = r"
import sys, time
from joserfc import jwt
from joserfc.jwk import RSAKey
key = RSAKey.generate_key(2048)
claims = {'sub': 'app', 'aud': 'vault', 'iat': int(time.time()), 'exp': int(time.time()) + 600}
print(key.as_pem(private=False).decode() + '\n====\n' + jwt.encode({'alg': 'RS256'}, claims, key))
";

struct Issuer(String);

impl std::fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Issuer")
    }
}

#[async_trait::async_trait]
impl TokenSource for Issuer {
    fn describe(&self) -> String {
        "the issuer of the test".to_owned()
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        Ok(self.0.clone().into())
    }
}

#[tokio::test]
async fn a_jwt_logs_in_by_its_role() {
    let server = Server::shared();
    server.put("logins-jwt/app", json!({"k": "v"})).await;
    server.allow_reading("logins-jwt", "logins-jwt").await;
    let made = world::python::prepare().unwrap().run(SIGNER, &[], &[]).unwrap();
    let (key, jwt) = made.split_once("\n====\n").unwrap();
    server.admin("POST", "sys/auth/logins-jwt", json!({"type": "jwt"})).await;
    server.admin("POST", "auth/logins-jwt/config", json!({"jwt_validation_pubkeys": [key]})).await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "bound_subject": "app",
        "token_policies": ["logins-jwt"],
    });
    server.admin("POST", "auth/logins-jwt/role/app", role).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwt");
    world::cache::write(&path, jwt.trim().as_bytes()).unwrap();
    let auth = |role: &str| {
        let (mount, role) = (Some("logins-jwt".to_owned()), Some(role.to_owned()));
        Auth::Jwt(Jwt { mount, role, jwt: Credential::File(path.clone()) })
    };
    let vault = open(Settings { auth: auth("app"), ..server.root() });
    assert_eq!(read_name(&vault, "secret/logins-jwt/app").await.unwrap().0, r#"{"k":"v"}"#);
    let issued = Credential::Source(Arc::new(Issuer(jwt.trim().to_owned())));
    let asked = Jwt { mount: Some("logins-jwt".to_owned()), role: Some("app".to_owned()), jwt: issued };
    let vault = open(Settings { auth: Auth::Jwt(asked), ..server.root() });
    assert_eq!(vault.identity(), "role app by auth/logins-jwt with the token of the issuer of the test");
    assert_eq!(read_name(&vault, "secret/logins-jwt/app").await.unwrap().0, r#"{"k":"v"}"#);
    let wrong = open(Settings { auth: auth("nope"), ..server.root() });
    let failure = read_name(&wrong, "secret/logins-jwt/app").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.words.contains("role nope by auth/logins-jwt"), "{failure}");
    assert!(failure.words.contains("could not be found"), "{failure}");
    world::cache::write(&path, format!("{CANARY}.{CANARY}.{CANARY}").as_bytes()).unwrap();
    let failure = read_name(&open(Settings { auth: auth("app"), ..server.root() }), "secret/x").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
}
