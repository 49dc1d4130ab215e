//! `sys/mounts`, `sys/auth` and `sys/remount`.

use serde_json::{Map, Value, json};
use strongroom_policy::acl::Operation;

use super::repeated;
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::mounts::{Mount, MountClass};

/// `sys/mounts[/PATH[/tune]]` and the same of `sys/auth`.
pub(super) async fn mounts(call: &Call<'_>, class: MountClass, rest: &str) -> Result<Response, Fault> {
    let rest = rest.trim_matches('/');
    if rest.is_empty() {
        return match call.operation {
            Operation::Read => Ok(table(call, class)),
            _ => Err(Fault::unsupported()),
        };
    }
    if let Some(path) = rest.strip_suffix("/tune") {
        return tune(call, &full(class, path)).await;
    }
    let path = full(class, rest);
    match call.operation {
        Operation::Read => {
            let mounts = call.open.mounts();
            let mounted = mounts.get(&path).ok_or_else(|| absent(class, &path))?;
            Ok(repeated(object(mounted.mount.shown())))
        }
        Operation::Create | Operation::Update => {
            let mount = asked(class, &path, &call.request.data)?;
            call.open.mount(mount).await?;
            Ok(Response::empty())
        }
        Operation::Delete => {
            call.open.unmount(&path).await?;
            Ok(Response::empty())
        }
        _ => Err(Fault::unsupported()),
    }
}

/// `sys/remount`: moves a mount. It is done when it is answered; clients that ask how far it is are told so.
pub(super) async fn remount(call: &Call<'_>, rest: &str) -> Result<Response, Fault> {
    if let Some(id) = rest.strip_prefix("status/") {
        let (from, to) = call.open.moves.get(id).ok_or_else(Fault::absent)?;
        let info = json!({"source_mount": from, "target_mount": to, "status": "success"});
        return Ok(Response::of(Members::default().with("migration_id", id).with("migration_info", info)));
    }
    let data = &call.request.data;
    let (from, to) = (with_slash(&data.required("from")?), with_slash(&data.required("to")?));
    call.open.move_mount(&from, &to).await?;
    let id = crate::identifiers::uuid()?;
    call.open.moves.note(&id, from, to);
    Ok(Response::of(Members::default().with("migration_id", id)))
}

fn table(call: &Call<'_>, class: MountClass) -> Response {
    let mounts = call.open.mounts();
    let prefix = if class == MountClass::Auth { "auth/" } else { "" };
    let shown = mounts.of(class).map(|mounted| {
        let path = mounted.mount.path.strip_prefix(prefix).unwrap_or(&mounted.mount.path);
        (path.to_owned(), mounted.mount.shown())
    });
    repeated(shown.collect())
}

async fn tune(call: &Call<'_>, path: &str) -> Result<Response, Fault> {
    let mounts = call.open.mounts();
    let mounted = mounts.get(path).ok_or_else(|| Fault::invalid(format!("no mount at {path}")))?;
    match call.operation {
        Operation::Read => Ok(repeated(mounted.mount.tuned())),
        Operation::Create | Operation::Update => {
            let mut mount = Mount::clone(&mounted.mount);
            mount.tune(&call.request.data)?;
            if let Some(version) = options(&call.request.data)?.get("version") {
                upgrade(&mut mount, version)?;
            }
            call.open.change_mount(mount).await?;
            Ok(Response::empty())
        }
        _ => Err(Fault::unsupported()),
    }
}

/// Records of versions cannot become records without, and the other way round is a copy that people make with a client.
fn upgrade(mount: &mut Mount, version: &Value) -> Result<(), Fault> {
    let wanted = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
    let current = mount.options.get("version").map_or("1", String::as_str);
    if wanted == current {
        return Ok(());
    }
    let words = format!("a kv mount of version {current} does not become one of version {wanted}");
    Err(Fault::invalid(format!("{words}; mount another one and copy: strongroom kv copy")))
}

/// The mount that a request describes.
fn asked(class: MountClass, path: &str, data: &Members) -> Result<Mount, Fault> {
    let kind = data.required("type").map_err(|_| Fault::invalid("backend type must be specified as a string"))?;
    let mut mount = Mount::new(class, path, &kind, crate::identifiers::uuid()?);
    if let Some(Value::Object(config)) = data.get("config") {
        mount.tune(&Members::from(config.clone()))?;
    }
    if let Some(description) = data.text("description")? {
        mount.description = description;
    }
    for (name, value) in options(data)? {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        mount.options.insert(name, text);
    }
    // `kv-v2` is how people name a kv mount of version 2.
    if let Some(version) = mount.kind.strip_prefix("kv-v").map(str::to_owned) {
        mount.kind = "kv".to_owned();
        mount.options.insert("version".to_owned(), version);
    }
    if mount.kind == "kv" && class == MountClass::Secret {
        mount.options.entry("version".to_owned()).or_insert_with(|| "1".to_owned());
    }
    Ok(mount)
}

fn options(data: &Members) -> Result<Map<String, Value>, Fault> {
    match data.get("options") {
        None => Ok(Map::new()),
        Some(Value::Object(options)) => Ok(options.clone()),
        Some(_) => Err(Fault::invalid("options have to be an object")),
    }
}

fn full(class: MountClass, path: &str) -> String {
    match class {
        MountClass::Secret => with_slash(path),
        MountClass::Auth => format!("auth/{}", with_slash(path)),
    }
}

fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

fn object(value: Value) -> Members {
    match value {
        Value::Object(members) => members.into(),
        _ => Members::default(),
    }
}

fn absent(class: MountClass, path: &str) -> Fault {
    match class {
        MountClass::Secret => Fault::invalid(format!("No secret engine mount at {path}")),
        MountClass::Auth => Fault::invalid(format!("No auth engine at {}", path.trim_start_matches("auth/"))),
    }
}
