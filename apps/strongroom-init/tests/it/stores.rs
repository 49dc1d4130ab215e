//! The stores that the tests of this program share: started once, ended with the test program.

use std::sync::LazyLock;

use world::google::GoogleStandIn;
use world::moto::Moto;
use world::open_bao::OpenBao;

pub(crate) const REGION: &str = "eu-west-1";
/// moto's own account.
pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) static AWS: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());
pub(crate) static VAULT: LazyLock<OpenBao> = LazyLock::new(|| {
    let vault = OpenBao::start().unwrap();
    vault.command(&["kv", "put", "secret/app", "token=t0k3n", "user=app"]).unwrap();
    vault
});
pub(crate) static GOOGLE: LazyLock<GoogleStandIn> = LazyLock::new(|| GoogleStandIn::start().unwrap());

/// The variables with which a program finds AWS as `endpoint` plays it.
pub(crate) fn aws_at(endpoint: &str) -> Vec<(String, String)> {
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-aws-secret-key"),
        ("AWS_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    owned(&variables)
}

pub(crate) fn aws() -> Vec<(String, String)> {
    aws_at(AWS.endpoint())
}

pub(crate) fn vault() -> Vec<(String, String)> {
    owned(&[("VAULT_ADDR", VAULT.address()), ("VAULT_TOKEN", VAULT.root_token())])
}

pub(crate) fn google() -> Vec<(String, String)> {
    owned(&[
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", GOOGLE.endpoint()),
        ("GOOGLE_APPLICATION_CREDENTIALS", GOOGLE.service_account_file().to_str().unwrap()),
        ("SSL_CERT_FILE", GOOGLE.certificate_file().to_str().unwrap()),
    ])
}

pub(crate) fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
