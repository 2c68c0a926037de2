//! What a replica tells the lease holder: the table of the proxies that are connected to it, and then what changes in it.

use sekisho_policy::Report;
use serde::{Deserialize, Serialize};

use super::name::{is_name, is_part};

/// The most octets of one request.
pub(super) const MAX_PUSH_BYTES: usize = 1 << 20;
/// The most lines of one request.
pub(super) const MAX_LINES: usize = 2_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Push {
    /// Random; each whole table begins another one.
    pub(super) epoch: u64,
    /// From 0, one more with each request of the epoch.
    pub(super) sequence: u64,
    pub(super) part: Part,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) connected: Vec<Connected>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gone: Vec<Gone>,
}

/// What a request is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// The whole table, of which more follows.
    Table,
    /// The whole table, which ends here.
    TableEnd,
    /// What changed since; nothing, if it is only to be heard of.
    Changes,
}

/// A proxy that is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Connected {
    pub(super) gateway: String,
    pub(super) proxy: String,
    /// Milliseconds since it said so: clocks of machines differ.
    pub(super) age_ms: u64,
    pub(super) report: Report,
}

/// A proxy that is connected no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Gone {
    pub(super) gateway: String,
    pub(super) proxy: String,
}

/// Why something is no push.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("not a push: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("a push has at most {MAX_LINES} lines")]
    TooLong,
    #[error("a push names a gateway as namespace/name and a proxy as its pod is called")]
    Misnamed,
    #[error("an epoch begins with a table")]
    NoTable,
}

impl Push {
    /// Reads what a replica sent.
    ///
    /// # Errors
    /// [`PushError`] says what is wrong with it.
    pub fn read(json: &[u8]) -> Result<Self, PushError> {
        let mut push: Self = serde_json::from_slice(json)?;
        if push.connected.len() + push.gone.len() > MAX_LINES {
            return Err(PushError::TooLong);
        }
        let connected = push.connected.iter().map(|c| (&c.gateway, &c.proxy));
        let gone = push.gone.iter().map(|g| (&g.gateway, &g.proxy));
        if !connected.chain(gone).all(|(g, p)| is_name(g) && is_part(p)) {
            return Err(PushError::Misnamed);
        }
        if push.sequence == 0 && push.part == Part::Changes {
            return Err(PushError::NoTable);
        }
        for line in &mut push.connected {
            line.report = std::mem::take(&mut line.report).bounded();
        }
        Ok(push)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_push_is_refused() {
        for bad in [
            "",
            "[]",
            r#"{"epoch":1,"sequence":0,"part":"Changes"}"#,
            r#"{"epoch":1,"sequence":0,"part":"Everything"}"#,
            r#"{"epoch":1,"sequence":0,"part":"Table","more":1}"#,
            r#"{"epoch":1,"sequence":0,"part":"Table","gone":[{"gateway":"out","proxy":"a"}]}"#,
            r#"{"epoch":1,"sequence":0,"part":"Table","gone":[{"gateway":"m/out","proxy":"A"}]}"#,
        ] {
            assert!(Push::read(bad.as_bytes()).is_err(), "{bad}");
        }
        let gone = r#"{"gateway":"m/out","proxy":"a"}"#;
        let lines = |n: usize| {
            let gone = vec![gone; n].join(",");
            format!(r#"{{"epoch":1,"sequence":0,"part":"Table","gone":[{gone}]}}"#)
        };
        assert!(Push::read(lines(MAX_LINES).as_bytes()).is_ok());
        assert!(matches!(
            Push::read(lines(MAX_LINES + 1).as_bytes()),
            Err(PushError::TooLong)
        ));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_read_reads_again(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            version in ".{0,40}", pending in proptest::collection::vec(".{0,9}", 0..9), age: u64,
        ) {
            let _ = Push::read(&noise);
            let report = Report { version, pending, ..Report::default() }.bounded();
            let connected = Connected { gateway: "m/out".into(), proxy: "a".into(), age_ms: age, report };
            let push = Push { epoch: age, sequence: 0, part: Part::Table, connected: vec![connected], gone: vec![] };
            let json = serde_json::to_vec(&push).unwrap();
            prop_assert_eq!(Push::read(&json).unwrap(), push);
        }
    }
}
