//! What can be mounted, and what every store has mounted from the start.

mod approle;
mod by_role;
mod cubbyhole;
mod jwt;
mod kubernetes;
mod kv1;
mod kv2;
mod token;
mod transit;
mod userpass;

use std::sync::Arc;

use strongroom_barrier::View;

use crate::engine::Engine;
use crate::exchange::Fault;
use crate::mounts::{Mount, MountClass};
use crate::system::System;

pub(crate) use cubbyhole::PLACE as CUBBYHOLE;

/// The engine that a mount asks for, over its records.
///
/// # Errors
/// 400 for a kind that is not served.
pub(crate) fn make(mount: &Mount, view: View) -> Result<Arc<dyn Engine>, Fault> {
    let version = mount.options.get("version").map_or("1", String::as_str);
    Ok(match (mount.class, mount.kind.as_str(), version) {
        (MountClass::Secret, "system", _) => Arc::new(System),
        (MountClass::Secret, "cubbyhole", _) => Arc::new(cubbyhole::Cubbyhole::new(view)),
        (MountClass::Secret, "kv", "1") => Arc::new(kv1::Kv1::new(view)),
        (MountClass::Secret, "kv", "2") => Arc::new(kv2::Kv2::new(view)),
        (MountClass::Secret, "kv", other) => {
            return Err(Fault::invalid(format!("kv mounts have version 1 or 2, and not {other}")));
        }
        (MountClass::Secret, "transit", _) => Arc::new(transit::Transit::new(view)),
        (MountClass::Auth, "token", _) => Arc::new(token::TokenMethod::new(view)),
        (MountClass::Auth, "approle", _) => Arc::new(approle::AppRole::new(view)),
        (MountClass::Auth, "userpass", _) => Arc::new(userpass::UserPass::new(view)),
        (MountClass::Auth, "kubernetes", _) => Arc::new(kubernetes::Kubernetes::new(view)),
        (MountClass::Auth, "jwt" | "oidc", _) => Arc::new(jwt::Jwt::new(view)),
        (MountClass::Secret, kind, _) => {
            return Err(Fault::invalid(format!("plugin not found in the catalog: {kind} (served here: kv, transit)")));
        }
        (MountClass::Auth, kind, _) => {
            return Err(Fault::invalid(format!(
                "plugin not found in the catalog: {kind} (served here: approle, jwt, kubernetes, userpass)"
            )));
        }
    })
}
