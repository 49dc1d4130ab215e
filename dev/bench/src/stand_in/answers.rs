//! What AWS would say: the reads that are measured, in the form of its JSON protocol, and STS in XML.

use serde_json::{Value, json};

use super::{Conduct, REGION};

/// How every value begins; the probe counts them.
const DELIVERED: &str = "delivered:";

/// The most parameters of one page (AWS's own limit and default).
const PAGE: usize = 10;

/// The account that owns everything.
const ACCOUNT: &str = "111122223333";

/// An HTTP answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// AWS's name of the operation that a request is for: from its `X-Amz-Target` header, else from its form.
pub(super) fn operation<'a>(target: &'a str, body: &'a str) -> &'a str {
    match target.split_once('.') {
        Some((_, operation)) => operation,
        None => body.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap_or(target),
    }
}

/// Answers one request.
pub(super) fn answer(operation: &str, body: &str, conduct: Conduct) -> Answer {
    let asked: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |field: &str| asked[field].as_str().unwrap_or_default();
    let texts = |field: &str| asked[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    match operation {
        "BatchGetSecretValue" if conduct.deny_batch => {
            error("AccessDeniedException", "not authorized to perform: secretsmanager:BatchGetSecretValue")
        }
        "BatchGetSecretValue" => {
            let values: Vec<Value> = texts("SecretIdList").map(|id| secret(id, conduct.rotation)).collect();
            found(json!({"SecretValues": values, "Errors": []}))
        }
        "GetSecretValue" => found(secret(text("SecretId"), conduct.rotation)),
        "GetParameters" => {
            let parameters: Vec<Value> = texts("Names").map(parameter).collect();
            found(json!({"Parameters": parameters, "InvalidParameters": []}))
        }
        "GetParameter" if text("Name").ends_with("__chamber.service.metadata") => {
            error("ParameterNotFound", "there is none")
        }
        "GetParameter" => found(json!({"Parameter": parameter(text("Name"))})),
        "GetParametersByPath" => found(page(text("Path"), text("NextToken"))),
        "GetCallerIdentity" => Answer { status: 200, content_type: "text/xml", body: caller() },
        _ => error("UnknownOperationException", "the stand-in does not know this operation"),
    }
}

fn secret(id: &str, rotation: u32) -> Value {
    let name = id.rsplit(":secret:").next().unwrap_or(id);
    // AWS ends an ARN with a dash and six characters that are not part of the name.
    let (name, _) = name.rsplit_once('-').unwrap_or((name, ""));
    let value = if rotation == 0 { format!("{DELIVERED}{name}") } else { format!("{DELIVERED}{name}.{rotation}") };
    json!({
        "ARN": id, "Name": name, "SecretString": value, "CreatedDate": 1_700_000_000.0,
        "VersionId": "5f0c7cf7-0d7e-4b1c-9d9c-0f6d6f1f6c11", "VersionStages": ["AWSCURRENT"],
    })
}

fn parameter(name: &str) -> Value {
    json!({
        "Name": name, "Type": "SecureString", "Value": format!("{DELIVERED}{name}"), "Version": 1,
        "LastModifiedDate": 1_700_000_000.0, "DataType": "text",
        "ARN": format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{}", name.trim_start_matches('/')),
    })
}

/// One page of the folder `/NAME-COUNT/`, which holds COUNT parameters.
fn page(path: &str, token: &str) -> Value {
    let folder = path.trim_end_matches('/');
    let count = folder.rsplit('-').next().and_then(|count| count.parse().ok()).unwrap_or(0_usize);
    let start = token.parse().unwrap_or(0_usize).min(count);
    let end = count.min(start + PAGE);
    let parameters: Vec<Value> = (start..end).map(|number| parameter(&format!("{folder}/value-{number}"))).collect();
    match end < count {
        true => json!({"Parameters": parameters, "NextToken": end.to_string()}),
        false => json!({"Parameters": parameters}),
    }
}

fn caller() -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ACCOUNT}:user/bench</Arn><UserId>AIDABENCH</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>bench</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    )
}

fn found(body: Value) -> Answer {
    Answer { status: 200, content_type: "application/x-amz-json-1.1", body: body.to_string() }
}

fn error(code: &str, message: &str) -> Answer {
    let body = json!({"__type": code, "message": message, "Message": message}).to_string();
    Answer { status: 400, content_type: "application/x-amz-json-1.1", body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_header_or_form() {
        let check = |target, body, expected| assert_eq!(operation(target, body), expected);
        check("secretsmanager.BatchGetSecretValue", "{}", "BatchGetSecretValue");
        check("AmazonSSM.GetParameters", "{}", "GetParameters");
        check("", "Action=GetCallerIdentity&Version=2011-06-15", "GetCallerIdentity");
        check("", "", "");
    }

    #[test]
    fn a_folder_is_answered_in_pages_of_ten() {
        let check = |path: &str, token: &str, count: usize, next: Value| {
            let page = page(path, token);
            assert_eq!(page["Parameters"].as_array().unwrap().len(), count, "{path} {token}");
            assert_eq!(page["NextToken"], next, "{path} {token}");
        };
        check("/bench-25/", "", 10, json!("10"));
        check("/bench-25/", "20", 5, Value::Null);
        check("/bench-10", "", 10, Value::Null);
        check("/bench/", "", 0, Value::Null);
    }

    #[test]
    fn a_batch_is_denied_where_it_shall_be() {
        let denied = Conduct { deny_batch: true, ..Conduct::default() };
        let check = |operation, conduct, status| assert_eq!(answer(operation, "{}", conduct).status, status);
        check("BatchGetSecretValue", Conduct::default(), 200);
        check("BatchGetSecretValue", denied, 400);
        check("GetSecretValue", denied, 200);
        check("PutSecretValue", Conduct::default(), 400);
    }

    #[test]
    fn a_secret_keeps_the_arn_that_it_was_asked_by() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:bench/secret-7-AbCdEf";
        let secret = secret(arn, 0);
        assert_eq!((secret["ARN"].as_str(), secret["Name"].as_str()), (Some(arn), Some("bench/secret-7")));
    }
}
