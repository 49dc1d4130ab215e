use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use strongroom_failure::Failure;
use strongroom_read::{Ambient, Audience, report};

use crate::sealer::{Request, Sealer};
use crate::transcript::Transcript;
use crate::value::{Newlines, Source};
use crate::{check, in_place, textconv};

const EXAMPLES: &str = "\
Examples:
  strongroom encrypt -a web -n team-a -u https://kamus-encryptor.example -f password.txt
  strongroom kamus keys public --keys-secret kamus/kamus-keys > public-key.json
  pwgen 32 1 | strongroom encrypt -a web -n team-a --public-key public-key.json -i -q -f -
  strongroom encrypt --in-place secret.yaml -a web --public-key public-key.json
  strongroom encrypt --check --public-key public-key.json deploy/*.yaml

Exit codes: 0 done; 1 not done, or --check found something; 2 wrong usage.";

/// Encrypt values for one service account, so that they can lie in Git: only its pods can have them decrypted
///
/// Takes the options of kamus-cli encrypt and says what it said. With --public-key no service is asked.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("manifests").args(["in_place", "check"])))]
pub struct EncryptCommand {
    /// Secret to encrypt; seen by other users of this machine: prefer --secret-file
    #[arg(short, long, value_name = "SECRET", hide_short_help = true)]
    secret: Option<String>,

    /// File with secret to encrypt; - is standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    secret_file: Option<String>,

    /// The pods' service account
    #[arg(short = 'a', long, value_name = "NAME")]
    service_account: Option<String>,

    /// The pods' namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// The encryptor's address
    #[arg(short = 'u', long, value_name = "URL")]
    kamus_url: Option<String>,

    /// Encrypt without a service: the document that `strongroom kamus keys public` prints
    #[arg(long, value_name = "FILE", conflicts_with = "kamus_url")]
    public_key: Option<PathBuf>,

    /// Encrypt the plain values of stringData and data of a KamusSecret where they stand; a Secret becomes a KamusSecret
    #[arg(long, requires = "files", conflicts_with_all = ["secret", "secret_file", "output"])]
    in_place: bool,

    /// Change nothing: name plain values, and with --public-key those under an older key; 1 where there are any
    #[arg(long, requires = "files", conflicts_with_all = ["secret", "secret_file", "output", "in_place"])]
    check: bool,

    /// For --in-place and --check: YAML files
    #[arg(value_name = "FILE", requires = "manifests")]
    files: Vec<PathBuf>,

    /// Print a file with encrypted texts shortened, for `git diff`: diff.strongroom.textconv = strongroom encrypt --textconv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "secret_file", "output", "in_place", "check"])]
    textconv: Option<PathBuf>,

    /// Output to file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite the file if it already exists
    #[arg(short = 'O', long)]
    overwrite: bool,

    /// Do not ask whether a secret with newlines is meant
    #[arg(short, long)]
    ignore_new_line: bool,

    /// Print the encrypted text alone
    #[arg(short, long)]
    quiet: bool,

    /// Allow insecure (http) Kamus URL
    #[arg(long)]
    allow_insecure_url: bool,

    /// Force server certificate to match the given SHA-1 fingerprint, as AA:BB:…
    #[arg(long, value_name = "FINGERPRINT")]
    cert_fingerprint: Option<String>,

    /// Encoding of secret file: utf8, latin1, utf16le; base64 and hex are made of its bytes
    #[arg(long, value_name = "ENCODING")]
    secret_file_encoding: Option<String>,

    /// Azure tenant id; logging in at Azure is not offered
    #[arg(long, value_name = "ID", value_parser = guid, hide_short_help = true)]
    auth_tenant: Option<String>,

    /// Azure application id
    #[arg(long, value_name = "ID", value_parser = guid, hide_short_help = true)]
    auth_application: Option<String>,

    /// Azure resource name
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    auth_resource: Option<String>,

    /// Append what is said, the encrypted text too, to a file instead
    #[arg(long, value_name = "FILE")]
    log_output: Option<PathBuf>,

    /// Kept for kamus-cli; says nothing
    #[arg(long, value_name = "FLAG", hide_short_help = true)]
    log_flag: Option<String>,

    /// Kept for kamus-cli; says nothing
    #[arg(long, value_name = "ENCODING", hide_short_help = true)]
    log_encoding: Option<String>,

    /// Kept for kamus-cli; says nothing
    #[arg(short, long, hide_short_help = true)]
    verbose: bool,
}

impl EncryptCommand {
    /// Does what is asked; `variables` are the process's own.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let ambient = Ambient::of(variables);
        let done = if let Some(file) = &self.textconv {
            textconv::run(file)
        } else if self.in_place {
            self.sealer(&ambient).and_then(|sealer| {
                let place = in_place::Place { account: self.account(), namespace: self.given_namespace() };
                in_place::run(&self.files, &place, &sealer)
            })
        } else if self.check {
            let key = self.public_key.as_deref().map(Sealer::public_key).transpose();
            match key.and_then(|key| check::run(&self.files, key.as_ref())) {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::FAILURE,
                Err(failure) => Err(failure),
            }
        } else {
            return self.encrypt_one(&ambient);
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                report(Audience::Person, "", &[failure]);
                ExitCode::FAILURE
            }
        }
    }

    /// As `kamus-cli encrypt`.
    fn encrypt_one(&self, ambient: &Ambient) -> ExitCode {
        let mut transcript = Transcript::new(self.log_output.clone(), self.quiet);
        // JavaScript's word for what nobody gave.
        let shown = |name: Option<&str>| name.unwrap_or("undefined").to_owned();
        let (account, namespace) = (shown(self.account()), shown(self.given_namespace()));
        transcript.info("Encryption started...");
        transcript.info(&format!("service account: {account}"));
        transcript.info(&format!("namespace: {namespace}"));
        let done = self.encrypted(ambient, &mut transcript).and_then(|text| {
            let Some(text) = text else { return Ok(()) };
            transcript
                .info(&format!("Successfully encrypted data to {account} service account in {namespace} namespace"));
            transcript.result(&text, self.output.as_deref(), self.overwrite)
        });
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                transcript.error(&failure);
                ExitCode::FAILURE
            }
        }
    }

    /// `None` where whoever was asked about newlines did not agree: the original ended well then.
    fn encrypted(&self, ambient: &Ambient, transcript: &mut Transcript) -> Result<Option<String>, Failure> {
        let source = Source::of(self.secret.as_deref(), self.secret_file.as_deref())?;
        let sealer = self.sealer(ambient)?;
        if sealer.is_service() {
            self.check_login()?;
            transcript.warn("Auth options were not provided, will try to encrypt without authentication to kamus");
        }
        let encoding = self.secret_file_encoding.as_deref();
        let newlines = if self.ignore_new_line { Newlines::Meant } else { Newlines::Asked };
        let Some(value) = source.read(encoding, newlines)? else { return Ok(None) };
        sealer.seal(&Request { account: self.account(), namespace: self.given_namespace(), value: &value }).map(Some)
    }

    fn sealer(&self, ambient: &Ambient) -> Result<Sealer, Failure> {
        match &self.public_key {
            Some(file) => Sealer::public_key(file).map(Sealer::Offline),
            None => {
                let fingerprint = self.cert_fingerprint.clone();
                Sealer::service(self.kamus_url.as_deref(), self.allow_insecure_url, fingerprint, ambient)
            }
        }
    }

    /// The original logs in only where all three are given.
    fn check_login(&self) -> Result<(), Failure> {
        let all = [&self.auth_tenant, &self.auth_application, &self.auth_resource];
        let is_given = |option: &&Option<String>| option.as_deref().is_some_and(|text| !text.is_empty());
        if !all.iter().all(is_given) {
            return Ok(());
        }
        let words = "logging in at Azure by a device code is not offered here";
        Err(crate::value::invalid(words)
            .with_hint("leave the --auth options out, or encrypt without a service: --public-key"))
    }

    fn account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    fn given_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

/// What the original takes for one: the version and the variant are looked at.
fn guid(text: &str) -> Result<String, String> {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    let begins = |part: usize, with: &str| parts[part].starts_with(|first: char| with.contains(first));
    let is_guid = parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && begins(2, "12345")
        && begins(3, "89abAB");
    if is_guid { Ok(text.to_owned()) } else { Err("this is no GUID".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ka_06_a_guid_is_what_the_original_takes_for_one() {
        let check = |text: &str, is_guid: bool| assert_eq!(guid(text).is_ok(), is_guid, "{text}");
        check("6fa459ea-ee8a-3ca4-894e-db77e160355e", true);
        check("6FA459EA-EE8A-3CA4-894E-DB77E160355E", true);
        check("6fa459ea-ee8a-6ca4-894e-db77e160355e", false);
        check("6fa459ea-ee8a-3ca4-794e-db77e160355e", false);
        check("6fa459ea-ee8a-3ca4-894e-db77e160355", false);
        check("", false);
    }
}
