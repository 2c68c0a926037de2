//! All next hops of one snapshot, and what they take over from the snapshot before.

use std::collections::HashMap;
use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::route::Route;
use sekisho_policy::snapshot::Snapshot;
use sekisho_runtime::metrics::{GatewayMetrics, MemberState, NO_NAME};
use sekisho_smtp::command::{ClientName, MailCommand};
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

use super::deadlines::Deadlines;
use super::failure::{Failure, Fault};
use super::group::{Freshness, Group, Purpose, Wish};
use super::identity::Caller;
use super::lane::Admission;
use super::load::{Kept, LoadError, Loader};
use super::oauth::Tokens;
use super::transaction::{Opening, Transaction};
use crate::dns::Dns;
use crate::gateway::Credentials;

/// What every connection needs, whatever the snapshot.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Any certificate will do.
    pub(crate) tls_opportunistic: Arc<ClientConfig>,
    /// The certificate must be for the name that is connected to.
    pub(crate) tls_required: Arc<ClientConfig>,
    pub(crate) dns: Dns,
    /// What relays are logged in to with.
    pub(crate) credentials: Arc<dyn Credentials>,
    /// What was fetched to log in with.
    pub(crate) tokens: Tokens,
    pub(crate) metrics: GatewayMetrics,
    /// What is said in EHLO where a member has no name of its own.
    pub(crate) host_name: ClientName,
    pub(crate) deadlines: Deadlines,
}

/// All next hops of one snapshot.
#[derive(Debug)]
pub(crate) struct NextHops {
    environment: Arc<Environment>,
    upstream: Arc<Group>,
    pools: HashMap<Arc<str>, Arc<Group>>,
    kept: Kept,
}

/// Where a message goes, and by what its way is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    /// The route of its class.
    pub(crate) route: Route<'a>,
    /// Random for each message.
    pub(crate) seed: u64,
    /// Who sends it.
    pub(crate) account: Option<&'a Account>,
    /// The domain of its first recipient.
    pub(crate) recipient_domain: Option<&'a str>,
}

impl NextHops {
    /// The next hops of `snapshot`. Connections, health and slots of what stays are taken over from `previous`.
    ///
    /// # Errors
    /// What in the snapshot cannot be used.
    pub(crate) fn load(
        snapshot: &Snapshot,
        environment: Arc<Environment>,
        previous: Option<&Self>,
    ) -> Result<Self, LoadError> {
        let upstream = &snapshot.gateway.upstream;
        let loader = Loader {
            environment: &environment,
            upstream,
        };
        let mut before = previous
            .map(|previous| previous.kept.clone())
            .unwrap_or_default();
        let mut kept = Kept::default();
        let group = loader.upstream(&mut before, &mut kept)?;
        let mut pools = HashMap::new();
        for (name, pool) in &snapshot.pools {
            let name: Arc<str> = name.as_str().into();
            let group = loader.pool(&name, pool, &mut before, &mut kept)?;
            pools.insert(name, Arc::new(group));
        }
        let hops = Self {
            environment,
            upstream: Arc::new(group),
            pools,
            kept,
        };
        hops.settle();
        Ok(hops)
    }

    /// Only now that nothing can fail any more: applies limits, and closes idle connections to targets that are gone.
    fn settle(&self) {
        for group in self.pools.values().chain([&self.upstream]) {
            group.shared.slots.resize(group.limit);
            group.shared.idle.retain(|lane| group.uses(lane));
        }
        self.environment.tokens.retain(|oauth| {
            let mut lanes = self.kept.lanes.keys();
            lanes.any(|key| matches!(&key.admission, Admission::OAuth(ours) if **ours == *oauth))
        });
    }

    /// Opens a connection for a message. Nothing of the message is sent before [`Transaction::recipients`].
    ///
    /// # Errors
    /// No way led on, or the next hop lacks what the message needs.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        destination: &Destination<'_>,
        mail: MailCommand,
        deadline: Instant,
    ) -> Result<Transaction, Failure> {
        let group = match destination.route {
            Route::Upstream => &self.upstream,
            Route::Pool { name, .. } => match self.pools.get(name) {
                Some(group) => group,
                None => return Err(Failure::nowhere(Some(name), Fault::NoSuchPool)),
            },
            Route::Reject => return Err(self.upstream.fail(Fault::NoSuchPool)),
        };
        let wish = Wish {
            seed: destination.seed,
            account: destination.account.cloned(),
            recipient_domain: destination.recipient_domain.map(Into::into),
            identity: caller.identity(),
            own: Arc::clone(caller.own()),
            purpose: Purpose::Message,
        };
        let opened = group
            .open(&self.environment, &wish, Freshness::Any, deadline)
            .await?;
        let opening = Opening {
            environment: Arc::clone(&self.environment),
            group: Arc::clone(group),
            wish,
        };
        Transaction::begin(opening, opened, mail, deadline)
    }

    /// How the members of each pool are now, by the pool's object (`namespace/name`), and the endpoints of the upstream.
    pub(crate) fn members(&self, note: &mut dyn FnMut(&str, MemberState)) {
        let now = Instant::now();
        for group in self.pools.values().chain([&self.upstream]) {
            let name = match &group.pool {
                Some((_, pool)) => format!("{}/{}", pool.object.namespace, pool.object.name),
                None => NO_NAME.to_owned(),
            };
            group.members(&self.environment, now, &mut |state| note(&name, state));
        }
    }

    pub(super) fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        let pools = self.pools.values().map(|group| &**group);
        std::iter::once(self.upstream()).chain(pools)
    }

    pub(super) fn upstream(&self) -> &Group {
        &self.upstream
    }

    pub(super) fn shared_upstream(&self) -> &Arc<Group> {
        &self.upstream
    }
}
