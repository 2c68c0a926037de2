//! Plays a script's steps one after the other.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::settings::{SettingsChange, SettingsChanges};
use sekisho_policy::states::{Absence, Change, Extent, Onto, Release, Rest, States};
use sekisho_policy::{Account, AccountSettings, Millis, Origin, Restriction, Timestamp};
use sekisho_runtime::tls::{Verification, client_config};
use serde_json::Value;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::asns::Asns;
use super::ends::End;
use super::engine::Engines;
use super::hop::Hops;
use super::names::Names;
use super::script::{Act, HopState, Step};
use crate::world::{Objects, UPSTREAM, World};

const PATIENCE: Duration = Duration::from_secs(5);
const STRANGER: &str = "203.0.113.9:40000";

/// Everything that a dialogue has.
#[derive(Debug)]
pub(super) struct Stage {
    objects: Objects,
    accounts: Vec<(String, String)>,
    hops: Hops,
    engines: Engines,
    names: Names,
    asns: Asns,
    world: Option<World>,
    client: Option<End>,
    /// Objects changed after the gateway had started.
    changed: bool,
    /// The client said EHLO or HELO last.
    hello: bool,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            objects: Objects::new(),
            accounts: Vec::new(),
            hops: Hops::default(),
            engines: Engines::default(),
            names: Names::default(),
            asns: Asns::default(),
            world: None,
            client: None,
            changed: false,
            hello: false,
        }
    }
}

impl Stage {
    pub(super) async fn play(&mut self, step: &Step) -> Result<(), String> {
        match &step.act {
            Act::Set { what, name, value } => {
                self.objects.set(what, name, value);
                self.changed = true;
                Ok(())
            }
            Act::Account { name, password } => {
                self.accounts.push((name.clone(), password.clone()));
                Ok(())
            }
            Act::Hop(name) => self.hops.open(name).await,
            Act::Dns { name, kind, value } => {
                self.objects.dns = self.names.address().await?;
                self.names.add(name, kind, value)
            }
            Act::Engine {
                name,
                protocol,
                answer,
            } => self.engines.set(name, protocol, answer).await,
            Act::EngineAsked { name, count } => self.engines.expect_count(name, *count).await,
            Act::EngineTold { name, pattern } => self.engines.expect_told(name, pattern),
            Act::Asn { network, number } => {
                let path = self.asns.add(network, *number)?;
                let database = serde_json::json!({ "asnDatabase": path });
                self.objects.set("gateway", "", &database);
                Ok(())
            }
            Act::Connect { source, tls } => self.connect(source, *tls).await,
            Act::Restrict {
                account,
                level,
                millis,
                recipients,
            } => {
                let world = self.world().await?;
                let since = Timestamp(world.clock.now_ms());
                let restriction = Restriction {
                    level: *level,
                    since,
                    until: Some(since.plus(Millis(*millis))),
                    origin: Origin::Desk,
                    why: "as the file says".into(),
                    decision: None,
                    recipients_per_hour: *recipients,
                    then: None,
                };
                let account = Account::canonical(account, None);
                world.restrictions.impose(&account, restriction);
                Ok(())
            }
            Act::Release(account) => self.release(account).await,
            Act::Settings { account, settings } => self.settle(account, settings).await,
            Act::Tls => self.begin_tls().await,
            Act::Advance(millis) => {
                self.world()
                    .await?
                    .clock
                    .advance(Duration::from_millis(*millis));
                Ok(())
            }
            Act::Drain => {
                self.world().await?.shutdown.begin();
                Ok(())
            }
            Act::Say(octets) => {
                self.hello = octets.get(..5).is_some_and(|verb| {
                    verb.eq_ignore_ascii_case(b"EHLO ") || verb.eq_ignore_ascii_case(b"HELO ")
                });
                self.client().await?.send(octets).await
            }
            Act::Expect(pattern) => {
                let hello = self.hello;
                self.client().await?.expect_reply(pattern, hello).await
            }
            Act::ExpectClosed => self.client().await?.expect_closed().await,
            Act::HangUp => {
                self.client = None;
                Ok(())
            }
            Act::Metric { series, value } => self.expect_metric(series, *value).await,
            Act::Record(part) => self.expect_record(part).await,
            Act::HopAccepts { hop, keywords } => {
                self.world().await?;
                self.hops.accept(hop, keywords).await
            }
            Act::HopGets { hop, pattern } => self.hops.current(hop)?.expect(pattern).await,
            Act::HopSays { hop, octets } => self.hops.current(hop)?.send(octets).await,
            Act::HopState { hop, state } => self.expect_state(hop, *state).await,
        }
    }

    /// What a dialogue leaves behind must be nothing that nobody wrote down.
    pub(super) async fn finish(mut self) -> Result<(), String> {
        self.client = None;
        let Some(world) = self.world.take() else {
            return Err("the dialogue does nothing".into());
        };
        let drained = world.shutdown.drain(Duration::from_secs(2)).await;
        if drained.abandoned > 0 {
            Err(format!("{} tasks did not end", drained.abandoned))
        } else {
            Ok(())
        }
    }

    /// As the store says it, once it has heard of what was imposed.
    async fn release(&mut self, account: &str) -> Result<(), String> {
        let world = self.world().await?;
        let restrictions = world.restrictions.clone();
        let at = Timestamp(world.clock.now_ms());
        let batch = restrictions.next_batch(10);
        let revision = restrictions.question().0 + 1;
        let said = |changes| States {
            revision,
            onto: Onto::Known,
            rest: Rest::Nothing,
            changes,
            store: None,
        };
        restrictions.stored(&batch, &said(Vec::new()));
        restrictions.apply(&said(vec![Change {
            account: Account::canonical(account, None),
            origin: Origin::Desk,
            restriction: None,
            absence: Absence::Release,
            release: Some(Release {
                at,
                revision,
                extent: Extent::Account,
                disowned: None,
            }),
        }]));
        Ok(())
    }

    /// As the control plane says it.
    async fn settle(&mut self, account: &str, settings: &AccountSettings) -> Result<(), String> {
        let known = &self.world().await?.settings;
        let onto = if known.were_heard() {
            Onto::Known
        } else {
            Onto::Nothing
        };
        known.apply(&SettingsChanges {
            revision: known.question().0 + 1,
            onto,
            rest: Rest::Nothing,
            changes: vec![SettingsChange {
                account: Account::canonical(account, None),
                settings: (!settings.is_empty()).then(|| settings.clone()),
            }],
            store: None,
            horizon: 0,
        });
        Ok(())
    }

    async fn world(&mut self) -> Result<&mut World, String> {
        if self.world.is_none() {
            self.hops.open(UPSTREAM).await?;
            let mut places = self.hops.addresses();
            places.extend(self.engines.addresses());
            let started = World::start(&mut self.objects, &places, &self.accounts).await?;
            self.world = Some(started);
            self.changed = false;
        }
        let world = self.world.as_mut().ok_or("no gateway")?;
        if std::mem::take(&mut self.changed) {
            world.apply(&mut self.objects).await?;
        }
        Ok(world)
    }

    async fn client(&mut self) -> Result<&mut End, String> {
        self.world().await?;
        if self.client.is_none() {
            self.connect(STRANGER, false).await?;
        }
        self.client.as_mut().ok_or_else(|| "no client".into())
    }

    async fn connect(&mut self, source: &str, tls: bool) -> Result<(), String> {
        let source = source
            .parse()
            .map_err(|_| format!("{source:?} is no address with a port"))?;
        let gateway = self.world().await?.gateway.clone();
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        tokio::spawn(async move {
            gateway
                .serve("submission", theirs, source, ([192, 0, 2, 1], 587).into())
                .await;
        });
        self.client = Some(End::new(ours));
        if tls { self.begin_tls().await } else { Ok(()) }
    }

    async fn begin_tls(&mut self) -> Result<(), String> {
        let plain = self.client.take().ok_or("no client")?.into_stream();
        let config =
            client_config(Verification::Opportunistic).map_err(|error| error.to_string())?;
        let name = ServerName::try_from("mail.example.jp").map_err(|error| error.to_string())?;
        let shaking = TlsConnector::from(Arc::clone(&config)).connect(name, plain);
        let tls = timeout(PATIENCE, shaking)
            .await
            .map_err(|_| "no handshake in time")?;
        self.client = Some(End::new(tls.map_err(|error| format!("no TLS: {error}"))?));
        Ok(())
    }

    async fn expect_state(&mut self, hop: &str, state: HopState) -> Result<(), String> {
        match state {
            HopState::Closed => self.hops.expect_closed(hop).await,
            HopState::Cut => self.hops.current(hop)?.expect_cut().await,
            HopState::Close => {
                self.hops.current(hop)?.close().await;
                Ok(())
            }
            HopState::Idle if self.hops.is_idle(hop).await? => Ok(()),
            HopState::Idle => Err(format!("{hop} was bothered")),
        }
    }

    /// A counter may be counted a moment after the reply that it counts.
    async fn expect_metric(&mut self, series: &str, value: u64) -> Result<(), String> {
        let metrics = self.world().await?.metrics.clone();
        let (name, wanted) = series.split_once('{').unwrap_or((series, ""));
        let wanted: Vec<&str> = wanted
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty())
            .collect();
        let look = || -> u64 {
            let text = metrics.encode(0);
            let lines = text.lines().filter(|line| {
                line.starts_with(name) && wanted.iter().all(|label| line.contains(label))
            });
            lines
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
                .sum()
        };
        for _ in 0..500 {
            if look() == value {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(format!("{series} is {}", look()))
    }

    async fn expect_record(&mut self, part: &Value) -> Result<(), String> {
        let records = &mut self.world().await?.records;
        let record = timeout(PATIENCE, records.recv())
            .await
            .map_err(|_| "no record came")?
            .ok_or("no ledger")?;
        let record = serde_json::to_value(&record).map_err(|error| error.to_string())?;
        if holds(&record, part) {
            Ok(())
        } else {
            Err(format!("the record is {record:#}"))
        }
    }
}

/// Whether `whole` has everything that `part` has: fields of objects, items of lists in order, patterns for texts.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| holds(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            let mut rest = whole.iter();
            part.iter().all(|part| rest.any(|whole| holds(whole, part)))
        }
        (Value::String(whole), Value::String(part)) => super::pattern::matches(part, whole),
        (whole, part) => whole == part,
    }
}
