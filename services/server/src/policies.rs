//! Policies by name, as they are kept and as they are asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use strongroom_barrier::{Changes, View};
use strongroom_policy::acl::{Acl, Identity, Policy};
use strongroom_secret::SecretBytes;
use strongroom_storage::Outcome;

use crate::exchange::Fault;
use crate::trouble::of_view;

const FOLDER: &str = "policies/";

/// The policy that every token has unless it says otherwise.
pub(crate) const DEFAULT: &str = "default";

/// The policy that may do everything. It has no text.
pub(crate) const ROOT: &str = "root";

/// The bytes of a policy's text.
const LARGEST: usize = 1 << 20;

/// Lists of rules that are kept ready: as many as there are sets of policies in use, mostly some tens.
const READY: usize = 1024;

/// What a login may do with itself, as Vault grants it.
const DEFAULT_TEXT: &str = r#"# What every token may do with itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}
path "sys/renew" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}
"#;

struct Kept {
    text: Arc<str>,
    policy: Arc<Policy>,
}

/// All policies. They are few and asked with every request, so all are kept ready.
pub(crate) struct Policies {
    view: View,
    known: RwLock<BTreeMap<String, Kept>>,
    /// Rules of sets of policies that hold no template, until any policy changes.
    ready: Mutex<HashMap<Vec<String>, Arc<Acl>>>,
    /// One change at a time, so that what is known is what is kept.
    changing: tokio::sync::Mutex<()>,
}

impl Policies {
    /// Reads all policies; a store that has none gets `default`.
    ///
    /// # Errors
    /// The storage's, or a policy that cannot be understood.
    pub(crate) async fn load(view: View) -> Result<Self, Fault> {
        let policies =
            Self { view, known: RwLock::default(), ready: Mutex::default(), changing: tokio::sync::Mutex::default() };
        for name in policies.view.list(FOLDER).await.map_err(of_view)? {
            let found = policies.view.read_one(&format!("{FOLDER}{name}")).await.map_err(of_view)?;
            let Some(found) = found else { continue };
            let text = found.value.expose_text().unwrap_or_default();
            policies.keep(&name, text)?;
        }
        if policies.text(DEFAULT).is_none() {
            policies.write(DEFAULT, DEFAULT_TEXT).await?;
        }
        Ok(policies)
    }

    /// The names, `root` with them.
    pub(crate) fn names(&self) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = known.keys().cloned().collect();
        names.push(ROOT.to_owned());
        names.sort_unstable();
        names
    }

    /// The text of a policy; `root` has an empty one.
    pub(crate) fn text(&self, name: &str) -> Option<Arc<str>> {
        if name == ROOT {
            return Some(Arc::from(""));
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|kept| Arc::clone(&kept.text))
    }

    /// Writes a policy over the one of its name.
    ///
    /// # Errors
    /// 400 for a name or a text that cannot be; the storage's.
    pub(crate) async fn write(&self, name: &str, text: &str) -> Result<(), Fault> {
        if name == ROOT {
            return Err(Fault::invalid("cannot update \"root\" policy"));
        }
        if name.is_empty() || name.contains('/') || name.len() > 512 {
            return Err(Fault::invalid("a policy's name has 1 to 512 bytes and no slash"));
        }
        if text.len() > LARGEST {
            return Err(Fault::invalid(format!("a policy has at most {LARGEST} bytes")));
        }
        parsed(name, text)?;
        let _one_at_a_time = self.changing.lock().await;
        let changes = Changes {
            puts: vec![(format!("{FOLDER}{name}"), SecretBytes::from(text.to_owned()))],
            ..Changes::default()
        };
        self.commit(&changes).await?;
        self.keep(name, text)
    }

    /// Takes a policy away; tokens that name it keep the name, and it says nothing.
    ///
    /// # Errors
    /// 400 for `root` and `default`; the storage's.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), Fault> {
        if matches!(name, ROOT | DEFAULT) {
            return Err(Fault::invalid(format!("cannot delete \"{name}\" policy")));
        }
        let _one_at_a_time = self.changing.lock().await;
        let changes = Changes { deletes: vec![format!("{FOLDER}{name}")], ..Changes::default() };
        self.commit(&changes).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.forget();
        Ok(())
    }

    /// The rules of these policies for this identity, at this second.
    pub(crate) fn acl(&self, names: &[String], identity: &Identity, now: i64) -> Arc<Acl> {
        if names.iter().any(|name| name == ROOT) {
            return Arc::new(Acl::root());
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let policies: Vec<&Policy> = names.iter().filter_map(|name| Some(&*known.get(name)?.policy)).collect();
        if policies.iter().any(|policy| policy.is_templated()) {
            return Arc::new(Acl::new(policies, identity, now));
        }
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(acl) = ready.get(names).filter(|acl| acl.valid_until().is_none_or(|last| now <= last)) {
            return Arc::clone(acl);
        }
        let acl = Arc::new(Acl::new(policies, identity, now));
        if ready.len() >= READY {
            ready.clear();
        }
        ready.insert(names.to_vec(), Arc::clone(&acl));
        acl
    }

    async fn commit(&self, changes: &Changes) -> Result<(), Fault> {
        match self.view.commit(changes).await.map_err(of_view)? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict => Err(Fault::internal("a commit without conditions met a conflict")),
        }
    }

    fn keep(&self, name: &str, text: &str) -> Result<(), Fault> {
        let kept = Kept { text: text.into(), policy: Arc::new(parsed(name, text)?) };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), kept);
        self.forget();
        Ok(())
    }

    fn forget(&self) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn parsed(name: &str, text: &str) -> Result<Policy, Fault> {
    Policy::parse(name, text).map_err(|failures| {
        let words: Vec<String> = failures.iter().map(ToString::to_string).collect();
        Fault::invalid(format!("failed to parse policy: {}", words.join("; ")))
    })
}
