"""STS's GetCallerIdentity, which checks signatures as AWS does: by botocore's own signer.

It knows its keys, or asks moto for those that it gave out with a role. moto itself checks no signature.
"""

import datetime
import hmac
import http.client
import http.server
import json
import os
import re
from xml.sax.saxutils import escape

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SETTINGS = json.loads(os.environ["STS"])
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/sts/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>{arn}</Arn><UserId>{id}</UserId><Account>{account}</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""
PROBLEM = "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>refused</Message></Error></ErrorResponse>"


class Refused(Exception):
    """Its text is AWS's code for the error."""


def find_key(identifier):
    """Secret, session token and ARN of a key."""
    for key in SETTINGS["keys"]:
        if key["id"] == identifier:
            return key["secret"], key["token"], key["arn"]
    if SETTINGS["moto"]:
        connection = http.client.HTTPConnection(SETTINGS["moto"], timeout=30)
        connection.request("GET", "/moto-api/data.json")
        for role in json.loads(connection.getresponse().read()).get("sts", {}).get("AssumedRole", []):
            if role["access_key_id"] == identifier:
                account, name = role["role_arn"].split(":")[4], role["role_arn"].rsplit("/", 1)[1]
                arn = f"arn:aws:sts::{account}:assumed-role/{name}/{role['session_name']}"
                return role["secret_access_key"], role["session_token"], arn
    raise Refused("InvalidClientTokenId")


def caller(headers, body):
    """Whose request it is."""
    given = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not given or not re.fullmatch(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?", headers["host"]):
        raise Refused("MissingAuthenticationToken")
    if body != b"Action=GetCallerIdentity&Version=2011-06-15":
        raise Refused("InvalidAction")
    stamp = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(datetime.datetime.now(datetime.timezone.utc) - stamp) > datetime.timedelta(minutes=15):
        raise Refused("RequestExpired")
    secret, token, arn = find_key(given["key"])
    if token != headers.get("x-amz-security-token"):
        raise Refused("InvalidClientTokenId")
    signed = given["names"].split(";")
    # What changes the answer must be signed.
    if not {"host", "x-amz-date"} <= set(signed) or (token and "x-amz-security-token" not in signed):
        raise Refused("IncompleteSignature")
    sent = {name: headers[name] for name in signed if name != "host"}
    request = AWSRequest(method="POST", url=f"https://{headers['host']}/", data=body, headers=sent)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(given["key"], secret), "sts", given["region"])
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if not hmac.compare_digest(signature, given["signature"]):
        raise Refused("SignatureDoesNotMatch")
    return arn


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            arn = caller({name.lower(): value for name, value in self.headers.items()}, body)
            status, text = 200, IDENTITY.format(arn=escape(arn), id="AIDAWORLD", account=arn.split(":")[4])
        except Refused as refusal:
            status, text = 403, PROBLEM.format(code=refusal)
        answer = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


http.server.ThreadingHTTPServer(("127.0.0.1", SETTINGS["port"]), Handler).serve_forever()
