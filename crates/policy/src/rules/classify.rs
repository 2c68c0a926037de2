//! The policy's own classification: scores over header patterns.

use crate::content::Patterns;
use crate::decision::Class;
use crate::rules::Defect;
use crate::snapshot::Classify;

/// Scores over header patterns.
#[derive(Clone, Debug)]
pub(crate) struct Classification {
    pub(crate) patterns: Patterns,
    suspect_at: i64,
    spam_at: i64,
}

impl Classification {
    pub(crate) fn new(spec: &Classify) -> Result<Self, Defect> {
        Ok(Self {
            patterns: Patterns::new(&spec.rules)?,
            suspect_at: spec.suspect_at,
            spam_at: spec.spam_at,
        })
    }

    /// The class that the patterns found lead to. Each pattern counts once.
    pub(crate) fn judge(&self, matched: &[Box<str>]) -> (Class, String) {
        let hits = || {
            self.patterns
                .iter()
                .filter(|pattern| matched.contains(&pattern.name))
        };
        let score = hits().fold(0i64, |score, pattern| score.saturating_add(pattern.score));
        let names: Vec<&str> = hits().map(|pattern| &*pattern.name).collect();
        let (class, mark) = if score >= self.spam_at {
            (Class::Spam, self.spam_at)
        } else if score >= self.suspect_at {
            (Class::Suspect, self.suspect_at)
        } else {
            (Class::Clean, self.suspect_at)
        };
        let found = if names.is_empty() {
            "no pattern matched".to_owned()
        } else {
            names.join(", ")
        };
        (
            class,
            format!("score {} of {}: {found}", points(score), points(mark)),
        )
    }
}

/// Thousandths as a decimal number.
fn points(thousandths: i64) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, rest) = (
        thousandths.unsigned_abs() / 1000,
        thousandths.unsigned_abs() % 1000,
    );
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
