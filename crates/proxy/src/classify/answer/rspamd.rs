//! Rspamd's answer to `/checkv2`: a JSON object.

use std::collections::BTreeMap;

use sekisho_policy::opinion::{EngineFault, EngineVerdict, Score};
use serde::Deserialize;

use super::{symbol, thousandths, weightiest};

/// What is used of it. Options and descriptions of symbols are not: they quote the message.
#[derive(Deserialize)]
struct Answer {
    score: f64,
    action: String,
    #[serde(default)]
    symbols: BTreeMap<String, Part>,
}

#[derive(Deserialize)]
struct Part {
    score: Option<f64>,
}

/// What it says in place of an answer.
#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "error")]
    _error: String,
}

/// Reads the body of an answer.
///
/// # Errors
/// [`EngineFault::Refused`] where it says that it failed, else [`EngineFault::BadAnswer`].
pub(crate) fn rspamd(body: &[u8]) -> Result<Score, EngineFault> {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        let failed = serde_json::from_slice::<Failure>(body).is_ok();
        return Err(if failed {
            EngineFault::Refused
        } else {
            EngineFault::BadAnswer
        });
    };
    let mut symbols = Vec::new();
    for (name, part) in &answer.symbols {
        let points = part.score.map(thousandths).transpose()?;
        symbols.extend(symbol(name, points));
    }
    Ok(Score {
        points: thousandths(answer.score)?,
        verdict: verdict(&answer.action),
        symbols: weightiest(symbols),
    })
}

/// `greylist` and `soft reject` ask the client to come back later, `add header` and `rewrite subject` mark the message: the
/// marks of our own policy say what those scores mean. What rspamd would not let through at all is spam.
fn verdict(action: &str) -> EngineVerdict {
    match action {
        "reject" | "discard" | "quarantine" => EngineVerdict::Reject,
        _ => EngineVerdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As rspamd 3.4 says it, of a message that is fine.
    const FINE: &str = r#"{"is_skipped":false,"score":2.400000,"required_score":15.0,"action":"no action","symbols":{
        "FROM_NO_DN":{"name":"FROM_NO_DN","score":0.0,"metric_score":0.0,"description":"From header does not have a display name"},
        "MIME_TRACE":{"name":"MIME_TRACE","score":0.0,"metric_score":0.0,"options":["0:+"]},
        "MIME_GOOD":{"name":"MIME_GOOD","score":-0.100000,"metric_score":-0.100000,"description":"Known content-type","options":["text/plain"]},
        "HFILTER_HOSTNAME_UNKNOWN":{"name":"HFILTER_HOSTNAME_UNKNOWN","score":2.500000,"metric_score":2.500000,
            "description":"Unknown client hostname (PTR or FCrDNS verification failed)"}},
        "messages":{},"message-id":"x@example.jp","time_real":0.001112,"milter":{"remove_headers":{"X-Spam":0}}}"#;
    /// And of the test pattern that each filter must know.
    const GTUBE: &str = r#"{"is_skipped":true,"score":15.0,"required_score":15.0,"action":"reject",
        "symbols":{"GTUBE":{"name":"GTUBE","score":0.0,"metric_score":0.0}},
        "messages":{"smtp_message":"Gtube pattern"},"message-id":"undef","time_real":0.000196}"#;

    fn read(body: &str) -> (i64, EngineVerdict, Vec<(String, Option<i64>)>) {
        let score = rspamd(body.as_bytes()).unwrap();
        let symbols = score
            .symbols
            .into_iter()
            .map(|symbol| (symbol.name.into(), symbol.points));
        (score.points, score.verdict, symbols.collect())
    }

    #[test]
    fn real_answers() {
        let symbols = vec![
            ("HFILTER_HOSTNAME_UNKNOWN".to_owned(), Some(2500)),
            ("MIME_GOOD".to_owned(), Some(-100)),
        ];
        assert_eq!(read(FINE), (2400, EngineVerdict::Pass, symbols));
        let symbols = vec![("GTUBE".to_owned(), Some(0))];
        assert_eq!(read(GTUBE), (15_000, EngineVerdict::Reject, symbols));
    }

    #[test]
    fn only_what_rspamd_would_not_let_through_is_its_verdict() {
        for (action, verdict) in [
            ("no action", EngineVerdict::Pass),
            ("greylist", EngineVerdict::Pass),
            ("soft reject", EngineVerdict::Pass),
            ("add header", EngineVerdict::Pass),
            ("rewrite subject", EngineVerdict::Pass),
            ("an action of somebody's own", EngineVerdict::Pass),
            ("reject", EngineVerdict::Reject),
            ("discard", EngineVerdict::Reject),
            ("quarantine", EngineVerdict::Reject),
        ] {
            let body = format!(r#"{{"score": 1, "action": "{action}"}}"#);
            assert_eq!(read(&body), (1000, verdict, vec![]), "{action}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_answer() {
        let refused = r#"{"error":"invalid command","error_domain":"protocol-error"}"#;
        assert_eq!(rspamd(refused.as_bytes()), Err(EngineFault::Refused));
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "{}",
            "null",
            "[1]",
            "OK",
            &deep,
            r#"{"score": 1}"#,
            r#"{"action": "no action"}"#,
            r#"{"score": "1", "action": "no action"}"#,
            r#"{"score": NaN, "action": "no action"}"#,
            r#"{"score": 1e400, "action": "no action"}"#,
            r#"{"score": 1e7, "action": "no action"}"#,
            r#"{"score": -1e7, "action": "no action"}"#,
            r#"{"score": 1, "score": 20, "action": "no action"}"#,
            r#"{"score": 1, "action": "no action", "symbols": {"A": {"score": 1e9}}}"#,
            r#"{"score": 1, "action": "no action", "symbols": ["A"]}"#,
            r#"{"score": 1, "action": "no action"} {"score": 1, "action": "no action"}"#,
        ] {
            let shown: String = body.chars().take(80).collect();
            assert_eq!(
                rspamd(body.as_bytes()),
                Err(EngineFault::BadAnswer),
                "{shown}"
            );
        }
    }

    #[test]
    fn names_that_cannot_be_shown_are_left_out_and_the_weightiest_kept() {
        let many: Vec<String> = (0..100)
            .map(|at| format!(r#""S{at}": {{"score": {at}}}"#))
            .collect();
        let long = "L".repeat(65);
        let body = format!(
            r#"{{"score": 1, "action": "no action", "symbols": {{"two words": {{"score": 500}}, "\u0007": {{"score": 500}},
                "名": {{"score": 500}}, "": {{"score": 500}}, "{long}": {{"score": 500}}, "LESS": {{"score": -200}}, {}}}}}"#,
            many.join(",")
        );
        let (_, _, symbols) = read(&body);
        assert_eq!(symbols.len(), 16);
        assert_eq!(symbols[0], ("LESS".to_owned(), Some(-200_000)));
        assert_eq!(symbols[15], ("S85".to_owned(), Some(85_000)));
    }
}
