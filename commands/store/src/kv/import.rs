//! `strongroom kv import`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_stores::Ambient;

use super::plan::{Plan, counted};
use super::store::{Data, Store, checked};
use super::{Format, export};
use crate::api::{Api, Ending};
use crate::input;
use crate::terminal::{consent, harmless, say};

/// Write many secrets, from a file or from another store
#[derive(Args)]
#[command(
    after_help = "Shows first what would be created and changed, never a value, and asks; where there is no terminal \
                        nothing is written without --yes. What somebody else writes after the plan is not written \
                        over.\n\n\
                        A file is what kv export writes: an object of paths, each with its data. A file of variables \
                        becomes one secret, which --prefix names. Another store is read with the token in \
                        VAULT_SOURCE_TOKEN or --source-token-file; VAULT_SOURCE_NAMESPACE and VAULT_SOURCE_CACERT are \
                        for it as well.\n\n\
                        Exit status: 0 all is well, 1 something is wrong or not all was written, 2 wrong usage, 4 \
                        there is nothing to read\n\n\
                        Examples:\n  \
                        strongroom kv import team-a.json --dry-run\n  \
                        strongroom kv import .env --prefix app --yes\n  \
                        strongroom kv import --from-vault https://vault.example.com --source-prefix team-a/ --prefix moved"
)]
pub(super) struct Import {
    /// The file; - for standard input
    #[arg(required_unless_present = "from_vault", conflicts_with = "from_vault")]
    file: Option<String>,
    /// How the file is written [default: what its name ends with]
    #[arg(long, value_enum, conflicts_with = "from_vault")]
    format: Option<Format>,
    /// Read another store that speaks Vault's API, at this address
    #[arg(long, value_name = "ADDRESS")]
    from_vault: Option<String>,
    /// Where its secrets are mounted [default: secret]
    #[arg(long, value_name = "MOUNT", requires = "from_vault")]
    source_mount: Option<String>,
    /// What to read of it: a secret and all below it, or with a slash at its end a folder [default: all]
    #[arg(long, value_name = "PREFIX", requires = "from_vault")]
    source_prefix: Option<String>,
    /// A file with its token, in place of VAULT_SOURCE_TOKEN; - for standard input
    #[arg(long, value_name = "FILE", requires = "from_vault")]
    source_token_file: Option<String>,
    /// The folder that all go into; of a file of variables, the secret
    #[arg(long, value_name = "PATH", default_value = "")]
    prefix: String,
    /// Write without asking
    #[arg(long)]
    yes: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn run(&self, store: &Store<'_>, ambient: &Ambient) -> Result<Ending, Failure> {
        let secrets = match (&self.from_vault, &self.file) {
            (Some(address), _) => self.of_vault(address, ambient)?,
            (None, file) => self.of_file(file.as_deref().unwrap_or("-"))?,
        };
        let wanted = placed(secrets, &self.prefix)?;
        store.needs_versions()?;
        let plan = Plan::of(store, wanted)?;
        say(&plan.text())?;
        if self.dry_run || plan.writes() == 0 {
            return Ok(Ending::Well);
        }
        consent(self.yes, &format!("Write {}?", counted(plan.writes(), "secret")))?;
        plan.carry_out(store, |path, version| say(&format!("{}: version {version}\n", harmless(path))))?;
        Ok(Ending::Well)
    }

    fn of_file(&self, file: &str) -> Result<Data, Failure> {
        let wrong = |words: &str, hint: &str| Failure::new(Class::Invalid, words).in_field(file).with_hint(hint);
        let by_name = || match file.rsplit(['.', '/']).next() {
            Some("json") => Some(Format::Json),
            Some("yaml" | "yml") => Some(Format::Yaml),
            Some("env") => Some(Format::Env),
            _ => None,
        };
        let format = self
            .format
            .or_else(by_name)
            .ok_or_else(|| wrong("its name does not say how it is written", "give --format json, yaml or env"))?;
        match format {
            Format::Json => input::json(file),
            Format::Yaml => input::yaml(file),
            Format::Env if self.prefix.trim_matches('/').is_empty() => {
                Err(wrong("a file of variables becomes one secret, which has no name yet", "name it: --prefix PATH"))
            }
            // The path is --prefix alone.
            Format::Env => Ok(Data::from_iter([(String::new(), Value::Object(input::env(file)?))])),
        }
    }

    fn of_vault(&self, address: &str, ambient: &Ambient) -> Result<Data, Failure> {
        let token = match &self.source_token_file {
            Some(file) => input::secret(Some(file), "token")?,
            None => ambient.get("VAULT_SOURCE_TOKEN").map(SecretBytes::from).ok_or_else(|| {
                Failure::new(Class::Unauthenticated, "there is no token for the store that is read")
                    .in_field(address)
                    .with_hint("set VAULT_SOURCE_TOKEN, or give --source-token-file FILE")
            })?,
        };
        let authorities = ambient.get("VAULT_SOURCE_CACERT");
        let api = Api::at(ambient, address, ambient.get("VAULT_SOURCE_NAMESPACE"), authorities)?.with_token(token);
        let source = Store::new(&api, self.source_mount.as_deref().unwrap_or("secret"));
        export::read(&source, self.source_prefix.as_deref().unwrap_or_default())
    }
}

/// Secrets by the paths that they are to have.
fn placed(secrets: Data, prefix: &str) -> Result<BTreeMap<String, Data>, Failure> {
    let invalid = |words: &str| Failure::new(Class::Invalid, words);
    let prefix = prefix.trim_matches('/');
    let mut wanted = BTreeMap::new();
    for (path, data) in secrets {
        let path = match (prefix, path.trim_start_matches('/')) {
            ("", path) => checked(path)?,
            (prefix, "") => checked(prefix)?,
            (prefix, path) => checked(&format!("{prefix}/{path}"))?,
        };
        let Value::Object(data) = data else {
            return Err(invalid("is no object of keys and values").in_field(path).with_hint(
                "a file to import holds paths, each with its data; one secret's data are for kv put --json",
            ));
        };
        if wanted.contains_key(&path) {
            return Err(invalid("is there twice").in_field(path));
        }
        wanted.insert(path, data);
    }
    if wanted.is_empty() {
        return Err(Failure::new(Class::NotFound, "there is nothing to import"));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_get_the_paths_that_they_are_to_have() {
        let check = |secrets: Value, prefix: &str, expected: Option<&[&str]>| {
            let got = placed(secrets.as_object().unwrap().clone(), prefix);
            let paths = got.map(|wanted| wanted.into_keys().collect::<Vec<_>>()).ok();
            assert_eq!(paths, expected.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect()), "{prefix}");
        };
        check(json!({"b/c": {}, "/a": {}}), "", Some(&["a", "b/c"]));
        check(json!({"a": {}}), "/team/x/", Some(&["team/x/a"]));
        check(json!({"": {}}), "app", Some(&["app"]));
        for wrong in
            [json!({}), json!({"a": "x"}), json!({"a//b": {}}), json!({"a/../b": {}}), json!({"a": {}, "/a": {}})]
        {
            check(wrong, "", None);
        }
        let failure = placed(json!({"password": "canary"}).as_object().unwrap().clone(), "").unwrap_err();
        assert!(!failure.to_string().contains("canary"), "a value is told");
    }
}
