//! Changes of many accounts' settings: `POST /v1/settings/bulk` begins one, for accounts that it lists line by line or for all that
//! have settings; `GET` says how far it is, and `DELETE` ends it. With `dryRun` it counts what it would change.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use sekisho_policy::{Account, Timestamp};
use sekisho_store::{Job, JobId, JobSpec, Keep, MOST_JOBS, NewJob, Scope, SettingsPatch};
use serde::{Deserialize, Serialize};

use crate::asked::{Whose, bad_query, is_account, mandate, unavailable};
use crate::json_line::wrong_in_line;
use crate::problem::Problem;
use crate::settings::{bad_settings, object, store};
use crate::state::App;
use crate::unheeded;

/// The most octets of one request, and of one line.
const MOST_OCTETS: usize = 32 << 20;
const LONGEST_LINE: usize = 8192;
/// The most accounts that one request lists.
const MOST_LINES: usize = 100_000;

/// How a list is to be taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Asked {
    namespace: Option<String>,
    #[serde(default)]
    keep: Keep,
    #[serde(default)]
    dry_run: bool,
    who: Option<String>,
    why: Option<String>,
}

/// One line of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    account: String,
    #[serde(deserialize_with = "object")]
    settings: SettingsPatch,
}

/// What is to become of all that have settings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Everybody {
    #[serde(deserialize_with = "object")]
    settings: SettingsPatch,
    #[serde(default)]
    keep: Keep,
    #[serde(default)]
    dry_run: bool,
    who: String,
    why: String,
}

/// A change that has begun.
#[derive(Debug, Serialize)]
pub(crate) struct Begun {
    #[serde(flatten)]
    job: Job,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

pub(crate) async fn begin(
    State(app): State<App>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Json<Begun>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let kind = Kind::of(request.headers())?;
    let body = read(request).await?;
    let namespace = Whose::namespace(asked.namespace)?;
    let (spec, items, who, why) = match kind {
        Kind::Lines => {
            let spec = JobSpec {
                scope: Scope::Listed,
                keep: asked.keep,
                dry_run: asked.dry_run,
            };
            let (who, why) = (asked.who.unwrap_or_default(), asked.why.unwrap_or_default());
            // A request that names nobody who wants it is not worth the reading.
            mandate(&app, &who, &why)?;
            (spec, lines(&body)?, who, why)
        }
        Kind::Json => {
            let wanted: Everybody = serde_json::from_slice(&body)
                .map_err(|error| Problem::bad_request(error.to_string()))?;
            let patch = wanted.settings.checked().map_err(bad_settings)?;
            if patch.is_empty() {
                return Err(nothing());
            }
            let spec = JobSpec {
                scope: Scope::Existing(patch),
                keep: wanted.keep,
                dry_run: wanted.dry_run,
            };
            (spec, Vec::new(), wanted.who, wanted.why)
        }
    };
    let mandate = mandate(&app, &who, &why)?;
    let new = NewJob {
        namespace: &namespace,
        spec: &spec,
        items: &items,
        mandate: &mandate,
    };
    let begun = store(&app)?.begin(new).await.map_err(unavailable)?;
    let job = begun.ok_or_else(|| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "{MOST_JOBS} changes of many wait for their turn: begin another when one is over"
            ),
        )
        .retry_after(10)
    })?;
    tracing::info!(
        job = %job.id, namespace, accounts = job.total, dry_run = spec.dry_run, who = mandate.who,
        "a change of many accounts' settings was begun"
    );
    let warnings = warnings(&app, &namespace, &spec, &items);
    Ok(Json(Begun { job, warnings }))
}

/// What of it no rule goes by now.
fn warnings(
    app: &App,
    namespace: &str,
    spec: &JobSpec,
    items: &[(Account, SettingsPatch)],
) -> Vec<String> {
    let of_all = match &spec.scope {
        Scope::Existing(patch) => Some(patch),
        Scope::Listed => None,
    };
    let patches = items.iter().map(|(_, patch)| patch).chain(of_all);
    let limits = patches.flat_map(|patch| patch.limits.iter().flatten());
    unheeded::warnings(&app.configs, namespace, limits.flat_map(|limits| &**limits))
}

/// How a request says what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lines,
    Json,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/x-ndjson" => Ok(Self::Lines),
            "application/json" => Ok(Self::Json),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send accounts line by line as application/x-ndjson, or what all that have settings are to get as application/json",
            )),
        }
    }
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), MOST_OCTETS)
        .collect()
        .await;
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("this takes {MOST_OCTETS} octets at most: send the accounts in several parts"),
        )),
        Err(_) => Err(Problem::bad_request("the body broke off")),
    }
}

/// Every line, or which of them is wrong: then nothing is begun.
fn lines(body: &[u8]) -> Result<Vec<(Account, SettingsPatch)>, Problem> {
    let mut items = Vec::new();
    for (number, text) in (1_usize..).zip(body.split(|&octet| octet == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        if items.len() >= MOST_LINES {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("this takes {MOST_LINES} accounts at most: send them in several parts"),
            ));
        }
        let item = line(text);
        items.push(item.map_err(|why| Problem::bad_request(format!("line {number}: {why}")))?);
    }
    if items.is_empty() {
        return Err(nothing());
    }
    Ok(items)
}

fn line(text: &[u8]) -> Result<(Account, SettingsPatch), String> {
    if text.len() > LONGEST_LINE {
        return Err(format!("it has more than {LONGEST_LINE} octets"));
    }
    let line: Line = serde_json::from_slice(text).map_err(|error| wrong_in_line(text, &error))?;
    let account = Account::canonical(&line.account, None);
    if !is_account(&account) {
        return Err("that is no name of an account".to_owned());
    }
    let patch = line.settings.checked().map_err(|error| error.to_string())?;
    if patch.is_empty() {
        return Err("it changes nothing".to_owned());
    }
    Ok((account, patch))
}

fn nothing() -> Problem {
    Problem::bad_request(
        "this changes nothing: give loginsFromAbroad, classification or limits, a value or null",
    )
}

/// Whose jobs are meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Where {
    namespace: Option<String>,
}

/// Jobs, the newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
}

pub(crate) async fn list(
    State(app): State<App>,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Json<Jobs>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let namespace = Whose::namespace(asked.namespace)?;
    let jobs = store(&app)?.jobs(&namespace).await.map_err(unavailable)?;
    Ok(Json(Jobs { jobs }))
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Json<Job>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let namespace = Whose::namespace(asked.namespace)?;
    let id = id.parse().map_err(|_| no_job())?;
    let found = store(&app)?
        .job(&namespace, id)
        .await
        .map_err(unavailable)?;
    found.map(Json).ok_or_else(no_job)
}

/// Ends it before its time; what it changed stays.
pub(crate) async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Json<Job>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let namespace = Whose::namespace(asked.namespace)?;
    let id: JobId = id.parse().map_err(|_| no_job())?;
    let now = Timestamp(app.clock.now_ms());
    let found = store(&app)?
        .cancel(&namespace, id, now)
        .await
        .map_err(unavailable)?;
    let job = found.ok_or_else(no_job)?;
    tracing::info!(job = %id, namespace, "a change of many accounts' settings was ended before its time");
    Ok(Json(job))
}

fn no_job() -> Problem {
    Problem::not_found("there is no such change of many in that namespace")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(body: &[u8]) -> String {
        format!("{:?}", lines(body).unwrap_err())
    }

    #[test]
    fn names_become_what_logins_are() {
        let body = b"{\"account\":\" Taro@Example.JP \",\"settings\":{\"loginsFromAbroad\":\"Refuse\"}}\r\n\n";
        let items = lines(body).unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].0.as_str(), "taro@example.jp");
    }

    #[test]
    fn a_wrong_line_is_named_and_nothing_is_begun() {
        let good = "{\"account\":\"a\",\"settings\":{\"loginsFromAbroad\":null}}\n";
        for (bad, words) in [
            (
                "{\"account\":\"a\",\"settings\":{}}",
                "line 2: it changes nothing",
            ),
            (
                "{\"account\":\"\",\"settings\":{\"limits\":null}}",
                "line 2: that is no name",
            ),
            (
                "{\"account\":\"a\\u0007\",\"settings\":{\"limits\":null}}",
                "line 2: that is no name",
            ),
            ("{\"account\":\"a\"}", "line 2: missing field `settings`"),
            (
                "{\"account\":\"a\",\"settings\":{\"login\":1}}",
                "line 2: unknown field `login`",
            ),
            ("nonsense", "line 2: expected"),
            (
                "{\"account\":\"a\",\"settings\":[null]}",
                "line 2: invalid type: sequence",
            ),
        ] {
            let error = error_of(format!("{good}{bad}\n").as_bytes());
            assert!(error.contains(words), "{error}");
        }
        let long = format!("{good}{{\"account\":\"{}\"}}", "a".repeat(LONGEST_LINE));
        assert!(error_of(long.as_bytes()).contains("line 2: it has more than"));
        assert!(error_of(b"\n\n").contains("changes nothing"));
        assert!(error_of(good.repeat(MOST_LINES + 1).as_bytes()).contains("several parts"));
    }
}
