//! `GET /v1/state`: a proxy asks what changed about accounts of its namespace, and waits for it. `POST /v1/state`: it tells what it
//! imposed, as often as it takes; with what is taken, the messages for channels begin to wait.

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use sekisho_policy::restriction::MAX_PARTS;
use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::{Imposition, Part, States};
use sekisho_policy::{Account, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_store::{AccountStates, Imposed, StoreError};
use serde::Deserialize;
use tokio::sync::watch;

use super::name::{self, is_part};
use super::poll::{Amount, Asked, Followed, poll};
use super::server::read_body;
use super::sources::Fleet;
use super::turns::Use;
use crate::asked::{is_account, no_states, unavailable};
use crate::letters;
use crate::problem::Problem;

/// The most changes of one answer: some 300 KB.
const MOST_CHANGES: u32 = 1_000;
/// The most octets that a proxy tells at once, and the most impositions.
const MOST_OCTETS: usize = 1 << 20;
const MOST_IMPOSITIONS: usize = 500;

pub(super) async fn show(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<States>, Problem> {
    poll(&fleet, asked, &headers, states).await
}

impl Followed for AccountStates {
    type Answer = States;

    fn changes(&self, namespace: &str) -> watch::Receiver<u64> {
        self.changes(namespace)
    }

    async fn since(
        &self,
        namespace: &str,
        revision: u64,
        part: Part,
    ) -> Result<States, StoreError> {
        self.since(namespace, revision, part, MOST_CHANGES).await
    }

    fn amount(answer: &States) -> Amount {
        Amount {
            onto: answer.onto,
            rest: answer.rest,
            changes: answer.changes.len(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    impositions: Vec<Imposition>,
}

pub(super) async fn take(
    State(fleet): State<Fleet>,
    Query(asked): Query<name::Asked>,
    request: Request,
) -> Result<Json<States>, Problem> {
    let gateway = asked.gateway()?;
    let proxy = fleet.admission.proxy(request.headers(), &gateway).await?;
    let states = states(&fleet)?;
    // Before that nobody knows which channels are to hear of it.
    fleet.ready.check()?;
    let namespace = namespace_of(&gateway);
    // Before the body is read: what one proxy may send at once is bounded too.
    let visit = fleet.turns.visit(namespace, &proxy)?;
    let body = read_body(request, MOST_OCTETS).await?;
    let Told { impositions } = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("not a list of impositions: {error}")))?;
    check(&impositions, namespace)?;
    let _turn = visit.turn(Use::Write).await?;
    let now = Timestamp(fleet.clock.now_ms());
    let letters =
        |imposition: &Imposition| letters::letters(&fleet.configs, namespace, imposition, now);
    let taken = states
        .impose(namespace, &impositions, &proxy, now, &letters)
        .await;
    let Imposed { states, posted } = taken.map_err(unavailable)?;
    letters::note(&fleet.metrics, namespace, &posted);
    Ok(Json(states))
}

/// A proxy speaks for the rules of its namespace that restrict accounts, and for nobody else.
fn check(impositions: &[Imposition], namespace: &str) -> Result<(), Problem> {
    if impositions.len() > MOST_IMPOSITIONS {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("this takes {MOST_IMPOSITIONS} impositions at most"),
        ));
    }
    for imposition in impositions {
        match &imposition.restriction.origin {
            Origin::Rule(object) if speaks_for(object, namespace) => {}
            other => {
                let other = other.to_string();
                let other: String = other.escape_debug().take(100).collect();
                return Err(Problem::forbidden(format!(
                    "a proxy in the namespace {namespace} does not speak for {other}"
                )));
            }
        }
        let account = &imposition.account;
        if !is_account(account) || *account != Account::canonical(account.as_str(), None) {
            return Err(Problem::bad_request("that is no name of an account"));
        }
        check_parts(&imposition.restriction)?;
    }
    Ok(())
}

/// Each part of a restriction, as far down as they go.
fn check_parts(restriction: &Restriction) -> Result<(), Problem> {
    if restriction.parts().nth(MAX_PARTS).is_some() {
        return Err(Problem::bad_request(format!(
            "a restriction has {MAX_PARTS} parts at most"
        )));
    }
    for part in restriction.parts() {
        if part.origin != restriction.origin {
            return Err(Problem::bad_request(
                "what goes on after a restriction is of the same rule",
            ));
        }
        if part.recipients_per_hour == Some(0) {
            return Err(Problem::bad_request(
                "a limit is one recipient an hour or more",
            ));
        }
    }
    Ok(())
}

/// Whether that can be a rule of the namespace that restricts accounts. Names are those of Kubernetes: what is none could not be
/// read back from where restrictions are kept.
fn speaks_for(object: &ObjectRef, namespace: &str) -> bool {
    let restricts = matches!(object.kind, Kind::AbuseRule | Kind::RateLimit);
    object.namespace == namespace && restricts && is_part(&object.name)
}

pub(super) fn namespace_of(gateway: &str) -> &str {
    gateway
        .split_once('/')
        .map_or(gateway, |(namespace, _)| namespace)
}

pub(super) fn states(fleet: &Fleet) -> Result<&AccountStates, Problem> {
    fleet.accounts.as_ref().ok_or_else(no_states)
}
