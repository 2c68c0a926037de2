//! A simulated proxy: all that a proxy does with its control plane, and none of what it does with mail. It asks with its own
//! token on its own TLS connection, checks and loads what it gets, and says so.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use hyper::{Method, Request, StatusCode};
use sekisho_policy::report::Revision;
use sekisho_policy::snapshot::{RuleSpec, SCHEMA, Unit};
use sekisho_policy::{Envelope, Report, Ruleset};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::https::{Failure, Line, Server};

const LARGEST: usize = 32 << 20;
/// After a lost connection.
const PAUSE: Duration = Duration::from_millis(250);

/// What a proxy enforces: how many recipients each limit allows, by name.
pub(crate) type Enforced = BTreeMap<String, Since>;

/// A count, and since when it is enforced and acknowledged.
#[derive(Clone, Copy)]
pub(crate) struct Since {
    pub(crate) count: u64,
    pub(crate) enforced: Instant,
    pub(crate) acknowledged: Option<Instant>,
}

pub(crate) struct Proxy {
    pub(crate) server: Server,
    /// `namespace/name`.
    pub(crate) gateway: String,
    pub(crate) token: String,
    pub(crate) enforced: watch::Sender<Enforced>,
}

/// What is in force.
struct Held {
    ruleset: Option<Ruleset>,
    report: Report,
}

impl Proxy {
    pub(crate) async fn run(self) {
        let mut held = Held {
            ruleset: None,
            report: Report {
                version: "bench".to_owned(),
                schema: SCHEMA,
                ..Report::default()
            },
        };
        loop {
            // Its end is no news: connections have an age, and servers restart.
            let _ = self.stay_connected(&mut held).await;
            sleep(PAUSE).await;
        }
    }

    async fn stay_connected(&self, held: &mut Held) -> Result<(), Failure> {
        let mut line = self.server.connect().await?;
        self.acknowledge(&mut line, held).await?;
        loop {
            let mut request = Request::builder()
                .uri(format!("/v1/config?gateway={}", self.gateway))
                .header("sekisho-schema", SCHEMA)
                .header(ACCEPT_ENCODING, "zstd")
                .header("prefer", "wait=50");
            if let Some(revision) = &held.report.in_force {
                request = request.header(IF_NONE_MATCH, format!("\"{}\"", revision.digest));
            }
            let answer = line.ask(request, &self.token, "").await?;
            match answer.status {
                StatusCode::OK => {
                    self.enforce(&answer.body, held)?;
                    let tag = answer.headers.get(ETAG).ok_or("no ETag")?.to_str()?;
                    let digest = &held.report.in_force.as_ref().ok_or("nothing")?.digest;
                    assert_eq!(tag.trim_matches('"'), digest);
                    self.acknowledge(&mut line, held).await?;
                }
                StatusCode::NOT_MODIFIED => {}
                status => return Err(format!("{status}").into()),
            }
        }
    }

    /// Checks the digest and loads the rules, as a proxy does before they are in force.
    fn enforce(&self, body: &[u8], held: &mut Held) -> Result<(), Failure> {
        let envelope = Envelope::read(&zstd::bulk::decompress(body, LARGEST)?)?;
        held.ruleset = Some(Ruleset::load(&envelope)?);
        held.report.in_force = Some(Revision {
            generation: envelope.generation,
            digest: envelope.digest,
        });
        let now = Instant::now();
        self.enforced.send_modify(|enforced| {
            for rule in &envelope.snapshot.rules {
                let RuleSpec::RateLimit(limit) = &rule.spec else {
                    continue;
                };
                let mut limits = limit.limits.iter();
                let Some(count) = limits
                    .find(|limit| limit.unit == Unit::Recipients)
                    .map(|limit| limit.count)
                else {
                    continue;
                };
                let known = enforced.get(&rule.object.name);
                if known.is_none_or(|known| known.count != count) {
                    let since = Since {
                        count,
                        enforced: now,
                        acknowledged: None,
                    };
                    enforced.insert(rule.object.name.clone(), since);
                }
            }
        });
        Ok(())
    }

    async fn acknowledge(&self, line: &mut Line, held: &Held) -> Result<(), Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/v1/ack?gateway={}", self.gateway))
            .header(CONTENT_TYPE, "application/json");
        let report = serde_json::to_vec(&held.report)?;
        let answer = line.ask(request, &self.token, report).await?;
        if answer.status != StatusCode::NO_CONTENT {
            return Err(format!("{}", answer.status).into());
        }
        let now = Instant::now();
        self.enforced.send_modify(|enforced| {
            for since in enforced.values_mut() {
                since.acknowledged.get_or_insert(now);
            }
        });
        Ok(())
    }
}
