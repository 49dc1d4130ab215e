//! Azure: an application by its secret, its certificate and service accounts of the cluster, which its tenant trusts as
//! an issuer outside; and the operator's own identities.

use serde_json::{Value, json};

use super::super::api::API;
use super::super::support::CLUSTER;
use super::super::world_of_stores::World;
use super::{Forms, account, key, user, with, within};

const SECRET: &str = "forms";
const VALUE: &str = "of Azure";

/// The Secrets and accounts of one namespace; accounts with an application's annotations are known to it.
fn prepare(forms: &mut Forms, world: &World, namespace: &str) {
    let azure = &world.azure;
    let (client, tenant, secret) = (azure.client_id(), azure.tenant(), azure.client_secret());
    forms.secret(namespace, "application", &[("id", &client), ("tenant", &tenant)], &[("secret", &secret)]);
    let annotations = json!({"azure.workload.identity/client-id": client, "azure.workload.identity/tenant-id": tenant});
    account(namespace, "azure-app", &annotations);
    account(namespace, "azure-bare", &json!({}));
    let (status, keys) = API.ask("GET", "/openid/v1/jwks", "application/json", "");
    assert_eq!(status, 200);
    for name in ["azure-app", "azure-bare"] {
        azure.trust_issuer(CLUSTER.server(), &user(namespace, name), &keys.to_string()).unwrap();
    }
}

pub(super) fn add(forms: &mut Forms, world: &World) {
    let azure = &world.azure;
    let (home, away) = (forms.home.clone(), forms.away.clone());
    azure.put_secret(SECRET, VALUE);
    prepare(forms, world, &home);
    prepare(forms, world, &away);
    forms.secret(&home, "application-certificate", &[], &[("pem", &azure.client_certificate())]);
    own_identities(forms, world);
    own(forms, world);
    of_clusters(forms, world);
}

/// An application that proves itself by what it has in a Secret, in the tenant that is named there or not.
fn principal(world: &World, proof: &str, selector: &Value) -> Value {
    json!({"tenantId": world.azure.tenant(), "authSecretRef": {"clientId": key("application", "id"), proof: selector}})
}

fn with_tenant() -> Value {
    json!({"authType": "ServicePrincipal", "authSecretRef": {
        "clientId": key("application", "id"), "clientSecret": key("application", "secret"),
        "tenantId": key("application", "tenant"),
    }})
}

fn workload(account: &Value) -> Value {
    json!({"authType": "WorkloadIdentity", "serviceAccountRef": account})
}

fn store(more: &Value) -> Value {
    json!({"azurekv": with(&json!({"vaultUrl": "https://world.vault.azure.net"}), more)})
}

fn remote() -> Value {
    json!({"key": SECRET})
}

fn own(forms: &mut Forms, world: &World) {
    let azure = &world.azure;
    let (app, bare) = (workload(&json!({"name": "azure-app"})), workload(&json!({"name": "azure-bare"})));
    let secret = principal(world, "clientSecret", &key("application", "secret"));
    let certificate = principal(world, "clientCertificate", &key("application-certificate", "pem"));
    let id = key("application", "id");
    let whole = json!({"authSecretRef": {"clientId": id, "tenantId": key("application", "tenant")}});
    let half = json!({"tenantId": azure.tenant(), "authSecretRef": {"clientId": id}});
    // A cloud of somebody's own: its login and its vaults have addresses that nobody else knows.
    let private = json!({
        "vaultUrl": azure.endpoint(), "environmentType": "AzureStackCloud", "useAzureSDK": true,
        "customCloudConfig": {
            "activeDirectoryEndpoint": azure.endpoint(), "keyVaultEndpoint": "https://vault.azure.net",
        },
    });
    let all = [
        ("azure-secret", secret.clone()),
        ("azure-secret-tenant", with_tenant()),
        ("azure-certificate", certificate),
        ("azure-app", app.clone()),
        ("azure-bare", with(&bare, &whole)),
        ("azure-bare-tenant", with(&bare, &half)),
        ("azure-private", with(&private, &secret)),
        ("azure-private-app", with(&private, &app)),
    ];
    for (name, more) in all {
        forms.own(name, store(&more), remote(), VALUE);
    }
}

fn of_clusters(forms: &mut Forms, world: &World) {
    let home = forms.home.clone();
    let named = json!({"tenantId": world.azure.tenant(), "authSecretRef": {
        "clientId": within(&home, &key("application", "id")),
        "clientSecret": within(&home, &key("application", "secret")),
    }});
    let app = json!({"name": "azure-app"});
    let (client, resource) = world.azure.user_assigned_identity();
    let managed = json!({"authType": "ManagedIdentity"});
    let cluster = [
        ("azure-named", named),
        ("azure-named-app", workload(&within(&home, &app))),
        ("azure-own", json!({"authType": "WorkloadIdentity"})),
        ("azure-managed", managed.clone()),
        ("azure-managed-client", with(&managed, &json!({"identityId": client}))),
        ("azure-managed-resource", with(&managed, &json!({"identityId": resource}))),
    ];
    for (name, more) in cluster {
        forms.cluster(name, store(&more), remote(), VALUE);
    }
    for (name, more) in [("azure-askers-secret", with_tenant()), ("azure-askers-app", workload(&app))] {
        forms.referent(name, store(&more), [(); 2].map(|()| (remote(), VALUE.to_owned())));
    }
}

/// What Azure's webhook puts into the operator's pod, and its machine's metadata service.
fn own_identities(forms: &mut Forms, world: &World) {
    let azure = &world.azure;
    let file = world.folder().join("azure-token");
    let token = azure.federated_token("api://AzureADTokenExchange").unwrap();
    std::fs::write(&file, &token).unwrap();
    forms.hide(&token);
    forms.variables.extend([
        ("AZURE_CLIENT_ID", azure.client_id()),
        ("AZURE_TENANT_ID", azure.tenant()),
        ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", azure.metadata_host())),
    ]);
}
