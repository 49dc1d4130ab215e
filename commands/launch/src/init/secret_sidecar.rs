//! `aws-secrets-manager-secret-sidecar`: the init container of AWS' secret sidecar injector. It writes secrets of AWS
//! Secrets Manager to files and ends; `core/inject` has the contract with the webhook that starts it.
//!
//! - `SECRET_ARNS` is a list `ARN:/PATH` with commas between: each path lies below the folder.
//! - Without it `SECRET_ARN` is one ARN, and `SECRET_FILENAME` its file below the folder, `secret` where it names none.
//! - `STRONGROOM_SECRET_FOLDER` is the folder, `/tmp` where it is not set.
//!
//! Whoever writes a pod or a task of Amazon ECS by hand sets these variables too, so everything is checked here. Read is
//! each secret's current version, as the pod, in the region of its ARN. Unless all of them can be had, none is written,
//! and what an earlier run wrote stays. One variable holds 128 KiB at most, which bounds how many there are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use strongroom_deliver_files::Target;
use strongroom_failure::{Class, Failure};
use strongroom_process::{Resolving, SetupError};
use strongroom_read::{Ambient, Audience, report};
use strongroom_reference::{ProviderKind, Reference};

use crate::delivery::Delivery;
use crate::dry_run;
use crate::init::arguments::InitArguments;

/// Where the injector mounts its volume.
const FOLDER: &str = "/tmp";

const FOLDER_VARIABLE: &str = "STRONGROOM_SECRET_FOLDER";

/// The file of a secret for which none is named.
const DEFAULT_NAME: &str = "secret";

/// What the injector's files had under the usual umask. The application runs as any user, and the files have been for
/// the pod's own volume from the start: who may mount it may read them.
const MODE: u32 = 0o644;

/// An ARN of a secret has so many colons, none of them in its name.
const COLONS_OF_ARN: usize = 6;

/// The injector's own words, by which people search its logs.
const NOT_AN_ARN: &str = "Not a valid ARN";
const UNRESOLVED: &str = "failed to resolve secrets";

/// What could not be done, and why.
type Trouble = (&'static str, Vec<Failure>);

/// Writes the files that the variables ask for; `words` follow the program's name.
pub(super) fn run(arguments: &InitArguments, words: &[OsString], ambient: Ambient) -> ExitCode {
    arguments.read.install_logs();
    match write(arguments, words, ambient) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, failures)) => {
            report(Audience::Logs, what, &failures);
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &InitArguments, words: &[OsString], ambient: Ambient) -> Result<(), Trouble> {
    let cannot_start = |error: SetupError| ("failed to run", vec![invalid(error.to_string())]);
    if !words.is_empty() {
        let failure = invalid("takes flags, and these before its name; no other word");
        return Err(("failed to run", vec![failure]));
    }
    // Before any secret is in memory. Lives until the program ends.
    let mut resolving = Resolving::begin().map_err(cannot_start)?;
    resolving.end_on_signals().map_err(cannot_start)?;
    let folder = folder(&ambient)?;
    let wanted = wanted(&ambient)?.into_iter().map(|(path, reference)| {
        let path = folder.join(path);
        (Target { path, mode: MODE, owner: None }, reference)
    });
    let wanted = wanted.collect();
    let delivery = Delivery::of_files(&arguments.deliver, folder, wanted);
    let reader = arguments.read.reader(ambient, None);
    let reader = reader.map_err(|failure| ("failed to initialize secrets provider", vec![failure]))?;
    let unresolved = |failures: Vec<Failure>| (UNRESOLVED, failures);
    if arguments.deliver.dry_run {
        return dry_run::print(&delivery, &reader).map_err(unresolved);
    }
    delivery.deliver(Some(&reader)).map(drop).map_err(unresolved)
}

fn folder(ambient: &Ambient) -> Result<PathBuf, Trouble> {
    let Some(folder) = ambient.get(FOLDER_VARIABLE) else { return Ok(PathBuf::from(FOLDER)) };
    let folder = PathBuf::from(folder);
    let relative = || (UNRESOLVED, vec![invalid("this is no absolute path").in_field(FOLDER_VARIABLE)]);
    folder.is_absolute().then_some(folder).ok_or_else(relative)
}

/// The files that the variables ask for, by their paths in the folder.
fn wanted(ambient: &Ambient) -> Result<Vec<(PathBuf, Reference)>, Trouble> {
    if let Some(list) = ambient.get("SECRET_ARNS") {
        return several(&list);
    }
    let arn = ambient.get("SECRET_ARN").unwrap_or_default();
    let reference = secret(&arn).ok_or_else(|| not_an_arn("SECRET_ARN"))?;
    let name = ambient.get("SECRET_FILENAME").unwrap_or_default();
    let mut path = path_of(name.trim_matches('/')).ok_or_else(|| bad_path("SECRET_FILENAME"))?;
    if name.is_empty() || name.ends_with('/') {
        path.push(DEFAULT_NAME);
    }
    Ok(vec![(path, reference)])
}

/// `ARN:/PATH,…`: no path may be another's, nor lie inside of one.
fn several(list: &str) -> Result<Vec<(PathBuf, Reference)>, Trouble> {
    let entry = |(place, entry): (usize, &str)| {
        let field = format!("SECRET_ARNS[{place}]");
        let (arn, path) = match entry.match_indices(':').nth(COLONS_OF_ARN) {
            Some((at, _)) => (&entry[..at], &entry[at + 1..]),
            None => (entry, ""),
        };
        // Fields behind the name, as Amazon ECS has them elsewhere, are no path.
        let is_path = path.is_empty() || path.starts_with('/');
        let reference = secret(arn).filter(|_| is_path).ok_or_else(|| not_an_arn(&field))?;
        let path = path.strip_prefix('/').filter(|path| !path.is_empty()).and_then(path_of);
        Ok((path.ok_or_else(|| bad_path(&field))?, reference))
    };
    let wanted: Vec<(PathBuf, Reference)> = list.split(',').enumerate().map(entry).collect::<Result<_, _>>()?;
    // By their parts, so that what lies in a folder comes right behind it.
    let mut paths: Vec<&Path> = wanted.iter().map(|(path, _)| path.as_path()).collect();
    paths.sort_unstable();
    match paths.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
        Some(pair) => {
            let words = format!("two secrets are wanted at /{}", pair[1].display());
            let failure =
                invalid(words).in_field("SECRET_ARNS").with_hint("give each secret a path of its own: ARN:/PATH");
            Err((UNRESOLVED, vec![failure]))
        }
        None => Ok(wanted),
    }
}

/// The whole current secret that `arn` names; `None` where it is not the ARN of a secret, or more than that.
fn secret(arn: &str) -> Option<Reference> {
    let reference = strongroom_reference::parse(arn).ok()?;
    (reference.provider == ProviderKind::AwsSecretsManager && reference.key.name == arn).then_some(reference)
}

/// A path that leads down from wherever it is put, and nowhere else.
fn path_of(text: &str) -> Option<PathBuf> {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_path = text.is_empty() || text.split('/').all(is_part);
    (is_path && !text.contains(char::is_control)).then(|| PathBuf::from(text))
}

/// The text is not repeated: somebody may have put the secret itself there.
fn not_an_arn(field: &str) -> Trouble {
    let failure = invalid("this is not the ARN of a secret of AWS Secrets Manager").in_field(field);
    (NOT_AN_ARN, vec![failure.with_hint("write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME")])
}

fn bad_path(field: &str) -> Trouble {
    let failure = invalid("this is no path of a file in the folder of secrets").in_field(field);
    (UNRESOLVED, vec![failure.with_hint("write /PATH without empty parts, without . and .. and control characters")])
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:database-password-hlRvvF";
    const OTHER: &str = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a/b-2312";

    /// Paths, ARNs and regions that the variables ask for, or what would be said.
    fn asked(variables: &[(&str, &str)]) -> Result<Vec<(String, String, String)>, String> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| OsString::from(format!("{name}={value}"))).collect();
        let shown = |(path, reference): (PathBuf, Reference)| {
            (path.display().to_string(), reference.key.name, reference.region.unwrap_or_default())
        };
        wanted(&Ambient::of(&variables))
            .map(|files| files.into_iter().map(shown).collect())
            .map_err(|(what, failures)| format!("{what}: {}", failures[0]))
    }

    fn file(path: &str, arn: &str, region: &str) -> (String, String, String) {
        (path.to_owned(), arn.to_owned(), region.to_owned())
    }

    #[test]
    fn ai_02_a_file_name_leads_below_the_folder_with_or_without_a_slash() {
        let check = |name: &str, path: Option<&str>| {
            let got = asked(&[("SECRET_ARN", ARN), ("SECRET_FILENAME", name)]);
            match path {
                Some(path) => assert_eq!(got, Ok(vec![file(path, ARN, "us-east-1")]), "{name}"),
                None => assert!(got.unwrap_err().contains("SECRET_FILENAME"), "{name}"),
            }
        };
        check("", Some("secret"));
        check("x", Some("x"));
        check("/foo/bar", Some("foo/bar"));
        check("foo/bar", Some("foo/bar"));
        check("foo/", Some("foo/secret"));
        check("/", Some("secret"));
        check("/a b/{c}:\"d\"", Some("a b/{c}:\"d\""));
        check("..x/y..", Some("..x/y.."));
        for wrong in ["..", "../x", "a/../x", "/..", "a/..", "./x", "a//b", "a\nb", "a\n"] {
            check(wrong, None);
        }
    }

    #[test]
    fn ai_05_only_the_arn_of_a_whole_secret_is_one() {
        for wrong in [
            "",
            "batata",
            "arn:aws:s3:::bucket",
            "arn:aws:ssm:us-east-1:1:parameter/x",
            "arn:aws:secretsmanager:us-east-1:1:secret:",
            "sr://aws-sm/name",
            &format!(" {ARN}"),
            &format!("{ARN}?optional"),
            &format!("{ARN}#key"),
            &format!("{ARN}:key::"),
        ] {
            let words = "Not a valid ARN: SECRET_ARN: this is not the ARN of a secret of AWS Secrets Manager";
            assert_eq!(asked(&[("SECRET_ARN", wrong)]), Err(words.to_owned()), "{wrong}");
            let list = format!("{ARN}:/a,{wrong}:/b");
            assert!(
                asked(&[("SECRET_ARNS", &list)]).unwrap_err().starts_with("Not a valid ARN: SECRET_ARNS["),
                "{list}"
            );
        }
        assert!(asked(&[]).unwrap_err().starts_with("Not a valid ARN: SECRET_ARN: "));
    }

    #[test]
    fn ai_06_a_list_is_arns_with_paths_and_wins_over_one_arn() {
        let list = format!("{ARN}:/var/my-db-pass,{OTHER}:/secrets/a/b-2312,{OTHER}:/var/my-db-pass-2");
        let expected = vec![
            file("var/my-db-pass", ARN, "us-east-1"),
            file("secrets/a/b-2312", OTHER, "cn-north-1"),
            file("var/my-db-pass-2", OTHER, "cn-north-1"),
        ];
        assert_eq!(asked(&[("SECRET_ARNS", &list), ("SECRET_ARN", ARN), ("SECRET_FILENAME", "x")]), Ok(expected));
        for wrong in ["", ":", ":x", ":/", ":/a/", ":/a//b", ":/../b", ":/a/../../b", ":/a/.", ":/a\nb"] {
            let said = asked(&[("SECRET_ARNS", &format!("{OTHER}:/ok,{ARN}{wrong}"))]).unwrap_err();
            assert!(said.contains("SECRET_ARNS[1]"), "{wrong}: {said}");
        }
        assert!(asked(&[("SECRET_ARNS", &format!("{ARN}:/a,"))]).is_err());
    }

    #[test]
    fn ai_06_two_secrets_at_one_path_are_refused() {
        let check = |one: &str, other: &str, is_refused: bool| {
            let got = asked(&[("SECRET_ARNS", &format!("{ARN}:{one},{OTHER}:{other}"))]);
            assert_eq!(got.is_err_and(|said| said.contains("two secrets")), is_refused, "{one} {other}");
        };
        check("/a", "/a", true);
        check("/a", "/a/b", true);
        check("/a/b/c", "/a", true);
        check("/a", "/a-b", false);
        check("/a-b", "/a", false);
        check("/a/b", "/a/c", false);
    }
}
