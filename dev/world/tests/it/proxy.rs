//! The forward proxy, as other people's clients use it.

use world::certificates::Authority;
use world::moto::{Moto, Value};
use world::proxy::ForwardProxy;
use world::python;
use world::switchboard::Switchboard;

const NAME: &str = "secretsmanager.eu-west-1.amazonaws.com";

/// boto3 asks for the real host; only the proxy knows where that is.
#[test]
fn a_tunnel_leads_to_where_the_proxy_says() {
    let moto = Moto::start().unwrap();
    moto.put_secret("eu-west-1", "a", Value::Text("tunnelled")).unwrap();
    let authority = Authority::new().unwrap();
    let board = Switchboard::with_tls_for(moto.host_port(), &authority, &[NAME]).unwrap();
    let proxy = ForwardProxy::with_password("user", "pass").unwrap();
    proxy.route(NAME, board.socket());
    let script = "import boto3\n\
                  print(boto3.client('secretsmanager').get_secret_value(SecretId='a')['SecretString'])";
    let variables = [
        ("HTTPS_PROXY", proxy.url()),
        ("AWS_CA_BUNDLE", authority.certificate_file().to_str().unwrap()),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    assert_eq!(python::prepare().unwrap().run(script, &[], &variables).unwrap(), "tunnelled\n");
    assert_eq!((proxy.tunnels(), proxy.requests(), board.counts().requests), (1, 1, 1));
    assert_eq!(proxy.destinations(), [format!("{NAME}:443")]);
}

#[test]
fn plain_requests_are_passed_on_and_strangers_are_refused() {
    let moto = Moto::start().unwrap();
    let proxy = ForwardProxy::with_password("user", "pass").unwrap();
    proxy.route("moto.test", moto.host_port().parse().unwrap());
    let script = "
import sys, urllib.request, urllib.error
opener = urllib.request.build_opener(urllib.request.ProxyHandler({'http': sys.argv[1]}))
try:
    print(opener.open('http://moto.test/moto-api/').status)
except urllib.error.HTTPError as error:
    print(error.code)
";
    let python = python::prepare().unwrap();
    let stranger = proxy.url().replace("user:pass", "user:guess");
    assert_eq!(python.run(script, &[proxy.url()], &[]).unwrap(), "200\n");
    assert_eq!(python.run(script, &[&stranger], &[]).unwrap(), "407\n");
    assert_eq!((proxy.tunnels(), proxy.requests()), (0, 2));
}
