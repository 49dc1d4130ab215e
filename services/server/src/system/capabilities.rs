//! `sys/capabilities`, `-self` and `-accessor`: what a token may do with paths.

use serde_json::json;
use strongroom_policy::acl::Operation;

use super::repeated;
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::open::Asker;

pub(super) async fn asked(call: &Call<'_>, form: &str) -> Result<Response, Fault> {
    if !matches!(call.operation, Operation::Create | Operation::Update) {
        return Err(Fault::unsupported());
    }
    let data = &call.request.data;
    let paths = match data.texts("paths")? {
        Some(paths) => paths,
        None => data.texts("path")?.unwrap_or_default(),
    };
    if paths.is_empty() {
        return Err(Fault::invalid("paths must be supplied"));
    }
    let about: Asker = match form {
        "capabilities-self" => call.asker.cloned().ok_or_else(Fault::bad_token)?,
        "capabilities-accessor" => call.open.asker_of_accessor(&data.required("accessor")?, call.request.now).await?,
        _ => call.open.asker_of_token(data.required("token")?.into(), call.request.now).await?,
    };
    let mut answer = Members::default();
    let mut all = Vec::new();
    for path in &paths {
        let names = about.acl.capability_names(path.trim_start_matches('/'));
        answer.set(path, json!(names));
        all = names;
    }
    // Of several paths the last one's are `capabilities` in Vault as well; clients ask it for one.
    answer.set("capabilities", json!(all));
    Ok(repeated(answer))
}
