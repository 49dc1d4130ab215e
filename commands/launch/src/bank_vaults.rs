//! The variables of bank-vaults beside its references: what its vault-env and secret-init are told by them, in the
//! words of our own delivery.
//!
//! Each is read in both families, `VAULT_` and `BAO_`. Nothing here holds for an environment in which bank-vaults has
//! no part: no reference of its syntax to Vault and no path to spread.

use strongroom_deliver_env::{Entry, Spread, Wanted};
use strongroom_failure::Failure;
use strongroom_reference::{OWN_TOKEN_PATH, ProviderKind, Reference, Syntax, parse_paths};

const FAMILIES: [&str; 2] = ["VAULT_", "BAO_"];

/// Secrets whose keys all become variables: secret-init's name and vault-env's.
const FROM_PATH: [&str; 2] = ["FROM_PATH", "ENV_FROM_PATH"];

/// Names that reach the command although they are in one of the lists below: secret-init's name and vault-env's.
const PASSTHROUGH: [&str; 2] = ["PASSTHROUGH", "ENV_PASSTHROUGH"];

const IGNORE_MISSING: &str = "IGNORE_MISSING_SECRETS";

/// The credential; the command has it where it is asked for by `vault:login`.
const TOKEN: &str = "TOKEN";

/// What vault-env keeps from the command, unless the command gets the token of the login: it needs them to use it.
const CONNECTION: [&str; 14] = [
    "ADDR",
    "AGENT_ADDR",
    "CACERT",
    "CAPATH",
    "CLIENT_CERT",
    "CLIENT_KEY",
    "CLIENT_TIMEOUT",
    "MAX_RETRIES",
    "MFA",
    "NAMESPACE",
    "SKIP_VERIFY",
    "SRV_LOOKUP",
    "TLS_SERVER_NAME",
    "WRAP_TTL",
];

/// What vault-env and secret-init always keep from the command.
const OWN: [&str; 21] = [
    "AUTH_METHOD",
    "CLI_NO_COLOR",
    "CLUSTER_ADDR",
    "DAEMON",
    "ENV_DAEMON",
    "ENV_DELAY",
    "ENV_FROM_PATH",
    "ENV_PASSTHROUGH",
    "FROM_PATH",
    IGNORE_MISSING,
    "JSON_LOG",
    "LOG_LEVEL",
    "PASSTHROUGH",
    "PATH",
    "RATE_LIMIT",
    "REDIRECT_ADDR",
    REVOKE_TOKEN,
    "ROLE",
    "TRANSIT_BATCH_SIZE",
    "TRANSIT_KEY_ID",
    "TRANSIT_PATH",
];

const REVOKE_TOKEN: &str = "REVOKE_TOKEN";

/// What is asked for and not done, though the command starts with its secrets.
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    ("ENV_DAEMON", "leases are not renewed: take credentials that outlive the process, or let it read them itself"),
    ("DAEMON", "leases are not renewed: take credentials that outlive the process, or let it read them itself"),
    (REVOKE_TOKEN, "the token of the login is not revoked: it ends with its lifetime"),
];

/// What an environment asks for in the words of bank-vaults.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Secrets whose keys all become variables, in the order in which later ones win.
    pub(crate) spread: Vec<Spread>,
    /// Whether what does not exist is left out instead of failing.
    pub(crate) leaves_missing_out: bool,
    /// Variables that are kept from the command.
    pub(crate) withheld: Vec<String>,
    /// What is asked for and not done.
    pub(crate) warnings: Vec<String>,
}

impl Wishes {
    /// Reads `entries`, in which `variables` are the references; the command itself wants the variables in `kept`.
    ///
    /// # Errors
    /// A list of paths that holds something else, with its variable; never repeats it.
    pub(crate) fn of(entries: &[Entry], variables: &[Wanted], kept: &[String]) -> Result<Self, Failure> {
        let variables_of = Variables(entries);
        let mut spread = Vec::new();
        for (origin, paths) in variables_of.all(&FROM_PATH).filter(|(name, _)| !kept.contains(name)) {
            let references = parse_paths(paths).map_err(|failure| failure.in_field(&origin))?;
            let fresh = |reference: &Reference| !spread.iter().any(|other: &Spread| other.reference == *reference);
            let references: Vec<_> = references.into_iter().filter(fresh).collect();
            let spread_of = |reference| Spread { origin: origin.clone(), reference, tells_missing: false };
            spread.extend(references.into_iter().map(spread_of));
        }
        if spread.is_empty() && !variables.iter().any(is_theirs) {
            return Ok(Self::default());
        }
        let leaves_missing_out = variables_of.says_yes(IGNORE_MISSING);
        if leaves_missing_out {
            spread.iter_mut().for_each(Spread::leave_out_if_missing);
        }
        let lists = variables_of.all(&PASSTHROUGH).flat_map(|(_, names)| names.split(','));
        let passed: Vec<&str> = lists.map(str::trim).chain(kept.iter().map(String::as_str)).collect();
        let mut withheld = withheld(variables);
        withheld.retain(|name| !passed.contains(&name.as_str()));
        let asked_in_vain = WITHOUT_EFFECT.iter().filter(|(name, _)| variables_of.says_yes(name));
        let warnings = asked_in_vain.map(|(name, words)| format!("VAULT_{name} has no effect: {words}")).collect();
        Ok(Self { spread, leaves_missing_out, withheld, warnings })
    }
}

/// Whether `wanted` is a reference to Vault as bank-vaults writes them.
pub(crate) fn is_theirs(wanted: &Wanted) -> bool {
    wanted.syntax == Syntax::BankVaults
        && wanted.value.references().any(|reference| reference.provider == ProviderKind::Vault)
}

/// The names that the command does not get.
fn withheld(variables: &[Wanted]) -> Vec<String> {
    let names = |suffix: &&str| FAMILIES.map(|family| format!("{family}{suffix}"));
    let is_own = |reference: &Reference| reference.key.name == OWN_TOKEN_PATH;
    let tokens = [TOKEN].iter().flat_map(names);
    let asked =
        |name: &String| variables.iter().any(|wanted| wanted.name == *name && wanted.value.references().any(is_own));
    let (passed, mut withheld): (Vec<_>, Vec<_>) = tokens.partition(asked);
    withheld.extend(OWN.iter().flat_map(names));
    if passed.is_empty() {
        withheld.extend(CONNECTION.iter().flat_map(names));
    }
    withheld
}

/// The environment by the names behind `VAULT_` and `BAO_`.
struct Variables<'a>(&'a [Entry]);

impl<'a> Variables<'a> {
    /// Every variable with one of these names, by its full name.
    fn all<'n>(&self, names: &'n [&str]) -> impl Iterator<Item = (String, &'a str)> + use<'a, 'n> {
        let entries = self.0;
        let full = names.iter().flat_map(|name| FAMILIES.map(|family| format!("{family}{name}")));
        full.filter_map(move |name| {
            let entry = entries.iter().find(|entry| entry.name() == Some(name.as_str()))?;
            Some((name, entry.expose_value()?))
        })
    }

    /// Whether one of them is true in Go's words; anything else is false, as in the original.
    fn says_yes(&self, name: &str) -> bool {
        let is_true = |text: &str| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True");
        self.all(&[name]).any(|(_, value)| is_true(value.trim()))
    }
}
