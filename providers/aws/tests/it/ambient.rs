//! What is found in variables and files. They belong to a process, so that each case has one of its own.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_aws::{Session, Settings};
use strongroom_provider::Meter;
use world::certificates::Authority;
use world::proxy::ForwardProxy;
use world::switchboard::{Fault, Line as Telephone, Switchboard};

use crate::common::{CANARY, REGION, Store, keys, moto, value_of};

/// The child's side: reads what `STRONGROOM_TEST_KEYS` counts with default settings and tells what happened.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let count = std::env::var("STRONGROOM_TEST_KEYS").unwrap().parse().unwrap();
    let settings = Settings { profile: std::env::var("STRONGROOM_TEST_PROFILE").ok(), ..Settings::default() };
    let session = match Session::new(settings, Arc::new(Meter::default())) {
        Ok(session) => session,
        Err(failure) => return println!("refused: {failure}"),
    };
    println!("identity: {}", session.identity());
    let keys = keys("ambient", count);
    let start = Instant::now();
    let read = async {
        for store in Store::BOTH {
            let provider = store.open(&session);
            for (key, answer) in keys.iter().zip(provider.read(&keys).await) {
                match answer {
                    Ok(value) => println!("value: {}", value.value.expose() == value_of(&key.name).as_bytes()),
                    Err(failure) => println!("failure: {:?} {failure} hint: {:?}", failure.class, failure.hint),
                }
            }
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(read);
    println!("milliseconds: {}", start.elapsed().as_millis());
}

struct Told(String);

impl Told {
    /// What comes after `name: ` in its lines.
    fn all(&self, name: &str) -> Vec<&str> {
        self.0.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    }

    fn assert_read(&self, identity: &str) {
        assert_eq!(self.all("identity"), [identity], "{}", self.0);
        assert_eq!(self.all("value"), ["true"; 6], "{}", self.0);
    }

    fn assert_failed(&self, parts: &[&str]) {
        let failures = self.all("failure");
        assert_eq!(failures.len(), 6, "{}", self.0);
        for part in parts {
            assert!(failures.iter().all(|failure| failure.contains(part)), "{part} is not in {}", self.0);
        }
    }
}

/// Runs the child with these variables alone.
fn run(variables: &[(&str, &str)]) -> Told {
    for store in Store::BOTH {
        store.put_all(&keys("ambient", 3));
    }
    run_with(3, variables)
}

fn run_with(count: usize, variables: &[(&str, &str)]) -> Told {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "ambient::child", "--nocapture"]).env_clear();
    command.env("STRONGROOM_TEST_KEYS", count.to_string()).env("HOME", "/nonexistent").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains(CANARY), "a secret is shown");
    assert!(output.status.success(), "{told}");
    Told(told)
}

const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "canary-environment")];

fn with_key<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    KEY.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn variables_say_who_where_and_at_which_address() {
    let endpoint = moto().endpoint();
    let by_key = "access key AKIAENV from AWS_ACCESS_KEY_ID";
    run(&with_key(&[("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", endpoint)])).assert_read(by_key);
    run(&with_key(&[
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint),
        ("AWS_ENDPOINT_URL_SSM", endpoint),
    ]))
    .assert_read(by_key);
}

#[test]
fn profiles_name_regions_roles_and_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    let text = format!(
        "[default]\nregion = us-east-2\n[profile base]\naws_access_key_id = AKIAPROFILE\n\
         aws_secret_access_key = canary-profile\n[profile team]\nregion = {REGION}\nendpoint_url = {}\n\
         role_arn = arn:aws:iam::123456789012:role/team\nsource_profile = base\n",
        moto().endpoint(),
    );
    std::io::Write::write_all(&mut std::fs::File::create(&config).unwrap(), text.as_bytes()).unwrap();
    let config = ("AWS_CONFIG_FILE", config.to_str().unwrap());
    let sts = ("AWS_ENDPOINT_URL_STS", moto().endpoint());
    run(&[config, sts, ("AWS_PROFILE", "team")]).assert_read("profile team from AWS_PROFILE");
    // A profile that the settings name wins over a key in the environment.
    run(&with_key(&[config, sts, ("STRONGROOM_TEST_PROFILE", "team")]))
        .assert_read("profile team of the AWS configuration files");
}

#[test]
fn a_web_identity_is_found_in_the_variables_that_eks_sets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), b"canary.web.token").unwrap();
    let path = file.path().to_str().unwrap();
    let role = "arn:aws:iam::123456789012:role/pod";
    let variables = [
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", moto().endpoint()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", path),
        ("AWS_ROLE_ARN", role),
    ];
    run(&variables).assert_read(&format!("role {role} from the web identity token in {path}"));
    let switchboard = Switchboard::to(moto().host_port()).unwrap();
    let refused = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized to perform \
                   sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>";
    switchboard.add(Fault::answer(403, &[("Content-Type", "text/xml")], refused));
    let mut variables = variables.to_vec();
    variables.push(("AWS_ENDPOINT_URL_STS", switchboard.address()));
    run(&variables).assert_failed(&["Denied", "cannot assume the role", "Not authorized to perform"]);
}

const GIVEN: &str = r#"{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAGIVEN",
    "SecretAccessKey": "canary-given", "Token": "canary-token", "Expiration": "2099-01-01T00:00:00Z"}"#;

#[test]
fn a_pods_identity_is_asked_for_once() {
    let agent = Switchboard::to(moto().host_port()).unwrap();
    agent.add(Fault::answer(200, &[], GIVEN));
    let address = format!("{}/v1/credentials", agent.address());
    let variables = [
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", moto().endpoint()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-pod"),
    ];
    run(&variables).assert_read(&format!("the pod's or container's credentials from {address}"));
    assert_eq!(agent.counts().requests, 1);
    agent.add(Fault::answer(403, &[], "canary: no"));
    run(&variables).assert_failed(&["Unauthenticated", "the pod's or container's credentials"]);
}

#[test]
fn a_machines_role_and_region_come_from_its_metadata_service() {
    let service = Switchboard::to(moto().host_port()).unwrap();
    let ttl = ("X-aws-ec2-metadata-token-ttl-seconds", "21600");
    service.add(Fault::answer(200, &[], GIVEN).on_path("/security-credentials"));
    service.add(Fault::answer(200, &[], "app").on_path("/security-credentials/").times(1));
    service.add(Fault::answer(200, &[], REGION).on_path("/placement/region"));
    service.add(Fault::answer(200, &[ttl], "canary-metadata-token").on_path("/api/token"));
    run(&[("AWS_ENDPOINT_URL", moto().endpoint()), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.address())])
        .assert_read("the machine's instance role");
}

#[test]
fn proxies_and_authorities_are_found_in_variables() {
    let authority = Authority::new().unwrap();
    let switchboard = Switchboard::with_tls(moto().host_port(), &authority).unwrap();
    let file = authority.certificate_file().to_str().unwrap();
    let base = [("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", switchboard.address())];
    let by_key = "access key AKIAENV from AWS_ACCESS_KEY_ID";
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let proxy = ForwardProxy::start().unwrap();
        let variables: Vec<_> = base.into_iter().chain([(name, file), ("HTTPS_PROXY", proxy.url())]).collect();
        run(&with_key(&variables)).assert_read(by_key);
        assert!(proxy.tunnels() > 0);
        let tunnels = proxy.tunnels();
        let direct: Vec<_> = variables.into_iter().chain([("NO_PROXY", "127.0.0.1")]).collect();
        run(&with_key(&direct)).assert_read(by_key);
        assert_eq!(proxy.tunnels(), tunnels);
    }
    run(&with_key(&base)).assert_failed(&["Invalid", "certificate is not trusted", "AWS_CA_BUNDLE"]);
    let told = run(&with_key(&[("AWS_CA_BUNDLE", "/nonexistent.pem")]));
    assert!(told.all("refused")[0].starts_with("AWS_CA_BUNDLE: cannot read /nonexistent.pem"), "{}", told.0);
}

#[test]
fn without_credentials_it_is_said_what_was_tried() {
    let variables = [("AWS_REGION", REGION), ("AWS_EC2_METADATA_DISABLED", "true")];
    run(&variables).assert_failed(&[
        "Unauthenticated",
        "no AWS credentials were found hint",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ]);
}

#[test]
fn without_a_region_it_is_said_how_to_name_one() {
    run(&with_key(&[("AWS_EC2_METADATA_DISABLED", "true")])).assert_failed(&[
        "Invalid",
        "no AWS region is known",
        "AWS_REGION",
    ]);
}

#[test]
fn a_metadata_service_that_does_not_answer_costs_seconds_once() {
    let switchboard = Switchboard::to(moto().host_port()).unwrap();
    switchboard.set_line(Telephone::HalfOpen).unwrap();
    let told = run_with(100, &[("AWS_REGION", REGION), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", switchboard.address())]);
    assert_eq!(told.all("failure").len(), 200);
    assert!(told.0.contains("Unauthenticated"), "{}", told.all("failure")[0]);
    let milliseconds: u128 = told.all("milliseconds")[0].parse().unwrap();
    // One second for each store, which are read one after the other.
    assert!(milliseconds < Duration::from_secs(5).as_millis(), "{milliseconds}");
}
