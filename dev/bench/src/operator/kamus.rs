//! KamusSecrets whose keys a key management keeps that is 20 ms away: how soon all Secrets are there, and what was asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use strongroom_api::kamus::KamusSecret;
use strongroom_decrypt::{Decrypter, Limits, TransitManagement};
use strongroom_kamus::{Identity, KeyRing, PublicKey};
use strongroom_kamus_secret::{MARK_ANNOTATION, MARK_PURPOSE, mark};
use strongroom_secret::SecretBytes;
use strongroom_vault::{Auth, Credential, Settings, Token, Vault};
use world::open_bao::OpenBao;
use world::switchboard::{Fault, Switchboard};

use super::{Fleet, Running, Source, namespace, namespaces, writes};
use crate::kamus::keys;
use crate::report::{Figure, Row, Target, Unit};
use crate::scenarios::Bench;

/// How much longer each answer of the key management takes.
const DISTANCE: Duration = Duration::from_millis(20);

/// The account that all values are encrypted for, in each namespace.
const ACCOUNT: &str = "web";

/// The ring's keys: values are encrypted for the older one and for the newer one, as after a rotation.
const RING: usize = 2;

/// An installation whose keys a real transit engine wraps.
struct Installation {
    bao: OpenBao,
    way: Switchboard,
    folder: tempfile::TempDir,
    public: Vec<PublicKey>,
    mark: SecretBytes,
}

/// As many KamusSecrets of one value each as pods elsewhere, from nothing to right.
pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let installation = Installation::new(bench, &runtime)?;
    runtime.block_on(fleet(bench, &installation))
}

async fn fleet(bench: &mut Bench, installation: &Installation) -> Result<()> {
    let count = bench.effort.pods;
    let fleet = Fleet::empty(Source::Kamus, count).await?;
    fleet.cluster.apply(&namespaces())?;
    let make = async |number| installation.make(&fleet, number).await;
    let made: Vec<Result<()>> = stream::iter(0..count).map(make).buffer_unordered(32).collect().await;
    made.into_iter().collect::<Result<()>>()?;
    installation.way.add(Fault::delay(DISTANCE));
    installation.way.reset_counts();
    let flags = installation.flags();
    let flags: Vec<&str> = ["--kamus"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let running = Running::start_with(bench, fleet.cluster.kubeconfig(), &flags, &installation.variables())?;
    let took = fleet.until_right(&running).await?;
    let calls = installation.unwrapped();
    // Statuses and events follow behind. An object that is right is due at no time, and so in no queue.
    running.until_quiet(0).await?;
    fleet.check().await?;
    let row = |what: &str, metric: &str, unit, value: f64| {
        let metric = format!("{count} KamusSecrets: {metric}");
        Row::new(&format!("kamus-secrets-{what}"), metric, unit, Figure::exact(value))
    };
    let millis = took.as_secs_f64() * 1e3;
    let first = row("first", "all Secrets right after the start", Unit::Milliseconds, millis);
    bench.rows.push(first.with_target(Target::at_most(60_000.0)));
    let calls = row("calls", &format!("keys unwrapped, of {RING} in use"), Unit::Count, calls as f64);
    bench.rows.push(calls.with_target(Target::at_most(RING as f64)));
    let each = writes(&running.requests()?) / count as f64;
    bench.rows.push(row("writes", "Kubernetes writes an object, without events", Unit::Count, each));
    bench.rows.push(row(
        "cpu",
        "processor time of the operator",
        Unit::Milliseconds,
        running.cpu()?.as_secs_f64() * 1e3,
    ));
    bench.rows.push(row("peak", "resident set at most", Unit::Bytes, running.memory("VmHWM:")?));
    Ok(())
}

impl Installation {
    /// Makes the transit engine and the ring; they are near while the fleet is made.
    fn new(bench: &Bench, runtime: &tokio::runtime::Runtime) -> Result<Self> {
        let bao = OpenBao::start()?;
        bao.command(&["secrets", "enable", "transit"])?;
        bao.command(&["write", "-f", "transit/keys/kamus"])?;
        let way = Switchboard::to(bao.host_port())?;
        let mut made =
            Self { bao, way, folder: tempfile::tempdir()?, public: Vec::new(), mark: SecretBytes::default() };
        for action in ["create", "rotate"] {
            let actions = [action, "public"];
            let printed = keys(&bench.programs.strongroom, &made.flags(), &made.variables(), &actions)?;
            made.public.push(PublicKey::read(&printed)?);
        }
        made.mark = runtime.block_on(made.mark_key())?;
        Ok(made)
    }

    /// What admission marks objects with.
    async fn mark_key(&self) -> Result<SecretBytes> {
        let ring = KeyRing::read(&std::fs::read(self.ring())?)?;
        let token = SecretBytes::from(self.bao.root_token().to_owned());
        let token = Credential::Value { value: token, origin: "the benchmark".to_owned() };
        let vault = Vault::open(Settings::new(self.bao.address(), Auth::Token(Token(token))), Arc::default())?;
        let management = Arc::new(TransitManagement::new(Arc::new(vault), "transit/kamus"));
        Ok(Decrypter::new(management, None, ring, Limits::default()).derive(MARK_PURPOSE).await?)
    }

    async fn make(&self, fleet: &Fleet, number: usize) -> Result<()> {
        let namespace = namespace(number);
        let reader = Identity::new(&namespace, ACCOUNT)?;
        let public = self.public.get(number % RING).context("the ring lacks a key")?;
        let sealed = public.seal(&reader, &SecretBytes::from(format!("delivered:app{number}k0")))?;
        let (kind, name) = fleet.source.label().split_once('=').context("a label")?;
        let metadata = ObjectMeta {
            name: Some(format!("app-{number}")),
            namespace: Some(namespace.clone()),
            labels: Some([(kind.to_owned(), name.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let string_data = [("k0".to_owned(), sealed.to_string())].into();
        let service_account = Some(ACCOUNT.to_owned());
        let mut object = KamusSecret { metadata, string_data, service_account, ..KamusSecret::default() };
        object.metadata.annotations = Some([(MARK_ANNOTATION.to_owned(), mark(&object, &self.mark))].into());
        let api: Api<KamusSecret> = Api::namespaced(fleet.client.clone(), &namespace);
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// How often a key was unwrapped, as the way there counts it.
    fn unwrapped(&self) -> usize {
        let counted = self.way.counts().by_operation;
        counted.iter().filter(|(operation, _)| operation.contains("/decrypt/")).map(|(_, count)| count).sum()
    }

    fn ring(&self) -> PathBuf {
        self.folder.path().join("ring.json")
    }

    fn flags(&self) -> Vec<String> {
        let ring = format!("--keys-file={}", self.ring().display());
        vec![ring, "--key-management=transit".to_owned(), "--key=transit/kamus".to_owned()]
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("VAULT_ADDR", self.way.address()), ("VAULT_TOKEN", self.bao.root_token())]
    }
}
