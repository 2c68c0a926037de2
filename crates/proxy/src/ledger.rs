//! The way of a record out of the proxy: redacted, through a bounded channel that never holds a session up.

use sekisho_policy::Address;
use sekisho_policy::record::{self, End, Record};
use sekisho_policy::snapshot::RecipientPrivacy;
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::LedgerResult;
use tokio::sync::mpsc;

use crate::auth::FleetKey;

/// Records that may wait for whoever writes them down.
pub const CAPACITY: usize = 16 * 1024;

/// Where sessions leave their records. Cloning shares the channel.
#[derive(Clone, Debug)]
pub struct Ledger {
    records: mpsc::Sender<Box<Record>>,
    key: FleetKey,
    metrics: Metrics,
}

/// A channel for `capacity` records. Whoever writes them down holds the receiver; recipients are hashed under `key`.
#[must_use]
pub fn channel(
    capacity: usize,
    key: FleetKey,
    metrics: Metrics,
) -> (Ledger, mpsc::Receiver<Box<Record>>) {
    let (records, receiver) = mpsc::channel(capacity);
    (
        Ledger {
            records,
            key,
            metrics,
        },
        receiver,
    )
}

impl Ledger {
    /// Sends a record on its way; one that does not fit is dropped and counted.
    pub(crate) fn write(&self, record: Record, privacy: RecipientPrivacy) {
        let record = match privacy {
            RecipientPrivacy::Hashed => self.redact(record),
            RecipientPrivacy::Plain => record,
        };
        if self.records.try_send(Box::new(record)).is_err() {
            self.metrics.ledger_records(LedgerResult::Dropped, 1);
        }
    }

    fn redact(&self, mut record: Record) -> Record {
        for step in &mut record.steps {
            step.event = record::redact(&step.event, &|recipient| self.pseudonym(recipient));
        }
        match &mut record.end {
            End::Delivered(hop) | End::Uncertain(hop) => self.redact_text(&mut hop.reply),
            End::RefusedByNextHop { hop, reply } => {
                self.redact_text(&mut hop.reply);
                self.redact_text(reply);
            }
            End::RefusedByPolicy { reply } => self.redact_text(reply),
            End::Failed { why, reply } => {
                self.redact_text(why);
                self.redact_text(reply);
            }
            End::Abandoned | End::Noted => {}
        }
        record
    }

    /// The address with its local part as a keyed hash, equal for equal addresses. The domain goes into the hash,
    /// or `info` would be the same everywhere.
    fn pseudonym(&self, address: &Address) -> Address {
        let hash = self.key.pseudonym(&address.to_string());
        let short: String = hash[..8]
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        Address::new(&format!("~{short}"), address.domain())
    }

    /// Hashes what looks like an address in a server's words: next hops like to repeat the recipient.
    fn redact_text(&self, text: &mut String) {
        if !text.contains('@') {
            return;
        }
        let breaks = |c: char| c.is_whitespace() || "<>()[]{},;:\"'`".contains(c);
        let mut redacted = String::with_capacity(text.len() + 16);
        for piece in text.split_inclusive(breaks) {
            let word = piece.trim_end_matches(breaks);
            match word.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
                    let address = self.pseudonym(&Address::new(local, domain));
                    redacted.push_str(&address.to_string());
                    redacted.push_str(&piece[word.len()..]);
                }
                _ => redacted.push_str(piece),
            }
        }
        *text = redacted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        channel(1, FleetKey::new([7; 32]), Metrics::new()).0
    }

    #[test]
    fn addresses_in_replies_are_hashed_alike_and_the_rest_is_kept() {
        let ledger = ledger();
        let hashed = ledger
            .pseudonym(&Address::new("hanako", "example.jp"))
            .to_string();
        let mut text =
            "550 5.1.1 <hanako@Example.JP>: no such user, hanako@example.jp; see a@ and @b"
                .to_owned();
        ledger.redact_text(&mut text);
        assert_eq!(
            text,
            format!("550 5.1.1 <{hashed}>: no such user, {hashed}; see a@ and @b")
        );
        assert!(!hashed.contains("hanako"));
    }

    #[test]
    fn the_domain_counts() {
        let ledger = ledger();
        let a = ledger.pseudonym(&Address::new("info", "a.example"));
        let b = ledger.pseudonym(&Address::new("info", "b.example"));
        assert_ne!(a.local(), b.local());
    }
}
