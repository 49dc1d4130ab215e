'use strict';
// What programs do with node-vault, each flow on a server of its own. FLOW names the one that is run.

const assert = require('node:assert/strict');
const vault = require('node-vault');

const { ADDRESS, TOKEN, FLOW } = process.env;
const other = (token) => vault({ endpoint: ADDRESS, token });
const client = other(TOKEN);

const READER = 'path "secret/data/*" { capabilities = ["read"] }';

/** The status and the body of an answer that has to be a failure. */
const refused = async (status, promise) => {
  const error = await promise.then(() => assert.fail('it is not refused'), (failure) => failure);
  assert.equal(error.response && error.response.statusCode, status, error.message);
  return error.response.body;
};

/** A new token. The client that asked for it would take it over. */
const created = async (wanted) => (await other(TOKEN).tokenCreate(wanted)).auth.client_token;

const withSecrets = () => client.mount({ mount_point: 'secret', type: 'kv', options: { version: '2' } });

const flows = {
  async seal() {
    assert.deepEqual(await client.initialized(), { initialized: false });
    assert.equal((await client.health()).initialized, false);
    const made = await client.init({ secret_shares: 1, secret_threshold: 1 });
    assert.equal((await client.status()).sealed, true);
    assert.equal((await client.health()).sealed, true);
    assert.deepEqual(await refused(503, other(made.root_token).mounts()), { errors: ['Vault is sealed'] });
    await refused(400, client.unseal({ key: '00'.repeat(32) }));
    assert.equal((await client.unseal({ key: made.keys[0] })).sealed, false);
    client.token = made.root_token;
    assert.equal((await client.leader()).ha_enabled, false);
    await client.audits();
    await client.seal();
    assert.equal((await client.status()).sealed, true);
  },

  async versions() {
    await withSecrets();
    const first = await client.write('secret/data/team/web', { data: { user: 'ann' }, options: { cas: 0 } });
    assert.equal(first.data.version, 1);
    const stale = await refused(400, client.write('secret/data/team/web', { data: {}, options: { cas: 0 } }));
    assert.deepEqual(stale.errors, ['check-and-set parameter did not match the current version']);
    assert.equal((await client.update('secret/data/team/web', { data: { team: 'a' } })).data.version, 2);
    assert.deepEqual((await client.read('secret/data/team/web')).data.data, { user: 'ann', team: 'a' });
    assert.deepEqual((await client.read('secret/data/team/web?version=1')).data.data, { user: 'ann' });
    assert.deepEqual((await client.list('secret/metadata/')).data.keys, ['team/']);
    assert.deepEqual((await client.list('secret/metadata/team')).data.keys, ['web']);
    await client.write('secret/metadata/team/web', { custom_metadata: { owner: 'ann' } });
    assert.deepEqual((await client.read('secret/metadata/team/web')).data.custom_metadata, { owner: 'ann' });

    await client.delete('secret/data/team/web');
    const gone = await refused(404, client.read('secret/data/team/web'));
    assert.equal(gone.data.data, null);
    assert.ok(gone.data.metadata.deletion_time && !('errors' in gone));
    assert.deepEqual(await refused(404, client.read('secret/data/team/none')), { errors: [] });
    assert.deepEqual(await refused(404, client.read('nowhere/data/x')), {
      errors: ['no handler for route "nowhere/data/x". route entry not found.'],
    });
    await client.write('secret/undelete/team/web', { versions: [2] });
    await client.write('secret/delete/team/web', { versions: [1] });
    await client.destroySecretVersions({ path: 'team/web', versions: [1] });
    const destroyed = await refused(404, client.read('secret/data/team/web?version=1'));
    assert.equal(destroyed.data.metadata.destroyed, true);
    assert.equal((await client.read('secret/data/team/web')).data.metadata.version, 2);
    await client.delete('secret/metadata/team/web');
    assert.deepEqual(await refused(404, client.read('secret/metadata/team/web')), { errors: [] });
  },

  async unversioned() {
    await client.mount({ mount_point: 'plain', type: 'kv' });
    await client.write('plain/web', { user: 'ann', ttl: '1h' });
    const read = await client.read('plain/web');
    assert.deepEqual([read.data.user, read.lease_duration], ['ann', 3600]);
    assert.deepEqual((await client.list('plain')).data.keys, ['web']);
    const byParameter = vault({ endpoint: ADDRESS, token: TOKEN, noCustomHTTPVerbs: true });
    assert.deepEqual((await byParameter.list('plain')).data.keys, ['web']);
    await client.delete('plain/web');
    assert.deepEqual(await refused(404, client.read('plain/web')), { errors: [] });
  },

  async mounts() {
    await client.mount({ mount_point: 'team/kv', type: 'kv', description: 'of the team', options: { version: '2' } });
    const mounted = (await client.mounts()).data['team/kv/'];
    assert.deepEqual([mounted.type, mounted.options], ['kv', { version: '2' }]);
    await client.remount({ from: 'team/kv', to: 'moved' });
    assert.ok((await client.mounts())['moved/']);
    await client.unmount({ mount_point: 'moved' });
    assert.ok(!('moved/' in (await client.mounts()).data));
    await client.enableAuth({ mount_point: 'machines', type: 'approle' });
    assert.equal((await client.auths()).data['machines/'].config.token_type, 'default-service');
    await client.disableAuth({ mount_point: 'machines' });
    assert.ok(!('machines/' in (await client.auths()).data));
  },

  async policies() {
    await withSecrets();
    await client.write('secret/data/web', { data: { user: 'ann' } });
    await client.addPolicy({ name: 'reader', rules: READER });
    assert.deepEqual((await client.policies()).policies, ['default', 'reader', 'root']);
    assert.equal((await client.getPolicy({ name: 'reader' })).rules, READER);
    const reader = other(await created({ policies: ['reader'] }));
    assert.equal((await reader.read('secret/data/web')).data.data.user, 'ann');
    const denied = { errors: ['1 error occurred:\n\t* permission denied\n\n'] };
    assert.deepEqual(await refused(403, reader.write('secret/data/web', { data: {} })), denied);
    assert.deepEqual(await refused(403, other('s.none').read('secret/data/web')), { errors: ['permission denied'] });
    const paths = ['secret/data/web', 'sys/policy'];
    const may = await reader.write('sys/capabilities-self', { paths });
    assert.deepEqual([may['secret/data/web'], may.data['sys/policy']], [['read'], ['deny']]);
    await client.removePolicy({ name: 'reader' });
    await refused(403, reader.read('secret/data/web'));
  },

  async tokens() {
    const made = (await client.tokenCreate({ policies: ['reader'], ttl: '1h', meta: { team: 'a' } })).auth;
    // A client takes over the token that it made.
    client.token = TOKEN;
    assert.deepEqual(made.policies, ['default', 'reader']);
    const own = other(made.client_token);
    assert.deepEqual((await own.tokenLookupSelf()).data.meta, { team: 'a' });
    assert.equal((await client.tokenLookup({ token: made.client_token })).data.accessor, made.accessor);
    assert.equal((await client.tokenLookupAccessor({ accessor: made.accessor })).data.id, '');
    assert.ok((await client.tokenAccessors()).data.keys.includes(made.accessor));
    assert.equal((await own.tokenRenewSelf({ increment: '2h' })).auth.lease_duration, 7200);
    await client.tokenRenew({ token: made.client_token, increment: '1h' });
    client.token = TOKEN;
    await client.addTokenRole({ role_name: 'ci', allowed_policies: 'reader', orphan: true });
    assert.deepEqual((await client.tokenRoles()).data.keys, ['ci']);
    assert.deepEqual((await client.getTokenRole({ role_name: 'ci' })).data.allowed_policies, ['reader']);
    const byRole = (await client.tokenCreateRole({ role_name: 'ci', policies: ['reader'] })).auth;
    client.token = TOKEN;
    assert.equal(byRole.orphan, true);
    await client.removeTokenRole({ role_name: 'ci' });
    const orphan = (await client.tokenCreateOrphan({ policies: ['reader'] })).auth;
    client.token = TOKEN;
    await client.tokenRevokeAccessor({ accessor: orphan.accessor });
    await client.tokenRevokeOrphan({ token: byRole.client_token });
    await client.tokenRevoke({ token: made.client_token });
    assert.deepEqual(await refused(403, own.tokenLookupSelf()), { errors: ['permission denied'] });
    const last = other(await created({ policies: ['reader'] }));
    await last.tokenRevokeSelf();
    await refused(403, last.tokenLookupSelf());
  },

  async renewal() {
    const own = other(await created({ policies: ['default'], ttl: '2s' }));
    const renewed = new Promise((resolve, reject) => {
      own.once('token:renewed', resolve);
      own.once('token:error:renew', reject);
    });
    // The client's timer does not keep the program alive.
    const alive = setInterval(() => {}, 1000);
    await own.startTokenRenewal({ increment: '1h' });
    assert.equal((await renewed).auth.lease_duration, 3600);
    own.stopAllRenewals();
    clearInterval(alive);
  },

  async approle() {
    await client.enableAuth({ mount_point: 'approle', type: 'approle' });
    await client.addApproleRole({ role_name: 'web', policies: 'reader', token_ttl: 600, bound_cidr_list: '127.0.0.0/8' });
    assert.deepEqual((await client.approleRoles()).data.keys, ['web']);
    const role = (await client.getApproleRole({ role_name: 'web' })).data;
    assert.deepEqual([role.token_policies, role.secret_id_bound_cidrs], [['reader'], ['127.0.0.0/8']]);
    await client.updateApproleRoleId({ role_name: 'web', role_id: 'web-of-team-a' });
    const roleId = (await client.getApproleRoleId({ role_name: 'web' })).data.role_id;
    assert.equal(roleId, 'web-of-team-a');
    const made = (await client.getApproleRoleSecret({ role_name: 'web', metadata: '{"host":"a"}' })).data;
    const own = other();
    const login = await own.approleLogin({ role_id: roleId, secret_id: made.secret_id });
    assert.equal(own.token, login.auth.client_token);
    assert.deepEqual(login.auth.metadata, { host: 'a', role_name: 'web' });
    assert.equal((await own.tokenLookupSelf()).data.display_name, 'approle');
    assert.deepEqual(await refused(400, other().approleLogin({ role_id: roleId, secret_id: 'none' })), {
      errors: ['invalid role or secret ID'],
    });
    assert.deepEqual((await client.approleSecretAccessors({ role_name: 'web' })).data.keys, [made.secret_id_accessor]);
    const known = await client.approleSecretLookup({ role_name: 'web', secret_id: made.secret_id });
    assert.equal(known.data.secret_id_accessor, made.secret_id_accessor);
    const accessor = { role_name: 'web', secret_id_accessor: made.secret_id_accessor };
    assert.deepEqual((await client.approleSecretAccessorLookup(accessor)).data.metadata, { host: 'a' });
    await client.approleSecretAccessorDestroy(accessor);
    await refused(404, client.approleSecretAccessorLookup(accessor));
    const second = (await client.getApproleRoleSecret({ role_name: 'web' })).data;
    await client.approleSecretDestroy({ role_name: 'web', secret_id: second.secret_id });
    await refused(400, other().approleLogin({ role_id: roleId, secret_id: second.secret_id }));
    await client.deleteApproleRole({ role_name: 'web' });
    await refused(404, client.getApproleRole({ role_name: 'web' }));
  },

  async userpass() {
    await client.enableAuth({ mount_point: 'userpass', type: 'userpass' });
    await client.write('auth/userpass/users/ann', { password: 'first', policies: 'reader' });
    const own = other();
    const login = await own.userpassLogin({ username: 'ann', password: 'first' });
    assert.equal(own.token, login.auth.client_token);
    assert.deepEqual(login.auth.policies, ['default', 'reader']);
    assert.deepEqual(await refused(400, other().userpassLogin({ username: 'ann', password: 'wrong' })), {
      errors: ['invalid username or password'],
    });
    await client.revokePrefix({ path_prefix: 'auth/userpass' });
    await refused(403, own.tokenLookupSelf());
  },

  async wrapping() {
    await withSecrets();
    await client.write('secret/data/web', { data: { user: 'ann' } });
    const wrapped = await client.read('secret/data/web', { headers: { 'X-Vault-Wrap-TTL': '60s' } });
    assert.equal(wrapped.data, null);
    assert.equal(wrapped.wrap_info.creation_path, 'secret/data/web');
    const { token } = wrapped.wrap_info;
    assert.deepEqual((await client.unwrap({ token })).data.data, { user: 'ann' });
    assert.deepEqual(await refused(400, client.unwrap({ token })), {
      errors: ['wrapping token is not valid or does not exist'],
    });
    const more = { headers: { 'X-Vault-Wrap-TTL': '60s' } };
    const made = await client.tokenCreate({ policies: ['default'], requestOptions: more });
    const inside = await other(made.wrap_info.token).unwrap();
    assert.deepEqual(inside.auth.policies, ['default']);
  },
};

flows[FLOW]().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
