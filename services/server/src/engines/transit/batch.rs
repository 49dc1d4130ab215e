//! The items of a request: itself, or those in its `batch_input`.

use serde_json::{Map, Value};
use strongroom_http::StatusCode;
use strongroom_secret::SecretBytes;
use strongroom_transit::decode_base64;

use crate::exchange::{Fault, Response};
use crate::members::Members;

const BATCH: &str = "batch_input";

/// One item: the members that say what is to be done. Their texts are secrets, and are borrowed.
#[derive(Clone, Copy)]
pub(super) struct Item<'a>(&'a Map<String, Value>);

impl<'a> Item<'a> {
    /// Whether a member is there, and is not null.
    pub(super) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text; empty where it is absent.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn text(self, name: &str) -> Result<&'a str, Fault> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Fault::invalid(format!("error converting input for field {name:?}: it has to be a string"))),
        }
    }

    /// The bytes of a text in base64; empty where it is absent. `unread` are the words where it is none.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn bytes(self, name: &str, unread: &str) -> Result<SecretBytes, Fault> {
        decode_base64(self.text(name)?).ok_or_else(|| Fault::invalid(unread))
    }

    /// The version that is to be used: a number, or its text; 0 where there is none.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn version(self) -> Result<i64, Fault> {
        let unfit = || Fault::invalid("error converting input for field \"key_version\": it has to be a whole number");
        match self.0.get("key_version") {
            None | Some(Value::Null) => Ok(0),
            Some(Value::Number(number)) => number.as_i64().ok_or_else(unfit),
            Some(Value::String(text)) if text.is_empty() => Ok(0),
            Some(Value::String(text)) => text.parse().map_err(|_| unfit()),
            Some(_) => Err(unfit()),
        }
    }
}

/// All items of a request.
pub(super) struct Items<'a> {
    items: Vec<Item<'a>>,
    /// Whether they came as a batch, and are answered as one.
    is_batch: bool,
}

/// How a batch is answered in which an item fails.
#[derive(Clone, Copy)]
pub(super) enum Failures {
    /// As any other: the item tells it.
    Told,
    /// With a status of its own, 400 if nobody chose another one.
    Answered,
}

impl<'a> Items<'a> {
    /// The items of a request's data.
    ///
    /// # Errors
    /// 400 for a batch that is empty or no list of objects.
    pub(super) fn of(data: &'a Members) -> Result<Self, Fault> {
        let Some(batch) = data.get(BATCH) else {
            return Ok(Self { items: vec![Item(data.expose())], is_batch: false });
        };
        let unfit = || Fault::invalid("failed to parse batch input: it has to be a list of objects");
        let Value::Array(values) = batch else { return Err(unfit()) };
        if values.is_empty() {
            return Err(Fault::invalid("missing batch input to process"));
        }
        let items = values.iter().map(|value| value.as_object().map(Item).ok_or_else(unfit));
        Ok(Self { items: items.collect::<Result<_, _>>()?, is_batch: true })
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Item<'a>> {
        self.items.iter().copied()
    }

    /// Whether they came as a batch.
    pub(super) fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// Does something with each item, and answers what came of it. In a batch one item's failure spoils only its own
    /// answer, which has `failed` beside the words.
    ///
    /// # Errors
    /// The failure of the one item where there is no batch; a status with the data of all items where `failures` says
    /// so.
    pub(super) fn answer(
        &self,
        data: &Members,
        failures: Failures,
        failed: Option<(&str, Value)>,
        act: impl Fn(Item<'a>) -> Result<Map<String, Value>, Fault>,
    ) -> Result<Response, Fault> {
        if let (false, Some(item)) = (self.is_batch, self.items.first()) {
            return Ok(Response::of(act(*item)?));
        }
        let partial = partial_status(data)?;
        let (mut results, mut count) = (Vec::with_capacity(self.items.len()), 0);
        for item in self.iter() {
            let mut result = act(item).unwrap_or_else(|fault| {
                count += 1;
                let beside = failed.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
                beside.chain([("error".to_owned(), Value::from(fault.errors.join("; ")))]).collect()
            });
            // Whoever asks finds the answer to an item by it.
            result.insert("reference".to_owned(), Value::from(item.text("reference").unwrap_or_default()));
            results.push(Value::Object(result));
        }
        let answered = Members::default().with("batch_results", results);
        let status = match (failures, count) {
            (Failures::Told, _) | (_, 0) => None,
            (Failures::Answered, count) if count < self.items.len() => Some(partial),
            (Failures::Answered, _) => Some(StatusCode::BAD_REQUEST),
        };
        match status {
            Some(status) if !status.is_success() => {
                let words = format!("{count} of {} items of the batch failed", self.items.len());
                Err(Fault::new(status, words).with_data(answered))
            }
            status => Ok(Response { status, ..Response::of(answered) }),
        }
    }
}

/// The status of a batch that failed in part.
fn partial_status(data: &Members) -> Result<StatusCode, Fault> {
    let Some(code) = data.number("partial_failure_response_code")?.filter(|code| *code != 0) else {
        return Ok(StatusCode::BAD_REQUEST);
    };
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    // Others have no body, and the body says what failed.
    let has_body =
        |status: &StatusCode| (200..600).contains(&status.as_u16()) && !matches!(status.as_u16(), 204 | 205 | 300..400);
    status.filter(has_body).ok_or_else(|| {
        Fault::invalid("partial_failure_response_code has to be a status of an answer with a body: 200 or 400, say")
    })
}

/// The members of one answer.
pub(super) fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(value: &Value) -> Members {
        Members::parse(value.to_string().as_bytes()).unwrap()
    }

    fn answer(asked: &Value, failures: Failures) -> Result<Response, Fault> {
        let data = data(asked);
        let act = |item: Item<'_>| match item.text("x")? {
            "bad" => Err(Fault::invalid("no")),
            text => Ok(members([("y", json!(text))])),
        };
        Items::of(&data)?.answer(&data, failures, Some(("y", json!(""))), act)
    }

    #[test]
    fn an_item_that_fails_spoils_its_own_answer_alone() {
        let asked = json!({"batch_input": [{"x": "a", "reference": "r"}, {"x": "bad"}, {"x": 5}]});
        let told = answer(&asked, Failures::Told).unwrap();
        let results = told.data.as_ref().unwrap().expose()["batch_results"].clone();
        assert_eq!(results[0], json!({"y": "a", "reference": "r"}));
        assert_eq!(results[1], json!({"y": "", "error": "no", "reference": ""}));
        assert!(results[2]["error"].as_str().is_some_and(|words| words.contains("string")));
        let fault = answer(&asked, Failures::Answered).unwrap_err();
        assert_eq!(fault.status, StatusCode::BAD_REQUEST);
        assert_eq!(fault.data.unwrap().expose()["batch_results"], results);
    }

    #[test]
    fn whoever_asks_chooses_the_status_of_a_failure_in_part() {
        let check = |items: Value, code: Value, expected: Result<u16, u16>| {
            let asked = json!({"batch_input": items, "partial_failure_response_code": code});
            let status = match answer(&asked, Failures::Answered) {
                Ok(response) => Ok(response.status().as_u16()),
                Err(fault) => Err(fault.status.as_u16()),
            };
            assert_eq!(status, expected, "{asked}");
        };
        let (well, partly, none) = (json!([{"x": "a"}]), json!([{"x": "a"}, {"x": "bad"}]), json!([{"x": "bad"}]));
        check(well, json!(207), Ok(200));
        check(partly.clone(), json!(207), Ok(207));
        check(partly.clone(), json!("200"), Ok(200));
        check(partly.clone(), json!(0), Err(400));
        check(partly.clone(), json!(422), Err(422));
        check(none, json!(207), Err(400));
        for wrong in [json!(99), json!(100), json!(204), json!(304), json!(700), json!(-1), json!("x")] {
            check(partly.clone(), wrong, Err(400));
        }
    }

    #[test]
    fn a_request_without_a_batch_is_its_own_item() {
        assert_eq!(answer(&json!({"x": "a"}), Failures::Answered).unwrap().data.unwrap().expose()["y"], json!("a"));
        assert_eq!(answer(&json!({"x": "bad"}), Failures::Answered).unwrap_err().errors, ["no"]);
        assert!(answer(&json!({"x": "a", "batch_input": null}), Failures::Told).is_ok());
        for wrong in [json!([]), json!("x"), json!({}), json!([5])] {
            assert!(answer(&json!({"batch_input": wrong}), Failures::Told).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_are_taken_as_clients_send_them() {
        let check = |value: Value, expected: Option<i64>| {
            let data = data(&json!({"key_version": value}));
            assert_eq!(Item(data.expose()).version().ok(), expected, "{value}");
        };
        for (value, expected) in [(json!(3), 3), (json!("3"), 3), (json!(""), 0), (json!(null), 0), (json!(-1), -1)] {
            check(value, Some(expected));
        }
        for value in [json!("x"), json!(1.5), json!([1]), json!(true)] {
            check(value, None);
        }
    }
}
