//! What is running, in one answer: `GET /v1/overview`. The start page is drawn from the same values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sekisho_policy::snapshot::{
    AuthBackend, Enforcement, HostPort, ListenerTls, Member, Pool, RouteTo, Rule, RuleSpec,
    Snapshot, UpstreamTls,
};
use sekisho_policy::{ObjectRef, Report as ProxyReport};
use sekisho_runtime::health::Report;
use serde::Serialize;

use crate::configs::Published;
use crate::inbox::BySource;
use crate::state::{App, RunningGateway, RunningListener};
use crate::tally::Counted;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    pub(crate) version: &'static str,
    pub(crate) health: Report,
    pub(crate) gateways: Vec<GatewayView>,
    pub(crate) transactions: Counted,
    /// Messages at the built-in relays, by the address that they came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demo: Option<Vec<BySource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_message: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayView {
    pub(crate) name: String,
    pub(crate) generation: u64,
    pub(crate) digest: String,
    pub(crate) backends: Vec<&'static str>,
    pub(crate) upstream: Vec<HostPort>,
    pub(crate) listeners: Vec<ListenerView>,
    /// How many proxies there are; absent where the gateway runs in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxies: Option<ProxiesView>,
    /// In the order in which they are asked.
    pub(crate) rules: Vec<RuleView>,
    pub(crate) routes: Vec<RouteView>,
    pub(crate) pools: Vec<PoolView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProxiesView {
    pub(crate) connected: usize,
    /// Those of them that enforce this snapshot.
    pub(crate) programmed: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerView {
    pub(crate) name: String,
    pub(crate) tls: ListenerTls,
    /// Where it listens; absent while it does not.
    pub(crate) address: Option<String>,
    pub(crate) open_sessions: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleView {
    pub(crate) object: ObjectRef,
    pub(crate) enforcement: Enforcement,
    /// Held in shadow because it refused too many known-good clients.
    pub(crate) tripped: bool,
    pub(crate) says: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouteView {
    pub(crate) class: sekisho_policy::Class,
    pub(crate) to: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolView {
    pub(crate) name: String,
    pub(crate) members: Vec<MemberView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberView {
    pub(crate) name: String,
    pub(crate) leaves_from: String,
    pub(crate) relay: String,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) weight: u32,
}

/// `GET /v1/overview`.
pub(crate) async fn show(State(app): State<App>) -> Json<Overview> {
    Json(draw(&app).await)
}

pub(crate) async fn draw(app: &App) -> Overview {
    let running = app.running.gateways().await;
    Overview {
        version: env!("CARGO_PKG_VERSION"),
        health: app.health.report(),
        gateways: app
            .configs
            .all()
            .iter()
            .map(|published| gateway(published, &running))
            .collect(),
        transactions: app.tally.read(),
        demo: app.inbox.as_ref().map(|inbox| inbox.by_source()),
        first_message: app.first_message.clone(),
    }
}

fn gateway(published: &Published, running: &[RunningGateway]) -> GatewayView {
    let envelope = published.envelope();
    let snapshot = &envelope.snapshot;
    let object = &snapshot.gateway.object;
    let name = format!("{}/{}", object.namespace, object.name);
    let running = running.iter().find(|gateway| gateway.name == name);
    let tripped: BTreeSet<&ObjectRef> = running
        .into_iter()
        .flat_map(|gateway| &gateway.tripped)
        .collect();
    GatewayView {
        generation: envelope.generation,
        digest: envelope.digest.clone(),
        backends: snapshot
            .gateway
            .authentication
            .backends
            .iter()
            .map(backend)
            .collect(),
        upstream: snapshot
            .gateway
            .upstream
            .endpoints
            .iter()
            .map(|endpoint| endpoint.address.clone())
            .collect(),
        listeners: listeners(snapshot, running.map_or(&[], |gateway| &gateway.listeners)),
        proxies: running
            .and_then(|gateway| gateway.proxies.as_ref())
            .map(|proxies| count(proxies, &envelope.digest)),
        rules: snapshot
            .rules
            .iter()
            .map(|r| rule(r, tripped.contains(&r.object)))
            .collect(),
        routes: routes(snapshot),
        pools: snapshot
            .pools
            .iter()
            .map(|(name, p)| pool(name, p))
            .collect(),
        name,
    }
}

fn count(proxies: &BTreeMap<String, Arc<ProxyReport>>, digest: &str) -> ProxiesView {
    let enforces = |report: &&Arc<ProxyReport>| {
        report
            .in_force
            .as_ref()
            .is_some_and(|revision| revision.digest == digest)
    };
    ProxiesView {
        connected: proxies.len(),
        programmed: proxies.values().filter(enforces).count(),
    }
}

fn backend(backend: &AuthBackend) -> &'static str {
    match backend {
        AuthBackend::Upstream => "Upstream",
        AuthBackend::AccountsFile(_) => "AccountsFile",
        AuthBackend::DovecotSasl(_) => "DovecotSasl",
        AuthBackend::Http(_) => "Http",
        AuthBackend::Oidc(_) => "Oidc",
        AuthBackend::ServiceAccount(_) => "ServiceAccount",
    }
}

fn listeners(snapshot: &Snapshot, running: &[RunningListener]) -> Vec<ListenerView> {
    snapshot
        .gateway
        .listeners
        .iter()
        .map(|listener| {
            let runs = running.iter().find(|l| l.name == listener.name);
            ListenerView {
                name: listener.name.clone(),
                tls: listener.tls,
                address: runs.map(|l| l.address.clone()),
                open_sessions: runs.map_or(0, |l| l.open_sessions),
            }
        })
        .collect()
}

fn rule(rule: &Rule, tripped: bool) -> RuleView {
    RuleView {
        object: rule.object.clone(),
        enforcement: rule.enforcement,
        tripped,
        says: says(&rule.spec),
    }
}

/// One line on what a rule is about.
fn says(spec: &RuleSpec) -> String {
    match spec {
        RuleSpec::SubmissionPolicy(policy) => {
            let mut parts = Vec::new();
            parts.extend(
                policy
                    .max_recipients
                    .map(|n| format!("{n} recipients a message")),
            );
            parts.extend(policy.max_size.map(|n| format!("{n} octets a message")));
            parts.extend(
                policy
                    .classify
                    .as_ref()
                    .map(|c| format!("{} content rules", c.rules.len())),
            );
            parts.join(", ")
        }
        RuleSpec::CountryRule(country) => {
            let mut parts: Vec<_> = country
                .limits
                .iter()
                .map(|l| format!("{} {:?} per {}", l.count, l.unit, l.per))
                .collect();
            parts.push(format!("login {:?}", country.login));
            parts.extend(
                country
                    .class_at_least
                    .map(|class| format!("class at least {class:?}")),
            );
            parts.join(", ")
        }
        RuleSpec::RateLimit(limit) => {
            let key: Vec<_> = limit.key.iter().map(|part| format!("{part:?}")).collect();
            let limits: Vec<_> = limit
                .limits
                .iter()
                .map(|l| format!("{} {:?} per {}", l.count, l.unit, l.per))
                .collect();
            let restricts = limit
                .restrict
                .map(|restrict| format!("; over it {:?}", restrict.level));
            let (key, limits) = (key.join(" and "), limits.join(", "));
            format!("by {key}: {limits}{}", restricts.unwrap_or_default())
        }
        RuleSpec::LoginGuard(guard) => {
            let mut parts = Vec::new();
            parts.extend(
                guard
                    .per_account
                    .map(|a| format!("{} wrong passwords per {}", a.distinct_passwords, a.per)),
            );
            parts.extend(guard.per_source.and_then(|s| {
                s.distinct_accounts
                    .map(|n| format!("{n} accounts of one source per {}", s.per))
            }));
            parts.extend(
                guard
                    .per_account_and_source
                    .map(|p| format!("{} failures of a pair per {}", p.failures, p.per)),
            );
            parts.join(", ")
        }
        RuleSpec::AbuseRule(abuse) => {
            let signals: Vec<_> = abuse
                .signals
                .iter()
                .map(|mark| {
                    let (count, signal, per) = (mark.count, mark.signal, mark.per);
                    format!("{count} {signal} per {per}: {} points", mark.points)
                })
                .collect();
            let steps: Vec<_> = abuse
                .ladder
                .iter()
                .map(|step| format!("{:?} at {}", step.level, step.at))
                .collect();
            format!("{}; {}", signals.join(", "), steps.join(", "))
        }
    }
}

fn routes(snapshot: &Snapshot) -> Vec<RouteView> {
    let policy = snapshot.rules.iter().find_map(|rule| match &rule.spec {
        RuleSpec::SubmissionPolicy(policy) => Some(policy),
        _ => None,
    });
    policy
        .into_iter()
        .flat_map(|policy| &policy.route)
        .map(|(class, to)| RouteView {
            class: *class,
            to: match to {
                RouteTo::Pool(pool) => pool.clone(),
                RouteTo::Reject => "refused".to_owned(),
            },
        })
        .collect()
}

fn pool(name: &str, pool: &Pool) -> PoolView {
    PoolView {
        name: name.to_owned(),
        members: pool.members.iter().map(member).collect(),
    }
}

fn member(member: &Member) -> MemberView {
    MemberView {
        name: member.name.clone(),
        leaves_from: member
            .source_address
            .map_or_else(|| "any".to_owned(), |address| address.to_string()),
        relay: member
            .relay
            .as_ref()
            .map_or_else(|| "upstream".to_owned(), |relay| relay.address.to_string()),
        tls: member.relay.as_ref().map(|relay| relay.tls),
        weight: member.weight,
    }
}
