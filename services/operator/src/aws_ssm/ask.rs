//! Reading what one Secret asks for: by the lane of all Secrets of its role, so that they read together.

use std::sync::Arc;
use std::time::Duration;

use strongroom_aws::{AccessKey, Role, Session};
use strongroom_aws_ssm::permission::check_found;
use strongroom_aws_ssm::{Kind, Request, Values, values};
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;
use strongroom_resolve::{Lane, Policy};
use strongroom_secret::{RemoteKey, SecretBytes};
use tokio::time::Instant;

use super::round::{Round, Trouble};
use crate::eso::stores::aws_endpoints;
use crate::names::StoreName;
use crate::openings::Opened;
use crate::parameters;
use crate::reader::Seen;

/// How long the store may take to answer for one Secret, retries and all.
const ASKING_LIMIT: Duration = Duration::from_secs(60);

/// What the sessions are called in which a role is taken.
const SESSION_NAME: &str = "aws-ssm";

impl Round<'_> {
    /// The keys that the answers come to.
    pub(super) async fn ask(&self, lane: &Arc<Lane>, request: &Request) -> Result<Values, Trouble> {
        let deadline = Instant::now() + ASKING_LIMIT;
        if request.kind != Kind::Directory {
            let answer = lane.read(vec![RemoteKey::current(&request.name)], deadline).await.pop();
            let answer = answer.unwrap_or_else(|| Err(Failure::new(Class::Unavailable, "the store gave no answer")));
            return Ok(values::single(request.kind, answer?.value)?);
        }
        let found = parameters::below(lane, &request.name, true, deadline).await?;
        if self.operator.aws_ssm.is_enforced {
            let (policies, namespace) = (self.operator.policies(), self.operator.namespace(&self.name.namespace));
            let check = |name: &str| check_found(&policies, &namespace, &self.name.name, request, name);
            found.iter().try_for_each(|found| check(&found.key.name)).map_err(Trouble::Refused)?;
        }
        let read = parameters::values_of(lane, found, deadline).await?;
        let read = read.into_iter().map(|(name, value)| (name, value.value)).collect();
        Ok(values::directory(&request.name, read)?)
    }

    /// What the lane of a role is called.
    pub(super) fn store(&self, request: &Request) -> StoreName {
        // No store of the cluster has a blank in its name.
        let name = format!("aws-ssm {} {}", self.operator.aws_ssm.region, request.role.as_deref().unwrap_or_default());
        StoreName { namespace: None, name: name.into() }
    }

    /// The lane of all Secrets that read as the same role.
    pub(super) async fn lane(&self, name: &StoreName, request: &Request) -> Result<Arc<Lane>, Failure> {
        let open = || async {
            let provider = self.open(request).map_err(|failure| (failure, Seen::default()))?;
            Ok(Opened { provider, policy: Policy::default(), seen: Seen::default(), depends_on_asker: false })
        };
        self.operator.openings.lane(name, "", ("", 0), |_| None, open).await
    }

    fn open(&self, request: &Request) -> Result<Arc<dyn Provider>, Failure> {
        let taken =
            |arn: &String| Role { arn: arn.clone(), session_name: Some(SESSION_NAME.to_owned()), ..Role::default() };
        let variable = |name: &str| self.operator.variables.get(name).cloned().filter(|value| !value.is_empty());
        let settings = strongroom_aws::Settings {
            access_key: access_key(&variable),
            region: Some(self.operator.aws_ssm.region.clone()),
            roles: request.role.iter().map(taken).collect(),
            endpoints: aws_endpoints(&variable),
            ..strongroom_aws::Settings::default()
        };
        let session = Session::new(settings, Arc::clone(&self.operator.meter))?;
        Ok(Arc::new(session.parameter_store(None)))
    }
}

/// Under the names that aws-ssm's chart has for it; all others are found where every store finds them, and go before.
fn access_key(variable: &impl Fn(&str) -> Option<String>) -> Option<AccessKey> {
    if variable("AWS_ACCESS_KEY_ID").is_some() {
        return None;
    }
    let secret = SecretBytes::from(variable("AWS_SECRET_KEY")?);
    Some(AccessKey { id: variable("AWS_ACCESS_KEY")?, secret, session_token: None })
}
