//! Where the gateway counts, as its snapshot and its Secret say: in this process, or in Redis. Made anew when either changes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use sekisho_counters::redis::{
    ClientIdentity, Leases, Lending, NamingKey, Setup, Standing, Topology,
};
use sekisho_counters::{Counters, Limits};
use sekisho_policy::snapshot::{CounterLeases, CountersKept, RedisCounters, RedisTopology};
use sekisho_runtime::Shutdown;
use sekisho_runtime::health::Component;
use sekisho_runtime::metrics::GatewayMetrics;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::auth::FleetKey;

/// What events are counted by now.
#[derive(Debug)]
pub(crate) struct Tallies(ArcSwap<Counters>);

impl Tallies {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self(ArcSwap::new(counters))
    }

    pub(crate) fn now(&self) -> Arc<Counters> {
        self.0.load_full()
    }
}

/// Sees to it that [`Tallies`] are what they should be.
#[derive(Debug)]
pub(super) struct Counting {
    /// Those of the process, for gateways that count in memory.
    in_process: Arc<Counters>,
    credentials: Arc<dyn Credentials>,
    key: NamingKey,
    component: Component,
    metrics: GatewayMetrics,
    shutdown: Shutdown,
    deadline: Duration,
    in_use: InUse,
    /// `/readyz` says that the Secret cannot be used.
    complained: bool,
    follower: Option<JoinHandle<()>>,
}

/// Which counters are in use.
#[derive(Debug, PartialEq)]
enum InUse {
    InProcess,
    /// With the name of the Secret.
    Redis(String, Box<Setup>),
    /// Redis, and its Secret does not say where: why.
    Nowhere(String),
}

/// What [`Counting`] works with.
pub(super) struct Means {
    pub(super) in_process: Arc<Counters>,
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) component: Component,
    pub(super) metrics: GatewayMetrics,
    pub(super) shutdown: Shutdown,
    /// The longest that an event waits for Redis.
    pub(super) deadline: Duration,
}

impl Counting {
    pub(super) fn new(means: Means, key: &FleetKey) -> Self {
        means.component.ok();
        Self {
            in_process: means.in_process,
            credentials: means.credentials,
            key: NamingKey::new(key.naming_key()),
            component: means.component,
            metrics: means.metrics,
            shutdown: means.shutdown,
            deadline: means.deadline,
            in_use: InUse::InProcess,
            complained: false,
            follower: None,
        }
    }

    /// Counts as `kept` says from now on. A Secret that does not serve leaves in use what it said before.
    pub(super) fn follow(&mut self, kept: &CountersKept, tallies: &Tallies) {
        let CountersKept::Redis(redis) = kept else {
            return self.count_in_process(tallies);
        };
        match self.setup(redis) {
            Ok(setup) => self.count_in(&redis.secret, setup, tallies),
            Err(why) => self.complain(&redis.secret, why, tallies),
        }
    }

    fn count_in_process(&mut self, tallies: &Tallies) {
        if self.in_use != InUse::InProcess {
            self.begin(InUse::InProcess, self.in_process.clone(), tallies);
            self.component.ok();
            self.metrics.counter_parts(0, 0);
        }
    }

    fn count_in(&mut self, secret: &str, setup: Setup, tallies: &Tallies) {
        let wanted = InUse::Redis(secret.to_owned(), Box::new(setup.clone()));
        if self.in_use == wanted {
            if std::mem::take(&mut self.complained) {
                self.attend(&tallies.now());
            }
            return;
        }
        let counters = match Counters::redis(setup, Limits::default()) {
            Ok(counters) => counters,
            Err(defect) => {
                let label = self.credentials.label(secret);
                return self.complain(secret, format!("{label} {defect}"), tallies);
            }
        };
        self.begin(wanted, Arc::new(counters), tallies);
        self.attend(&tallies.now());
        let key = self.key.fingerprint();
        tracing::info!(
            secret,
            key,
            "limits are counted in Redis, together with all proxies that log the same key here"
        );
    }

    /// Has it said how Redis does, from now on.
    fn attend(&mut self, counters: &Arc<Counters>) {
        let Counters::Redis(redis) = &**counters else {
            return;
        };
        let following = report(
            redis.standing(),
            self.component.clone(),
            self.metrics.clone(),
            self.shutdown.clone(),
            Arc::downgrade(counters),
        );
        self.follow_by(Some(self.shutdown.spawn(following)));
    }

    fn follow_by(&mut self, follower: Option<JoinHandle<()>>) {
        if let Some(before) = std::mem::replace(&mut self.follower, follower) {
            before.abort();
        }
    }

    /// The Secret cannot be used.
    fn complain(&mut self, secret: &str, why: String, tallies: &Tallies) {
        let stays = matches!(&self.in_use, InUse::Redis(name, _) if name == secret);
        let wanted = InUse::Nowhere(why.clone());
        if self.in_use == wanted {
            return;
        }
        tracing::error!(why, stays, "counters cannot be shared as the gateway asks");
        self.component.degraded(why.clone());
        self.complained = true;
        if !stays {
            let counters = Arc::new(Counters::absent(&why, Limits::default()));
            self.begin(wanted, counters, tallies);
            self.metrics.counter_parts(0, 1);
        }
    }

    fn begin(&mut self, in_use: InUse, counters: Arc<Counters>, tallies: &Tallies) {
        self.follow_by(None);
        let before = tallies.0.swap(counters);
        if matches!(*before, Counters::Redis(_)) {
            // What this process holds of limits goes back to those who count there from now on.
            self.shutdown.spawn(async move { before.retire().await });
        }
        self.complained = matches!(in_use, InUse::Nowhere(_));
        self.in_use = in_use;
    }

    /// What the Secret says of Redis.
    fn setup(&self, redis: &RedisCounters) -> Result<Setup, String> {
        let label = self.credentials.label(&redis.secret);
        let value = |key: &str| {
            let value = self.credentials.value(&redis.secret, key);
            value.filter(|value| !value.is_empty())
        };
        let text = |key: &str| match value(key) {
            None => Ok(None),
            Some(value) => match std::str::from_utf8(&value) {
                Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
                Err(_) => Err(format!("{label} has a `{key}` that is not UTF-8")),
            },
        };
        let urls = text("url")?.ok_or_else(|| format!("{label} has no `url`"))?;
        let urls = urls.split([' ', ',', '\t', '\r', '\n']);
        let mut setup = Setup::new(
            urls.filter(|url| !url.is_empty()),
            match redis.topology {
                RedisTopology::Single => Topology::Single,
                RedisTopology::Cluster => Topology::Cluster,
            },
            self.key.clone(),
        );
        setup.deadline = self.deadline;
        setup.leases = match redis.leases {
            CounterLeases::Disabled => Leases::Off,
            CounterLeases::Enabled => Leases::On(Lending::default()),
        };
        setup.username = text("username")?.map(|name| name.to_string());
        setup.password = text("password")?.map(|password| password.as_str().into());
        setup.authorities = value("ca.crt").map(|pem| pem.to_vec());
        setup.identity = match (value("tls.crt"), value("tls.key")) {
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate: certificate.to_vec(),
                key,
            }),
            (None, None) => None,
            _ => {
                return Err(format!(
                    "{label} has one of `tls.crt` and `tls.key` without the other"
                ));
            }
        };
        Ok(setup)
    }
}

/// Says of Redis what it does, until these counters are no longer used. When the proxy drains, what it holds of limits goes back.
async fn report(
    mut standing: watch::Receiver<Standing>,
    component: Component,
    metrics: GatewayMetrics,
    shutdown: Shutdown,
    counters: Weak<Counters>,
) {
    loop {
        let now = standing.borrow_and_update().clone();
        metrics.counter_parts(now.parts - now.open, now.open);
        match &now.why {
            None => component.ok(),
            Some(why) => component.degraded(format!(
                "Redis: {} of {} parts do not answer: {why}",
                now.open, now.parts
            )),
        }
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = shutdown.draining() => break,
        }
    }
    if let Some(counters) = counters.upgrade() {
        counters.retire().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use sekisho_runtime::{Health, Metrics};

    use super::*;

    #[derive(Debug, Default)]
    struct Folder(Mutex<BTreeMap<String, &'static [u8]>>);

    impl Credentials for Folder {
        fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
            let held = self.0.lock().unwrap();
            let value = held.get(&format!("{secret}_{key}"))?;
            Some(Zeroizing::new(value.to_vec()))
        }

        fn label(&self, secret: &str) -> String {
            format!("Secret mail/{secret}")
        }
    }

    fn redis(secret: &str) -> CountersKept {
        CountersKept::Redis(RedisCounters {
            secret: secret.to_owned(),
            topology: RedisTopology::Single,
            leases: CounterLeases::Disabled,
        })
    }

    #[tokio::test]
    async fn what_is_in_use_is_what_last_could_be_used() {
        let (folder, health) = (Arc::<Folder>::default(), Health::default());
        let in_process = Arc::new(Counters::memory(Limits::default()));
        let means = Means {
            in_process: in_process.clone(),
            credentials: folder.clone(),
            component: health.component("counters"),
            metrics: Metrics::new().gateway("mail/outbound"),
            shutdown: Shutdown::new(),
            deadline: Duration::from_millis(250),
        };
        let tallies = Tallies::new(in_process.clone());
        let mut counting = Counting::new(means, &FleetKey::new([7; 32]));
        let put = |key: &str, value: &'static [u8]| {
            folder.0.lock().unwrap().insert(key.to_owned(), value);
        };
        let said = |health: &Health| health.report().components[0].detail.clone();

        counting.follow(&CountersKept::Memory, &tallies);
        assert!(Arc::ptr_eq(&tallies.now(), &in_process));
        counting.follow(&redis("one"), &tallies);
        assert!(matches!(*tallies.now(), Counters::Absent(_)));
        assert_eq!(said(&health), "Secret mail/one has no `url`");

        put("one_url", b"redis://127.0.0.1:9");
        counting.follow(&redis("one"), &tallies);
        let first = tallies.now();
        assert!(matches!(*first, Counters::Redis(_)));
        counting.follow(&redis("one"), &tallies);
        assert!(Arc::ptr_eq(&tallies.now(), &first), "nothing changed");

        // A Secret that cannot be used leaves what was in use; one that is good again is followed.
        put("one_tls.crt", b"half of it");
        counting.follow(&redis("one"), &tallies);
        assert!(Arc::ptr_eq(&tallies.now(), &first));
        assert!(
            said(&health).contains("without the other"),
            "{}",
            said(&health)
        );
        folder.0.lock().unwrap().remove("one_tls.crt");
        counting.follow(&redis("one"), &tallies);
        assert!(Arc::ptr_eq(&tallies.now(), &first));
        put("one_password", b"another");
        counting.follow(&redis("one"), &tallies);
        let second = tallies.now();
        assert!(matches!(*second, Counters::Redis(_)) && !Arc::ptr_eq(&second, &first));

        let mut lending = redis("one");
        if let CountersKept::Redis(redis) = &mut lending {
            redis.leases = CounterLeases::Enabled;
        }
        counting.follow(&lending, &tallies);
        let third = tallies.now();
        assert!(
            matches!(&*third, Counters::Redis(redis) if redis.setup().leases == Leases::On(Lending::default()))
        );

        // Another Secret is another Redis: what the last one said does not stand for it.
        counting.follow(&redis("two"), &tallies);
        assert!(matches!(*tallies.now(), Counters::Absent(_)));
        counting.follow(&CountersKept::Memory, &tallies);
        assert!(Arc::ptr_eq(&tallies.now(), &in_process));
        assert_eq!(said(&health), "");
    }
}
