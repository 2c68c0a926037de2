//! What accounts may not do now, for people: `GET /v1/accounts/{account}`, `POST` and `DELETE .../restrictions`, and
//! `GET .../history`. Who does it and why is asked for, and kept in the audit trail. A web page elsewhere cannot make a browser
//! send the requests that change something, since JSON and DELETE are asked for permission first.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use sekisho_policy::{Account, Level, Millis, Origin, Restriction, Span, Standing, Timestamp};
use sekisho_store::{HistoryEntry, MOST_HISTORY, Mandate, ReleaseFrom};
use serde::{Deserialize, Serialize};

use crate::asked::{Asked, Whose, bad_json, bad_query, mandate, states, unavailable};
use crate::problem::Problem;
use crate::state::{App, Points, Tallied};

/// The most recipients an hour that are still a limit.
const MOST_RECIPIENTS: u32 = 1_000_000;
/// No restriction with an end lasts longer: ten years.
const LONGEST: Millis = Millis(3650 * Millis::DAY.0);

/// No incident began longer ago: no network is known to be good for so long.
const LONGEST_INCIDENT: Millis = Millis(400 * Millis::DAY.0);

/// What restricts an account.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    namespace: String,
    /// Whether no gateway of the namespace is known: then nobody is restricted by what is kept under its name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_gateway: bool,
    account: Account,
    /// What they come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
    restrictions: Vec<Restriction>,
    /// What speaks against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<Tallied>,
    /// Why that is not all that may be known, where it is not: no points are then no praise.
    #[serde(skip_serializing_if = "Option::is_none")]
    points_unknown: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Shown>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    shown(&app, whose).await.map(Json)
}

/// Whether no gateway of the namespace is known here.
fn is_nobodys(app: &App, namespace: &str) -> bool {
    app.configs.of_namespace(namespace).is_empty()
}

async fn shown(app: &App, whose: Whose) -> Result<Shown, Problem> {
    let now = Timestamp(app.clock.now_ms());
    let Whose { namespace, account } = whose;
    let found = states(app)?.restrictions(&namespace, &account, now).await;
    let restrictions = found.map_err(unavailable)?;
    // That they cannot be said hides no restriction.
    let Points { known, unknown } = app.running.scores(&namespace, &account).await;
    Ok(Shown {
        no_gateway: is_nobodys(app, &namespace),
        points: known,
        points_unknown: unknown,
        namespace,
        account,
        standing: Standing::of(&restrictions, now),
        restrictions,
    })
}

/// What somebody wants an account to be restricted to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wanted {
    level: Level,
    /// How long, in milliseconds; until it is released if absent.
    #[serde(rename = "for")]
    lasts: Option<Millis>,
    recipients_per_hour: Option<u32>,
    who: String,
    why: String,
}

pub(crate) async fn restrict(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Shown>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let Json(wanted) = wanted.map_err(bad_json)?;
    let mandate = mandate(&app, &wanted.who, &wanted.why)?;
    let restriction = wanted.restriction(&mandate)?;
    let states = states(&app)?;
    let restricted = states.restrict(&whose.namespace, &whose.account, &restriction, &mandate);
    restricted.await.map_err(unavailable)?;
    tracing::info!(
        account = %whose.account, namespace = whose.namespace, level = %restriction.level, who = mandate.who,
        "an account was restricted"
    );
    shown(&app, whose).await.map(Json)
}

impl Wanted {
    fn restriction(&self, mandate: &Mandate) -> Result<Restriction, Problem> {
        let bad = |why: &str| Err(Problem::bad_request(why));
        if self
            .lasts
            .is_some_and(|lasts| lasts.0 == 0 || lasts > LONGEST)
        {
            return bad(
                "`for` is how long it lasts, in milliseconds, ten years at most; leave it out for a restriction that is released by hand",
            );
        }
        match self.recipients_per_hour {
            Some(_) if self.level != Level::Limit => {
                return bad("recipientsPerHour goes with the level Limit alone");
            }
            Some(count) if !(1..=MOST_RECIPIENTS).contains(&count) => {
                return bad("recipientsPerHour is 1 to 1000000");
            }
            _ => {}
        }
        Ok(Restriction {
            level: self.level,
            since: mandate.at,
            until: self.lasts.map(|lasts| mandate.at.plus(lasts)),
            origin: Origin::Desk,
            why: mandate.why.as_str().into(),
            decision: None,
            recipients_per_hour: self.recipients_per_hour,
            then: None,
        })
    }
}

/// What is to be released, by whom and why.
#[derive(Debug, Deserialize)]
pub(crate) struct Release {
    namespace: Option<String>,
    /// `Desk` or a rule as `Kind/namespace/name`; all if absent.
    origin: Option<String>,
    /// How long ago somebody else began to use the account, in milliseconds.
    since: Option<Millis>,
    who: Option<String>,
    why: Option<String>,
}

/// What was released. It may be nothing: what a proxy imposed before and tells later is released all the same, and locks of logins end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Released {
    /// Whether no gateway of the namespace is known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_gateway: bool,
    released: Vec<Restriction>,
    /// Of when no network is known to be good.
    #[serde(skip_serializing_if = "Option::is_none")]
    disowned: Option<Span>,
}

pub(crate) async fn release(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Release>, QueryRejection>,
) -> Result<Json<Released>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let origin = asked.origin.map(|origin| origin.parse::<Origin>());
    let origin = origin
        .transpose()
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    let from = released_from(origin.as_ref(), asked.since)?;
    let (who, why) = (asked.who.unwrap_or_default(), asked.why.unwrap_or_default());
    let mandate = mandate(&app, &who, &why)?;
    let states = states(&app)?;
    let releasing = states.release(&whose.namespace, &whose.account, from, &mandate);
    let released = releasing.await.map_err(unavailable)?;
    tracing::info!(
        account = %whose.account, namespace = whose.namespace, count = released.restrictions.len(), who = mandate.who,
        "an account was released"
    );
    Ok(Json(Released {
        no_gateway: is_nobodys(&app, &whose.namespace),
        released: released.restrictions,
        disowned: released.disowned,
    }))
}

fn released_from(
    origin: Option<&Origin>,
    since: Option<Millis>,
) -> Result<ReleaseFrom<'_>, Problem> {
    match (origin, since) {
        (Some(_), Some(_)) => Err(Problem::bad_request(
            "`since` goes with a release from everything: leave out `origin`",
        )),
        (None, Some(since)) if since > LONGEST_INCIDENT => Err(Problem::bad_request(
            "`since` is how long ago it began, in milliseconds, 400 days at most",
        )),
        (Some(origin), None) => Ok(ReleaseFrom::Origin(origin)),
        (None, since) => Ok(ReleaseFrom::Everything { since }),
    }
}

/// What was done about an account, the newest first.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    history: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    at: Timestamp,
    action: &'static str,
    who: String,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    restriction: Option<Restriction>,
}

pub(crate) async fn history(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let limit = asked.limit.unwrap_or(MOST_HISTORY);
    let now = Timestamp(app.clock.now_ms());
    let found = states(&app)?.history(&whose.namespace, &whose.account, now, limit);
    let history = found.await.map_err(unavailable)?;
    let history = history.into_iter().map(line).collect();
    Ok(Json(History { history }))
}

fn line(entry: HistoryEntry) -> Line {
    let HistoryEntry {
        mandate,
        action,
        restriction,
    } = entry;
    Line {
        at: mandate.at,
        action: action.name(),
        who: mandate.who,
        why: mandate.why,
        restriction,
    }
}
