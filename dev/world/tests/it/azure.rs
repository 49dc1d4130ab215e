//! The stand-in, asked by Azure's own Python clients: two clients that do not know each other agree about it.

use serde_json::json;
use world::azure::{AzureStandIn, Denial, Kind, Object};
use world::proxy::ForwardProxy;
use world::python;

/// What every script begins with: clients of the vault under its real name, and failures as their codes.
const PRELUDE: &str = "
import os, sys
from azure.core.exceptions import HttpResponseError, ClientAuthenticationError
from azure.identity import (CertificateCredential, ClientAssertionCredential, ClientSecretCredential,
    ManagedIdentityCredential, WorkloadIdentityCredential)
from azure.keyvault.secrets import SecretClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.certificates import CertificateClient
tenant, client_id, secret = sys.argv[1:4]
VAULT = 'https://world.vault.azure.net'
login = dict(authority='https://login.microsoftonline.com', disable_instance_discovery=True)
def credential():
    return ClientSecretCredential(tenant, client_id, secret, **login)
def attempt(call, *arguments, **named):
    try:
        return call(*arguments, **named)
    except HttpResponseError as error:
        inner = getattr(error.error, 'innererror', None)
        return f'{error.status_code} {error.error.code}' + (f' {inner[\"code\"]}' if inner else '')
secrets = SecretClient(VAULT, credential(), retry_total=0)
";

fn run(azure: &AzureStandIn, variables: &[(&str, &str)], script: &str) -> Vec<String> {
    let certificate = azure.authority().certificate_file().to_str().unwrap();
    let proxy = ForwardProxy::start().unwrap();
    for host in ["world.vault.azure.net", "login.microsoftonline.com"] {
        proxy.route(host, azure.endpoint().trim_start_matches("https://").parse().unwrap());
    }
    let mut all = vec![
        ("REQUESTS_CA_BUNDLE", certificate),
        ("SSL_CERT_FILE", certificate),
        ("HTTPS_PROXY", proxy.url()),
        ("NO_PROXY", "127.0.0.1"),
    ];
    all.extend(variables);
    let (tenant, client_id, secret) = (azure.tenant(), azure.client_id(), azure.client_secret());
    let arguments = [tenant.as_str(), client_id.as_str(), secret.as_str()];
    let printed = python::prepare().unwrap().run(&format!("{PRELUDE}{script}"), &arguments, &all).unwrap();
    printed.lines().map(str::to_owned).collect()
}

#[test]
fn azures_clients_write_read_list_and_disable() {
    let azure = AzureStandIn::start().unwrap();
    azure.put(Kind::Key, "signing", Object::new(json!({"kty": "RSA", "key_ops": ["sign"], "n": "AQAB", "e": "AQAB"})));
    azure.put(Kind::Certificate, "web", Object::new(json!("MAA=")).with_tag("team", "a"));
    let printed = run(
        &azure,
        &[],
        "
first = secrets.set_secret('db', 'one', tags={'team': 'a'}, content_type='text/plain')
second = secrets.set_secret('db', 'two')
print(first.properties.version != second.properties.version, second.name, second.properties.enabled)
print(secrets.get_secret('db').value, secrets.get_secret('db', first.properties.version).value)
print(secrets.get_secret('db', first.properties.version).properties.tags, first.properties.content_type)
print(sorted(found.version for found in secrets.list_properties_of_secret_versions('db'))
    == sorted([first.properties.version, second.properties.version]))
for number in range(30):
    secrets.set_secret(f'many-{number:02}', 'x')
names = [found.name for found in secrets.list_properties_of_secrets()]
print(len(names), names[0], names[-1])
print([len(list(page)) for page in secrets.list_properties_of_secrets(max_page_size=20).by_page()])
secrets.update_secret_properties('db', second.properties.version, enabled=False)
print(attempt(secrets.get_secret, 'db'))
print([found.enabled for found in secrets.list_properties_of_secrets()][:2])
print(attempt(secrets.get_secret, 'none'), '|', attempt(secrets.get_secret, 'db', 'none'))
key = KeyClient(VAULT, credential(), retry_total=0).get_key('signing')
print(key.key.kty.value, key.key.n, key.key_operations, key.name)
certificate = CertificateClient(VAULT, credential(), retry_total=0).get_certificate('web')
print(bytes(certificate.cer), certificate.properties.tags)
",
    );
    let expected = [
        "True db True",
        "two one",
        "{'team': 'a'} text/plain",
        "True",
        "31 db many-29",
        "[20, 11]",
        "403 Forbidden SecretDisabled",
        "[False, True]",
        "404 SecretNotFound | 404 SecretNotFound",
        "RSA b'\\x01\\x00\\x01' ['sign'] signing",
        "b'0\\x00' {'team': 'a'}",
    ];
    assert_eq!(printed, expected);
}

#[test]
fn every_identity_gets_a_token_and_strangers_get_none() {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("db", "value");
    let file = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        use std::io::Write as _;
        let path = file.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = write("certificate.pem", &azure.client_certificate());
    let stranger = write("stranger.pem", &AzureStandIn::start().unwrap().client_certificate());
    let token = write("token", &azure.federated_token("api://AzureADTokenExchange").unwrap());
    let wrong = write("wrong", &azure.federated_token("another").unwrap());
    let metadata = format!("http://{}", azure.metadata_host());
    let (client, resource) = azure.user_assigned_identity();
    let variables = [
        ("CERTIFICATE", certificate.as_str()),
        ("STRANGER", &stranger),
        ("TOKEN", &token),
        ("WRONG", &wrong),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata),
        ("MANAGED_CLIENT", &client),
        ("MANAGED_RESOURCE", &resource),
    ];
    let script = "
def read(one):
    try:
        return SecretClient(VAULT, one, retry_total=0).get_secret('db').value
    except ClientAuthenticationError as error:
        return next(word for word in str(error).split() if word.startswith('AADSTS')).rstrip(':')
at = os.environ
print(read(CertificateCredential(tenant, client_id, at['CERTIFICATE'], **login)))
print(read(CertificateCredential(tenant, client_id, at['STRANGER'], **login)))
print(read(ClientSecretCredential(tenant, client_id, 'wrong', **login)))
print(read(ClientSecretCredential(tenant, 'another', secret, **login)))
workload = lambda file: WorkloadIdentityCredential(tenant_id=tenant, client_id=client_id, token_file_path=file, **login)
print(read(workload(at['TOKEN'])), read(workload(at['WRONG'])))
print(read(ManagedIdentityCredential()))
print(read(ManagedIdentityCredential(client_id=at['MANAGED_CLIENT'])))
print(read(ManagedIdentityCredential(identity_config={'resource_id': at['MANAGED_RESOURCE']})))
";
    let printed = run(&azure, &variables, script);
    let expected =
        ["value", "AADSTS700027", "AADSTS7000215", "AADSTS700016", "value AADSTS700212", "value", "value", "value"];
    assert_eq!(printed, expected);
    let endpoint = format!("http://{}/msi/token", azure.metadata_host());
    let header = azure.identity_header();
    let app_service = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", &header)];
    let script = "print(SecretClient(VAULT, ManagedIdentityCredential(), retry_total=0).get_secret('db').value)";
    assert_eq!(run(&azure, &app_service, script), ["value"]);
}

#[test]
fn refusals_have_azures_codes_and_a_challenge_says_where_to_ask() {
    let azure = AzureStandIn::start().unwrap();
    for name in ["policy", "role", "firewall"] {
        azure.put_secret(name, "hidden");
    }
    azure.deny("policy", Denial::Policy);
    azure.deny("role", Denial::Role);
    azure.deny("firewall", Denial::Firewall);
    let printed = run(
        &azure,
        &[],
        "
for name in ['policy', 'role', 'firewall']:
    print(attempt(secrets.get_secret, name))
import requests
answer = requests.get(f'{VAULT}/secrets/policy?api-version=7.4')
print(answer.status_code, answer.json()['error']['code'], answer.headers['WWW-Authenticate'].replace(tenant, 'T'))
",
    );
    let expected = [
        "403 Forbidden AccessDenied",
        "403 Forbidden ForbiddenByRbac",
        "403 Forbidden ForbiddenByFirewall",
        "401 Unauthorized Bearer authorization=\"https://login.windows.net/T\", resource=\"https://vault.azure.net\"",
    ];
    assert_eq!(printed, expected);
}

#[test]
fn azures_client_encrypts_and_decrypts_with_keys_and_not_with_disabled_ones() {
    let azure = AzureStandIn::start().unwrap();
    azure.make_key("given").unwrap();
    azure.make_key("denied").unwrap();
    azure.deny("denied", Denial::Role);
    let printed = run(
        &azure,
        &[],
        "
from unittest import mock
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm
keys = KeyClient(VAULT, credential(), retry_total=0)
first = keys.create_rsa_key('made', size=2048, hardware_protected=True, tags={'team': 'a'})
print(first.key_type.value, len(first.key.n), first.properties.tags, first.key.d)
client = lambda key: CryptographyClient(key, credential(), retry_total=0)
def decrypt(key, algorithm, ciphertext):
    answer = attempt(client(key).decrypt, algorithm, ciphertext)
    return answer if isinstance(answer, str) else answer.plaintext
both = [EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256]
# This library encrypts by itself with the public part.
local = [client(first).encrypt(algorithm, b'value').ciphertext for algorithm in both]
print([decrypt(first, algorithm, ciphertext) for algorithm, ciphertext in zip(both, local)])
print(decrypt(first, both[1], local[0]), decrypt(first, both[0], b'x'))
far = client(first)
with mock.patch.object(far._local_provider, 'supports', return_value=False):
    encrypted = far.encrypt(both[0], b'value')
print(encrypted.ciphertext != local[0], encrypted.key_id == first.id, decrypt(first, both[0], encrypted.ciphertext))
wrapped = client(first).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b'k' * 32).encrypted_key
print(client(first).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key == b'k' * 32)
print(decrypt(keys.get_key('given'), both[0], local[0]))
second = keys.create_rsa_key('made', size=3072)
print(len(second.key.n), decrypt(f'{VAULT}/keys/made', both[0], local[0]), decrypt(first, both[0], local[0]))
keys.update_key_properties('made', first.properties.version, enabled=False)
print(decrypt(first, both[0], local[0]))
print(decrypt(f'{VAULT}/keys/denied', both[0], local[0]), '|', decrypt(f'{VAULT}/keys/none', both[0], local[0]))
",
    );
    let expected = [
        "RSA-HSM 256 {'team': 'a'} None",
        "[b'value', b'value']",
        "400 BadParameter 400 BadParameter",
        "True True b'value'",
        "True",
        "400 BadParameter",
        "384 400 BadParameter b'value'",
        "403 Forbidden KeyDisabled",
        "403 Forbidden ForbiddenByRbac | 404 KeyNotFound",
    ];
    assert_eq!(printed, expected);
}
