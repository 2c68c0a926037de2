//! `GET /v1/accounts/{account}/points`: what speaks against an account, under each AbuseRule: its points now, and what they were
//! awarded for and when.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Serialize;

use crate::asked::{Asked, Whose, bad_query};
use crate::problem::Problem;
use crate::state::{App, Tallied};

#[derive(Debug, Serialize)]
pub(crate) struct Points {
    rules: Vec<Tallied>,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Points>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let scores = app.running.scores(&whose.namespace, &whose.account).await;
    // No points would be taken for none.
    match scores.unknown {
        None => Ok(Json(Points {
            rules: scores.known,
        })),
        Some(why) => Err(Problem::unavailable(why, 5)),
    }
}
