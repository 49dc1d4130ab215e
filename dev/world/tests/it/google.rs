//! The stand-in, asked by Google's own Python client: two clients that do not know each other agree about it.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use world::google::GoogleStandIn;
use world::proxy::ForwardProxy;
use world::python;
use world::switchboard::{Fault, Switchboard};

/// What every script begins with: a client of the stand-in, and failures as the status that they carry.
const PRELUDE: &str = "
import sys, google.auth
from google.api_core import exceptions
from google.cloud import secretmanager_v1
from google.protobuf import field_mask_pb2
endpoint, credentials_file, project = sys.argv[1:4]
def client_of(credentials):
    return secretmanager_v1.SecretManagerServiceClient(
        credentials=credentials, transport='rest', client_options={'api_endpoint': endpoint})
SCOPES = ['https://www.googleapis.com/auth/cloud-platform']
def credentials_from(file):
    return google.auth.load_credentials_from_file(file, scopes=SCOPES)[0]
def attempt(call, **request):
    try:
        return call(request=request, retry=None, timeout=20)
    except exceptions.GoogleAPICallError as error:
        # The client's own classes follow the HTTP status alone.
        answer = error.response
        return answer.json()['error']['status'] if answer.content else str(answer.status_code)
client = client_of(credentials_from(credentials_file))
def read(name):
    answer = attempt(client.access_secret_version, name=name)
    return answer if isinstance(answer, str) else answer.payload.data.decode()
secrets = f'projects/{project}/secrets'
";

fn run_with(google: &GoogleStandIn, endpoint: &str, credentials: &str, script: &str) -> Vec<String> {
    run_script(google, endpoint, credentials, &format!("{PRELUDE}{script}"))
}

/// `credentials` is the script's second argument: a file for those that begin with the prelude.
fn run_script(google: &GoogleStandIn, endpoint: &str, credentials: &str, script: &str) -> Vec<String> {
    let certificate = google.certificate_file().to_str().unwrap();
    // Some things the client asks of fixed hosts, whatever the file says.
    let proxy = ForwardProxy::start().unwrap();
    for host in ["oauth2.googleapis.com", "cloudresourcemanager.googleapis.com"] {
        proxy.route(host, google.endpoint().trim_start_matches("https://").parse().unwrap());
    }
    let variables = [
        ("REQUESTS_CA_BUNDLE", certificate),
        ("SSL_CERT_FILE", certificate),
        ("GCE_METADATA_HOST", google.metadata_host()),
        ("HTTPS_PROXY", proxy.url()),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let arguments = [endpoint, credentials, google.project()];
    let printed = python::prepare().unwrap().run(script, &arguments, &variables).unwrap();
    printed.lines().map(str::to_owned).collect()
}

fn run(google: &GoogleStandIn, script: &str) -> Vec<String> {
    run_with(google, google.endpoint(), google.service_account_file().to_str().unwrap(), script)
}

#[test]
fn googles_client_creates_adds_reads_and_lists() {
    let google = GoogleStandIn::start().unwrap();
    let printed = run(
        &google,
        "
made = client.create_secret(request={'parent': f'projects/{project}', 'secret_id': 'made',
    'secret': {'replication': {'automatic': {}}, 'labels': {'team': 'a'}}})
print(made.name, made.labels['team'], made.replication.automatic is not None)
for value in [b'one', b'two', bytes(range(256))]:
    added = client.add_secret_version(request={'parent': made.name, 'payload': {'data': value}})
    print(added.name.rsplit('/', 1)[1], added.state.name)
answer = client.access_secret_version(request={'name': f'{secrets}/made/versions/latest'})
print(answer.payload.data == bytes(range(256)), answer.name == f'{made.name}/versions/3')
print(client.access_secret_version(request={'name': f'{secrets}/made/versions/1'}).payload.data)
print([version.name.rsplit('/', 1)[1] for version in client.list_secret_versions(request={'parent': made.name, 'page_size': 2})])
for name in 'bcd':
    client.create_secret(request={'parent': f'projects/{project}', 'secret_id': name, 'secret': {'replication': {'automatic': {}}}})
print([secret.name.rsplit('/', 1)[1] for secret in client.list_secrets(request={'parent': f'projects/{project}', 'page_size': 3})])
list_of = lambda filter: [secret.name.rsplit('/', 1)[1]
    for secret in client.list_secrets(request={'parent': f'projects/{project}', 'filter': filter})]
print(list_of('labels.team=a'), list_of('labels.team=b'), list_of('name:ad'), list_of('labels.team=a name:b'))
client.disable_secret_version(request={'name': f'{made.name}/versions/2'})
print([version.name.rsplit('/', 1)[1]
    for version in client.list_secret_versions(request={'parent': made.name, 'filter': 'state:ENABLED'})])
print(attempt(client.create_secret, parent=f'projects/{project}', secret_id='made', secret={'replication': {'automatic': {}}}))
print(attempt(client.add_secret_version, parent=made.name, payload={'data': b'x' * 65537}))
print(attempt(client.add_secret_version, parent=made.name, payload={'data': b'x', 'data_crc32c': 1}))
client.add_secret_version(request={'parent': made.name, 'payload': {'data': b'x' * 65536}})
client.delete_secret(request={'name': made.name})
print(read(f'{secrets}/made/versions/latest'))
",
    );
    let number = google.project_number(google.project());
    let expected = [
        format!("projects/{number}/secrets/made a True").as_str(),
        "1 ENABLED",
        "2 ENABLED",
        "3 ENABLED",
        "True True",
        "b'one'",
        "['3', '2', '1']",
        "['b', 'c', 'd', 'made']",
        "['made'] [] ['made'] []",
        "['3', '1']",
        "ALREADY_EXISTS",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
    ]
    .map(str::to_owned);
    assert_eq!(printed, expected);
}

#[test]
fn states_aliases_and_permissions() {
    let google = GoogleStandIn::start().unwrap();
    let project = google.project();
    for value in ["one", "two", "three"] {
        google.put(project, "s", value.as_bytes());
    }
    google.alias(project, "s", "stable", 2).unwrap();
    google.destroy(project, "s", 1).unwrap();
    google.disable(project, "s", 3).unwrap();
    google.put(project, "denied", b"hidden");
    google.deny(project, "denied");
    google.put_regional(project, "europe-west3", "s", b"in Frankfurt");
    let printed = run(
        &google,
        "
for version in ['1', '2', '3', 'latest', 'stable', '9', '0', 'none']:
    print(read(f'{secrets}/s/versions/{version}'))
print(read(f'{secrets}/denied/versions/latest'))
print(read(f'{secrets}/none/versions/latest'))
print(read(f'projects/{project}/locations/europe-west3/secrets/s/versions/latest'))
client.enable_secret_version(request={'name': f'{secrets}/s/versions/3'})
print(read(f'{secrets}/s/versions/latest'))
print(attempt(client.enable_secret_version, name=f'{secrets}/s/versions/1'))
client.update_secret(request={'secret': {'name': f'{secrets}/s', 'version_aliases': {'newest': 3}},
    'update_mask': field_mask_pb2.FieldMask(paths=['version_aliases'])})
print(read(f'{secrets}/s/versions/newest'), dict(client.get_secret(request={'name': f'{secrets}/s'}).version_aliases))
",
    );
    let expected = [
        "FAILED_PRECONDITION",
        "two",
        "FAILED_PRECONDITION",
        "FAILED_PRECONDITION",
        "two",
        "NOT_FOUND",
        "NOT_FOUND",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "NOT_FOUND",
        "in Frankfurt",
        "three",
        "FAILED_PRECONDITION",
        "three {'newest': 3}",
    ];
    assert_eq!(printed, expected);
}

/// Each way to a token, as Google's library goes it.
#[test]
fn every_identity_gets_a_token() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "s", b"kept");
    let from_file = "
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
name = f'{secrets}/s/versions/latest'
asked = credentials_from(credentials_file)
asked.refresh(Request())
# With the token alone the client cannot choose another way.
client = client_of(Credentials(asked.token))
print(read(name), type(asked).__module__)
";
    let check = |file: &Path, script: &str, tokens: RangeInclusive<usize>, expected: &str| {
        let before = google.tokens_issued();
        assert_eq!(run_with(&google, google.endpoint(), file.to_str().unwrap(), script), [expected]);
        let issued = google.tokens_issued() - before;
        assert!(tokens.contains(&issued), "{}: {issued}", file.display());
    };
    check(google.service_account_file(), from_file, 1..=1, "kept google.oauth2.service_account");
    check(google.authorized_user_file(), from_file, 1..=1, "kept google.oauth2.credentials");
    // Loading the file asks for the project's id, with tokens of its own; impersonation takes one token for another.
    check(google.external_account_file(), from_file, 1..=9, "kept google.auth.identity_pool");
    check(google.impersonating_account_file(), from_file, 2..=9, "kept google.auth.identity_pool");
    let self_signed = "print(read(f'{secrets}/s/versions/latest'))";
    check(google.service_account_file(), self_signed, 0..=0, "kept");
    let metadata = "
from google.auth import compute_engine
client = client_of(compute_engine.Credentials())
print(read(f'{secrets}/s/versions/latest'))
";
    check(google.service_account_file(), metadata, 1..=1, "kept");
}

#[test]
fn a_wrong_key_an_expired_token_and_no_token_are_refused() {
    let google = GoogleStandIn::start().unwrap();
    let other = GoogleStandIn::start().unwrap();
    google.put(google.project(), "s", b"kept");
    let script = "
import urllib.parse, requests
from google.auth import compute_engine, exceptions as auth_exceptions, credentials as auth_credentials
from google.oauth2 import service_account
from google.auth.transport.requests import Request
name = f'{secrets}/s/versions/latest'
stranger = service_account.Credentials.from_service_account_file(sys.argv[2], scopes=SCOPES)
stranger._token_uri = endpoint + '/token'
try:
    stranger.refresh(Request())
except auth_exceptions.RefreshError as error:
    print(error.args[1]['error'], error.args[1]['error_description'])
client = client_of(stranger)
print(read(name))
url = f'{endpoint}/v1/{name}:access'
answer = requests.get(url)
print(answer.status_code, answer.json()['error']['status'], answer.json()['error']['details'][0]['reason'])
print(requests.get('http://' + __import__('os').environ['GCE_METADATA_HOST'] + '/computeMetadata/v1/project/project-id').status_code)
";
    let printed = run_with(&google, google.endpoint(), other.service_account_file().to_str().unwrap(), script);
    let expected = [
        "invalid_grant Invalid JWT: unknown key or algorithm.",
        "UNAUTHENTICATED",
        "401 UNAUTHENTICATED CREDENTIALS_MISSING",
        "403",
    ];
    assert_eq!(printed, expected);
}

#[test]
fn tokens_end_on_demand_and_by_time() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "s", b"kept");
    let new_token = "
import os, requests, sys
host = os.environ['GCE_METADATA_HOST']
url = f'http://{host}/computeMetadata/v1/instance/service-accounts/default/token'
print(requests.get(url, headers={'Metadata-Flavor': 'Google'}).json()['access_token'])
";
    let read = "
import requests, sys
url = f'{sys.argv[1]}/v1/projects/{sys.argv[3]}/secrets/s/versions/latest:access'
print(requests.get(url, headers={'Authorization': f'Bearer {sys.argv[2]}'}).status_code)
";
    let first = run_script(&google, google.endpoint(), "", new_token).remove(0);
    assert_eq!(run_script(&google, google.endpoint(), &first, read), ["200"]);
    google.expire_tokens();
    assert_eq!(run_script(&google, google.endpoint(), &first, read), ["401"]);
    google.set_token_lifetime(Duration::ZERO);
    let second = run_script(&google, google.endpoint(), "", new_token).remove(0);
    assert_eq!(run_script(&google, google.endpoint(), &second, read), ["401"]);
    assert_eq!(google.tokens_issued(), 2);
}

#[test]
fn a_corrupt_value_is_noticed_and_a_switchboard_fits_before_it() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "s", b"kept");
    google.put(google.project(), "bad", b"bent");
    google.corrupt(google.project(), "bad");
    let board = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    board.add(Fault::throttle(Some(1)).on_path("/throttled/"));
    let files = google.credentials_through(board.address()).unwrap();
    let script = "
def crc32c(data):
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF
def fits(name):
    payload = client.access_secret_version(request={'name': f'{secrets}/{name}/versions/latest'}).payload
    return crc32c(payload.data) == payload.data_crc32c
print(fits('s'), fits('bad'))
print(read(f'{secrets}/throttled/versions/latest'))
";
    let printed = run_with(&google, board.address(), files.external_account.to_str().unwrap(), script);
    assert_eq!(printed, ["True False", "429"]);
    let counts = board.counts();
    let reads = counts.by_operation.iter().filter(|(name, _)| name.ends_with(":access"));
    assert_eq!(reads.map(|(_, count)| count).sum::<usize>(), 3);
    assert_eq!(counts.of("POST /v1/token"), 1);
}

#[test]
fn googles_client_publishes_pulls_and_acknowledges() {
    let google = GoogleStandIn::start().unwrap();
    let printed = run(
        &google,
        "
from google import pubsub_v1
options, login = {'api_endpoint': endpoint}, credentials_from(credentials_file)
publisher = pubsub_v1.PublisherClient(credentials=login, transport='rest', client_options=options)
subscriber = pubsub_v1.SubscriberClient(credentials=login, transport='rest', client_options=options)
topic, name = f'projects/{project}/topics/changes', f'projects/{project}/subscriptions/changes'
print(publisher.create_topic(request={'name': topic}).name == topic)
print(subscriber.create_subscription(request={'name': name, 'topic': topic, 'ack_deadline_seconds': 30}).topic == topic)
attributes = {'eventType': 'SECRET_VERSION_ADD', 'secretId': 'projects/1/secrets/db'}
published = publisher.publish(request={'topic': topic, 'messages': [{'data': b'described', 'attributes': attributes}]})
pulled = subscriber.pull(request={'subscription': name, 'max_messages': 10}).received_messages
print(len(pulled), pulled[0].message.data, pulled[0].message.attributes['secretId'])
print(pulled[0].message.message_id == published.message_ids[0])
subscriber.acknowledge(request={'subscription': name, 'ack_ids': [pulled[0].ack_id]})
print(len(subscriber.pull(request={'subscription': name, 'max_messages': 10}).received_messages))
print(attempt(publisher.create_topic, name=topic))
print(attempt(subscriber.pull, subscription=name + 'x', max_messages=1))
",
    );
    let expected = ["True", "True", "1 b'described' projects/1/secrets/db", "True", "0", "ALREADY_EXISTS", "NOT_FOUND"];
    assert_eq!(printed, expected);
    assert_eq!(google.unacknowledged(&format!("projects/{}/subscriptions/changes", google.project())), 0);
}

#[test]
fn googles_client_encrypts_with_keys_that_are_rotated_disabled_and_denied() {
    let google = GoogleStandIn::start().unwrap();
    let ring = format!("projects/{}/locations/europe-west3/keyRings/ring", google.project());
    let denied = google.make_key(&ring, "denied").unwrap();
    google.deny_key(&denied);
    let corrupt = google.make_key(&ring, "corrupt").unwrap();
    google.corrupt_key(&corrupt);
    let printed = run(
        &google,
        "
from google.cloud import kms_v1
kms = kms_v1.KeyManagementServiceClient(credentials=credentials_from(credentials_file), transport='rest',
    client_options={'api_endpoint': endpoint})
place = f'projects/{project}/locations/europe-west3'
def sum_of(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
def make(ring, name):
    return kms.create_crypto_key(request={'parent': ring, 'crypto_key_id': name, 'crypto_key': {
        'purpose': 'ENCRYPT_DECRYPT', 'version_template': {'algorithm': 'GOOGLE_SYMMETRIC_ENCRYPTION', 'protection_level': 'HSM'}}})
made = kms.create_key_ring(request={'parent': place, 'key_ring_id': 'made', 'key_ring': {}})
print(made.name == f'{place}/keyRings/made')
print(attempt(kms.create_key_ring, parent=place, key_ring_id='made', key_ring={}))
key = make(made.name, 'k')
print(key.name.rsplit('/', 1)[1], key.purpose.name, key.primary.state.name, key.version_template.protection_level.name)
value = bytes(range(256))
first = kms.encrypt(request={'name': key.name, 'plaintext': value, 'plaintext_crc32c': sum_of(value)})
print(first.verified_plaintext_crc32c, first.ciphertext_crc32c == sum_of(first.ciphertext), first.name.rsplit('/', 1)[1])
print(value in first.ciphertext, first.ciphertext == kms.encrypt(request={'name': key.name, 'plaintext': value}).ciphertext)
def decrypt(name, ciphertext, **more):
    answer = attempt(kms.decrypt, name=name, ciphertext=ciphertext, **more)
    return answer if isinstance(answer, str) else (answer.plaintext == value, answer.plaintext_crc32c == sum_of(answer.plaintext), answer.used_primary)
print(decrypt(key.name, first.ciphertext, ciphertext_crc32c=sum_of(first.ciphertext)))
print(attempt(kms.encrypt, name=key.name, plaintext=value, plaintext_crc32c=1), decrypt(key.name, first.ciphertext, ciphertext_crc32c=1))
bound = kms.encrypt(request={'name': key.name, 'plaintext': value, 'additional_authenticated_data': b'a'}).ciphertext
print(decrypt(key.name, bound), decrypt(key.name, bound, additional_authenticated_data=b'a'))
second = kms.create_crypto_key_version(request={'parent': key.name, 'crypto_key_version': {}})
kms.update_crypto_key_primary_version(request={'name': key.name, 'crypto_key_version_id': '2'})
print(second.name.rsplit('/', 1)[1], kms.encrypt(request={'name': key.name, 'plaintext': b''}).name.rsplit('/', 1)[1])
print(decrypt(key.name, first.ciphertext))
def switch(state):
    kms.update_crypto_key_version(request={'crypto_key_version': {'name': f'{key.name}/cryptoKeyVersions/1', 'state': state},
        'update_mask': field_mask_pb2.FieldMask(paths=['state'])})
switch('DISABLED')
print(decrypt(key.name, first.ciphertext))
switch('ENABLED')
print(decrypt(key.name, first.ciphertext))
other = make(made.name, 'other')
print(decrypt(other.name, first.ciphertext), decrypt(key.name, first.ciphertext[:-1]), decrypt(key.name, b'short'))
print(attempt(kms.encrypt, name=f'{made.name}/cryptoKeys/none', plaintext=b'x'), attempt(kms.encrypt, name=key.name, plaintext=b'x' * 65537))
print(attempt(kms.encrypt, name=f'{place}/keyRings/ring/cryptoKeys/denied', plaintext=b'x'))
damaged = kms.encrypt(request={'name': f'{place}/keyRings/ring/cryptoKeys/corrupt', 'plaintext': b'x'})
print(damaged.ciphertext_crc32c == sum_of(damaged.ciphertext))
",
    );
    let expected = [
        "True",
        "ALREADY_EXISTS",
        "k ENCRYPT_DECRYPT ENABLED HSM",
        "True True 1",
        "False False",
        "(True, True, True)",
        "INVALID_ARGUMENT INVALID_ARGUMENT",
        "INVALID_ARGUMENT (True, True, True)",
        "2 2",
        "(True, True, False)",
        "FAILED_PRECONDITION",
        "(True, True, False)",
        "INVALID_ARGUMENT INVALID_ARGUMENT INVALID_ARGUMENT",
        "NOT_FOUND INVALID_ARGUMENT",
        "PERMISSION_DENIED",
        "False",
    ];
    assert_eq!(printed, expected);
}
