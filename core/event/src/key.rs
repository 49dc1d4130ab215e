//! Keys in all the forms that a store gives them, taken apart.

use strongroom_reference::ProviderKind;

/// How many characters Secrets Manager hangs on a name in its ARN, after a hyphen.
const SUFFIX: usize = 6;

/// A key, taken apart: which secrets it may mean, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// The names that it may mean: two, where nobody can tell whether an ARN ends with the store's suffix.
    pub(crate) names: Vec<String>,
    /// AWS: the region that it names.
    pub(crate) region: Option<String>,
    /// AWS: the account that it names.
    pub(crate) account: Option<String>,
    /// Google: the project that it names, by id or number.
    pub(crate) project: Option<String>,
}

/// Who wrote an ARN: people leave the suffix away, the store never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Store,
    Person,
}

impl Spelled {
    /// `key` as `provider` reads it.
    pub(crate) fn of(provider: ProviderKind, key: &str, author: Author) -> Self {
        match provider {
            ProviderKind::AwsSecretsManager => secrets_manager(key, author),
            ProviderKind::AwsParameterStore => parameter_store(key),
            ProviderKind::GoogleSecretManager => google(key),
            ProviderKind::AzureKeyVault => Self::named(key.strip_prefix("secret/").unwrap_or(key)),
            _ => Self::named(key.trim_matches('/')),
        }
    }

    fn named(name: &str) -> Self {
        Self { names: vec![name.to_owned()], ..Self::default() }
    }
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
struct Arn<'a> {
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        let _partition = parts.next()?;
        let [service, region, account, resource] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        Some(Self { service, region, account, resource })
    }

    fn spelled(&self, names: Vec<String>) -> Spelled {
        let named = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        Spelled { names, region: named(self.region), account: named(self.account), project: None }
    }
}

fn secrets_manager(key: &str, author: Author) -> Spelled {
    let Some(arn) = Arn::parse(key) else { return Spelled::named(key) };
    let name = arn.resource.strip_prefix("secret:").unwrap_or(arn.resource);
    arn.spelled(match (without_suffix(name), author) {
        (Some(short), Author::Store) => vec![short.to_owned()],
        (Some(short), Author::Person) => vec![short.to_owned(), name.to_owned()],
        (None, _) => vec![name.to_owned()],
    })
}

/// A name whose ARN ends as Secrets Manager's do, without that.
fn without_suffix(name: &str) -> Option<&str> {
    let (short, suffix) = name.rsplit_once('-')?;
    let is_suffix = suffix.len() == SUFFIX && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_suffix && !short.is_empty()).then_some(short)
}

/// The ARN of `/a/b` ends with `parameter/a/b` and that of `a` with `parameter/a`: the first slash says nothing. What
/// follows a colon is a version or a label.
fn parameter_store(key: &str) -> Spelled {
    let name = |text: &str| {
        let text = text.strip_prefix('/').unwrap_or(text);
        vec![text.split_once(':').map_or(text, |(name, _)| name).to_owned()]
    };
    match Arn::parse(key) {
        Some(arn) => arn.spelled(name(arn.resource.strip_prefix("parameter").unwrap_or(arn.resource))),
        None => Spelled { names: name(key), ..Spelled::default() },
    }
}

fn google(key: &str) -> Spelled {
    let segments: Vec<&str> = key.split('/').collect();
    let (project, rest) = match segments.as_slice() {
        ["projects", project, "locations", _, "secrets", rest @ ..] | ["projects", project, "secrets", rest @ ..] => {
            (Some((*project).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let name = rest.first().copied().unwrap_or_default().to_owned();
    Spelled { names: vec![name], project, ..Spelled::default() }
}

/// By what a key is looked up before it is known which store reads it: equal for all spellings of one secret, and
/// seldom equal for two. One or two of them.
pub fn stems(key: &str) -> Vec<String> {
    if let Some(arn) = Arn::parse(key) {
        return match arn.service {
            "ssm" => parameter_store(key).names,
            _ => secrets_manager(key, Author::Person).names,
        }
        .iter()
        .map(|name| stem(name))
        .collect();
    }
    if key.starts_with("projects/") {
        return google(key).names;
    }
    vec![stem(key)]
}

/// A name without what only some providers take for a part of it.
fn stem(name: &str) -> String {
    let name = name.strip_prefix("secret/").unwrap_or(name).trim_matches('/');
    let name = name.split_once("/versions/").map_or(name, |(name, _)| name);
    name.split_once(':').map_or(name, |(name, _)| name).to_owned()
}
