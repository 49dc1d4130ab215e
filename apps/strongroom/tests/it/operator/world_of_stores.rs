//! What tests of real stores share: the world's stores, an operator that reaches all of them, and objects around both.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use world::azure::AzureStandIn;
use world::google::GoogleStandIn;
use world::proxy::ForwardProxy;
use world::switchboard::Switchboard;

use super::api::{API, line};
use super::support::{CLUSTER, Operator, condition, eventually};
use crate::AWS;

/// The stores that only these tests need, and the ways to all of them.
pub(crate) struct World {
    pub(crate) google: GoogleStandIn,
    pub(crate) azure: AzureStandIn,
    /// Everything that goes to AWS.
    pub(crate) aws: Switchboard,
    /// Everything that goes to a host of Google's or Azure's own.
    pub(crate) proxy: ForwardProxy,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        let (google, azure) = (GoogleStandIn::start().unwrap(), AzureStandIn::start().unwrap());
        let proxy = ForwardProxy::start().unwrap();
        let address = |endpoint: &str| -> SocketAddr { endpoint.trim_start_matches("https://").parse().unwrap() };
        proxy.route("secretmanager.googleapis.com", address(google.endpoint()));
        proxy.route("world.vault.azure.net", address(azure.endpoint()));
        proxy.route("login.microsoftonline.com", address(azure.endpoint()));
        let folder = tempfile::tempdir().unwrap();
        let pem = [google.authority().certificate_pem(), azure.authority().certificate_pem()].join("\n");
        std::fs::write(folder.path().join("roots.pem"), pem).unwrap();
        let aws = Switchboard::to(AWS.host_port()).unwrap();
        Self { google, azure, aws, proxy, folder }
    }

    /// A folder for files that the operator is to read.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What an operator has in its environment to reach them.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let aws = [
            "AWS_SECRETSMANAGER_ENDPOINT",
            "AWS_SSM_ENDPOINT",
            "AWS_ACM_ENDPOINT",
            "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API",
            "AWS_STS_ENDPOINT",
        ];
        let aws = aws.map(|name| (name, self.aws.address().to_owned()));
        let roots = self.folder().join("roots.pem").display().to_string();
        let others =
            [("SSL_CERT_FILE", roots), ("HTTPS_PROXY", self.proxy.url().to_owned()), ("NO_PROXY", "127.0.0.1".into())];
        aws.into_iter().chain(others).collect()
    }

    /// An operator for the stores of one class, with `more` in its environment.
    pub(crate) fn operator(&self, class: &str, more: &[(&str, String)]) -> Operator {
        let class = format!("--controller-class={class}");
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().chain(more).map(|(name, value)| (*name, value.as_str())).collect();
        let operator = Operator::spawn(&CLUSTER, &[&class, "--allow-local-addresses"], &variables);
        operator.wait_until_ready();
        operator
    }
}

/// Makes a store or an ExternalSecret; a ClusterSecretStore where the namespace is empty.
pub(crate) fn create(namespace: &str, kind: &str, name: &str, spec: &Value) {
    let plural = format!("{}s", kind.to_lowercase());
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(API.create(&plural, namespace, &object), (201, String::new()), "{kind} {name}");
}

/// Makes an object of Kubernetes itself: `rest` is what it has beyond its name.
pub(crate) fn core(namespace: &str, kind: &str, name: &str, rest: &Value) {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {}});
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object["metadata"]["name"] = json!(name);
    let plural = format!("{}s", kind.to_lowercase());
    assert_eq!(API.create(&plural, namespace, &object), (201, String::new()), "{kind} {name}");
}

/// Makes an object at this path of the API, and gives what was made.
pub(crate) fn post(path: &str, object: &Value) -> Value {
    let (status, made) = API.ask("POST", path, "application/json", &object.to_string());
    assert_eq!(status, 201, "{path}: {}", made["message"]);
    made
}

/// Waits until the ExternalSecrets of these names are ready and their Secrets have this data.
pub(crate) fn wait_until_read(namespace: &str, expected: &[(&str, &str)]) {
    eventually("all stores are read", || {
        let kinds = ["secrets", "externalsecrets", "secretstores"].map(|kind| API.list(kind, namespace));
        let wrong: Vec<_> = expected
            .iter()
            .filter_map(|(name, expected)| {
                let [secret, wish, store] = kinds.each_ref().map(|objects| objects.get(*name));
                let [ready, opened] = [wish, store].map(|object| object.and_then(|object| condition(object, "Ready")));
                let made = secret.map(line);
                let is_ready = ready.as_ref().is_some_and(|(status, ..)| status == "True");
                let is_right = is_ready && made.as_deref() == Some(*expected);
                (!is_right).then_some((name, made, ready, opened))
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
    });
}

/// A request as a server of [`serve`] sees it.
pub(crate) struct Asked {
    /// Its first line and its headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let asked = Self { head: head.to_owned(), body: body.to_owned() };
                let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                if asked.body.len() >= length {
                    return Some(asked);
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            }
        }
    }

    /// What it asks for: `GET /path`.
    pub(crate) fn what(&self) -> &str {
        self.head.lines().next().and_then(|line| line.rsplit_once(' ')).map(|(what, _)| what).unwrap_or_default()
    }

    /// The first header of this name (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// An HTTP server on `127.0.0.1:PORT`, which is returned; it ends with the tests.
pub(crate) fn serve(answer: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some(asked) = Asked::read(&mut stream) else { continue };
            let (status, body) = answer(&asked);
            let head =
                format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address.to_string()
}

/// An HTTP server that gives `answer` to whoever asks for `/secrets/app` with this `Authorization`.
pub(crate) fn hook(authorization: &str, answer: &'static str) -> String {
    let authorization = authorization.to_owned();
    serve(move |asked| {
        let is_known =
            asked.what() == "GET /secrets/app" && asked.header("authorization") == Some(authorization.as_str());
        if is_known { (200, answer.to_owned()) } else { (403, "{}".to_owned()) }
    })
}

/// One request to `host_port` without TLS: status and body.
pub(crate) fn send(
    host_port: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(host_port)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    // HTTP/1.0 has no chunks and ends with the connection.
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {host_port}\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
