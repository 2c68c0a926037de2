//! `GET /v1/accounts/{account}/points`: what speaks against an account, under each AbuseRule: its points now, and what they were
//! awarded for and when.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sekisho_policy::watch::Score;
use serde::Serialize;

use crate::asked::{Asked, Whose, bad_query};
use crate::problem::Problem;
use crate::state::{App, NotHere};

#[derive(Debug, Serialize)]
pub(crate) struct Points {
    rules: Vec<Score>,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Points>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let scores = app.running.scores(&whose.namespace, &whose.account).await;
    let rules = scores.map_err(|NotHere(why)| Problem::new(StatusCode::NOT_IMPLEMENTED, why))?;
    Ok(Json(Points { rules }))
}
