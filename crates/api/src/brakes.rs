//! `DELETE /v1/brakes?rule=Kind/namespace/name`: puts a rule that its brake holds in shadow back in force. The one request that
//! changes something; a web page elsewhere cannot make a browser send it, since a DELETE is asked for permission first.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use sekisho_policy::ObjectRef;
use sekisho_policy::snapshot::Kind;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::state::{App, NotHere};

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    rule: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Reset {
    /// The gateways (`namespace/name`) on which the rule was held.
    gateways: Vec<String>,
}

pub(crate) async fn reset(
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Json<Reset>, Problem> {
    let rule = parse(&asked.rule).ok_or_else(|| {
        Problem::bad_request(
            "name the rule as Kind/namespace/name, like RateLimit/default/per-account",
        )
    })?;
    let reset = app.running.reset_brake(&rule).await;
    let gateways = reset.map_err(|NotHere(why)| Problem::new(StatusCode::NOT_IMPLEMENTED, why))?;
    if gateways.is_empty() {
        return Err(Problem::not_found(format!("no brake holds {rule}")));
    }
    Ok(Json(Reset { gateways }))
}

fn parse(text: &str) -> Option<ObjectRef> {
    let mut parts = text.split('/');
    let kind = match parts.next()? {
        "SubmissionPolicy" => Kind::SubmissionPolicy,
        "CountryRule" => Kind::CountryRule,
        "RateLimit" => Kind::RateLimit,
        "LoginGuard" => Kind::LoginGuard,
        _ => return None,
    };
    let (namespace, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    parts.next().is_none().then_some(ObjectRef {
        kind,
        namespace,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_as_everywhere() {
        let rule = parse("RateLimit/default/per-account").unwrap();
        assert_eq!(rule.to_string(), "RateLimit/default/per-account");
        for bad in [
            "",
            "RateLimit",
            "RateLimit/default",
            "RateLimit/default/a/b",
            "MailGateway/default/a",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
