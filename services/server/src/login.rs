//! What all ways to log in share: the settings of the tokens that they make, and making one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_token::{Alias, Cidr, NewToken, Ttl};

use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::identity::granted;
use crate::members::Members;
use crate::policies::{DEFAULT, ROOT};
use crate::trouble::of_token;

/// The `token_…` settings of a role or a user. Times are in seconds; 0 stands for no own one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenSettings {
    pub(crate) policies: Vec<String>,
    pub(crate) ttl: u64,
    pub(crate) max_ttl: u64,
    pub(crate) explicit_max_ttl: u64,
    pub(crate) period: u64,
    pub(crate) num_uses: u64,
    pub(crate) no_default_policy: bool,
    pub(crate) bound_cidrs: Vec<Cidr>,
}

/// Who logged in.
pub(crate) struct Login {
    /// The name for people: `approle`, `userpass-ann`.
    pub(crate) display_name: String,
    /// The name by which the method knows who logged in, alike for alike: what the identity is made of.
    pub(crate) alias: String,
    /// What is known of the login.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Where the token may be used from, beside what the settings say.
    pub(crate) bound_cidrs: Vec<Cidr>,
}

impl TokenSettings {
    /// The settings as a request changes them; old names count as well.
    ///
    /// # Errors
    /// 400 for what has another form, and for batch tokens.
    pub(crate) fn changed(self, data: &Members) -> Result<Self, Fault> {
        let seconds = |names: [&str; 2], before: u64| -> Result<u64, Fault> {
            let given = match data.duration(names[0])? {
                Some(time) => Some(time),
                None => data.duration(names[1])?,
            };
            Ok(given.map_or(before, |time| time.as_secs()))
        };
        let texts = |names: [&str; 2]| -> Result<Option<Vec<String>>, Fault> {
            match data.texts(names[0])? {
                Some(texts) => Ok(Some(texts)),
                None => data.texts(names[1]),
            }
        };
        if matches!(data.text("token_type")?.as_deref(), Some("batch" | "default-batch")) {
            return Err(Fault::invalid("batch tokens are not served: token_type has to be service"));
        }
        let uses = data.number("token_num_uses")?.map(|uses| u64::try_from(uses).unwrap_or_default());
        let policies = texts(["token_policies", "policies"])?;
        let cidrs = texts(["token_bound_cidrs", "bound_cidrs"])?.map(|texts| cidrs(&texts)).transpose()?;
        let settings = Self {
            policies: policies.map_or(self.policies, |names| names.iter().map(|name| name.to_lowercase()).collect()),
            ttl: seconds(["token_ttl", "ttl"], self.ttl)?,
            max_ttl: seconds(["token_max_ttl", "max_ttl"], self.max_ttl)?,
            explicit_max_ttl: seconds(["token_explicit_max_ttl", ""], self.explicit_max_ttl)?,
            period: seconds(["token_period", "period"], self.period)?,
            num_uses: uses.unwrap_or(self.num_uses),
            no_default_policy: data.flag("token_no_default_policy")?.unwrap_or(self.no_default_policy),
            bound_cidrs: cidrs.unwrap_or(self.bound_cidrs),
        };
        if settings.max_ttl > 0 && settings.ttl > settings.max_ttl {
            return Err(Fault::invalid("token_ttl is longer than token_max_ttl"));
        }
        if settings.policies.iter().any(|name| name == ROOT) {
            return Err(Fault::invalid("the policy root cannot be given by a login"));
        }
        Ok(settings)
    }

    /// As roles and users show them.
    pub(crate) fn shown(&self) -> Members {
        let shown = json!({
            "token_bound_cidrs": self.bound_cidrs,
            "token_explicit_max_ttl": self.explicit_max_ttl,
            "token_max_ttl": self.max_ttl,
            "token_no_default_policy": self.no_default_policy,
            "token_num_uses": self.num_uses,
            "token_period": self.period,
            "token_policies": self.policies,
            "token_ttl": self.ttl,
            "token_type": "default",
        });
        match shown {
            Value::Object(members) => members.into(),
            _ => Members::default(),
        }
    }

    /// Makes the token of a login.
    ///
    /// # Errors
    /// 403 from an address that is not allowed; the storage's.
    pub(crate) async fn log_in(&self, call: &Call<'_>, login: Login) -> Result<Response, Fault> {
        let address = call.request.peer.ip();
        let is_bound = |ranges: &[Cidr]| !ranges.is_empty() && !ranges.iter().any(|range| range.contains(address));
        if is_bound(&self.bound_cidrs) || is_bound(&login.bound_cidrs) {
            return Err(Fault::bad_token());
        }
        let mut policies = self.policies.clone();
        if !self.no_default_policy {
            policies.push(DEFAULT.to_owned());
        }
        policies.sort();
        policies.dedup();
        let (usual, most) = call.open.lease_times(call.mount);
        let most = if self.max_ttl == 0 { most } else { most.min(self.max_ttl) };
        let asked = Ttl { first: self.ttl, longest: self.explicit_max_ttl, period: self.period };
        let (ttl, _) = Ttl::within(asked, usual.min(most), most);
        // A renewal goes no further than the role's longest time.
        let longest = match (ttl.period, ttl.longest, self.max_ttl) {
            (0, 0, own) => own,
            (_, longest, _) => longest,
        };
        let alias =
            Alias { accessor: call.mount.accessor.clone(), name: login.alias, metadata: login.metadata.clone() };
        let new = NewToken {
            alias: Some(alias),
            policies,
            metadata: login.metadata,
            display_name: login.display_name,
            path: call.request.path.clone(),
            parent: None,
            ttl: Ttl { longest, ..ttl },
            num_uses: self.num_uses,
            is_renewable: true,
            bound_cidrs: if login.bound_cidrs.is_empty() { self.bound_cidrs.clone() } else { login.bound_cidrs },
            is_wrapping: false,
            role: String::new(),
        };
        let created = call.open.tokens.create(new, call.request.now.as_second()).await.map_err(of_token)?;
        Ok(Response { auth: Some(granted(call.open, &created, call.request.now)), ..Response::default() })
    }
}

/// Ranges of addresses.
///
/// # Errors
/// 400 for what is none.
pub(crate) fn cidrs(texts: &[String]) -> Result<Vec<Cidr>, Fault> {
    texts.iter().map(|text| text.parse().map_err(Fault::invalid)).collect()
}
