//! From the stores' answers to one map of values.

use strongroom_api::external_secrets::DeletionPolicy;
use strongroom_failure::{Class, Failure};
use strongroom_secret::{RemoteValue, SecretBytes};
use strongroom_select::{GjsonVersion, decode, select_property_by};

use crate::Values;
use crate::json::members;
use crate::keys::{check_keys, convert_keys};
use crate::render::Render;
use crate::rewrite::rewrite;
use crate::wants::{Naming, Want, What};

/// The answer to one want. A secret that is not there is a failure of the class `NotFound`.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A whole secret: to `Value` and `Extract`, which select from it.
    Whole(Result<RemoteValue, Failure>),
    /// What the property names already, of a store that selects itself: to `Value` and `Extract`.
    Part(Result<SecretBytes, Failure>),
    /// Values by name: to `Find` and `Generator`.
    Many(Result<Values, Failure>),
}

/// One map of values, and what is not in it.
#[derive(Clone, Debug, Default)]
pub struct Assembled {
    /// The values that could be had.
    pub data: Values,
    /// The wants that failed, each in its field.
    pub failed: Vec<Failure>,
    /// The wants for which the stores have nothing, which the deletion policy takes as an answer.
    pub missing: Vec<Missing>,
}

/// A want for which a store has nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The entry's path.
    pub field: String,
    /// The store's key that is not there; none where a search or a generator gave nothing.
    pub key: Option<String>,
}

impl Assembled {
    /// Whether this can be gone on with: all or nothing, unless the ExternalSecret takes what can be had, and there is
    /// something.
    ///
    /// # Errors
    /// The failures.
    pub fn settle(self, is_partial: bool) -> Result<Self, Vec<Failure>> {
        let is_enough = self.failed.is_empty() || (is_partial && !self.data.is_empty());
        if is_enough { Ok(self) } else { Err(self.failed) }
    }

    /// Whether the stores hold nothing at all, which is for the deletion policy. A failure is no such answer.
    pub fn found_nothing(&self) -> bool {
        self.data.is_empty() && self.failed.is_empty()
    }
}

impl Missing {
    /// The words of the event `MissingProviderSecret`.
    pub fn words(&self) -> String {
        let field = &self.field;
        match &self.key {
            Some(key) => format!("secret does not exist at provider using {field} (key={key})"),
            None => format!("secret does not exist at provider using {field}"),
        }
    }
}

/// Makes one map of the `answers` to `wants`, which are in the same order; the later wins. With the deletion policies
/// Delete and Merge a secret that is not there is no failure.
pub fn assemble(wants: &[Want], answers: Vec<Answer>, deletion: DeletionPolicy, render: &dyn Render) -> Assembled {
    let mut assembled = Assembled::default();
    let mut answers = answers.into_iter();
    for want in wants {
        // A want without an answer must not look like a store without a secret.
        let answer = answers.next().unwrap_or_else(|| Answer::Part(Err(no_answer())));
        match values(want, answer, render) {
            Ok(values) => assembled.data.extend(values),
            Err(failure) if failure.class == Class::NotFound && deletion != DeletionPolicy::Retain => {
                let key = want.key().map(str::to_owned);
                assembled.missing.push(Missing { field: want.field.clone(), key });
            }
            Err(failure) => assembled.failed.push(placed(failure, want)),
        }
    }
    assembled
}

fn placed(failure: Failure, want: &Want) -> Failure {
    match (&failure.subject.field, want.key()) {
        (Some(_), _) => failure,
        (None, Some(key)) if failure.subject.key.is_none() => failure.on_key(key).in_field(&want.field),
        (None, _) => failure.in_field(&want.field),
    }
}

/// The values of one want, under the keys that they get.
fn values(want: &Want, answer: Answer, render: &dyn Render) -> Result<Values, Failure> {
    let named = match &want.what {
        What::Value { part, secret_key, .. } => {
            Values::from([(secret_key.clone(), selected(answer, part.property.as_deref())?)])
        }
        What::Extract { part, naming, .. } => {
            named(want, naming, extracted(answer, part.property.as_deref())?, render)?
        }
        What::Find { naming, .. } | What::Generator { naming, .. } => match answer {
            Answer::Many(values) => named(want, naming, values?, render)?,
            Answer::Part(Err(failure)) | Answer::Whole(Err(failure)) => return Err(failure),
            Answer::Whole(Ok(_)) | Answer::Part(Ok(_)) => return Err(wrong_answer()),
        },
    };
    named.into_iter().map(|(key, value)| Ok((key.clone(), decoded(want, &key, value)?))).collect()
}

fn selected(answer: Answer, property: Option<&str>) -> Result<SecretBytes, Failure> {
    let secret = match answer {
        Answer::Whole(secret) => secret?,
        Answer::Part(part) => return part,
        Answer::Many(Err(failure)) => return Err(failure),
        Answer::Many(Ok(_)) => return Err(wrong_answer()),
    };
    let Some(property) = property else { return Ok(secret.value) };
    if let Some(part) = secret.parts.as_ref().and_then(|parts| parts.get(property)) {
        return Ok(part.clone());
    }
    match select_property_by(GjsonVersion::V1_18, &secret.value, property)? {
        Some(part) => Ok(part),
        None => Err(Failure::new(Class::NotFound, format!("the secret has no property {property:?}"))),
    }
}

fn extracted(answer: Answer, property: Option<&str>) -> Result<Values, Failure> {
    match (answer, property) {
        (Answer::Whole(Ok(secret)), None) => match secret.parts {
            Some(parts) => Ok(parts.as_ref().clone()),
            None => members(&secret.value),
        },
        (answer, property) => members(&selected(answer, property)?),
    }
}

fn named(want: &Want, naming: &Naming, values: Values, render: &dyn Render) -> Result<Values, Failure> {
    let values = match naming {
        Naming::Convert(conversion) => convert_keys(*conversion, values)?,
        Naming::Rewrite(steps) => rewrite(steps, values, render, &want.field)?,
        Naming::Keep => values,
    };
    check_keys(values)
}

fn decoded(want: &Want, key: &str, value: SecretBytes) -> Result<SecretBytes, Failure> {
    let on_key = |words: &str| Failure::new(Class::Invalid, format!("{key}: {words}"));
    let value = decode(want.decode, value).map_err(|failure| {
        let words = failure.to_string();
        on_key(&words).with_hint("use decodingStrategy: Auto to take values that are not encoded as they are")
    })?;
    if want.forbids_nul && value.expose().contains(&0) {
        return Err(on_key("the value has NUL bytes, which nullBytePolicy: Fail forbids"));
    }
    Ok(value)
}

fn no_answer() -> Failure {
    Failure::new(Class::Unavailable, "the store gave no answer")
}

fn wrong_answer() -> Failure {
    Failure::new(Class::Invalid, "the store gave another kind of answer than was asked for")
}
