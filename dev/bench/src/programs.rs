//! The programs that are compared, where their files are, and how each is told to start the probe.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::launch::{Launch, is_program};
use crate::stand_in::{REGION, StandIn};

/// The account in every reference.
const ACCOUNT: &str = "111122223333";

/// Files of the programs that are measured.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The workspace's root.
    pub(crate) root: PathBuf,
    /// `out/strongroom-init`, as `make build` made it.
    pub(crate) init: PathBuf,
    /// `out/strongroom`, likewise.
    pub(crate) strongroom: PathBuf,
    /// The child of every start.
    pub(crate) probe: PathBuf,
    tini: Option<PathBuf>,
    catatonit: Option<PathBuf>,
    secrets_init: Option<PathBuf>,
    chamber: Option<PathBuf>,
}

/// Whom ours is compared with, by what its users call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// The probe by itself.
    BareExec,
    Tini,
    Catatonit,
    SecretsInit,
    Chamber,
}

/// Ways to start the probe with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Init,
    InitExec,
    Run,
}

impl Rival {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BareExec => "bare exec",
            Self::Tini => "tini",
            Self::Catatonit => "catatonit",
            Self::SecretsInit => "secrets-init",
            Self::Chamber => "chamber",
        }
    }
}

impl Programs {
    /// Finds what `make build` made and the peers that variables name, and builds the probe; without `starts` only what
    /// the operator is measured with.
    pub(crate) fn find(starts: bool) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let ours = |name: &str| {
            let file = root.join("out").join(name);
            ensure!(is_program(&file), "there is no {}: run make build", file.display());
            Ok(file)
        };
        Ok(Self {
            init: if starts { ours("strongroom-init")? } else { PathBuf::new() },
            strongroom: ours("strongroom")?,
            probe: match starts {
                true => build(&root, "probe", &["--release", "-p", "bench", "--bin", "probe"])?,
                false => PathBuf::new(),
            },
            tini: peer("BENCH_TINI", Some("/usr/bin/tini"))?,
            catatonit: peer("BENCH_CATATONIT", Some("/usr/bin/catatonit"))?,
            secrets_init: peer("BENCH_SECRETS_INIT", None)?,
            chamber: peer("BENCH_CHAMBER", None)?,
            root,
        })
    }

    /// The file of a peer, where it is at hand.
    pub(crate) fn file_of(&self, rival: Rival) -> Option<&Path> {
        match rival {
            Rival::BareExec => Some(&self.probe),
            Rival::Tini => self.tini.as_deref(),
            Rival::Catatonit => self.catatonit.as_deref(),
            Rival::SecretsInit => self.secrets_init.as_deref(),
            Rival::Chamber => self.chamber.as_deref(),
        }
    }

    /// Builds `strongroom-init` for AWS alone, as it would be shipped; takes minutes the first time.
    pub(crate) fn build_aws_only(&self) -> Result<PathBuf> {
        let package = ["--profile", "dist", "-p", "strongroom-init", "--no-default-features", "--features", "aws"];
        let built = build(&self.root, "strongroom-init", &package)?;
        let kept = self.root.join("out/strongroom-init-aws");
        std::fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(kept)
    }

    /// Ours, starting the probe with `count` references.
    pub(crate) fn ours(&self, way: Ours, count: usize, stand_in: &StandIn) -> Launch {
        let (program, words): (_, &[&str]) = match way {
            Ours::Init => (&self.init, &["--"]),
            Ours::InitExec => (&self.init, &["--exec", "--"]),
            Ours::Run => (&self.strongroom, &["run", "--"]),
        };
        self.launch(program, words, environment(count, stand_in))
    }

    /// A peer that is at hand, starting the probe with `count` references where it can read them.
    pub(crate) fn rival(&self, rival: Rival, count: usize, stand_in: &StandIn) -> Option<Launch> {
        let file = self.file_of(rival)?;
        let through_proxy = || {
            let mut environment = environment(count, stand_in);
            // For those whose library of AWS's has no variable for the endpoint.
            environment.push(("HTTPS_PROXY".into(), stand_in.proxy().into()));
            environment
        };
        Some(match rival {
            Rival::BareExec => self.launch_alone(file, environment(0, stand_in)),
            Rival::Tini => self.launch(file, &["-s", "--"], environment(0, stand_in)),
            Rival::Catatonit => self.launch(file, &["--"], environment(0, stand_in)),
            Rival::SecretsInit => self.launch(file, &["--provider=aws", "--exit-early"], through_proxy()),
            Rival::Chamber => {
                // It reads a folder of parameters; references in the environment mean nothing to it.
                let mut environment = through_proxy();
                environment.retain(|(_, value)| !value.as_encoded_bytes().starts_with(b"arn:"));
                self.launch(file, &["exec", &format!("bench-{count}"), "--"], environment)
            }
        })
    }

    fn launch(&self, program: &Path, words: &[&str], environment: Vec<(OsString, OsString)>) -> Launch {
        let probe = self.probe.clone().into_os_string();
        let arguments = words.iter().map(OsString::from).chain([probe]).collect();
        Launch { program: program.to_owned(), arguments, environment }
    }

    fn launch_alone(&self, program: &Path, environment: Vec<(OsString, OsString)>) -> Launch {
        Launch { program: program.to_owned(), arguments: Vec::new(), environment }
    }
}

/// What a container on AWS has in its environment, with static credentials, and `count` references: every other one
/// to Secrets Manager, the rest to Parameter Store.
fn environment(count: usize, stand_in: &StandIn) -> Vec<(OsString, OsString)> {
    let around = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        // A home without profiles.
        ("HOME", "/nonexistent".to_owned()),
        ("HOSTNAME", "app-5d8f7c9b6-x2x7k".to_owned()),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1".to_owned()),
        ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIABENCHBENCHBENCH0".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-a-key-of-anybody".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_ENDPOINT_URL", stand_in.endpoint()),
        ("SSL_CERT_FILE", stand_in.authority().display().to_string()),
    ];
    let around = around.into_iter().map(|(name, value)| (name.into(), value.into()));
    around.chain((0..count).map(|number| (format!("BENCH_{number}").into(), reference(number).into()))).collect()
}

/// ARNs, which all compared programs understand.
fn reference(number: usize) -> String {
    if number.is_multiple_of(2) {
        format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:bench/secret-{number}-AbCdEf")
    } else {
        format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/bench/value-{number}")
    }
}

/// The file that `variable` names, which must be there; else the usual one if it is.
fn peer(variable: &str, usual: Option<&str>) -> Result<Option<PathBuf>> {
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(file) if is_program(Path::new(&file)) => Ok(Some(file.into())),
        Some(file) => bail!("{variable} names {}, which is no program", Path::new(&file).display()),
        None => Ok(usual.map(PathBuf::from).filter(|file| is_program(file))),
    }
}

/// Builds a program of the workspace and says where it is.
fn build(root: &Path, name: &str, package: &[&str]) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--locked", "--message-format=json-render-diagnostics"]).args(package);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo build {} failed", package.join(" "));
    let told = String::from_utf8(output.stdout)?;
    let executable = told.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == name;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    executable.with_context(|| format!("cargo built no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_half_secrets_and_half_parameters() {
        let check = |number, expected: &str| assert_eq!(reference(number), expected);
        check(0, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:bench/secret-0-AbCdEf");
        check(1, "arn:aws:ssm:eu-west-1:111122223333:parameter/bench/value-1");
    }
}
