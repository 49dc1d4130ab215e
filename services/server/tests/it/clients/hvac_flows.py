"""What programs do with hvac, each flow on a server of its own. FLOW names the one that is run."""

import os

import hvac
from hvac import exceptions

ADDRESS = os.environ["ADDRESS"]
client = hvac.Client(url=ADDRESS, token=os.environ["TOKEN"] or None)

READER = 'path "secret/data/*" { capabilities = ["read"] }'
DENIED = ["1 error occurred:\n\t* permission denied\n\n"]


def other(token=None):
    """A client with another token."""
    return hvac.Client(url=ADDRESS, token=token)


def refused(kind, action):
    """The error of an action that has to fail so."""
    try:
        action()
    except kind as error:
        assert type(error) is kind, type(error)
        return error
    raise AssertionError(f"it is not refused with {kind.__name__}")


def with_secrets():
    client.sys.enable_secrets_engine("kv", path="secret", options={"version": 2})
    return client.secrets.kv.v2


def read(kv, path, version=None):
    return kv.read_secret_version(path, version=version, raise_on_deleted_version=True)["data"]


def seal():
    assert not client.sys.is_initialized()
    assert client.sys.read_health_status(method="GET").status_code == 501
    made = client.sys.initialize(secret_shares=1, secret_threshold=1)
    assert client.sys.is_initialized() and client.sys.is_sealed()
    assert client.sys.read_health_status(method="GET").status_code == 503
    refused(exceptions.VaultDown, lambda: other(made["root_token"]).sys.list_mounted_secrets_engines())
    refused(exceptions.InvalidRequest, lambda: client.sys.submit_unseal_key("00" * 32))
    assert client.sys.submit_unseal_keys(made["keys"])["sealed"] is False
    client.token = made["root_token"]
    assert client.is_authenticated()
    client.sys.seal()
    assert client.sys.is_sealed()
    client.sys.submit_unseal_key(made["keys_base64"][0])
    assert client.is_authenticated()


def status():
    assert client.is_authenticated() and not other("s.none").is_authenticated()
    assert client.sys.is_initialized() and not client.sys.is_sealed()
    assert client.seal_status["initialized"] is True
    assert client.ha_status["ha_enabled"] is False
    assert client.sys.read_leader_status()["ha_enabled"] is False
    assert client.sys.read_health_status().status_code == 200
    health = client.sys.read_health_status(method="GET")
    assert health["sealed"] is False and health["standby"] is False and health["version"]
    assert isinstance(client.sys.list_enabled_audit_devices()["data"], dict)
    assert client.sys.calculate_hash("file", "text")["data"]["hash"].startswith("hmac-sha256:")


def versions():
    kv = with_secrets()
    first = kv.create_or_update_secret("team/web", {"user": "ann", "exact": 9007199254740993}, cas=0)["data"]
    assert (first["version"], first["deletion_time"], first["custom_metadata"]) == (1, "", None)
    stale = refused(exceptions.InvalidRequest, lambda: kv.create_or_update_secret("team/web", {}, cas=0))
    assert stale.errors == ["check-and-set parameter did not match the current version"]
    # hvac's patch is a read and a write with the version that it read.
    assert kv.patch("team/web", {"user": "bob"})["data"]["version"] == 2
    latest = read(kv, "team/web")
    assert latest["data"] == {"user": "bob", "exact": 9007199254740993} and latest["metadata"]["version"] == 2
    assert read(kv, "team/web", version=1)["data"]["user"] == "ann"
    assert kv.list_secrets("")["data"]["keys"] == ["team/"]
    assert kv.list_secrets("team")["data"]["keys"] == ["web"]

    kv.delete_latest_version_of_secret("team/web")
    gone = refused(exceptions.InvalidPath, lambda: read(kv, "team/web"))
    assert gone.errors is None and gone.json["data"]["data"] is None
    soft = kv.read_secret_version("team/web", raise_on_deleted_version=False)["data"]
    assert soft["data"] is None and soft["metadata"]["version"] == 2 and soft["metadata"]["deletion_time"]
    absent = refused(exceptions.InvalidPath, lambda: read(kv, "team/none"))
    assert absent.errors == [] and absent.json == {"errors": []}
    assert refused(exceptions.InvalidPath, lambda: read(kv, "team/web", version=9)).errors == []
    nowhere = refused(exceptions.InvalidPath, lambda: kv.read_configuration(mount_point="nowhere"))
    assert nowhere.errors == ['no handler for route "nowhere/config". route entry not found.']
    refused(exceptions.InvalidPath, lambda: kv.patch("team/none", {"user": "x"}))
    refused(exceptions.InvalidPath, lambda: kv.list_secrets("none"))

    kv.undelete_secret_versions("team/web", [2])
    assert read(kv, "team/web")["data"]["user"] == "bob"
    kv.delete_secret_versions("team/web", [1, 2])
    refused(exceptions.InvalidPath, lambda: read(kv, "team/web", version=1))
    kv.destroy_secret_versions("team/web", [1])
    kv.undelete_secret_versions("team/web", [1, 2])
    destroyed = refused(exceptions.InvalidPath, lambda: read(kv, "team/web", version=1))
    assert destroyed.json["data"]["metadata"]["destroyed"] is True
    assert read(kv, "team/web", version=2)["data"]["user"] == "bob"
    kv.delete_metadata_and_all_versions("team/web")
    assert refused(exceptions.InvalidPath, lambda: read(kv, "team/web")).errors == []


def metadata():
    kv = with_secrets()
    kv.create_or_update_secret("web", {"user": "ann"})
    assert kv.read_secret_metadata("web")["data"]["custom_metadata"] is None
    kv.update_metadata("web", max_versions=3, cas_required=True, delete_version_after="1h", custom_metadata={"owner": "ann"})
    known = kv.read_secret_metadata("web")["data"]
    assert (known["max_versions"], known["cas_required"], known["delete_version_after"]) == (3, True, "1h0m0s")
    assert known["custom_metadata"] == {"owner": "ann"} and list(known["versions"]) == ["1"]
    required = refused(exceptions.InvalidRequest, lambda: kv.create_or_update_secret("web", {}))
    assert required.errors == ["check-and-set parameter required for this call"]
    kv.configure(max_versions=5, cas_required=False, delete_version_after="30m")
    settings = kv.read_configuration()["data"]
    assert (settings["max_versions"], settings["cas_required"]) == (5, False)
    assert settings["delete_version_after"] == "30m0s"


def unversioned():
    client.sys.enable_secrets_engine("kv", path="plain", options={"version": "1"})
    kv = client.secrets.kv.v1
    for user in ["ann", "bob"]:
        kv.create_or_update_secret("web", {"user": user}, mount_point="plain")
        assert kv.read_secret("web", mount_point="plain")["data"] == {"user": user}
    assert kv.list_secrets("", mount_point="plain")["data"]["keys"] == ["web"]
    client.write_data("plain/other", data={"n": 1})
    assert client.read("plain/other")["data"] == {"n": 1}
    assert client.list("plain")["data"]["keys"] == ["other", "web"]
    client.delete("plain/other")
    assert client.read("plain/other") is None
    kv.delete_secret("web", mount_point="plain")
    assert refused(exceptions.InvalidPath, lambda: kv.read_secret("web", mount_point="plain")).errors == []


def mounts():
    sys = client.sys
    sys.enable_secrets_engine("kv", path="team/kv", description="of the team", options={"version": "2"})
    mounted = sys.list_mounted_secrets_engines()["data"]["team/kv/"]
    assert (mounted["type"], mounted["options"], mounted["description"]) == ("kv", {"version": "2"}, "of the team")
    assert sys.retrieve_mount_option("team/kv", "version") == "2"
    refused(exceptions.InvalidRequest, lambda: sys.enable_secrets_engine("kv", path="team/kv"))
    sys.tune_mount_configuration("team/kv", default_lease_ttl="30m", max_lease_ttl="1h", description="tuned")
    tuned = sys.read_mount_configuration("team/kv")["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"], tuned["description"]) == (1800, 3600, "tuned")
    kv = client.secrets.kv.v2
    kv.create_or_update_secret("web", {"user": "ann"}, mount_point="team/kv")
    sys.move_backend("team/kv", "moved")
    assert kv.read_secret_version("web", mount_point="moved", raise_on_deleted_version=True)["data"]["data"] == {"user": "ann"}
    sys.disable_secrets_engine("moved")
    assert "moved/" not in sys.list_mounted_secrets_engines()["data"]

    sys.enable_auth_method("approle", path="machines", description="of machines")
    method = sys.list_auth_methods()["data"]["machines/"]
    assert method["type"] == "approle" and method["config"]["token_type"] == "default-service"
    sys.tune_auth_method("machines", max_lease_ttl="2h", description="tuned")
    tuned = sys.read_auth_method_tuning("machines")["data"]
    assert (tuned["max_lease_ttl"], tuned["description"]) == (7200, "tuned")
    sys.disable_auth_method("machines")
    assert "machines/" not in sys.list_auth_methods()["data"]


def policies():
    kv = with_secrets()
    kv.create_or_update_secret("web", {"user": "ann"})
    client.sys.create_or_update_policy("reader", READER)
    # As an object, hvac sends JSON.
    client.sys.create_or_update_policy("lister", {"path": {"secret/metadata/*": {"capabilities": ["list"]}}})
    assert client.sys.list_policies()["data"]["policies"] == ["default", "lister", "reader", "root"]
    assert client.sys.list_policies()["policies"] == client.sys.list_policies()["keys"]
    assert client.sys.read_policy("reader")["rules"] == READER and client.get_policy("reader") == READER
    client.sys.create_or_update_acl_policy("writer", 'path "secret/data/*" { capabilities = ["create"] }')
    assert sorted(client.sys.list_acl_policies()["data"]["keys"]) == ["default", "lister", "reader", "root", "writer"]
    assert client.sys.read_acl_policy("reader")["data"]["policy"] == READER

    token = client.auth.token.create(policies=["reader", "lister"])["auth"]["client_token"]
    reader = other(token)
    assert read(reader.secrets.kv.v2, "web")["data"] == {"user": "ann"}
    assert reader.secrets.kv.v2.list_secrets("")["data"]["keys"] == ["web"]
    denied = refused(exceptions.Forbidden, lambda: reader.secrets.kv.v2.create_or_update_secret("web", {}))
    assert denied.errors == DENIED
    # What is absent and what is elsewhere looks alike to who may not see it.
    assert refused(exceptions.Forbidden, lambda: reader.secrets.kv.v2.read_secret_metadata("none")).errors == DENIED
    assert refused(exceptions.Forbidden, lambda: reader.sys.list_policies()).errors == DENIED
    nobody = refused(exceptions.Forbidden, lambda: other().secrets.kv.v2.read_configuration())
    assert nobody.errors == ["permission denied"]

    paths = ["secret/data/web", "sys/policy"]
    assert reader.sys.get_capabilities(paths)["data"]["secret/data/web"] == ["read"]
    assert client.sys.get_capabilities(paths, token=token)["sys/policy"] == ["deny"]
    accessor = client.auth.token.lookup(token)["data"]["accessor"]
    assert client.sys.get_capabilities(paths, accessor=accessor)["secret/data/web"] == ["read"]
    client.sys.delete_policy("reader")
    client.sys.delete_acl_policy("writer")
    refused(exceptions.Forbidden, lambda: read(reader.secrets.kv.v2, "web"))
    assert refused(exceptions.InvalidPath, lambda: client.sys.read_policy("reader")).errors == []


def tokens():
    token = client.auth.token
    made = token.create(policies=["reader"], ttl="1h", display_name="ci", meta={"team": "a"}, num_uses=0)["auth"]
    assert made["policies"] == ["default", "reader"] and made["lease_duration"] == 3600 and made["renewable"]
    own = other(made["client_token"])
    looked_up = own.auth.token.lookup_self()["data"]
    assert (looked_up["display_name"], looked_up["meta"]) == ("token-ci", {"team": "a"})
    assert own.lookup_token()["data"]["accessor"] == made["accessor"]
    assert token.lookup(made["client_token"])["data"]["path"] == "auth/token/create"
    assert token.lookup_accessor(made["accessor"])["data"]["id"] == ""
    assert made["accessor"] in token.list_accessors()["data"]["keys"]
    assert own.auth.token.renew_self(increment="2h")["auth"]["lease_duration"] == 7200
    assert token.renew(made["client_token"], increment="3h")["auth"]["lease_duration"] == 10800
    assert token.renew_accessor(made["accessor"], increment="1h")["auth"]["client_token"] == ""

    orphan = token.create_orphan(policies=["reader"])["auth"]
    assert orphan["orphan"] is True
    token.revoke_accessor(orphan["accessor"])
    assert not other(orphan["client_token"]).is_authenticated()
    token.create_or_update_role("ci", allowed_policies=["reader"], orphan=True, path_suffix="of-ci")
    assert token.list_roles()["data"]["keys"] == ["ci"]
    assert token.read_role("ci")["data"]["allowed_policies"] == ["reader"]
    by_role = token.create(role_name="ci", policies=["reader"])["auth"]
    assert by_role["orphan"] is True
    refused(exceptions.InvalidRequest, lambda: token.create(role_name="ci", policies=["other"]))
    token.delete_role("ci")
    assert refused(exceptions.InvalidPath, lambda: token.read_role("ci")).errors == []
    token.revoke_and_orphan_children(by_role["client_token"])
    token.revoke(made["client_token"])
    assert not own.is_authenticated()
    assert refused(exceptions.Forbidden, lambda: token.lookup(made["client_token"])).errors == ["bad token"]
    client.auth.token.tidy()
    last = other(token.create(policies=["reader"])["auth"]["client_token"])
    last.logout(revoke_token=True)
    assert last.token is None and not last.is_authenticated()


def approle():
    client.sys.enable_auth_method("approle")
    roles = client.auth.approle
    roles.create_or_update_approle("web", token_policies=["reader"], token_ttl="10m", secret_id_num_uses=2, token_type="service")
    assert roles.list_roles()["data"]["keys"] == ["web"]
    assert roles.read_role("web")["data"]["token_policies"] == ["reader"]
    roles.update_role_id("web", "web-of-team-a")
    role_id = roles.read_role_id("web")["data"]["role_id"]
    assert role_id == "web-of-team-a"
    made = roles.generate_secret_id("web", metadata={"host": "a"}, cidr_list=["127.0.0.0/8"])["data"]
    assert made["secret_id_num_uses"] == 2

    own = other()
    auth = own.auth.approle.login(role_id, made["secret_id"])["auth"]
    assert own.token == auth["client_token"] and auth["lease_duration"] == 600
    assert auth["metadata"] == {"host": "a", "role_name": "web"} and auth["policies"] == ["default", "reader"]
    assert own.is_authenticated()
    wrong = refused(exceptions.InvalidRequest, lambda: other().auth.approle.login(role_id, "none"))
    assert wrong.errors == ["invalid role or secret ID"]
    assert roles.read_secret_id("web", made["secret_id"])["data"]["secret_id_num_uses"] == 1
    assert roles.list_secret_id_accessors("web")["data"]["keys"] == [made["secret_id_accessor"]]
    known = roles.read_secret_id_accessor("web", made["secret_id_accessor"])["data"]
    assert known["metadata"] == {"host": "a"} and known["cidr_list"] == ["127.0.0.0/8"]
    roles.destroy_secret_id("web", made["secret_id"])
    refused(exceptions.InvalidRequest, lambda: other().auth.approle.login(role_id, made["secret_id"]))
    roles.create_custom_secret_id("web", "chosen")
    other().auth.approle.login(role_id, "chosen")
    accessor = roles.list_secret_id_accessors("web")["data"]["keys"][0]
    roles.destroy_secret_id_accessor("web", accessor)
    refused(exceptions.InvalidPath, lambda: roles.read_secret_id_accessor("web", accessor))
    refused(exceptions.InvalidPath, lambda: roles.generate_secret_id("none"))
    roles.delete_role("web")
    assert refused(exceptions.InvalidPath, lambda: roles.read_role("web")).errors == []


def userpass():
    client.sys.enable_auth_method("userpass", path="people")
    users = client.auth.userpass
    users.create_or_update_user("ann", "first", policies="reader", mount_point="people")
    assert users.list_user(mount_point="people")["data"]["keys"] == ["ann"]
    assert users.read_user("ann", mount_point="people")["data"]["token_policies"] == ["reader"]
    own = other()
    auth = own.auth.userpass.login("ann", "first", mount_point="people")["auth"]
    assert auth["metadata"] == {"username": "ann"} and own.is_authenticated()
    users.update_password_on_user("ann", "second", mount_point="people")
    wrong = refused(exceptions.InvalidRequest, lambda: other().auth.userpass.login("ann", "first", mount_point="people"))
    assert wrong.errors == ["invalid username or password"]
    own.auth.userpass.login("ann", "second", mount_point="people")
    own.auth.token.revoke_self()
    assert not own.is_authenticated()
    users.delete_user("ann", mount_point="people")
    refused(exceptions.InvalidPath, lambda: users.read_user("ann", mount_point="people"))


def wrapping():
    kv = with_secrets()
    kv.create_or_update_secret("web", {"user": "ann"})
    info = client.read("secret/data/web", wrap_ttl="60s")["wrap_info"]
    assert info["ttl"] == 60 and info["creation_path"] == "secret/data/web"
    assert client.sys.unwrap(info["token"])["data"]["data"] == {"user": "ann"}
    again = refused(exceptions.InvalidRequest, lambda: client.sys.unwrap(info["token"]))
    assert again.errors == ["wrapping token is not valid or does not exist"]
    # With the wrapping token as the client's own.
    token = client.sys.wrap({"a": 1}, ttl=30)["wrap_info"]["token"]
    assert other(token).sys.unwrap()["data"] == {"a": 1}
    # A login that arrives wrapped.
    token = client.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]["token"]
    own = other()
    own.auth_cubbyhole(token)
    assert own.token != token and own.is_authenticated()
    client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("web")
    wrapped = client.auth.approle.generate_secret_id("web", wrap_ttl="60s")["wrap_info"]
    assert client.sys.unwrap(wrapped["token"])["data"]["secret_id"]


globals()[os.environ["FLOW"]]()
