"""Texts as Kamus wrote them, by nothing but its description and the clouds' own clients.

    kamus_legacy.py aes NAMESPACE ACCOUNT KEY plain|derived
    kamus_legacy.py aws NAMESPACE ACCOUNT PREFIX
    kamus_legacy.py azure NAMESPACE ACCOUNT VAULT TENANT CLIENT MAXIMUM
    kamus_legacy.py google NAMESPACE ACCOUNT ENDPOINT CREDENTIALS KEY_RING

The value is in the variable PLAIN, as the secret of Azure's client is in SECRET. A key that is missing is made, as Kamus
made it.
"""

import base64
import hashlib
import os
import sys

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

b64 = lambda data: base64.b64encode(data).decode()


def key_id(identity):
    digest = hashlib.sha256(identity.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=").replace("_", "-")


def block(key, plain):
    """`VECTOR:DATA`: AES-256-CBC with PKCS#7 padding."""
    vector = os.urandom(16)
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return f"{b64(vector)}:{b64(encryptor.update(padded) + encryptor.finalize())}"


def aes(identity, plain, key, mode):
    key = base64.b64decode(key)
    if mode == "derived":
        # HKDF's first step is left out: the key is taken as what it makes.
        key = HKDFExpand(algorithm=hashes.SHA256(), length=32, info=identity.encode()).derive(key)
    return block(key, plain)


def aws(identity, plain, prefix):
    import boto3

    kms = boto3.client("kms")
    alias = f"alias/{prefix + '-' if prefix else ''}kamus/{key_id(identity)}"
    try:
        fresh = kms.generate_data_key(KeyId=alias, KeySpec="AES_256")
    except kms.exceptions.NotFoundException:
        made = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=made)
        fresh = kms.generate_data_key(KeyId=alias, KeySpec="AES_256")
    return f"env${b64(fresh['CiphertextBlob'])}${block(fresh['Plaintext'], plain)}"


def azure(identity, plain, vault, tenant, client, maximum):
    from azure.core.exceptions import ResourceNotFoundError
    from azure.identity import ClientSecretCredential
    from azure.keyvault.keys import KeyClient
    from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm

    credential = ClientSecretCredential(tenant, client, os.environ["SECRET"], disable_instance_discovery=True)
    keys = KeyClient(vault, credential, retry_total=0)
    try:
        key = keys.get_key(key_id(identity))
    except ResourceNotFoundError:
        key = keys.create_rsa_key(key_id(identity), size=2048, hardware_protected=True)
    encrypt = lambda data: b64(CryptographyClient(key, credential).encrypt(EncryptionAlgorithm.rsa_oaep, data).ciphertext)
    # .NET counts UTF-16.
    if len(plain.encode("utf-16-le")) // 2 <= int(maximum):
        return encrypt(plain.encode())
    fresh = os.urandom(32)
    return f"env${encrypt(b64(fresh).encode())}${block(fresh, plain)}"


def google(identity, plain, endpoint, credentials, ring):
    from google.api_core.exceptions import Conflict, NotFound
    from google.cloud import kms_v1

    client = kms_v1.KeyManagementServiceClient.from_service_account_file(
        credentials, transport="rest", client_options={"api_endpoint": endpoint}
    )
    key = f"{ring}/cryptoKeys/{key_id(identity)}"
    try:
        client.get_crypto_key(request={"name": key})
    except NotFound:
        parent, ring_id = ring.rsplit("/keyRings/", 1)
        try:
            client.create_key_ring(request={"parent": parent, "key_ring_id": ring_id, "key_ring": {}})
        except Conflict:
            pass  # it is there
        settings = {"purpose": "ENCRYPT_DECRYPT", "version_template": {"protection_level": "HSM"}}
        settings["version_template"]["algorithm"] = "GOOGLE_SYMMETRIC_ENCRYPTION"
        client.create_crypto_key(request={"parent": ring, "crypto_key_id": key_id(identity), "crypto_key": settings})
    return b64(client.encrypt(request={"name": key, "plaintext": plain.encode()}).ciphertext)


provider, namespace, account, *settings = sys.argv[1:]
make = {"aes": aes, "aws": aws, "azure": azure, "google": google}[provider]
print(make(f"{namespace}:{account}", os.environ["PLAIN"], *settings))
