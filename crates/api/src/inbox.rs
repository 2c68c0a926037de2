//! What reached the built-in relays: `GET /demo/messages`. A bounded list in memory, newest last.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use sekisho_policy::record::End;
use sekisho_policy::{Class, DecisionId, Record, Timestamp};
use serde::Serialize;

use crate::problem::Problem;
use crate::state::App;

/// The most messages that are kept; older ones make room.
const CAPACITY: usize = 500;

/// The messages that arrived at the built-in relays. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<Arrived>,
    total: u64,
}

/// One message as a built-in relay saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrived {
    /// When, in milliseconds since 1970.
    pub at: Timestamp,
    /// The name of the relay.
    pub relay: String,
    /// The address that it came from.
    pub from_address: IpAddr,
    /// Its class, as soon as its record is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Its record, to be explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<DecisionId>,
    /// What the client said in EHLO.
    pub helo: String,
    /// The envelope sender; empty for the null sender.
    pub sender: String,
    /// The envelope recipients.
    pub recipients: Vec<String>,
    /// The Subject field as it arrived, cut to 200 characters.
    pub subject: String,
    /// Octets, without dot-stuffing.
    pub size: u64,
    /// What the relay called it in its reply.
    pub queue_id: String,
}

/// How many came from one address to one relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BySource {
    pub(crate) from_address: IpAddr,
    pub(crate) relay: String,
    pub(crate) messages: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Messages {
    /// How many arrived since the start, forgotten ones included.
    total: u64,
    messages: Vec<Arrived>,
}

impl Inbox {
    /// Keeps a message that arrived.
    pub fn push(&self, message: Arrived) {
        let mut kept = self.lock();
        kept.total += 1;
        if kept.messages.len() == CAPACITY {
            kept.messages.pop_front();
        }
        kept.messages.push_back(message);
    }

    /// Learns from a record which class the message of that record had: the relay's reply names both.
    pub fn attribute(&self, record: &Record) {
        let End::Delivered(hop) = &record.end else {
            return;
        };
        let mut kept = self.lock();
        let named = |message: &&mut Arrived| {
            hop.reply
                .split_whitespace()
                .any(|word| word == message.queue_id)
        };
        if let Some(message) = kept.messages.iter_mut().rev().find(named) {
            message.class = Some(record.class);
            message.record = Some(record.id);
        }
    }

    /// The messages that are kept, by the address that they came from.
    pub(crate) fn by_source(&self) -> Vec<BySource> {
        let mut sources: Vec<BySource> = Vec::new();
        for message in &self.lock().messages {
            match sources
                .iter_mut()
                .find(|s| s.from_address == message.from_address && s.relay == message.relay)
            {
                Some(source) => source.messages += 1,
                None => sources.push(BySource {
                    from_address: message.from_address,
                    relay: message.relay.clone(),
                    messages: 1,
                }),
            }
        }
        sources.sort_by(|a, b| (a.from_address, &a.relay).cmp(&(b.from_address, &b.relay)));
        sources
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /demo/messages`.
pub(crate) async fn show(State(app): State<App>) -> Result<Json<Messages>, Problem> {
    let inbox = app
        .inbox
        .as_ref()
        .ok_or_else(|| Problem::not_found("no Demo object runs here"))?;
    let kept = inbox.lock();
    Ok(Json(Messages {
        total: kept.total,
        messages: kept.messages.iter().cloned().collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u64) -> Arrived {
        Arrived {
            at: Timestamp(n),
            relay: if n.is_multiple_of(3) { "spam" } else { "clean" }.into(),
            class: None,
            record: None,
            from_address: IpAddr::from([127, 0, 0, 2]),
            helo: "out.example.jp".into(),
            sender: String::new(),
            recipients: vec!["a@b.example".into()],
            subject: String::new(),
            size: 1,
            queue_id: n.to_string(),
        }
    }

    #[test]
    fn old_messages_make_room() {
        let inbox = Inbox::default();
        for n in 0..CAPACITY as u64 + 2 {
            inbox.push(message(n));
        }
        let kept = inbox.lock();
        assert_eq!(kept.messages.len(), CAPACITY);
        assert_eq!(kept.messages[0].queue_id, "2");
        assert_eq!(kept.total, CAPACITY as u64 + 2);
    }

    #[test]
    fn counts_are_by_address_and_relay() {
        let inbox = Inbox::default();
        (0..6).for_each(|n| inbox.push(message(n)));
        let counts: Vec<_> = inbox
            .by_source()
            .into_iter()
            .map(|s| (s.relay, s.messages))
            .collect();
        assert_eq!(counts, [("clean".to_owned(), 4), ("spam".to_owned(), 2)]);
    }
}
