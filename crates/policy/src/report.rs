//! Seam 1, the way back: what a proxy says of itself to the control plane, and what the control plane knows of its fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// No report is longer, in octets of JSON.
pub const MAX_REPORT_BYTES: usize = 32 * 1024;
/// No text in a report is longer, in octets; longer ones are cut by [`Report::bounded`].
const MAX_TEXT: usize = 1024;
/// No report names more Secrets.
const MAX_PENDING: usize = 64;

/// What one proxy says of itself: sent when something in it changes, and after each reconnection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The version of the program.
    pub version: String,
    /// The newest [`crate::snapshot::SCHEMA`] that it reads.
    pub schema: u32,
    /// What it enforces; nothing yet if it waits for its first snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Revision>,
    /// The last snapshot that it was offered and did not take, until it takes a newer one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// Whether the addresses that it sees are those of clients.
    pub sources: SourceTrust,
    /// The Secrets that it needs and does not have, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
}

/// Which snapshot: its generation and the digest of its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// [`crate::Envelope::generation`].
    pub generation: u64,
    /// [`crate::Envelope::digest`].
    pub digest: String,
}

/// A snapshot that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub revision: Revision,
    /// Why, for people.
    pub why: String,
}

/// Whether the addresses that a proxy sees are those of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceTrust {
    /// They are, as far as it can tell.
    #[default]
    Trusted,
    /// Most of them are the cluster's own: something in front hides the clients.
    Untrusted,
}

impl SourceTrust {
    /// Whether rules may go by the addresses.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted)
    }
}

impl Report {
    /// Reads what a proxy sent.
    ///
    /// # Errors
    /// It is too long, or no report; the message says where.
    pub fn read(json: &[u8]) -> Result<Self, ReportError> {
        if json.len() > MAX_REPORT_BYTES {
            return Err(ReportError::TooLong(json.len()));
        }
        // Each field has a default, so serde would take any list for a report.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(ReportError::Malformed(serde::de::Error::custom(
                "it is an object",
            )));
        }
        let report: Self = serde_json::from_slice(json)?;
        Ok(report.bounded())
    }

    /// With texts and lists cut to what a report may hold, so that one proxy cannot fill a status, and without the control
    /// characters by which a text could play with the terminal that shows it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.version);
        self.pending.truncate(MAX_PENDING);
        self.pending.iter_mut().for_each(cut);
        let revisions = self
            .in_force
            .iter_mut()
            .map(|revision| &mut revision.digest);
        revisions.for_each(cut);
        if let Some(refused) = &mut self.refused {
            cut(&mut refused.why);
            cut(&mut refused.revision.digest);
        }
        self
    }
}

fn cut(text: &mut String) {
    text.retain(|c| !c.is_control());
    let mut end = MAX_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Why something is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Longer than [`MAX_REPORT_BYTES`].
    #[error("a report has at most {MAX_REPORT_BYTES} octets, not {0}")]
    TooLong(usize),
    /// No JSON of that shape.
    #[error("not a report: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The proxies that are connected now, by gateway (`namespace/name`) and then by their own name.
pub type Fleet = BTreeMap<String, BTreeMap<String, Arc<Report>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_bounded() {
        let json = format!(
            r#"{{"version":"0.1.0","schema":1,"inForce":{{"generation":7,"digest":"ab"}},
                "refused":{{"revision":{{"generation":8,"digest":"cd"}},"why":"{}"}},"sources":"Untrusted","later":1}}"#,
            "é".repeat(600)
        );
        let report = Report::read(json.as_bytes()).unwrap();
        assert_eq!(report.in_force.as_ref().unwrap().generation, 7);
        assert_eq!(report.refused.as_ref().unwrap().why.len(), 1024);
        assert_eq!(report.sources, SourceTrust::Untrusted);
        let again = serde_json::to_vec(&report).unwrap();
        assert_eq!(Report::read(&again).unwrap(), report);
    }

    #[test]
    fn no_text_of_a_report_moves_a_cursor() {
        let bad = r#"a\u001b[2J\n\u0000\u009bb"#;
        let json = format!(
            r#"{{"version":"{bad}","schema":1,"inForce":{{"generation":7,"digest":"{bad}"}},"pending":["{bad}"],
                "refused":{{"revision":{{"generation":8,"digest":"{bad}"}},"why":"{bad}"}}}}"#
        );
        let report = Report::read(json.as_bytes()).unwrap();
        let refused = report.refused.unwrap();
        let texts = [report.version, report.in_force.unwrap().digest, refused.why];
        let texts = texts
            .iter()
            .chain(&report.pending)
            .chain([&refused.revision.digest]);
        assert_eq!(texts.collect::<Vec<_>>(), ["a[2Jb"; 5]);
    }

    #[test]
    fn what_is_too_long_or_no_report_is_refused() {
        assert!(matches!(
            Report::read(&vec![b' '; MAX_REPORT_BYTES + 1]),
            Err(ReportError::TooLong(_))
        ));
        for bad in ["", "[]", r#"{"schema":-1}"#, r#"{"sources":"Maybe"}"#] {
            assert!(Report::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
