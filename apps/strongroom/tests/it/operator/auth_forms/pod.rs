//! The operator as the chart installs it on a node: with the chart's rights, in a pod. It is in the node's own network,
//! since the stores of these tests are on loopback addresses, which is also what their certificates are for.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use world::node::{ADDRESS, Node};

use super::super::super::install::{HELM, chart, node};
use super::super::support::scrape;
use super::super::world_of_stores::{World, core};
use super::{CLASS, Forms};

const NAMESPACE: &str = "strongroom";
const DEPLOYMENT: &str = "deployment/strongroom";
/// The Secret with the files that the operator is to read.
const FILES: &str = "world";

pub(super) struct Pod<'a> {
    node: &'a Node,
}

impl<'a> Pod<'a> {
    pub(super) fn start(node: &'a Node, world: &World, forms: &Forms) -> Self {
        node::import(node);
        node.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")).unwrap();
        let variables = variables(node, world, forms);
        ports(node, world, forms, &variables).into_iter().for_each(|port| node.expose_to_host_network(port).unwrap());
        core(NAMESPACE, "Secret", FILES, &json!({"stringData": files(world)}));
        let mut values = tempfile::NamedTempFile::new().unwrap();
        values.write_all(chosen(world, &variables).to_string().as_bytes()).unwrap();
        let (chart, values) = (chart(), values.path().display().to_string());
        let words = ["install", "strongroom", &chart, "-n", NAMESPACE, "--values", &values, "--wait", "--timeout=2m"];
        let pod = Self { node };
        HELM.run_on(node, &words).unwrap_or_else(|error| panic!("{error}\n{}", pod.logged()));
        pod
    }

    pub(super) fn logged(&self) -> String {
        self.node.kubectl(&["logs", "-n", NAMESPACE, DEPLOYMENT, "--tail=-1"]).unwrap_or_default()
    }

    pub(super) fn scraped(&self) -> String {
        let address = self.node.forward(SocketAddr::new(ADDRESS.into(), 8080)).unwrap();
        scrape(&address.to_string(), "/metrics").1
    }
}

fn variables(node: &Node, world: &World, forms: &Forms) -> Vec<(&'static str, String)> {
    let own = node.kubectl(&["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"]).unwrap();
    let direct = ("NO_PROXY", format!("127.0.0.1,{own},kubernetes.default"));
    let all = world.variables().into_iter().filter(|(name, _)| *name != "NO_PROXY").chain([direct]);
    all.chain(forms.variables.iter().cloned()).collect()
}

/// The ports of 127.0.0.1 at which there are stores, clouds and this cluster.
fn ports(node: &Node, world: &World, forms: &Forms, variables: &[(&str, String)]) -> BTreeSet<u16> {
    let providers = forms.forms.iter().map(|form| form.provider.to_string());
    // Some of these stand in credentials alone.
    let servers = [node.server(), world.google.endpoint(), world.azure.endpoint()].map(str::to_owned);
    let texts = providers.chain(variables.iter().map(|(_, value)| value.clone())).chain(servers);
    let ports = |text: String| -> Vec<u16> {
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
        text.split("127.0.0.1:").skip(1).filter_map(|rest| digits(rest).parse().ok()).collect()
    };
    texts.flat_map(ports).collect()
}

fn files(world: &World) -> Value {
    let entries = std::fs::read_dir(world.folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    let named = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, json!(std::fs::read_to_string(path).unwrap()))
    };
    Value::Object(files.map(named).collect())
}

/// The chart's values.
fn chosen(world: &World, variables: &[(&str, String)]) -> Value {
    let variables: Vec<_> = variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "image": {"tag": "test", "pullPolicy": "Never"}, "replicaCount": 1, "installCRDs": false,
        "controllerClass": CLASS, "allowLocalAddresses": true, "log": {"level": "debug", "format": "text"},
        "hostNetwork": true, "extraEnv": variables,
        "extraVolumes": [{"name": FILES, "secret": {"secretName": FILES}}],
        // Where the test has them.
        "extraVolumeMounts": [{"name": FILES, "mountPath": world.folder(), "readOnly": true}],
    })
}
